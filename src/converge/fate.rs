//! What became of each person, as the table of a report shows it.

use super::{
    ledger::Made,
    plan::{Plan, What},
    state::State,
    wire::Acknowledgement,
};

/// What became of one person.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Fate {
    pub client: u16,
    pub steps: usize,
    /// Steps that changed something.
    pub edits: usize,
    /// Of these, how many the server acknowledged; absent where it never does.
    pub acknowledged: Option<usize>,
    /// Of these, how many reached somebody else.
    pub seen: usize,
    pub connections: u32,
    pub dead: bool,
}

impl Fate {
    /// What the columns of a table of people are called.
    pub const COLUMNS: [&str; 6] = [
        "client",
        "steps",
        "edits",
        "acknowledged",
        "seen by others",
        "connections",
    ];

    /// The numbers in these columns.
    pub fn cells(&self) -> [String; 6] {
        [
            self.client.to_string(),
            self.steps.to_string(),
            self.edits.to_string(),
            self.acknowledged
                .map_or_else(|| "–".to_owned(), |count| count.to_string()),
            self.seen.to_string(),
            self.connections.to_string(),
        ]
    }

    /// What is said behind them.
    pub fn remark(&self) -> &'static str {
        if self.dead { "died" } else { "" }
    }
}

/// What became of everybody, where servers acknowledge in this way.
pub fn fates(plan: &Plan, states: &[&State], by: Acknowledgement) -> Vec<Fate> {
    let fate = |state: &&State| {
        let made = &state.ledger.made;
        let seen = made.iter().filter(|made| {
            let mut others = states.iter().filter(|other| other.number != state.number);
            others.any(|other| made.is_in(&other.ledger.arrived, &other.ledger.arrived_deletes))
        });
        let acknowledged = state.ledger.acknowledged(by).map(|(structs, deletes)| {
            let is_back = |made: &&Made| made.is_in(structs, deletes);
            made.iter().filter(is_back).count()
        });
        Fate {
            client: state.number,
            steps: plan
                .steps
                .iter()
                .filter(|step| matches!(step.what, What::Client(who, _) if who == state.number))
                .count(),
            edits: made.len(),
            acknowledged,
            seen: seen.count(),
            connections: state.connections,
            dead: state.dead,
        }
    };
    states.iter().map(fate).collect()
}
