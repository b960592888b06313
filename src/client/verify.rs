//! `verify`: compares the user-coin map with ZooKeeper. Writes nothing.

use serde_json::json;
use switcher_actors::{
    Assignment, Inspector, MapPreview, PollerSettings, Seen, Shown, WriterSettings, ZnodeDir,
    preview_map,
};

use super::{
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    znodes::{self, coin, shown},
};

/// Sub-accounts compared at a time.
const CHUNK: usize = 10_000;

/// Fetches the map, then reads the znodes of its sub-accounts.
pub async fn verify(poller: &PollerSettings, writer: &WriterSettings) -> CommandResult {
    let url = &poller.url;
    let map = preview_map(poller).await.map_err(|error| {
        let text = format!(
            "the user-coin map at {url} cannot be fetched: {error}; `doctor` checks the upstream"
        );
        FailureKind::Unavailable.failure(text)
    })?;
    let zookeeper = znodes::open(&writer.zookeeper).await?;
    let compared = compare(&map, &zookeeper, &writer.watch_dir).await;
    zookeeper.close().await;
    let mut report = CommandReport::default();
    let mut drift = Vec::new();
    for (entry, znode) in compared? {
        let (name, wanted) = (entry.puname.shown(), Shown(entry.coin.as_str()));
        report.line(format!("{name}: the map says {wanted}, ZooKeeper {}", shown(&znode)));
        drift.push(json!({
            "sub_account": entry.puname.as_str(),
            "map": entry.coin.as_str(),
            "zookeeper": coin(&znode),
            "is_readable": !matches!(znode, Seen::Forbidden(_)),
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

/// Finds the entries of the map that differ from their znodes.
async fn compare(
    map: &MapPreview,
    zookeeper: &Inspector,
    dir: &ZnodeDir,
) -> Result<Vec<(Assignment, Seen)>, CommandFailure> {
    let mut drift = Vec::new();
    for from in (0..map.sub_accounts()).step_by(CHUNK) {
        let part = map.part(from, CHUNK);
        let names = part.iter().map(|entry| entry.puname.as_str());
        let znodes = znodes::read(zookeeper, dir, names).await?;
        let differs = |(entry, znode): &(Assignment, Seen)| {
            coin(znode).is_none_or(|coin| coin != entry.coin.as_str())
        };
        drift.extend(part.into_iter().zip(znodes).filter(differs));
    }
    Ok(drift)
}
