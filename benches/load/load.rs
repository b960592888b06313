//! Result of one load.

use std::time::{Duration, Instant};

/// Requests that were answered with success, and how long each took.
pub struct Load {
    pub switches: usize,
    seconds: f64,
    /// Milliseconds, sorted.
    times: Vec<f64>,
}

impl Load {
    /// `times` in milliseconds, one for each request of so many switches.
    pub fn new(mut times: Vec<f64>, switches_each: usize, took: Duration) -> Self {
        times.sort_by(f64::total_cmp);
        Self { switches: times.len() * switches_each, seconds: took.as_secs_f64(), times }
    }

    /// Switches per second.
    pub fn rate(&self) -> f64 {
        self.switches as f64 / self.seconds
    }

    pub fn median_ms(&self) -> f64 {
        self.percentile(50)
    }

    pub fn p99_ms(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)]
    }
}

/// Milliseconds since then.
pub fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
