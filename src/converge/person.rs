//! A simulated person: does its steps of the plan, on a connection that comes and goes.

use std::{collections::VecDeque, future::pending, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    link::{Link, LinkError},
    plan::{Action, Step, What},
    proxy::{Line, Proxy},
    script::words,
    state::{Sent, Shared},
    wire::Wire,
};

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

/// The one who acts.
pub struct Person {
    state: Shared,
    url: String,
    wire: Wire,
    steps: VecDeque<Step>,
    connection: Connection,
    proxy: Proxy,
    line: Line,
    /// Each frame leaves twice until then.
    twice: Option<Instant>,
    /// When the present connection is left with what is under way.
    let_go_at: Option<Instant>,
}

/// Where the connection stands. A person goes on editing in each of these.
enum Connection {
    /// None before this time.
    Away(Instant),
    Opening(BoxFuture<'static, Result<Box<Link>, LinkError>>),
    Open(Box<Link>),
}

/// What a connection brings.
enum News {
    Opened(Result<Box<Link>, LinkError>),
    Received(Result<Option<Bytes>, LinkError>),
}

impl Connection {
    /// Waits for ever where there is none. Loses nothing when it is dropped before its end.
    async fn news(&mut self) -> News {
        match self {
            Self::Away(_) => pending().await,
            Self::Opening(opening) => News::Opened(opening.await),
            Self::Open(link) => News::Received(link.receive().await),
        }
    }

    fn link(&mut self) -> Option<&mut Link> {
        match self {
            Self::Open(link) => Some(link),
            _ => None,
        }
    }
}

impl Person {
    /// `server` is the address that documents are found at.
    pub fn new(state: Shared, server: &str, wire: Wire, steps: VecDeque<Step>) -> Self {
        let line = state.lock().line.clone();
        Self {
            state,
            url: wire.url(server),
            wire,
            steps,
            connection: Connection::Away(Instant::now()),
            proxy: Proxy::new(line.clone()),
            line,
            twice: None,
            let_go_at: None,
        }
    }

    /// Connects at once, waits for the start, does the steps, and stays until it is told to stop or dies.
    pub async fn live(
        mut self,
        mut start: watch::Receiver<Option<Instant>>,
        stop: CancellationToken,
    ) {
        loop {
            let begun = *start.borrow_and_update();
            self.state.lock().begin(begun);
            self.tell_idle(begun);
            let wake = self.next_wake(begun);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = start.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                news = self.connection.news() => self.hear(news).await,
                () = tokio::time::sleep_until(wake) => {
                    self.carry_out(begun).await;
                    if self.state.lock().dead {
                        return;
                    }
                }
            }
        }
        if let Connection::Open(link) = self.connection {
            link.close().await;
        }
    }

    fn tell_idle(&mut self, begun: Option<Instant>) {
        let link = self.connection.link();
        let link_idle = link.is_some_and(|link| !link.has_outgoing());
        let waiting = self.steps.front().filter(|step| !self.is_ready(step));
        let waiting = waiting.map(|step| step.id);
        let mut state = self.state.lock();
        state.waiting = waiting;
        state.idle = begun.is_some() && self.steps.is_empty() && link_idle;
    }

    fn next_wake(&self, begun: Option<Instant>) -> Instant {
        let step = begun.zip(self.steps.front().filter(|step| self.is_ready(step)));
        let step = step.map(|(begun, step)| begun + milliseconds(step.at));
        let connection = match &self.connection {
            Connection::Away(until) => Some(*until),
            Connection::Open(link) if link.has_outgoing() => Some(Instant::now()),
            _ => None,
        };
        let far = Instant::now() + Duration::from_secs(3600);
        let all = [step, connection, self.let_go_at];
        all.into_iter().flatten().min().unwrap_or(far)
    }

    /// Everything that is due.
    async fn carry_out(&mut self, begun: Option<Instant>) {
        let now = Instant::now();
        if matches!(self.connection, Connection::Away(until) if until <= now) {
            self.connect();
        }
        if self.let_go_at.is_some_and(|at| at <= now) {
            self.let_go(now);
        }
        let due = |step: &&Step| begun.is_some_and(|begun| begun + milliseconds(step.at) <= now);
        let first = self.steps.front().filter(due).copied();
        if let Some(step) = first.filter(|step| self.is_ready(step)) {
            self.steps.pop_front();
            if let What::Client(_, action) = step.what {
                self.step(step.id, action);
            }
        }
        self.flush().await;
    }

