//! `verify`: compares the user-coin map and the user lists with ZooKeeper. Writes nothing.

use std::time::SystemTime;

use serde_json::{Value, json};
use switcher_actors::{
    Assignment, Coin, FetchError, HeldRead, Inspector, ListPreview, MapPreview, PollerSettings,
    Puname, Seen, Shown, UpstreamUrl, UserListSettings, WriterSettings, ZnodeDir, preview_list,
    preview_map,
};

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
    let (mut faults, mut without_znode, mut without_entry, mut misled) = (Vec::new(), 0, 0, 0);
    for part in punames.chunks(CHUNK) {
        let names = part.iter().map(Puname::as_str);
        let znodes = znodes::read(zookeeper, &writer.watch_dir, names).await?;
        let entries = index_entries(zookeeper, index, part).await?;
        for ((puname, znode), entry) in part.iter().zip(znodes).zip(entries) {
            let name = puname.shown();
            let mut add = |fault: &str, text: String| {
                report.line(format!("{name}: in the list of {coin}, but {text}"));
                let fault = json!({"sub_account": puname.as_str(), "list": coin, "missing": fault});
                faults.push(fault);
            };
            if znode == Seen::Nothing {
                without_znode += 1;
                add("znode", "has no znode".to_owned());
            }
            match entry {
                IndexEntry::Right => {}
                IndexEntry::Missing => {
                    without_entry += 1;
                    add("index entry", "has no index entry".to_owned());
                }
                IndexEntry::Other(other) => {
                    misled += 1;
                    let other = Shown(&other);
                    let effect = "its miners get that sub-account: delete the entry";
                    let text = format!("its index entry has the name {other}, so {effect}");
                    add("index entry with its name", text);
                }
            }
        }
    }
    for (name, fault) in list.first_invalid() {
        report.line(format!("{name}: a pull of the list of {coin} skips this entry: {fault}"));
    }
    let all = punames.len();
    report.line(if faults.is_empty() {
        format!("all {all} sub-accounts of the list of {coin} are in ZooKeeper")
    } else {
        let mut line =
            format!("list of {coin}, {all} sub-accounts: {without_znode} without a znode");
        if index.is_some() {
            line += &format!(", {without_entry} without an index entry, {misled} with a wrong one");
        }
        line
    });
    if !faults.is_empty() {
        report.found_something();
    }
    Ok(faults)
}

/// Index entry of a sub-account.
enum IndexEntry {
    /// It has the name in some spelling, or no entry is due.
    Right,
    Missing,
    /// It has this other name.
    Other(String),
}

async fn index_entries(
    zookeeper: &Inspector,
    index: Option<&ZnodeDir>,
    punames: &[Puname],
) -> Result<Vec<IndexEntry>, CommandFailure> {
    let Some(index) = index else {
        return Ok(punames.iter().map(|_| IndexEntry::Right).collect());
    };
    let keys = punames.iter().map(|puname| Puname::parse_lower_case(puname.as_str()));
    let keys: Vec<_> = keys.collect();
    // A name without a lower case never gets an entry.
    let names = keys.iter().map(|key| key.as_ref().map_or("-", Puname::as_str));
    let seen = znodes::read(zookeeper, index, names).await?;
    let entries = keys.iter().zip(seen).map(|(key, seen)| match (key, seen) {
        (Err(_), _) | (_, Seen::Forbidden(_)) => IndexEntry::Right,
        (Ok(_), Seen::Nothing) => IndexEntry::Missing,
        // Longer data is cut.
        (Ok(_), Seen::Znode { data, .. }) if data.len() > COMPARED_BYTES => IndexEntry::Right,
        (Ok(key), Seen::Znode { data, .. }) => {
            let name = String::from_utf8_lossy(&data);
            let is_right = Puname::parse_lower_case(&name).is_ok_and(|name| name == *key);
            if is_right { IndexEntry::Right } else { IndexEntry::Other(name.into_owned()) }
        }
    });
    Ok(entries.collect())
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
