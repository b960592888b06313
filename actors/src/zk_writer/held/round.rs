//! A round: claims the carrier's lock, lists the intents if their directory has changed, and looks at those that are
//! due.
//!
//! Only the carrier deletes intents, so an intent that was read is still the same znode when it is deleted by version.
//! ZooKeeper orders the end of a carrier's session, and with it of its lock, after all of its writes.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::RwLock;

use super::{intent::Intent, safety_period::SafetyPeriod};
use crate::{
    domain::{PreviousValue, Shown, ZnodeDir},
    zk::{
        Claim, Connection, Content, DirectoryState, Overwrite, Revision, TransactionError,
        WriteError, WriteOp, ZnodeRead,
    },
};

/// Maximum names to look at in one round.
pub(super) const NAMES_PER_ROUND: usize = 500;

/// Directories of a held switch.
#[derive(Clone, Debug)]
pub(crate) struct HeldDirs {
    /// The sub-accounts' znodes.
    pub(crate) watch: ZnodeDir,
    /// Root of all that is held (`ZKHeldSwitchDir`).
    pub(crate) root: ZnodeDir,
    /// The intents.
    pub(crate) intents: ZnodeDir,
    /// Of this daemon: acceptances announce intents and share it; a poll's try, which an announcement would stop, has it
    /// alone. Other daemons can still stop it.
    pub(crate) turn: Arc<RwLock<()>>,
}

impl HeldDirs {
    pub(crate) fn new(watch: ZnodeDir, root: ZnodeDir) -> Self {
        // `switches` is a valid component, and a longer path than the limit is refused by ZooKeeper's answer.
        let intents = root.subdirectory("switches");
        Self { watch, root, intents, turn: Arc::default() }
    }

    fn carrier(&self) -> String {
        self.root.child("carrier")
    }
}

/// One round's task.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) dirs: HeldDirs,
    /// Data of the carrier's lock.
    pub(super) holder: String,
    /// Switches may be held here, so that the directories are needed, if it is on.
    pub(super) period: SafetyPeriod,
    /// The directory's state at the last list.
    pub(super) seen: Option<DirectoryState>,
    /// Names to look at.
    pub(super) names: Vec<String>,
    /// Time since 1970.
    pub(super) now: Duration,
}

/// Findings of a round.
#[derive(Debug, Default)]
pub(super) struct RoundEnd {
    /// Whether the directory is there. If not, nothing is held.
    pub(super) is_there: bool,
    pub(super) is_carrier: bool,
    /// Why no daemon can become the carrier.
    pub(super) problem: Option<String>,
    pub(super) state: Option<DirectoryState>,
    /// The names of all intents, if they were listed.
    pub(super) listed: Option<Vec<String>>,
    pub(super) looks: Vec<(String, Look)>,
}

/// Finding of a look at one intent.
#[derive(Debug)]
pub(crate) enum Look {
    /// There is no intent.
    Gone,
    /// Not due, or another daemon's to carry out.
    Waiting(Intent),
    /// The coin was written, and the intent deleted.
    CarriedOut { intent: Intent, old: PreviousValue, revision: Option<Revision> },
    /// The coin was written to another znode than the one that was read.
    Overwrote { intent: Intent, overwrite: Overwrite },
    /// The znode was written after the intent; the intent is deleted.
    Obsolete { intent: Intent, value: PreviousValue },
    /// Another client was faster: look again.
    Contended,
    /// ZooKeeper refused, or the intent cannot be read. The intent stays.
    Refused { cause: String },
    /// Perhaps carried out.
    Unknown { cause: String },
}

