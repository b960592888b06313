//! `status USER…`: the coins of sub-accounts in ZooKeeper, and their held switches.

use serde_json::json;
use std::time::SystemTime;

use switcher_actors::{Puname, Seen, Shown, ZkTls};

use super::{
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    znodes::{self, coin, held_field, seconds, shown, shown_held},
};
use crate::config::Settings;

/// Reads each sub-account's znode and held switch.
pub async fn status(users: &[String], settings: &Settings, tls: Option<ZkTls>) -> CommandResult {
    let names = users.iter().map(|user| name(user, settings)).collect::<Result<Vec<_>, _>>()?;
    let zookeeper = znodes::open(&settings.writer.zookeeper, tls).await?;
    let dir = &settings.writer.watch_dir;
    let read = async {
        let punames: Vec<&str> = names.iter().map(Puname::as_str).collect();
        // Held switches first: one that is carried out in between is not missed, since the coin is read later.
        let held = znodes::read_held(&zookeeper, &settings.writer, &punames).await?;
        let znodes = znodes::read(&zookeeper, dir, punames.iter().copied()).await?;
        Ok((znodes, held))
    };
    let read = read.await;
    zookeeper.close().await;
    let (znodes, held) = read?;
    let now = seconds(SystemTime::now());
    let mut report = CommandReport::default();
    let mut sub_accounts = Vec::new();
    for ((name, znode), held) in names.iter().zip(znodes).zip(held) {
        report.line(format!("{}: {}{}", name.shown(), shown(&znode), shown_held(&held, now)));
        let written = match &znode {
            Seen::Znode { written, .. } => Some(seconds(*written)),
            Seen::Nothing | Seen::Forbidden(_) => None,
        };
        sub_accounts.push(json!({
            "sub_account": name.as_str(),
            "coin": coin(&znode),
            "written": written,
            "is_readable": !matches!(znode, Seen::Forbidden(_)),
            "held": held_field(&held),
        }));
        if written.is_none() {
            report.found_something();
        }
    }
    report.field("sub_accounts", sub_accounts);
    report.field("watch_dir", dir.as_str());
    Ok(report)
}

/// The name as the daemon writes it.
fn name(user: &str, settings: &Settings) -> Result<Puname, CommandFailure> {
    let parse = if settings.lower_case() { Puname::parse_lower_case } else { Puname::parse };
    parse(user).map_err(|error| {
        FailureKind::Refused.failure(format!("the sub-account {} {error}", Shown(user)))
    })
}
