//! What everybody will do, decided before anything runs: a list of timed steps.
//!
//! Pure: the same settings and seed give the same plan, whatever the machine. Positions are fractions of what a replica
//! holds when the step comes, because what has arrived by then depends on the network.

use super::random::Random;

/// Edits of all people in one second of the plan, on average.
const EDITS_PER_SECOND: u64 = 150;
/// Recorded edits in one second of the plan, at most: each waits for those before it.
const RECORDED_PER_SECOND: u64 = 1500;
/// One fault in so many milliseconds of a recorded history.
const RECORDED_MS_PER_FAULT: u64 = 60;
/// One fault for so many edits.
const EDITS_PER_FAULT: u32 = 12;
/// One edit of so many is an undo; half as many are a redo.
const EDITS_PER_UNDO: u64 = 12;
/// The last fault ends so long before the last edit, at least, that people still write afterwards.
const LONGEST_FAULT_MS: u64 = 900;

/// Which shared type is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// A plain text.
    Text,
    /// A text with marks.
    Rich,
    /// Keys that are overwritten.
    Map,
    /// A list of values.
    Array,
    /// Maps, lists and texts within a map.
    Nested,
    /// An editor's tree: blocks with attributes and marked text.
    Tree,
}

impl Workload {
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Rich,
        Self::Map,
        Self::Array,
        Self::Nested,
        Self::Tree,
    ];

    /// The name on the command line, in scripts and of the root type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Rich => "rich",
            Self::Map => "map",
            Self::Array => "array",
            Self::Nested => "nested",
            Self::Tree => "tree",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Text | Self::Map | Self::Array => &[Verb::Insert, Verb::Insert, Verb::Delete],
            Self::Nested => &[Verb::Insert, Verb::Insert, Verb::Insert, Verb::Delete],
            Self::Rich => &[Verb::Insert, Verb::Insert, Verb::Delete, Verb::Format],
            Self::Tree => &[
                Verb::Insert,
                Verb::Type,
                Verb::Type,
                Verb::Type,
                Verb::Format,
                Verb::Move,
                Verb::Delete,
            ],
        }
    }
}

/// What is done to a shared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Writes something new: words, a value, a block.
    Insert,
    /// Writes words into what is there (tree only).
    Type,
    Delete,
    /// Sets or takes off a mark.
    Format,
    /// Takes a block out and puts it in elsewhere, as editors do.
    Move,
}

impl Verb {
    const ALL: [Self; 5] = [
        Self::Insert,
        Self::Type,
        Self::Delete,
        Self::Format,
        Self::Move,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Type => "type",
            Self::Delete => "delete",
            Self::Format => "format",
            Self::Move => "move",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// One edit of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    pub verb: Verb,
    pub on: Workload,
    /// Where, in 65536ths of what is there.
    pub place: u16,
    /// How much: words, values or characters.
    pub span: u8,
}

/// What one person does or suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Edit(Edit),
    /// Takes the person's own last edit back.
    Undo,
    /// Does again what was undone last, unless something was edited since.
    Redo,
    /// Makes the recorded edit of this number, as soon as all that its writer had seen is here.
    Replay {
        number: u32,
    },
    /// The connection is gone without a word; a new one follows at once.
    Cut,
    /// No network for so many milliseconds. Edits go on.
    Offline {
        ms: u16,
    },
    /// For `ms` milliseconds everything takes `by` milliseconds longer, in both directions.
    Lag {
        by: u16,
        ms: u16,
    },
    /// For `ms` milliseconds nothing leaves; then all of it does.
    Hold {
        ms: u16,
    },
    /// For `ms` milliseconds only so many bytes a second pass, in each direction.
    Throttle {
        rate: u16,
        ms: u16,
    },
    /// The next bytes to the server end half way, in the middle of a message, and the connection with them.
    Tear,
    /// What is sent on this connection from now on arrives after `ms` milliseconds only; after half of that a new
    /// connection overtakes it.
    Late {
        ms: u16,
    },
    /// For `ms` milliseconds each frame leaves twice.
    Twice {
        ms: u16,
    },
    /// Gone for good, without a word.
    Die,
}

