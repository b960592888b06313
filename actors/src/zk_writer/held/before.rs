//! The intents before a conditional write, which must make no newer intent obsolete.

use std::collections::{HashMap, HashSet};

use super::{intent::Intent, round::HeldDirs, safety_period::SafetyPeriod};
use crate::zk::{Connection, Content, DirectoryState, Mark, Revision, WriteError};

/// The intents before a write. A later acceptance announces its intent by a write of the directory, which the
/// [guard](Self::guard) detects.
#[derive(Debug)]
pub(crate) struct HeldBefore {
    names: HashSet<String>,
    state: DirectoryState,
}

/// The intent of a sub-account, and the write that set it.
#[derive(Debug)]
pub(crate) struct Before {
    /// `None` for foreign data.
    pub(crate) intent: Option<Intent>,
    pub(crate) set: Mark,
}

impl HeldBefore {
    /// Lists the intents; `None` without a directory of intents.
    pub(crate) async fn list(
        connection: &Connection,
        dirs: &HeldDirs,
    ) -> Result<Option<Self>, WriteError> {
        let listed = connection.children(dirs.intents.node()).await?;
        Ok(listed.map(|(names, state)| Self { names: names.into_iter().collect(), state }))
    }

    /// Like [`list`](Self::list); creates the directory if switches may be held here.
    pub(crate) async fn list_or_create(
        connection: &Connection,
        dirs: &HeldDirs,
        period: &SafetyPeriod,
    ) -> Result<Option<Self>, WriteError> {
        let listed = Self::list(connection, dirs).await?;
        if listed.is_some() || !period.is_on() {
            return Ok(listed);
        }
        connection.ensure_directory(&dirs.intents).await?;
        Self::list(connection, dirs).await
    }

    /// Reads the listed intents of the sub-accounts `names`, which have a number each; returns them by these numbers. An
    /// inner error is the reason why an intent may not be read.
    pub(crate) async fn find<'a>(
        &self,
        connection: &Connection,
        dirs: &HeldDirs,
        names: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<HashMap<usize, Result<Before, String>>, WriteError> {
        let listed = names.filter(|(_, name)| self.names.contains(*name));
        let (numbers, paths): (Vec<usize>, Vec<String>) =
            listed.map(|(number, name)| (number, dirs.intents.child(name))).unzip();
        let reads = connection.read_intents(&paths).await?;
        let found = numbers.into_iter().zip(reads).filter_map(|(number, read)| {
            let before = read.map(|found| {
                found.map(|Content { data, mark: set }| Before {
                    intent: Intent::parse(&data).ok().flatten(),
                    set,
                })
            });
            Some((number, before.transpose()?))
        });
        Ok(found.collect())
    }

    /// Path and state of the directory of intents, which each write has to check.
    pub(crate) fn guard<'a>(&self, dirs: &'a HeldDirs) -> (&'a str, Revision) {
        (dirs.intents.node(), self.state.revision)
    }
}
