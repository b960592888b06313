//! `verify`: compares the user-coin map and the user lists with ZooKeeper. Writes nothing.

use std::time::SystemTime;

use serde_json::{Value, json};
use switcher_actors::{
    Assignment, Coin, FetchError, HeldRead, Inspector, ListPreview, MapPreview, PollerSettings,
    Puname, Seen, Shown, UpstreamUrl, UserListSettings, WriterSettings, ZkTls, ZnodeDir,
    preview_list, preview_map,
};
use thiserror::Error;

use super::{
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    znodes::{self, coin, held_field, seconds, shown, shown_held},
};
use crate::config::Settings;

/// Bytes of an index entry that are compared: an [`Inspector`] reads no more.
const COMPARED_BYTES: usize = 64;

/// Sub-accounts compared at a time.
const CHUNK: usize = 10_000;

/// Fetches the map and the lists, as far as they are configured, then reads the znodes of their sub-accounts.
pub async fn verify(settings: &Settings, tls: Option<ZkTls>) -> CommandResult {
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
    let zookeeper = znodes::open(&writer.zookeeper, tls).await?;
    let mut report = CommandReport::default();
    let compared = async {
        if let Some((poller, map)) = &map {
            let drift = compare(map, &zookeeper, writer).await?;
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
    differing: &[(Assignment, Seen, HeldRead)],
) {
    let (mut drift, now) = (Vec::new(), seconds(SystemTime::now()));
    let mut held_back = 0;
    for (entry, znode, held) in differing {
        let (name, wanted) = (entry.puname.shown(), Shown(entry.coin.as_str()));
        let held_shown = shown_held(held, now);
        report
            .line(format!("{name}: the map says {wanted}, ZooKeeper {}{held_shown}", shown(znode)));
        held_back += usize::from(matches!(held, Ok(Some(held)) if held.coin == entry.coin));
        drift.push(json!({
            "sub_account": entry.puname.as_str(),
            "map": entry.coin.as_str(),
            "zookeeper": coin(znode),
            "is_readable": !matches!(znode, Seen::Forbidden(_)),
            "held": held_field(held),
        }));
    }
    for (name, fault) in map.first_invalid() {
        report.line(format!("{name}: a poll skips this entry: {fault}"));
    }
    let all = map.sub_accounts();
    report.line(match drift.len() {
        0 => format!("all {all} sub-accounts of the map have the same coin in ZooKeeper"),
        count if count == held_back => {
            format!("{count} of {all} sub-accounts differ: their switches to the map's coins are held")
        }
        count => format!(
            "{count} of {all} sub-accounts differ ({held_back} whose switches to the map's coins are held), among them \
             perhaps some that the API switched after the map was made"
        ),
    });
    if map.invalid() > 0 {
        report.line(format!("{} entries of the map can never be written", map.invalid()));
    }
    if drift.len() > held_back {
        report.found_something();
    }
    report.field("sub_accounts", all);
    report.field("drift", drift);
    report.field("invalid", map.invalid());
    report.field("url", poller.url.to_string());
}

/// Reports the sub-accounts of a list without a znode or an index entry, or whose index entry has another sub-account's
/// name; returns them for scripts.
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
    let mut faults = Vec::new();
    for part in punames.chunks(CHUNK) {
        for (puname, fault) in list_faults(zookeeper, &writer.watch_dir, index, part).await? {
            report.line(format!("{}: in the list of {coin}, but {fault}", puname.shown()));
            let missing = fault.missing();
            faults.push(json!({"sub_account": puname.as_str(), "list": coin, "missing": missing}));
        }
    }
    for (name, fault) in list.first_invalid() {
        report.line(format!("{name}: a pull of the list of {coin} skips this entry: {fault}"));
    }
    let all = punames.len();
    report.line(match faults.len() {
        0 => format!("all {all} sub-accounts of the list of {coin} are in ZooKeeper"),
        count => format!("faults in the list of {coin}, which has {all} sub-accounts: {count}"),
    });
    if !faults.is_empty() {
        report.found_something();
    }
    Ok(faults)
}

/// Fault of a sub-account of a list.
#[derive(Debug, Error)]
enum ListFault {
    #[error("has no znode")]
    NoZnode,
    #[error("has no index entry")]
    NoEntry,
    #[error(
        "its index entry has the name {}, so its miners get that sub-account: delete the entry",
        Shown(.0)
    )]
    WrongEntry(String),
}

