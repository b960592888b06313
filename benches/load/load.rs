//! Load on a server: names to write, and the result.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

/// Sub-accounts that a load writes.
#[derive(Clone, Copy)]
pub enum Names<'a> {
    /// They have znodes. Each connection begins at another place, and begins again after the last one.
    Existing(&'a [String]),
    /// They never existed: each write creates another. The prefix is different for each load.
    New(&'a str),
}

impl<'a> Names<'a> {
    /// Name that a connection, one of `connections`, writes as its `turn`-th.
    pub fn name(self, connection: usize, connections: usize, turn: usize) -> Cow<'a, str> {
        match self {
            Self::Existing(names) => {
                let first = connection * names.len() / connections;
                Cow::Borrowed(&names[(first + turn) % names.len()])
            }
            Self::New(prefix) => Cow::Owned(format!("{prefix}-{connection}-{turn}")),
        }
    }
}

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

    pub fn percentile(&self, percent: usize) -> f64 {
        self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)]
    }
}

/// One figure of each load.
pub fn each(loads: &[Load], figure: impl Fn(&Load) -> f64) -> Vec<f64> {
    loads.iter().map(figure).collect()
}

/// Milliseconds since then.
pub fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// Runs a load on this thread, in a runtime without other threads, so that the load itself hands nothing over.
pub fn on_one_thread<T>(load: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(load)
    })
}
