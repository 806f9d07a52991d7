//! How a run went, in numbers over time: bytes, who lagged behind, and how long edits took to be seen.

use std::collections::BTreeMap;

use super::{
    ledger::Made,
    proxy::{BIN_MS, Traffic},
    state::State,
};

/// One edit, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// When it was made, in milliseconds after the start.
    pub at: u32,
    /// Milliseconds until the last survivor had it.
    pub after: u32,
}

/// How many edits of others one person had not received yet, for each [`BIN_MS`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Behind {
    pub client: u16,
    pub edits: Vec<u32>,
}

/// Numbers of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Measures {
    /// Length of the stretches that `traffic` and `behind` count in, in milliseconds.
    pub bin_ms: u32,
    /// Bytes of all people together.
    pub traffic: Vec<Traffic>,
    pub behind: Vec<Behind>,
    /// Edits that all survivors received, by the time at which they were made.
    pub seen: Vec<Seen>,
}

impl Measures {
    pub fn of(states: &[&State]) -> Self {
        let survivors: Vec<_> = states.iter().filter(|state| !state.dead).collect();
        let mut behind: BTreeMap<u16, Vec<i64>> = survivors
            .iter()
            .map(|state| (state.number, Vec::new()))
            .collect();
        let mut seen = Vec::new();
        for author in states {
            let made = author.ledger.made.iter();
            // A pure deletion has no id of its own to wait for.
            for made in made.filter(|made| !made.structs.is_empty()) {
                let mut last = Some(0);
                for other in survivors
                    .iter()
                    .filter(|other| other.number != author.number)
                {
                    let arrival = arrival(other, made);
                    last = last.zip(arrival).map(|(last, at)| at.max(last));
                    if let (Some(steps), Some(at)) = (behind.get_mut(&other.number), arrival) {
                        add(steps, made.at, 1);
                        add(steps, at.max(made.at), -1);
                    }
                }
                seen.extend(last.map(|last| Seen {
                    at: made.at,
                    after: last.saturating_sub(made.at),
                }));
            }
        }
        seen.sort_by_key(|seen| seen.at);
        Self {
            bin_ms: BIN_MS,
            traffic: sum(states),
            behind: behind.into_iter().map(Behind::of).collect(),
            seen,
        }
    }

    /// The time within which this part (0 to 1) of the edits was seen by all survivors, in milliseconds.
    pub fn seen_within(&self, part: f64) -> Option<u32> {
        let mut times: Vec<_> = self.seen.iter().map(|seen| seen.after).collect();
        times.sort_unstable();
        let place = (times.len() as f64 * part).ceil() as usize;
        times.get(place.max(1) - 1).copied()
    }
}

impl Behind {
    /// From what came and went in each stretch to what was there at its end.
    fn of((client, steps): (u16, Vec<i64>)) -> Self {
        let mut now = 0;
        let edits = steps.into_iter().map(|step| {
            now += step;
            now.max(0) as u32
        });
        Self {
            client,
            edits: edits.collect(),
        }
    }
}

fn add(steps: &mut Vec<i64>, at: u32, change: i64) {
    let bin = (at / BIN_MS) as usize;
    if steps.len() <= bin {
        steps.resize(bin + 1, 0);
    }
    if let Some(step) = steps.get_mut(bin) {
        *step += change;
    }
}

/// When the last part of an edit reached somebody.
fn arrival(state: &State, made: &Made) -> Option<u32> {
    let last = made.structs.last()?;
    let arrivals = state.ledger.arrivals.get(&last.client)?;
    let place = arrivals.partition_point(|(end, _)| *end < last.end);
    arrivals.get(place).map(|(_, at)| *at)
}

fn sum(states: &[&State]) -> Vec<Traffic> {
    let mut all: Vec<Traffic> = Vec::new();
    for traffic in states.iter().map(|state| state.line.traffic()) {
        if all.len() < traffic.len() {
            all.resize(traffic.len(), Traffic::default());
        }
        for (all, one) in all.iter_mut().zip(traffic) {
            all.to_server += one.to_server;
            all.from_server += one.from_server;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{state::Shared, token::Contents},
        document::id_set::IdRange,
    };

    fn contents(start: u32) -> Contents {
        Contents {
            structs: vec![IdRange {
                client: 7,
                start,
                end: start + 1,
            }],
            ..Contents::default()
        }
    }

    #[test]
    fn an_edit_is_behind_until_it_arrives_and_seen_when_the_last_has_it() {
        let people = [
            Shared::new(0, 7, None),
            Shared::new(1, 8, None),
            Shared::new(2, 9, None),
        ];
        for (start, at) in [(0, 10), (1, 120)] {
            people[0].lock().ledger.wrote(contents(start), start, at);
        }
        // The first person after 20 ms each; the second gets both at 350 ms.
        people[1].lock().ledger.received(&contents(0), 30);
        people[1].lock().ledger.received(&contents(1), 140);
        people[2].lock().ledger.received(&contents(1), 350);
        let states = people.each_ref().map(Shared::lock);
        let states = states.each_ref().map(|state| &**state);
        let measures = Measures::of(&states);
        let behind = |client: usize| measures.behind[client].edits.clone();
        assert_eq!(behind(1), [0, 0]);
        assert_eq!(behind(2), [1, 2, 2, 0]);
        let seen: Vec<_> = measures.seen.iter().map(|seen| seen.after).collect();
        assert_eq!(seen, [340, 230]);
        assert_eq!(measures.seen_within(0.5), Some(230));
        assert_eq!(measures.seen_within(1.0), Some(340));
    }
}
