//! Durations in the log.

use std::time::Duration;

/// A duration as the log has it: a number of seconds, to a tenth of a millisecond.
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e4).round() / 1e4
}
