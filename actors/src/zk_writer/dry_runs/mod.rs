//! Dry runs.
//!
//! * `queue`: who waits for a dry run, and what is being read; no clock, no network;
//! * `pump`: how dry runs are read.

mod pump;
mod queue;

pub(super) use queue::DryRuns;
