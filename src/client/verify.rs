//! `verify`: compares the user-coin map and the user lists with ZooKeeper. Writes nothing.

use serde_json::{Value, json};
use switcher_actors::{
    Assignment, Coin, FetchError, Inspector, ListPreview, MapPreview, PollerSettings, Puname, Seen,
    Shown, UpstreamUrl, UserListSettings, WriterSettings, ZnodeDir, preview_list, preview_map,
};

use super::{
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    znodes::{self, coin, shown},
};
use crate::config::Settings;

/// Sub-accounts compared at a time.
const CHUNK: usize = 10_000;

/// Fetches the map and the lists, as far as they are configured, then reads the znodes of their sub-accounts.
pub async fn verify(settings: &Settings) -> CommandResult {
    let Settings { poller, user_lists, writer, .. } = settings;
    if poller.is_none() && user_lists.is_none() {
        let text = "UserCoinMapURL is missing, and UserListAPI has no entry";
        return Err(FailureKind::Configuration.failure(text));
    }
    let map = match poller {
        Some(poller) => {
            let map = preview_map(poller).await;
            Some((poller, map.map_err(|error| unavailable("user-coin map", &poller.url, &error))?))
        }
        None => None,
    };
    let mut lists = Vec::new();
    for (settings, (coin, url)) in
        user_lists.iter().flat_map(|settings| settings.lists.iter().map(move |it| (settings, it)))
    {
        let list = preview_list(settings, url).await;
        let list = list.map_err(|error| unavailable(&format!("list of {coin}"), url, &error))?;
        lists.push((coin, list, settings));
    }
    let zookeeper = znodes::open(&writer.zookeeper).await?;
    let mut report = CommandReport::default();
    let compared = async {
        if let Some((poller, map)) = &map {
            let drift = compare(map, &zookeeper, &writer.watch_dir).await?;
            report_map(&mut report, poller, map, &drift);
        }
        let mut missing = Vec::new();
        for (coin, list, settings) in &lists {
            missing
                .extend(report_list(&mut report, coin, list, settings, &zookeeper, writer).await?);
        }
        if !lists.is_empty() {
            report.field("missing", missing);
        }
        Ok(())
    };
    let compared = compared.await;
    zookeeper.close().await;
    compared.map(|()| report)
}

fn unavailable(what: &str, url: &UpstreamUrl, error: &FetchError) -> CommandFailure {
    let text =
        format!("the {what} at {url} cannot be fetched: {error}; `doctor` checks the upstream");
    FailureKind::Unavailable.failure(text)
}

fn report_map(
    report: &mut CommandReport,
    poller: &PollerSettings,
    map: &MapPreview,
    differing: &[(Assignment, Seen)],
) {
    let mut drift = Vec::new();
    for (entry, znode) in differing {
        let (name, wanted) = (entry.puname.shown(), Shown(entry.coin.as_str()));
        report.line(format!("{name}: the map says {wanted}, ZooKeeper {}", shown(znode)));
        drift.push(json!({
            "sub_account": entry.puname.as_str(),
            "map": entry.coin.as_str(),
            "zookeeper": coin(znode),
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
    report.field("url", poller.url.to_string());
}

/// Reports the sub-accounts of a list without a znode or an index entry; returns them for scripts.
async fn report_list(
    report: &mut CommandReport,
    coin: &Coin,
    list: &ListPreview,
    settings: &UserListSettings,
    zookeeper: &Inspector,
    writer: &WriterSettings,
) -> Result<Vec<Value>, CommandFailure> {
    let (punames, coin) = (list.punames(), Shown(coin.as_str()).to_string());
    let index = settings.index.as_ref().filter(|_| !settings.lower_case);
    let mut missing = Vec::new();
    for part in punames.chunks(CHUNK) {
        let names = part.iter().map(Puname::as_str);
        let has_znode = present(zookeeper, &writer.watch_dir, names).await?;
        let in_lower_case = part.iter().map(|it| Puname::parse_lower_case(it.as_str()));
        let in_lower_case: Vec<_> = in_lower_case.collect();
        // A name without a lower case never gets an entry.
        let names = in_lower_case.iter().map(|it| it.as_ref().map_or("-", Puname::as_str));
        let has_entry = match index {
            Some(index) => present(zookeeper, index, names).await?,
            None => vec![true; part.len()],
        };
        let parts = part.iter().zip(in_lower_case).zip(has_znode.into_iter().zip(has_entry));
        for ((puname, lower), (has_znode, has_entry)) in parts {
            for what in [
                (!has_znode).then_some("znode"),
                (!has_entry && lower.is_ok()).then_some("index entry"),
            ]
            .into_iter()
            .flatten()
            {
                report
                    .line(format!("{}: in the list of {coin}, but has no {what}", puname.shown()));
                missing
                    .push(json!({"sub_account": puname.as_str(), "list": coin, "missing": what}));
            }
        }
    }
    for (name, fault) in list.first_invalid() {
        report.line(format!("{name}: a pull of the list of {coin} skips this entry: {fault}"));
    }
    let all = punames.len();
    report.line(match missing.len() {
        0 => format!("all {all} sub-accounts of the list of {coin} are in ZooKeeper"),
        count => format!("the {all} sub-accounts of the list of {coin} lack {count} znodes"),
    });
    if !missing.is_empty() {
        report.found_something();
    }
    Ok(missing)
}

async fn present(
    zookeeper: &Inspector,
    dir: &ZnodeDir,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<bool>, CommandFailure> {
    let znodes = znodes::read(zookeeper, dir, names).await?;
    Ok(znodes.iter().map(|znode| !matches!(znode, Seen::Nothing)).collect())
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
