//! What is wanted of our own server, in one place: each limit with the figure that it is for. The table of
//! `docs/performance.md` has a line for each.

use super::scenario::Scenario;

/// A limit on one figure of one scenario at its own size.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub scenario: Scenario,
    /// The figure's name, as the scenario gives it.
    pub figure: &'static str,
    pub unit: &'static str,
    pub bound: Bound,
}

/// What the figure may be, by itself or beside the relay's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    AtMost(f64),
    /// The median of the pairs' ratios.
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// So much above the relay's figure.
    AboveRelay(f64),
    /// So many times the relay's figure, and so much more.
    TimesRelayPlus(f64, f64),
}

/// One commit, the price of durability that a delivery waits for: milliseconds on a virtual disk.
const ONE_COMMIT_MS: f64 = 0.3;

/// All limits, in the order of the scenarios.
pub const WANTED: [Wanted; 18] = {
    use Bound::{AboveRelay, AtMost, RatioAtLeast, RatioAtMost, TimesRelayPlus};
    use Scenario::{
        FanOut, FanOutWide, Idle, Ingest, Join, Open, Presence, Rooms, Saturation, Start, Visits,
    };
    [
        limit(FanOut, "CPU per delivered update", "µs", RatioAtMost(1.25)),
        limit(
            FanOut,
            "latency p99",
            "ms",
            TimesRelayPlus(1.5, ONE_COMMIT_MS),
        ),
        limit(
            FanOutWide,
            "CPU per delivered update",
            "µs",
            RatioAtMost(1.2),
        ),
        limit(
            Saturation,
            "delivered updates per second",
            "/s",
            RatioAtLeast(1.0),
        ),
        limit(Presence, "CPU per delivered state", "µs", RatioAtMost(0.5)),
        // A cursor that is two frames of a film late is not seen to be late.
        limit(Presence, "latency p99", "ms", AtMost(80.0)),
        limit(Rooms, "CPU per operation", "µs", RatioAtMost(2.0)),
        limit(Rooms, "latency p99", "ms", AtMost(5.0)),
        limit(Rooms, "memory per document", "kB", AboveRelay(9.0)),
        limit(Ingest, "ratio to yrs alone", "×", AtMost(4.0)),
        limit(Ingest, "disk after shutdown", "MB", AtMost(1.2)),
        limit(Open, "warm, ratio to one encode", "×", AtMost(0.7)),
        limit(Open, "cold, ratio to one load", "×", AtMost(2.0)),
        limit(Join, "all synced", "s", RatioAtMost(1.5)),
        limit(Idle, "connections per second", "/s", RatioAtLeast(0.7)),
        limit(Idle, "memory per connection", "kB", AboveRelay(5.0)),
        limit(Visits, "memory after all", "MB", AtMost(33.0)),
        limit(Start, "start to first served client", "ms", AtMost(200.0)),
    ]
};

const fn limit(
    scenario: Scenario,
    figure: &'static str,
    unit: &'static str,
    bound: Bound,
) -> Wanted {
    Wanted {
        scenario,
        figure,
        unit,
        bound,
    }
}

impl Wanted {
    /// The limit on this figure, if there is one.
    pub fn of(scenario: Scenario, figure: &str) -> Option<&'static Self> {
        WANTED
            .iter()
            .find(|wanted| wanted.scenario == scenario && wanted.figure == figure)
    }

    /// The limit in words.
    pub fn words(&self) -> String {
        let unit = self.unit;
        match self.bound {
            Bound::AtMost(most) if unit == "×" => format!("≤ {most} ×"),
            Bound::AtMost(most) => format!("≤ {most} {unit}"),
            Bound::RatioAtMost(most) => format!("ratio ≤ {most}"),
            Bound::RatioAtLeast(least) => format!("ratio ≥ {least}"),
            Bound::AboveRelay(more) => format!("≤ relay + {more} {unit}"),
            Bound::TimesRelayPlus(times, more) => format!("≤ {times} × relay + {more} {unit}"),
        }
    }

    /// Whether the limit is on the ratio to the relay's figure.
    pub fn takes_ratio(&self) -> bool {
        matches!(self.bound, Bound::RatioAtMost(_) | Bound::RatioAtLeast(_))
    }

    /// How much of what is allowed was used: 1 at the limit, more beyond it. `None` when a figure that it takes is
    /// missing.
    pub fn used(&self, relay: Option<f64>, ours: Option<f64>, ratio: Option<f64>) -> Option<f64> {
        let used = match self.bound {
            Bound::AtMost(most) => ours? / most,
            Bound::RatioAtMost(most) => ratio? / most,
            Bound::RatioAtLeast(least) => least / ratio?,
            Bound::AboveRelay(more) => (ours? - relay?) / more,
            Bound::TimesRelayPlus(times, more) => ours? / (times * relay? + more),
        };
        used.is_finite().then_some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_used_up_exactly_at_its_value() {
        let used = |bound, relay, ours, ratio| {
            limit(Scenario::FanOut, "", "ms", bound).used(relay, ours, ratio)
        };
        assert_eq!(used(Bound::AtMost(4.0), None, Some(4.0), None), Some(1.0));
        assert_eq!(
            used(Bound::RatioAtMost(1.25), None, None, Some(2.5)),
            Some(2.0)
        );
        assert_eq!(
            used(Bound::RatioAtLeast(0.7), None, None, Some(1.4)),
            Some(0.5)
        );
        assert_eq!(
            used(Bound::AboveRelay(9.0), Some(40.0), Some(49.0), None),
            Some(1.0)
        );
        let plus = Bound::TimesRelayPlus(1.5, 0.5);
        assert_eq!(used(plus, Some(1.0), Some(4.0), None), Some(2.0));
        assert_eq!(used(plus, None, Some(4.0), None), None, "nothing measured");
    }
}