/// Runs a round. Fails if ZooKeeper refuses the directories or does not answer.
pub(super) async fn run(connection: &Connection, round: Round) -> Result<RoundEnd, WriteError> {
    // Without the directory, there are no intents.
    let mut end = RoundEnd { listed: Some(Vec::new()), ..RoundEnd::default() };
    if round.seen.is_none() {
        if round.period.is_on() {
            connection.ensure_directory(&round.dirs.intents).await?;
        } else if connection.directory_state(round.dirs.root.node()).await?.is_none() {
            return Ok(end);
        }
    }
    let intents = round.dirs.intents.node();
    let Some(state) = connection.directory_state(intents).await? else { return Ok(end) };
    (end.is_there, end.listed) = (true, None);
    match connection.claim(&round.dirs.carrier(), round.holder.as_bytes()).await? {
        Claim::Ours => end.is_carrier = true,
        Claim::Theirs(_) => {}
        Claim::Persistent => {
            end.problem = Some(format!(
                "{} is there but not ephemeral, so it would never go: delete it",
                round.dirs.carrier()
            ));
        }
    }
    end.state = Some(state);
    if round.seen != Some(state)
        && let Some((names, state)) = connection.children(intents).await?
    {
        (end.state, end.listed) = (Some(state), Some(names));
    }
    let looks = look(connection, &round, end.is_carrier).await?;
    end.looks = round.names.into_iter().zip(looks).collect();
    Ok(end)
}

async fn look(
    connection: &Connection,
    round: &Round,
    is_carrier: bool,
) -> Result<Vec<Look>, WriteError> {
    let Round { dirs, names, .. } = round;
    let intents: Vec<String> = names.iter().map(|name| dirs.intents.child(name)).collect();
    let znodes: Vec<String> = names.iter().map(|name| dirs.watch.child(name)).collect();
    let found = connection.read_intents(&intents).await?;
    let paths: Vec<&str> = znodes.iter().map(String::as_str).collect();
    // Read after the intents: a znode that is older than its intent now was older when the intent was read.
    let (undone, read) = connection.read_guarded(&dirs.watch, &paths).await?;
    let pairs = names.iter().zip(&intents).zip(&znodes).zip(found.into_iter().zip(read));
    let looks = pairs.map(|(((name, intent_path), znode_path), (found, znode))| async move {
        let pair = Pair { connection, round, name, intent_path, znode_path, undone };
        match found {
            Ok(Some(intent)) => pair.settle(&intent, znode, is_carrier).await,
            Ok(None) => Look::Gone,
            Err(cause) => Look::Refused { cause },
        }
    });
    Ok(join_all(looks).await)
}

/// An intent and its sub-account's znode.
struct Pair<'a> {
    connection: &'a Connection,
    round: &'a Round,
    name: &'a str,
    intent_path: &'a str,
    znode_path: &'a str,
    /// Path and state of the watch directory before the read of the znode. An undo after that may delete the znode, and
    /// another client may create it again with the same version.
    undone: Option<(&'a str, Revision)>,
}

