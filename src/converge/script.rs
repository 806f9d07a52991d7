//! A plan as text that a person can read, shorten and run again.
//!
//! ```text
//! seed 7
//! clients 3
//! 17 at 120 client 2 insert text 31250 2
//! 18 at 131 client 1 offline 400
//! 19 at 140 client 2 undo
//! 20 at 300 server kill
//! ```
//!
//! The first number names the step, `at` is in milliseconds; an edit is followed by its place (in 65536ths of what is
//! there) and how much. What follows `#` is a remark.

use std::fmt::Write as _;

use super::plan::{Action, Edit, Plan, Step, Verb, What, Workload};

/// Why a script can not be read, and in which line (from 1; 0 for the whole).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    pub line: usize,
    pub problem: String,
}

/// The most people that a script may name.
const MAX_CLIENTS: u16 = 1000;

/// Writes the plan, one line for each step.
pub fn print(plan: &Plan) -> String {
    let mut out = format!("seed {}\nclients {}\n", plan.seed, plan.clients);
    for step in &plan.steps {
        // Writing to a string does not fail.
        let _written = writeln!(out, "{}", line(step));
    }
    out
}

/// One step as a line.
pub fn line(step: &Step) -> String {
    let Step { id, at, what } = step;
    match what {
        What::KillServer => format!("{id} at {at} server kill"),
        What::Client(number, action) => {
            format!("{id} at {at} client {number} {}", words(*action))
        }
    }
}

/// What is done, without when and by whom.
pub fn words(action: Action) -> String {
    match action {
        Action::Edit(Edit {
            verb,
            on,
            place,
            span,
        }) => {
            format!("{} {} {place} {span}", verb.name(), on.name())
        }
        Action::Undo => "undo".to_owned(),
        Action::Redo => "redo".to_owned(),
        Action::Replay { number } => format!("replay {number}"),
        Action::Cut => "cut".to_owned(),
        Action::Offline { ms } => format!("offline {ms}"),
        Action::Lag { by, ms } => format!("lag {by} {ms}"),
        Action::Hold { ms } => format!("hold {ms}"),
        Action::Throttle { rate, ms } => format!("throttle {rate} {ms}"),
        Action::Tear => "tear".to_owned(),
        Action::Late { ms } => format!("late {ms}"),
        Action::Twice { ms } => format!("twice {ms}"),
        Action::Die => "die".to_owned(),
    }
}

/// Reads what [`print`] wrote.
pub fn parse(text: &str) -> Result<Plan, ScriptError> {
    let mut plan = Plan {
        seed: 0,
        clients: 0,
        steps: Vec::new(),
    };
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = Words(line.split_whitespace());
        read_line(&mut words, &mut plan).map_err(|problem| ScriptError {
            line: place + 1,
            problem,
        })?;
    }
    check(&plan).map_err(|problem| ScriptError { line: 0, problem })?;
    plan.steps.sort_by_key(|step| step.at);
    Ok(plan)
}

fn check(plan: &Plan) -> Result<(), String> {
    if plan.clients == 0 || plan.clients > MAX_CLIENTS {
        return Err(format!("`clients` must be 1 to {MAX_CLIENTS}"));
    }
    let mut ids: Vec<u32> = plan.steps.iter().map(|step| step.id).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(format!(
            "step {} is there twice",
            twice.first().unwrap_or(&0)
        ));
    }
    let stranger = plan.steps.iter().find_map(|step| match step.what {
        What::Client(number, _) if number >= plan.clients => Some(number),
        _ => None,
    });
    match stranger {
        Some(number) => Err(format!(
            "client {number} is not one of 0 to {}",
            plan.clients - 1
        )),
        None => Ok(()),
    }
}

fn read_line(words: &mut Words<'_>, plan: &mut Plan) -> Result<(), String> {
    match words.0.next() {
        None => return Ok(()),
        Some("seed") => plan.seed = words.number()?,
        Some("clients") => plan.clients = words.number()?,
        Some(id) => {
            let id = id.parse().map_err(|_| {
                format!("`{id}` is neither a step's number nor `seed` or `clients`")
            })?;
            words.expect("at")?;
            let at = words.number()?;
            let what = what(words)?;
            plan.steps.push(Step { id, at, what });
        }
    }
    match words.0.next() {
        None => Ok(()),
        Some(more) => Err(format!("`{more}` is too much")),
    }
}

fn what(words: &mut Words<'_>) -> Result<What, String> {
    match words.word()? {
        "server" => {
            words.expect("kill")?;
            Ok(What::KillServer)
        }
        "client" => Ok(What::Client(words.number()?, action(words)?)),
        other => Err(format!("`{other}` is neither `client` nor `server`")),
    }
}

fn action(words: &mut Words<'_>) -> Result<Action, String> {
    Ok(match words.word()? {
        "undo" => Action::Undo,
        "redo" => Action::Redo,
        "replay" => Action::Replay {
            number: words.number()?,
        },
        "cut" => Action::Cut,
        "offline" => Action::Offline {
            ms: words.number()?,
        },
        "lag" => Action::Lag {
            by: words.number()?,
            ms: words.number()?,
        },
        "hold" => Action::Hold {
            ms: words.number()?,
        },
        "throttle" => Action::Throttle {
            rate: words.number()?,
            ms: words.number()?,
        },
        "tear" => Action::Tear,
        "late" => Action::Late {
            ms: words.number()?,
        },
        "twice" => Action::Twice {
            ms: words.number()?,
        },
        "die" => Action::Die,
        verb => {
            let verb = Verb::of(verb).ok_or_else(|| format!("`{verb}` is nothing one can do"))?;
            let on = words.word()?;
            Action::Edit(Edit {
                verb,
                on: Workload::of(on).ok_or_else(|| format!("`{on}` is no workload"))?,
                place: words.number()?,
                span: words.number()?,
            })
        }
    })
}

struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<&'a str, String> {
        self.0
            .next()
            .ok_or_else(|| "the line ends early".to_owned())
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.word()? {
            word if word == wanted => Ok(()),
            word => Err(format!("`{wanted}` was expected, not `{word}`")),
        }
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let word = self.word()?;
        word.parse()
            .map_err(|_| format!("`{word}` is no number in range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::converge::plan::Shape;

    #[test]
    fn what_is_printed_can_be_read() {
        let plan = Plan::new(&Shape {
            seed: 3,
            clients: 6,
            ops: 200,
            workloads: Workload::ALL.to_vec(),
            faults: true,
            kills: 2,
        });
        assert_eq!(parse(&print(&plan)), Ok(plan));
    }

    #[test]
    fn mistakes_are_named() {
        let problem = |text: &str| parse(text).unwrap_err().to_string();
        assert!(problem("clients 2\n1 at 0 client 0 fly").starts_with("line 2: `fly`"));
        assert!(problem("clients 2\n1 at 0 client 2 cut").contains("client 2"));
        assert!(problem("clients 2\n1 at 0 client 0 cut\n1 at 1 client 0 cut").contains("twice"));
        assert!(problem("").contains("clients"));
    }
}