impl ListFault {
    /// What is missing, for scripts.
    fn missing(&self) -> &'static str {
        match self {
            Self::NoZnode => "znode",
            Self::NoEntry => "index entry",
            Self::WrongEntry(_) => "index entry with its name",
        }
    }
}

async fn list_faults<'a>(
    zookeeper: &Inspector,
    watch_dir: &ZnodeDir,
    index: Option<&ZnodeDir>,
    punames: &'a [Puname],
) -> Result<Vec<(&'a Puname, ListFault)>, CommandFailure> {
    let znodes = znodes::read(zookeeper, watch_dir, punames.iter().map(Puname::as_str)).await?;
    let entries = index_faults(zookeeper, index, punames).await?;
    let faults = punames.iter().zip(znodes.iter().zip(entries)).flat_map(|(puname, it)| {
        let no_znode = (*it.0 == Seen::Nothing).then_some(ListFault::NoZnode);
        no_znode.into_iter().chain(it.1).map(move |fault| (puname, fault))
    });
    Ok(faults.collect())
}

/// Fault of each sub-account's index entry; none without an index.
async fn index_faults(
    zookeeper: &Inspector,
    index: Option<&ZnodeDir>,
    punames: &[Puname],
) -> Result<Vec<Option<ListFault>>, CommandFailure> {
    let Some(index) = index else { return Ok(punames.iter().map(|_| None).collect()) };
    let keys = punames.iter().map(|puname| Puname::parse_lower_case(puname.as_str()));
    let keys: Vec<_> = keys.collect();
    // A name without a lower case never gets an entry.
    let names = keys.iter().map(|key| key.as_ref().map_or("-", Puname::as_str));
    let seen = znodes::read(zookeeper, index, names).await?;
    let faults = keys.iter().zip(seen).map(|(key, seen)| match (key, seen) {
        (Err(_), _) | (_, Seen::Forbidden(_)) => None,
        (Ok(_), Seen::Nothing) => Some(ListFault::NoEntry),
        // Longer data is cut.
        (Ok(_), Seen::Znode { data, .. }) if data.len() > COMPARED_BYTES => None,
        (Ok(key), Seen::Znode { data, .. }) => {
            let name = String::from_utf8_lossy(&data);
            let is_right = Puname::parse_lower_case(&name).is_ok_and(|name| name == *key);
            (!is_right).then(|| ListFault::WrongEntry(name.into_owned()))
        }
    });
    Ok(faults.collect())
}

/// Finds the entries of the map that differ from their znodes, with their held switches.
async fn compare(
    map: &MapPreview,
    zookeeper: &Inspector,
    writer: &WriterSettings,
) -> Result<Vec<(Assignment, Seen, HeldRead)>, CommandFailure> {
    let mut drift = Vec::new();
    for from in (0..map.sub_accounts()).step_by(CHUNK) {
        let part = map.part(from, CHUNK);
        let names = part.iter().map(|entry| entry.puname.as_str());
        let znodes = znodes::read(zookeeper, &writer.watch_dir, names).await?;
        let differs = |(entry, znode): &(Assignment, Seen)| {
            coin(znode).is_none_or(|coin| coin != entry.coin.as_str())
        };
        let differing: Vec<_> = part.into_iter().zip(znodes).filter(differs).collect();
        let names: Vec<&str> = differing.iter().map(|(entry, _)| entry.puname.as_str()).collect();
        let held = znodes::read_held(zookeeper, writer, &names).await?;
        let with_held = differing.iter().cloned().zip(held);
        drift.extend(with_held.map(|((entry, znode), held)| (entry, znode, held)));
    }
    Ok(drift)
}