impl Pair<'_> {
    async fn settle(
        &self,
        Content { data, mark }: &Content,
        znode: ZnodeRead,
        is_carrier: bool,
    ) -> Look {
        let intent = match Intent::parse(data) {
            Ok(Some(intent)) => intent,
            Ok(None) => {
                if is_carrier {
                    let _ = self.delete_intent(mark.revision).await;
                }
                return Look::Gone;
            }
            Err(cause) => {
                let text = String::from_utf8_lossy(data);
                let cause = format!("its data is no intent ({cause}): {}", Shown(&text));
                return Look::Refused { cause };
            }
        };
        let znode = match znode {
            Ok(znode) => znode,
            Err(cause) => return Look::Refused { cause },
        };
        let is_last = intent.is_last(mark.zxid, znode.as_ref().map(|znode| znode.mark.zxid));
        match znode {
            _ if !is_carrier => Look::Waiting(intent),
            Some(znode) if !is_last => {
                let value = PreviousValue::Data(znode.data);
                match self.delete_intent(mark.revision).await {
                    Ok(()) => Look::Obsolete { intent, value },
                    Err(error) => failed(error),
                }
            }
            _ if !self.round.period.is_over(&intent, self.name, self.round.now) => {
                Look::Waiting(intent)
            }
            Some(znode) => self.write(intent, znode, mark.revision).await,
            None => self.create(intent, mark.revision).await,
        }
    }

    /// Writes the coin and deletes the intent, in one transaction: both are as they were read, or nothing happens.
    async fn write(&self, intent: Intent, znode: Content, is: Revision) -> Look {
        let read = znode.mark.revision;
        let data = intent.coin.as_str().as_bytes();
        let set = WriteOp::Set { path: self.znode_path, data, condition: read };
        let delete = WriteOp::Delete { path: self.intent_path, condition: is };
        let check = self.undone.map(|(path, condition)| WriteOp::Check { path, condition });
        let ops: Vec<_> = [set, delete].into_iter().chain(check).collect();
        let written = match self.connection.transact(&ops).await {
            Ok(revisions) => revisions.first().copied().flatten(),
            Err(TransactionError::Guard) => return Look::Contended,
            Err(TransactionError::Operation { error, .. } | TransactionError::Whole(error)) => {
                return failed(error);
            }
        };
        let overwrite =
            written.and_then(|written| Overwrite::detect(self.znode_path, read, written));
        match overwrite {
            Some(overwrite) => Look::Overwrote { intent, overwrite },
            None => {
                Look::CarriedOut { intent, old: PreviousValue::Data(znode.data), revision: written }
            }
        }
    }

    /// Creates a znode that is gone and deletes the intent. A server without creates in transactions gets two requests;
    /// if the daemon ends in between, the intent is obsolete.
    async fn create(&self, intent: Intent, is: Revision) -> Look {
        let data = intent.coin.as_str().as_bytes();
        let create = WriteOp::Create { path: self.znode_path, data };
        let delete = WriteOp::Delete { path: self.intent_path, condition: is };
        let created = if self.connection.version().creates_in_transactions() {
            match self.connection.transact(&[create, delete]).await {
                Ok(revisions) => Ok(revisions.first().copied().flatten()),
                Err(TransactionError::Guard) => Err(WriteError::Overtaken),
                Err(TransactionError::Operation { error, .. } | TransactionError::Whole(error)) => {
                    Err(error)
                }
            }
        } else {
            self.create_then_delete(create, is).await
        };
        match created {
            Ok(revision) => Look::CarriedOut { intent, old: PreviousValue::Absent, revision },
            // The parent, or the intent.
            Err(WriteError::Missing) => {
                match self.connection.ensure_directory(&self.round.dirs.watch).await {
                    Ok(()) => Look::Contended,
                    Err(error) => failed(error),
                }
            }
            Err(error) => failed(error),
        }
    }

    async fn create_then_delete(
        &self,
        create: WriteOp<'_, Revision>,
        is: Revision,
    ) -> Result<Option<Revision>, WriteError> {
        let created = self.connection.write_each(&[create]).await;
        let revision = created.into_iter().next().transpose()?.flatten();
        if self.delete_intent(is).await == Err(WriteError::Overtaken) {
            self.renew_intent().await?;
        }
        Ok(revision)
    }

    /// Makes an intent the last again that has replaced ours before the create. If either znode was written since, their
    /// order is right as it is.
    async fn renew_intent(&self) -> Result<(), WriteError> {
        let Some((data, mark)) = self.connection.get(self.intent_path).await? else {
            return Ok(());
        };
        // The version of a created znode.
        let created = Revision::default();
        let check = WriteOp::Check { path: self.znode_path, condition: created };
        let set = WriteOp::Set { path: self.intent_path, data: &data, condition: mark.revision };
        match self.connection.transact(&[check, set]).await {
            Err(TransactionError::Whole(error)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn delete_intent(&self, condition: Revision) -> Result<(), WriteError> {
        let op = WriteOp::Delete { path: self.intent_path, condition };
        let answers = self.connection.write_each(&[op]).await;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }
}

fn failed(error: WriteError) -> Look {
    match error {
        WriteError::Missing | WriteError::Exists | WriteError::Overtaken => Look::Contended,
        WriteError::Refused(cause) => Look::Refused { cause },
        WriteError::Unknown(cause) => Look::Unknown { cause },
    }
}
