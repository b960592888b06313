//! Exchanges with jobmakers.
//!
//! * `lanes`: who waits for which sub-pool's; no clock, no network;
//! * `exchange`: makes one;
//! * `exchanges`: begins them.

mod exchange;
mod exchanges;
mod lanes;

pub(crate) use exchanges::ToAckWaiter;
pub(super) use exchanges::{Begun, SubPools};