impl Action {
    /// For how many milliseconds, where it does not happen at once.
    pub fn lasts(self) -> u32 {
        match self {
            Self::Offline { ms }
            | Self::Lag { ms, .. }
            | Self::Hold { ms }
            | Self::Throttle { ms, .. }
            | Self::Late { ms }
            | Self::Twice { ms } => u32::from(ms),
            _ => 0,
        }
    }

    /// Whether it changes the document; anything else is a fault.
    pub fn is_edit(self) -> bool {
        matches!(
            self,
            Self::Edit(_) | Self::Undo | Self::Redo | Self::Replay { .. }
        )
    }
}

/// To whom a step happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Client(u16, Action),
    /// The server is killed (SIGKILL) and started again.
    KillServer,
}

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Unique in the plan; what an edit writes carries it.
    pub id: u32,
    /// Milliseconds after everybody was connected.
    pub at: u32,
    pub what: What,
}

impl Step {
    /// Whether somebody edits here, rather than suffering something.
    pub fn is_edit(&self) -> bool {
        matches!(self.what, What::Client(_, action) if action.is_edit())
    }

    /// The number of the recorded edit that it makes.
    pub fn replays(&self) -> Option<u32> {
        match self.what {
            What::Client(_, Action::Replay { number }) => Some(number),
            _ => None,
        }
    }
}

/// A whole session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub clients: u16,
    /// Ordered by time.
    pub steps: Vec<Step>,
}

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Shape {
    pub seed: u64,
    pub clients: u16,
    /// Edits of all people together.
    pub ops: u32,
    pub workloads: Vec<Workload>,
    /// Whether the network misbehaves.
    pub faults: bool,
    /// How often the server is killed.
    pub kills: u32,
}

impl Plan {
    /// Makes the plan of this shape.
    pub fn new(shape: &Shape) -> Self {
        let mut random = Random::new(shape.seed);
        let length = (u64::from(shape.ops) * 1000 / EDITS_PER_SECOND).max(1);
        let mut steps: Vec<(u64, What)> = Vec::new();
        for _ in 0..shape.ops {
            let at = random.below(length);
            let who = random.below(u64::from(shape.clients)) as u16;
            let action = match random.below(EDITS_PER_UNDO) {
                0 => Action::Undo,
                1 if random.below(2) == 0 => Action::Redo,
                _ => Action::Edit(edit(shape, &mut random)),
            };
            steps.push((at, What::Client(who, action)));
        }
        if shape.faults {
            faults(
                shape,
                length,
                shape.ops / EDITS_PER_FAULT,
                &mut random,
                &mut steps,
            );
            deaths(shape, length, &mut random, &mut steps);
        }
        Self::of(shape, length, steps)
    }

    /// The plan in which these people, one for each agent, make recorded edits of these agents in their order.
    pub fn recorded(shape: &Shape, agents: impl IntoIterator<Item = u16>) -> Self {
        let mut random = Random::new(shape.seed);
        let replays = agents.into_iter().zip(0..).map(|(agent, number)| {
            let at = u64::from(number) * 1000 / RECORDED_PER_SECOND;
            (at, What::Client(agent, Action::Replay { number }))
        });
        let mut steps: Vec<_> = replays.collect();
        let length = steps.last().map_or(1, |(at, _)| at + 1);
        if shape.faults {
            // Everybody is needed until the end, so nobody dies.
            let count = (length / RECORDED_MS_PER_FAULT) as u32;
            faults(shape, length, count, &mut random, &mut steps);
        }
        Self::of(shape, length, steps)
    }

