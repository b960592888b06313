//! Durations in the log.

use std::time::Duration;

/// A duration for the log: seconds, rounded to 0.1 ms.
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e4).round() / 1e4
}
