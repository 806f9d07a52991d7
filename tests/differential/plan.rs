//! What happens in one session, drawn from its seed; and smaller sessions of the same kind.

use std::time::Instant;

use coscribe::converge::random::Random;

/// One thing that happens. People are numbered from 1; each act that draws has a seed of its own, so that it does the
/// same when others are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Somebody edits, or undoes.
    Edit {
        who: usize,
        seed: u32,
    },
    /// What somebody has said so far reaches the server.
    Send {
        who: usize,
        how: Delivery,
    },
    /// What the server has said so far reaches somebody.
    Hear {
        who: usize,
    },
    /// One tab learns everything of another, past the server.
    Whisper {
        from: usize,
        to: usize,
    },
    /// Somebody's connection breaks; what is under way on it is lost.
    Leave {
        who: usize,
    },
    Join {
        who: usize,
    },
    /// Everybody leaves, and the room is unloaded.
    Unload,
    /// Nothing in memory survives.
    Restart {
        drained: bool,
    },
    /// All that is stored is compared with the model.
    Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    InOrder,
    /// The newest first: updates arrive before what they depend on.
    Backwards,
    /// Each twice.
    Twice,
    /// Only the later half; the rest stays under way.
    LaterHalf,
}

#[derive(Debug, Clone)]
pub struct Person {
    pub client: u64,
    pub collects: bool,
    /// Speaks the dialect in which the server counts what is saved.
    pub counts: bool,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// The model first; the last one never edits.
    pub people: Vec<Person>,
    /// With values that yrs would write back changed.
    pub lossy: bool,
    /// With little but marks over marks.
    pub marks: bool,
    pub ops: Vec<Op>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let writers = 2 + random.index(3);
        let ids = random.below(2);
        let people = (0..writers + 2)
            .map(|number| Person {
                client: match ids {
                    0 => 1 + number as u64 * 3 + random.below(3),
                    _ => random.below(1 << 32),
                },
                collects: random.below(100) < 60,
                counts: random.below(100) < 50,
            })
            .collect();
        // A calm session has nothing that lets the server know less than the model, so they are compared throughout.
        let calm = random.below(100) < 40;
        let length = 20 + random.below(200);
        let ops = (0..length).map(|_| draw(random, writers, calm)).collect();
        Self {
            seed,
            people,
            lossy: seed % 4 == 3,
            marks: seed % 5 < 2,
            ops,
        }
    }

    /// The same without some of what happens.
    pub fn without(&self, ops: std::ops::Range<usize>) -> Self {
        let mut smaller = self.clone();
        smaller.ops.drain(ops);
        smaller
    }
}

fn draw(random: &mut Random, writers: usize, calm: bool) -> Op {
    let who = 1 + random.index(writers);
    // The last one hears, too.
    let hears = 1 + random.index(writers + 1);
    match random.below(100) {
        0..45 => Op::Edit {
            who,
            seed: random.below(1 << 32) as u32,
        },
        45..62 => Op::Send {
            who,
            how: match random.below(8) {
                0 => Delivery::Backwards,
                1 => Delivery::Twice,
                2 => Delivery::LaterHalf,
                _ => Delivery::InOrder,
            },
        },
        62..78 => Op::Hear { who: hears },
        78..83 => Op::Check,
        _ if calm => Op::Hear { who: hears },
        83..86 => Op::Whisper {
            from: who,
            to: 1 + random.index(writers),
        },
        86..91 => Op::Leave { who: hears },
        91..96 => Op::Join { who: hears },
        96..98 => Op::Unload,
        _ => Op::Restart {
            drained: random.below(100) < 50,
        },
    }
}

/// A smaller plan that still fails, found by leaving out ever shorter parts. `fails` is not asked after `until`.
pub fn shrink(plan: Plan, until: Instant, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut smallest = plan;
    let mut part = smallest.ops.len() / 2;
    while part > 0 {
        let mut at = 0;
        while at < smallest.ops.len() {
            if Instant::now() > until {
                return smallest;
            }
            let end = (at + part).min(smallest.ops.len());
            let smaller = smallest.without(at..end);
            if fails(&smaller) {
                smallest = smaller;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    smallest
}
