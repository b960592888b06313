//! A simulated stratum server for several coins, as sserver is: it knows the sub-accounts of the user lists, follows
//! the znode of each miner's sub-account, and requests the registration of unknown ones (user-list contract, sections
//! 4, 5 and 11).
//!
//! It simulates no mining: a miner is a sub-account's name, and moving it is an [`Event`].
//!
//! ```text
//! user_list.rs  the sub-accounts of one coin, as a consumer with a cursor sees them; no network
//! poll.rs       the HTTP request of a list
//! server.rs     the server: one loop for each list, one for each miner
//! event.rs      what happened to a miner
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod event;
mod poll;
mod server;
mod user_list;

pub use event::Event;
pub use poll::{PollError, fetch};
pub use server::{Settings, StratumServer};
pub use user_list::{ListError, UserList};
