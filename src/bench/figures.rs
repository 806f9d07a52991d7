//! Measured figures: one run's named values, and how single latencies become quantiles.

use serde::Serialize;

/// One measured value.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    /// `None` where this could not be measured, such as the CPU of a server on another machine.
    pub value: Option<f64>,
}

/// What one run measured, in the order it is shown.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    pub values: Vec<Figure>,
    /// Milliseconds at each of [`QUANTILES`], where the run has latencies.
    pub latencies: Option<Vec<f64>>,
}

/// The quantiles that are kept of each run's latencies; a plot of them shows the whole distribution.
pub const QUANTILES: [f64; 16] = [
    0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995,
    0.9999,
];

/// The quantiles that are figures by themselves.
const NAMED: [(&str, f64); 4] = [
    ("latency p50", 0.5),
    ("latency p90", 0.9),
    ("latency p99", 0.99),
    ("latency p999", 0.999),
];

impl Figures {
    pub fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.add_measured(name, unit, Some(value));
    }

    /// A value that can be measured only on some servers. What is divided by nothing was not measured either.
    pub fn add_measured(&mut self, name: &'static str, unit: &'static str, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        self.values.push(Figure { name, unit, value });
    }

    /// The quantiles that tell how late something arrives.
    pub fn add_latencies(&mut self, mut latencies: Latencies) {
        latencies.0.sort_unstable();
        for (name, quantile) in NAMED {
            self.add_measured(name, "ms", latencies.millis(quantile));
        }
        self.latencies = QUANTILES
            .iter()
            .map(|quantile| latencies.millis(*quantile))
            .collect();
    }

    /// The value of that name, where there is one and it was measured.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|figure| figure.name == name)
            .and_then(|figure| figure.value)
    }
}

/// Every single latency, in nanoseconds; runs are bounded, so nothing has to be summed up on the way.
#[derive(Debug, Default)]
pub struct Latencies(pub Vec<u64>);

impl Latencies {
    /// Of sorted latencies the smallest, in milliseconds, that at least this share of all does not exceed. `None` when
    /// there are none.
    fn millis(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * self.0.len() as f64).ceil() as usize;
        let nanos = self.0.get(rank.saturating_sub(1))?;
        Some(*nanos as f64 / 1e6)
    }
}

/// The middle value, or the mean of the two in the middle; not a number when there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut figures = Figures::default();
        figures.add_latencies(Latencies(
            (1..=1000).rev().map(|ms| ms * 1_000_000).collect(),
        ));
        assert_eq!(figures.value("latency p50"), Some(500.0));
        assert_eq!(figures.value("latency p99"), Some(990.0));
        assert_eq!(figures.value("latency p999"), Some(999.0));
        let curve = figures.latencies.unwrap();
        assert_eq!((curve[0], curve[15]), (1.0, 1000.0));
    }

    #[test]
    fn no_latencies_are_not_measured_and_not_zero() {
        let mut figures = Figures::default();
        figures.add_latencies(Latencies::default());
        assert_eq!(figures.value("latency p50"), None);
        assert_eq!(figures.latencies, None);
    }
}
