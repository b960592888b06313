//! `verify`: what ZooKeeper holds beside what the user-coin map says. Writes nothing.

use serde_json::json;
use switcher_actors::{
    Assignment, Inspector, MapPreview, PollerSettings, Shown, WriterSettings, ZnodeDir, preview_map,
};

use super::{
    report::{Failure, Kind, Report},
    znodes::{self, Mined},
};

/// Sub-accounts that are compared at a time.
const PART: usize = 10_000;

/// Fetches the map, then looks at the znodes of all that are in it.
pub async fn verify(poller: &PollerSettings, writer: &WriterSettings) -> Result<Report, Failure> {
    let url = &poller.url;
    let map = preview_map(poller).await.map_err(|error| {
        let text =
            format!("the user-coin map at {url} cannot be had: {error}; `doctor` looks closer");
        Failure::new(Kind::Unavailable, text)
    })?;
    let zookeeper = znodes::open(&writer.zookeeper).await?;
    let compared = compare(&map, &zookeeper, &writer.watch_dir).await;
    zookeeper.close().await;
    let mut report = Report::default();
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
        report.line(format!("{name}: a pull skips this entry: {fault}"));
    }
    let all = map.sub_accounts();
    report.line(match drift.len() {
        0 => format!("all {all} sub-accounts of the map are in ZooKeeper as it says"),
        count => format!(
            "{count} of {all} sub-accounts differ; one that was switched by the API since the map \
             was made may be among them"
        ),
    });
    if map.invalid() > 0 {
        report.line(format!("{} entries of the map can never be written", map.invalid()));
    }
    if !drift.is_empty() {
        report.amiss();
    }
    report.field("sub_accounts", all);
    report.field("drift", drift);
    report.field("invalid", map.invalid());
    report.field("url", url.to_string());
    Ok(report)
}

/// A sub-account whose znode does not hold what the map says.
struct Drift {
    entry: Assignment,
    mined: Mined,
}

async fn compare(
    map: &MapPreview,
    zookeeper: &Inspector,
    dir: &ZnodeDir,
) -> Result<Vec<Drift>, Failure> {
    let mut drift = Vec::new();
    for from in (0..map.sub_accounts()).step_by(PART) {
        let part = map.part(from, PART);
        let names = part.iter().map(|entry| entry.puname.as_str());
        let mined = znodes::mined(zookeeper, dir, names).await?;
        let compared = part.into_iter().zip(mined);
        let differs =
            |(entry, mined): &(Assignment, Mined)| mined.coin() != Some(entry.coin.as_str());
        drift.extend(compared.filter(differs).map(|(entry, mined)| Drift { entry, mined }));
    }
    Ok(drift)
}
