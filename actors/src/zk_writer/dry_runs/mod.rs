//! Dry runs.
//!
//! * `queue`: dry runs that wait or are read; no clock, no network;
//! * `pump`: reads part by part.

mod pump;
mod queue;

pub(super) use queue::DryRuns;
