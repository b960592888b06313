//! A jobmaker as ZooKeeper sees one: it watches the request nodes of its sub-pools and acks what it
//! reads there (contract, section 3). By itself it behaves as a jobmaker that is instant and never
//! fails; [`Knobs`] make it slow, forgetful or mad, and [`Jobmaker`] pauses and crashes it on demand.
//!
//! What it does not play: the jobmaker's other work. Nothing here mines or builds blocks.
//!
//! ```text
//! jobmaker.rs  what callers hold: start, pause, crash, stop, the history of the values held
//! process.rs   one thread for each jobmaker: its lives, its connections, its one handler
//! orders.rs    what callers want of the thread, and how it interrupts what the thread waits for
//! request.rs   what a jobmaker makes of the bytes in a request node
//! ack.rs       what it answers
//! address.rs   which payout addresses it takes
//! ```

// A test that unwraps fails where it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ack;
mod address;
mod jobmaker;
mod knobs;
mod orders;
mod process;
mod request;

pub use jobmaker::{Applied, Counters, Error, Jobmaker, NotASubPool, SubPool};
pub use knobs::Knobs;