    /// A recorded edit waits for what its writer had seen.
    fn is_ready(&self, step: &Step) -> bool {
        match step.what {
            What::Client(_, Action::Replay { number }) => self.state.lock().has_seen(number),
            _ => true,
        }
    }

    async fn flush(&mut self) {
        if let Some(link) = self.connection.link()
            && let Err(error) = link.flush().await
        {
            self.disconnect(error);
        }
    }

    fn connect(&mut self) {
        let (url, proxy) = (self.url.clone(), self.proxy.clone());
        self.connection = Connection::Opening(Box::pin(async move {
            let stream = Link::dial(&url).await?;
            let link = Link::open(&url, proxy.pass_on(stream)).await?;
            Ok(Box::new(link))
        }));
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Opened(Ok(mut link)) => {
                let mut state = self.state.lock();
                state.connected();
                for frame in self.wire.hello(&state.vector()) {
                    link.send(frame);
                }
                self.connection = Connection::Open(link);
            }
            News::Opened(Err(error)) => {
                self.connection = Connection::Away(Instant::now() + RETRY);
                self.state.lock().last_error = Some(error.0);
            }
            News::Received(Ok(None)) => {}
            News::Received(Ok(Some(frame))) => {
                let answers = self.state.lock().take(&frame, &self.wire);
                match answers {
                    Ok(answers) => self.send(answers),
                    Err(error) => self.disconnect(error),
                }
            }
            News::Received(Err(error)) => self.disconnect(error),
        }
        self.flush().await;
    }

    fn disconnect(&mut self, reason: LinkError) {
        self.leave(Instant::now() + RETRY);
        let mut state = self.state.lock();
        state.happened(format!("lost its connection: {reason}"), 0, false);
        state.last_error = Some(reason.0);
    }

    /// Drops the connection; what was under way on it is lost.
    fn leave(&mut self, until: Instant) {
        self.connection = Connection::Away(until);
        self.let_go_at = None;
        self.state.lock().synced = false;
    }

    /// Leaves the connection as it is, with what is under way, for a new one.
    fn let_go(&mut self, now: Instant) {
        self.let_go_at = None;
        if let Connection::Open(link) =
            std::mem::replace(&mut self.connection, Connection::Away(now))
        {
            link.let_go();
        }
        self.state.lock().synced = false;
    }

    /// Puts frames under way, where there is a way.
    fn send(&mut self, frames: Vec<Sent>) {
        let twice = self.twice.is_some_and(|until| Instant::now() < until);
        let copies = if twice { 2 } else { 1 };
        let Some(link) = self.connection.link() else {
            return;
        };
        let mut state = self.state.lock();
        for sent in frames {
            state.sent(&sent, copies);
            for _ in 0..copies {
                link.send(sent.frame.clone());
            }
        }
    }

    fn step(&mut self, id: u32, action: Action) {
        let now = Instant::now();
        let lasts = action.lasts();
        let until = now + milliseconds(lasts);
        self.note(id, action, lasts);
        let line = &self.line;
        match action {
            Action::Edit(_) | Action::Undo | Action::Redo | Action::Replay { .. } => {
                let frames = self.state.lock().change(action, id, &self.wire);
                self.send(frames);
            }
            Action::Cut | Action::Offline { .. } => self.leave(until),
            Action::Lag { by, .. } => line.lag(milliseconds(u32::from(by)), until),
            Action::Hold { .. } => line.hold(until),
            Action::Throttle { rate, .. } => line.throttle(u32::from(rate), until),
            Action::Tear => line.tear(),
            Action::Late { ms } => {
                if let Some(link) = self.connection.link() {
                    link.late(until);
                    self.let_go_at = Some(now + milliseconds(u32::from(ms) / 2));
                }
            }
            Action::Twice { .. } => self.twice = Some(until),
            Action::Die => {
                self.leave(until);
                self.state.lock().dead = true;
            }
        }
    }

    fn note(&self, id: u32, action: Action, lasts: u32) {
        let mut state = self.state.lock();
        let at = state.now();
        state.ledger.done.insert(id, at);
        state.happened(words(action), lasts, action.is_edit());
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}
