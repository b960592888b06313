//! A simulated jobmaker: it watches the request nodes of its sub-pools and acks the requests that it reads
//! there (contract, section 3). By default it is instant and never fails; [`Knobs`] make it slow, forgetful or
//! erratic, and [`Jobmaker`] pauses and crashes it on demand.
//!
//! It simulates no other work of a jobmaker: it neither mines nor builds blocks.
//!
//! ```text
//! jobmaker.rs  handle of callers: start, pause, crash, stop, the history of values
//! process.rs   one thread for each jobmaker: its lives, its connections, its one handler
//! orders.rs    callers' orders to the thread, which interrupt its waits
//! request.rs   interprets the bytes in a request node
//! ack.rs       the answers
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
