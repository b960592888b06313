//! Undos: puts back the znodes that are exactly as a request left them.
//!
//! Such a znode has the recorded [`Revision`](crate::zk::Revision), which occurs once, and the recorded value. It is
//! written on condition of that state; any other is left alone.
//!
//! ZooKeeper compares the version alone, which starts at 0 again when a znode is deleted and created again. A write's
//! answer reveals that (`Overwrite`), a deletion's does not. Only undos delete sub-accounts' znodes, so they exclude
//! each other: each try first writes the watch directory's own data back, then reads, and writes only while the
//! directory is as that write left it. An undo of another daemon that began in between makes the guard fail, as does a
//! poll's mark, and the try is repeated. So no undo can delete or replace a znode that was created after another undo's
//! deletion. A transaction that deletes writes the directory once more, which makes the guards of polls and of the
//! carrier of held switches fail: their conditions could hold for a later znode, too. No guard detects a foreign program
//! that deletes znodes.
//!
//! A held switch of another request is newer than the znode, so its sub-account is left alone. One of the undone request
//! itself becomes obsolete by the write, which is the purpose. The intents' directory is a second guard, as for polls.
//!
//! * `messages`: the request and its answer;
//! * `decision`: whether a znode is put back; no clock, no network;
//! * `part`: brings one part into ZooKeeper;
//! * `pump`: connects it with the actor.

mod decision;
mod messages;
mod part;
mod pump;

pub use messages::{LeftState, PutBack, PutBackEnd, PutBackEntry, PutBackOutcome};
pub(super) use part::PutBackPart;
