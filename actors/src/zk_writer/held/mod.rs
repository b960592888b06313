//! Held switches: the safety period of user lists (user-list contract, section 7).
//!
//! A switch to a coin whose list lacks the sub-account, or has had it for less than the safety period, is *held*: an
//! intent znode is committed, and the caller is answered. One daemon, the carrier, writes the coin at the due time.
//!
//! ZooKeeper's order of writes decides which switch is the last: an intent counts while the sub-account's znode was not
//! written after it. So an immediate switch makes an intent obsolete without another operation.
//!
//! * `safety_period`: decides which switches are held, and until when;
//! * `intent`: the intent's data, and its place in ZooKeeper's order;
//! * `accept`: commits intents;
//! * `before`: the intents that a poll's or an undo's write must respect;
//! * `round`: looks at intents, carries out those that are due, removes obsolete ones;
//! * `book`: the known held switches, without clock or network;
//! * `pump`: connects all that with the actor;
//! * `pending`: held switches of given sub-accounts, for pages and commands.

mod accept;
mod before;
mod book;
mod intent;
#[cfg(test)]
mod model;
mod pending;
mod pump;
mod round;
mod safety_period;

pub(super) use accept::{HeldChunk, announce};
pub(super) use before::{Before, HeldBefore};
pub(super) use intent::Intent;
pub(super) use pending::pending;
pub use pending::{HeldRead, HeldSwitch, held_switches};
pub(super) use pump::Held;
pub(super) use round::{HeldDirs, Look};
pub(super) use safety_period::{SafetyPeriod, now};
