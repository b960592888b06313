//! What the Poller understands.

use actix::Message;

use super::PollerSettings;

/// Begin no more polls, and give up the one under way; what `ZkWriter` has of it is written. Answered at
/// once.
///
/// Sent once, by the system's drain, before `ZkWriter` is drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopPolling;

/// Poll by these settings from the next poll on. One that is under way ends by those it began with.
///
/// Sent by the application when its configuration is read again; answered at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NewSettings(pub(crate) PollerSettings);
