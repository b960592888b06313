//! Polls.
//!
//! * `turn`: decides whether this daemon polls, and marks the moment before a fetch;
//! * `sync`: brings a part of a user-coin map into ZooKeeper, under conditions;
//! * `pump`: connects both with the actor.

mod pump;
mod sync;
mod turn;

pub(super) use sync::MapPart;
