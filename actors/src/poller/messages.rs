//! What the Poller understands.

use actix::Message;

/// Begin no more polls, and give up the one under way; what `ZkWriter` has of it is written. Answered at
/// once.
///
/// Sent once, by the system's drain, before `ZkWriter` is drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopPolling;
