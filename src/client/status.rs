//! `status USER…`: the coins of sub-accounts in ZooKeeper.

use serde_json::json;
use switcher_actors::{Puname, Shown};

use super::{
    report::{CommandFailure, CommandReport, FailureKind},
    znodes::{self, Mined},
};
use crate::config::Settings;

/// Reads each sub-account's znode.
pub async fn status(
    users: &[String],
    settings: &Settings,
) -> Result<CommandReport, CommandFailure> {
    let names = users.iter().map(|user| name(user, settings)).collect::<Result<Vec<_>, _>>()?;
    let zookeeper = znodes::open(&settings.writer.zookeeper).await?;
    let dir = &settings.writer.watch_dir;
    let mined = znodes::mined(&zookeeper, dir, names.iter().map(Puname::as_str)).await;
    zookeeper.close().await;
    let mut report = CommandReport::default();
    let mut sub_accounts = Vec::new();
    for (name, mined) in names.iter().zip(mined?) {
        report.line(format!("{}: {}", name.shown(), mined.shown()));
        let since = match &mined {
            Mined::Coin { since, .. } => Some(since),
            Mined::NoZnode | Mined::Forbidden(_) => None,
        };
        sub_accounts.push(json!({
            "sub_account": name.as_str(),
            "coin": mined.coin(),
            "written": since,
            "is_readable": !matches!(mined, Mined::Forbidden(_)),
        }));
        if mined.coin().is_none() {
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
        CommandFailure::new(
            FailureKind::Refused,
            format!("the sub-account {} {error}", Shown(user)),
        )
    })
}
