//! Exchanges with jobmakers.
//!
//! * `lanes`: requests that wait, by sub-pool; no clock, no network;
//! * `exchanges`: begins exchanges, and answers requests without one;
//! * `exchange`: makes one, on a connection;
//! * `pump`: connects them with the actor.

mod exchange;
mod exchanges;
mod lanes;
mod pump;

pub(super) use exchanges::SubPools;
pub(crate) use exchanges::ToAckWaiter;
