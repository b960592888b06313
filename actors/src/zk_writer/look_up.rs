//! Questions of operators to `ZkWriter`: the held switches that it knows, and the znodes of one sub-account.

use actix::{Context, Handler, Message, MessageResult};
use tokio::sync::oneshot;

use super::{
    actor::ZkWriter,
    held::{HeldRead, HeldSwitch, pending},
    session::live,
};
use crate::{
    domain::{PreviousValue, Puname},
    zk::Connection,
};

/// List the held switches that this daemon knows, ours and other daemons'.
///
/// Sent by the admin pages. Answered from memory, also without a session.
#[derive(Debug, Message)]
#[rtype(result = "HeldList")]
pub struct ListHeld {
    /// Maximum of switches in the answer.
    pub limit: usize,
}

/// Answer to [`ListHeld`].
#[derive(Debug)]
pub struct HeldList {
    /// Number of held switches that this daemon knows.
    pub known: usize,
    /// Whether this daemon carries them out. At most one daemon does.
    pub is_carrier: bool,
    /// The next to be due, by name; `None` until the intent was read.
    pub next: Vec<(String, Option<HeldSwitch>)>,
}

/// Read the index entry and the held switch of a sub-account.
///
/// Sent by the admin pages, one for each request. Exactly one answer is sent: `Err` with the cause if nothing was read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookUp {
    /// The sub-account, as its znode is named.
    pub puname: Puname,
    /// Path of its index entry; `None` without an index.
    pub index_entry: Option<String>,
    /// Channel for the answer.
    pub reply: oneshot::Sender<Result<LookUpReply, String>>,
}

/// Answer to [`LookUp`].
#[derive(Debug)]
pub struct LookUpReply {
    /// Data of the index entry, or why it cannot be read.
    pub index_entry: Result<PreviousValue, String>,
    /// The held switch.
    pub held: HeldRead,
}

impl Handler<ListHeld> for ZkWriter {
    type Result = MessageResult<ListHeld>;

    fn handle(&mut self, ListHeld { limit }: ListHeld, _: &mut Self::Context) -> Self::Result {
        let mut list = self.held.list(limit);
        // The lock ends with the session.
        list.is_carrier &= live(&self.connection).is_some();
        MessageResult(list)
    }
}

impl Handler<LookUp> for ZkWriter {
    type Result = ();

    fn handle(&mut self, message: LookUp, ctx: &mut Context<Self>) {
        let LookUp { puname, index_entry, reply } = message;
        let dirs = self.held.dirs.clone();
        let work = |connection: Connection| async move {
            let name = puname.as_str();
            let held = pending(&connection, &dirs, &[name]).await;
            let held = held.map_err(|error| error.to_string())?.pop().unwrap_or(Ok(None));
            let path: Vec<&str> = index_entry.iter().map(String::as_str).collect();
            let read = connection.read_caught_up(&path).await.map_err(|error| error.to_string())?;
            let index_entry = match read.into_iter().next() {
                Some(Ok(Some(entry))) => Ok(PreviousValue::Data(entry.data)),
                Some(Ok(None)) | None => Ok(PreviousValue::Absent),
                Some(Err(cause)) => Err(cause),
            };
            Ok(LookUpReply { index_entry, held })
        };
        self.run_to_reply(reply, work, ctx);
    }
}
