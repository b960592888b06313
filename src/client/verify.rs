//! `verify`: compares the user-coin map with ZooKeeper. Writes nothing.

use serde_json::json;
use switcher_actors::{
    Assignment, Inspector, MapPreview, PollerSettings, Shown, WriterSettings, ZnodeDir, preview_map,
};

use super::{
    report::{CommandFailure, CommandReport, FailureKind},
    znodes::{self, Mined},
};

/// Sub-accounts compared at a time.
const CHUNK: usize = 10_000;

/// Fetches the map, then reads the znodes of its sub-accounts.
pub async fn verify(
    poller: &PollerSettings,
    writer: &WriterSettings,
) -> Result<CommandReport, CommandFailure> {
    let url = &poller.url;
    let map = preview_map(poller).await.map_err(|error| {
        let text = format!(
            "the user-coin map at {url} cannot be fetched: {error}; `doctor` checks the upstream"
        );
        CommandFailure::new(FailureKind::Unavailable, text)
    })?;
    let zookeeper = znodes::open(&writer.zookeeper).await?;
    let compared = compare(&map, &zookeeper, &writer.watch_dir).await;
    zookeeper.close().await;
    let mut report = CommandReport::default();
    let mut drift = Vec::new();
    for Drift { entry, mined } in compared? {
        let (name, wanted) = (entry.puname.shown(), Shown(entry.coin.as_str()));
        report.line(format!("{name}: the map says {wanted}, ZooKeeper {}", mined.shown()));
        drift.push(json!({
            "sub_account": entry.puname.as_str(),
            "map": entry.coin.as_str(),
            "zookeeper": mined.coin(),
            "is_readable": !matches!(mined, Mined::Forbidden(_)),
        }));
    }
    for (name, fault) in map.first_invalid() {
        report.line(format!("{name}: a poll skips this entry: {fault}"));
    }
    let all = map.sub_accounts();
    report.line(match drift.len() {
        0 => format!("all {all} sub-accounts of the map have the same coin in ZooKeeper"),
        count => format!(
            "{count} of {all} sub-accounts differ, among them perhaps some that the API switched after the map was \
             made"
        ),
    });
    if map.invalid() > 0 {
        report.line(format!("{} entries of the map can never be written", map.invalid()));
    }
    if !drift.is_empty() {
        report.found_something();
    }
    report.field("sub_accounts", all);
    report.field("drift", drift);
    report.field("invalid", map.invalid());
    report.field("url", url.to_string());
    Ok(report)
}

/// A sub-account whose znode and map entry differ.
struct Drift {
    entry: Assignment,
    mined: Mined,
}

async fn compare(
    map: &MapPreview,
    zookeeper: &Inspector,
    dir: &ZnodeDir,
) -> Result<Vec<Drift>, CommandFailure> {
    let mut drift = Vec::new();
    for from in (0..map.sub_accounts()).step_by(CHUNK) {
        let part = map.part(from, CHUNK);
        let names = part.iter().map(|entry| entry.puname.as_str());
        let mined = znodes::mined(zookeeper, dir, names).await?;
        let compared = part.into_iter().zip(mined);
        let differs =
            |(entry, mined): &(Assignment, Mined)| mined.coin() != Some(entry.coin.as_str());
        drift.extend(compared.filter(differs).map(|(entry, mined)| Drift { entry, mined }));
    }
    Ok(drift)
}
