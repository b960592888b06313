//! Opens the history before the actors start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use slog::{Logger, error};
use switcher_actors::HistorySettings as ActorSettings;
use switcher_history::{
    Filter, MovedAside, OnDamage, OpenError, Opened, Order, PART, Reader, Writer,
};

use super::failure::Failure;
use crate::config::{HistorySettings, HistorySync};

/// Recent changes that are restored.
const RECENT: usize = switcher_actors::Recent::KEPT;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens the history, or creates it. A damaged one is moved aside, unless answers depend on its records.
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
    let Opened { writer, moved_aside } =
        Writer::open(file, key_file, PART, on_damage).map_err(failed)?;
    if let Some(MovedAside { to, why }) = moved_aside {
        error!(log, "the history was damaged and is moved aside; a new one begins, with a new chain of payout changes";
            "cause" => why, "moved_to" => %to.display());
    }
    let newest = Reader::open(file)
        .map_err(failed)?
        .changes(&Filter::default(), Order::Newest, None, RECENT)
        .map_err(|error| failed(OpenError::Other(error.to_string())))?;
    let mut recent = newest.rows;
    recent.reverse();
    Ok(ActorSettings {
        writer,
        recent,
        sync,
        kept: DAY * *days,
        payouts_kept: DAY * *payout_days,
        max_bytes: *max_bytes,
    })
}
