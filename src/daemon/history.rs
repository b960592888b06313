//! Opens the history before the actors start.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use slog::{Logger, error};
use switcher_actors::HistorySettings as ActorSettings;
use switcher_history::{
    ChangeRow, Error, MovedAside, OnDamage, OpenError, Opened, PART, Reader, Writer,
};

use super::failure::Failure;
use crate::config::{HistorySettings, HistorySync};

/// Number of recent changes to restore.
const RECENT: usize = switcher_actors::Recent::KEPT;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens the history, or creates it. A damaged file is moved aside, unless answers depend on its records.
pub fn open(settings: &HistorySettings, log: &Logger) -> Result<ActorSettings, Failure> {
    let HistorySettings { file, key_file, days, max_bytes, payout_days, sync } = settings;
    let failed = |cause| Failure::History { file: file.clone(), cause };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let (on_damage, sync) = match sync {
        HistorySync::Updates => {
            (OnDamage::MoveAside { now }, switcher_actors::HistorySync::Updates)
        }
        HistorySync::All => (OnDamage::Refuse, switcher_actors::HistorySync::All),
    };
    let Opened { mut writer, mut moved_aside } =
        Writer::open(file, key_file, PART, on_damage).map_err(failed)?;
    let recent = match recent(file) {
        // Opening reads a part of the file only.
        Err(OpenError::Damaged(why)) if sync == switcher_actors::HistorySync::Updates => {
            moved_aside = Some(MovedAside { to: writer.start_over(now).map_err(failed)?, why });
            Vec::new()
        }
        recent => recent.map_err(failed)?,
    };
    if let Some(MovedAside { to, why }) = moved_aside {
        error!(log, "the history was damaged and is moved aside; a new one begins, with a new chain of payout changes";
            "cause" => why, "moved_to" => %to.display());
    }
    Ok(ActorSettings {
        writer,
        recent,
        sync,
        kept: DAY * *days,
        payouts_kept: DAY * *payout_days,
        max_bytes: *max_bytes,
    })
}

/// The newest changes, oldest first.
fn recent(file: &Path) -> Result<Vec<ChangeRow>, OpenError> {
    Reader::open(file)?.last(RECENT).map_err(|error| match error {
        Error::Damaged(why) => OpenError::Damaged(why),
        error => OpenError::Other(error.to_string()),
    })
}
