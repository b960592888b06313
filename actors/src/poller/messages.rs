//! Messages to the Poller.

use actix::Message;

use super::PollerSettings;

/// Stop polling and abandon the poll in progress. Entries that `ZkWriter` has are still written. Answered at once.
///
/// Sent once, by the drain of the actors, before `ZkWriter` is drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopPolling;

/// Use these settings from the next poll on. A poll in progress keeps its own.
///
/// Sent by the application after a reload; answered at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NewSettings(pub(crate) PollerSettings);
