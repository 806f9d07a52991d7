//! Measured figures: one run's named values, and how latencies become quantiles.

/// One measured value.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    pub value: f64,
}

/// What one run measured, in the order it is shown.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    pub fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.0.push(Figure { name, unit, value });
    }

    /// The quantiles that tell how late updates arrive.
    pub fn add_latencies(&mut self, latencies: &mut Latencies) {
        for (name, quantile) in [
            ("latency p50", 0.5),
            ("latency p90", 0.9),
            ("latency p99", 0.99),
            ("latency p999", 0.999),
        ] {
            self.add(name, "ms", latencies.quantile(quantile) / 1e6);
        }
    }
}

/// Every single latency, in nanoseconds; runs are bounded, so nothing has to be summed up on the way.
#[derive(Default)]
pub struct Latencies(pub Vec<u64>);

impl Latencies {
    /// The smallest value that at least this share of all values does not exceed.
    fn quantile(&mut self, quantile: f64) -> f64 {
        self.0.sort_unstable();
        let rank = (quantile * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .map_or(f64::NAN, |&nanos| nanos as f64)
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}