    fn of(shape: &Shape, length: u64, mut steps: Vec<(u64, What)>) -> Self {
        for number in 0..shape.kills {
            let part = length / u64::from(shape.kills + 1);
            steps.push((part * u64::from(number + 1), What::KillServer));
        }
        steps.sort_by_key(|(at, _)| *at);
        let steps = steps.into_iter().zip(1..).map(|((at, what), id)| Step {
            id,
            at: at as u32,
            what,
        });
        Self {
            seed: shape.seed,
            clients: shape.clients,
            steps: steps.collect(),
        }
    }

    /// The Yjs client id of a person: the same in every run, so that the same edits are the same bytes. Below 2^31.
    pub fn client_id(&self, number: u16) -> u64 {
        client_id(self.seed, number)
    }

    /// Milliseconds until the last step.
    pub fn length(&self) -> u32 {
        self.steps.last().map_or(0, |step| step.at)
    }

    /// The same people with fewer steps.
    pub fn with(&self, steps: Vec<Step>) -> Self {
        Self {
            steps,
            ..self.clone()
        }
    }
}

/// The Yjs client id of a person in plans with this seed.
pub fn client_id(seed: u64, number: u16) -> u64 {
    let mut random = Random::new(seed ^ 0x00c0_5c1b_e000_0000);
    let base = random.below(1 << 30);
    base + 1 + u64::from(number)
}

fn edit(shape: &Shape, random: &mut Random) -> Edit {
    let on = *random.of(&shape.workloads).unwrap_or(&Workload::Text);
    Edit {
        verb: *random.of(on.verbs()).unwrap_or(&Verb::Insert),
        on,
        place: random.below(1 << 16) as u16,
        span: 1 + random.below(3) as u8,
    }
}

/// Spreads faults over the session.
fn faults(
    shape: &Shape,
    length: u64,
    count: u32,
    random: &mut Random,
    steps: &mut Vec<(u64, What)>,
) {
    let window = length
        .saturating_sub(LONGEST_FAULT_MS)
        .max(length / 2)
        .max(1);
    for _ in 0..count {
        let who = random.below(u64::from(shape.clients)) as u16;
        let ms = 50 + random.below(LONGEST_FAULT_MS - 100) as u16;
        let action = match random.below(8) {
            0 => Action::Cut,
            1 => Action::Offline { ms },
            2 => Action::Lag {
                by: 5 + random.below(120) as u16,
                ms,
            },
            3 => Action::Hold { ms },
            4 => Action::Throttle {
                rate: 500 + random.below(20_000) as u16,
                ms,
            },
            5 => Action::Tear,
            6 => Action::Late { ms },
            _ => Action::Twice { ms },
        };
        steps.push((random.below(window), What::Client(who, action)));
    }
}

/// Person 0 never dies; of the others at most every third does, late.
fn deaths(shape: &Shape, length: u64, random: &mut Random, steps: &mut Vec<(u64, What)>) {
    for victim in (1..shape.clients).filter(|number| number % 3 == 2) {
        let at = length / 2 + random.below((length / 2).max(1));
        steps.push((at, What::Client(victim, Action::Die)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(seed: u64) -> Shape {
        Shape {
            seed,
            clients: 5,
            ops: 300,
            workloads: Workload::ALL.to_vec(),
            faults: true,
            kills: 1,
        }
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(Plan::new(&shape(7)), Plan::new(&shape(7)));
        assert_ne!(Plan::new(&shape(7)), Plan::new(&shape(8)));
    }

    #[test]
    fn steps_are_in_order_and_somebody_survives() {
        for seed in 0..50 {
            let plan = Plan::new(&shape(seed));
            assert!(plan.steps.is_sorted_by_key(|step| step.at));
            let dead = |step: &&Step| matches!(step.what, What::Client(_, Action::Die));
            assert!(plan.steps.iter().filter(dead).count() < 3);
            assert!(plan.client_id(0) + 5 < u64::from(u32::MAX));
        }
    }
}
