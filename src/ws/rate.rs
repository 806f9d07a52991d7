//! How fast one socket may send. Too fast means that it is read more slowly, never that it is closed.

use std::time::Duration;

use tokio::time::Instant;

/// What a socket may send for long, and at once.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Messages a second.
    pub messages: u32,
    /// Bytes a second.
    pub bytes: u32,
    /// So many seconds' worth may come at once: a history that was written offline.
    pub burst_seconds: u32,
}

/// A token bucket for messages and one for bytes, as the time until which both are spent.
#[derive(Debug)]
pub struct Rate {
    limit: RateLimit,
    messages_spent: Duration,
    bytes_spent: Duration,
    at: Instant,
}

impl Rate {
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            messages_spent: Duration::ZERO,
            bytes_spent: Duration::ZERO,
            at: now,
        }
    }

    /// Takes note of what was received. Returns how long to wait before reading on.
    pub fn spend(&mut self, messages: usize, bytes: usize, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        let burst = Duration::from_secs(u64::from(self.limit.burst_seconds));
        let spend = |spent: Duration, amount: usize, per_second: u32| {
            if per_second == 0 {
                return Duration::ZERO;
            }
            let cost = amount as f64 / f64::from(per_second);
            spent.saturating_sub(passed) + Duration::try_from_secs_f64(cost).unwrap_or(burst)
        };
        self.messages_spent = spend(self.messages_spent, messages, self.limit.messages);
        self.bytes_spent = spend(self.bytes_spent, bytes, self.limit.bytes);
        self.messages_spent
            .max(self.bytes_spent)
            .saturating_sub(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        messages: 100,
        bytes: 1_000,
        burst_seconds: 2,
    };

    #[test]
    fn a_burst_passes_and_what_exceeds_it_waits() {
        let start = Instant::now();
        let mut rate = Rate::new(LIMIT, start);
        assert_eq!(rate.spend(200, 10, start), Duration::ZERO);
        assert_eq!(rate.spend(100, 10, start), Duration::from_secs(1));
        assert_eq!(
            rate.spend(0, 0, start + Duration::from_secs(3)),
            Duration::ZERO
        );
    }

    #[test]
    fn bytes_count_as_well_and_zero_means_no_limit() {
        let start = Instant::now();
        let mut rate = Rate::new(LIMIT, start);
        assert_eq!(rate.spend(1, 5_000, start), Duration::from_secs(3));
        let mut rate = Rate::new(
            RateLimit {
                messages: 0,
                bytes: 0,
                burst_seconds: 1,
            },
            start,
        );
        assert_eq!(rate.spend(1_000_000, 1 << 40, start), Duration::ZERO);
    }
}
