//! What became of each person, as the table of a report shows it.

use super::{
    ledger::{Written, contains},
    plan::{Plan, What},
    state::State,
    wire::Acknowledgement,
};

/// What became of one person.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Fate {
    pub client: u16,
    pub steps: usize,
    /// Tokens that it wrote.
    pub written: usize,
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
        "tokens",
        "acknowledged",
        "seen by others",
        "connections",
    ];

    /// The numbers in these columns.
    pub fn cells(&self) -> [String; 6] {
        [
            self.client.to_string(),
            self.steps.to_string(),
            self.written.to_string(),
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
        let seen = state.ledger.written.iter().filter(|written| {
            states.iter().any(|other| {
                other.number != state.number && contains(&other.ledger.arrived, written.ids)
            })
        });
        Fate {
            client: state.number,
            steps: plan
                .steps
                .iter()
                .filter(|step| matches!(step.what, What::Client(who, _) if who == state.number))
                .count(),
            written: state.ledger.written.len(),
            acknowledged: (by != Acknowledgement::Nothing).then(|| {
                let ledger = &state.ledger;
                let is_back = |written: &&Written| ledger.is_acknowledged(by, written.ids);
                ledger.written.iter().filter(is_back).count()
            }),
            seen: seen.count(),
            connections: state.connections,
            dead: state.dead,
        }
    };
    states.iter().map(fate).collect()
}
