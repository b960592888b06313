//! Exchanges with jobmakers.
//!
//! * `lanes`: requests that wait, by sub-pool; no clock, no network;
//! * `requests`: accepts requests, begins exchanges, answers requests without one;
//! * `exchange`: makes one, on a connection;
//! * `pump`: connects them with the actor.

mod exchange;
mod lanes;
mod pump;
mod requests;

pub(super) use requests::SubPools;
pub(crate) use requests::ToAckWaiter;
