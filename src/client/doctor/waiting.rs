//! Checks for work in ZooKeeper that no daemon does: overdue held switches, and old requests for registration.

use std::time::SystemTime;

use switcher_actors::{
    HeldSwitch, Inspector, NoAnswer, Seen, Shown, WriterSettings, ZnodeDir, held_switches,
    rfc_3339_millis,
};

use super::findings::Findings;
use crate::client::znodes::seconds;

/// Znodes of a directory to look at.
const LOOKED_AT: usize = 1000;

/// Seconds after which a due switch is overdue: a daemon that takes over needs a session timeout.
const OVERDUE: u64 = 60;

/// Seconds after which a request for registration is old: no miner waits longer than 15.
const OLD_REQUEST: u64 = 60;

/// Checks for held switches that no daemon carries out, and for intents that cannot be read.
pub async fn held(
    findings: &mut Findings,
    zookeeper: &Inspector,
    settings: &WriterSettings,
) -> Result<(), NoAnswer> {
    const CHECK: &str = "held";
    let intents = settings.held_dir.subdirectory("switches");
    let mut names = zookeeper.children(intents.node()).await?;
    let count = names.len();
    names.sort();
    names.truncate(LOOKED_AT);
    let looked: Vec<&str> = names.iter().map(String::as_str).collect();
    let read = held_switches(zookeeper, settings, &looked).await?;
    let now = seconds(SystemTime::now());
    let mut overdue = Vec::new();
    for (name, held) in looked.iter().zip(read) {
        match held {
            Ok(Some(HeldSwitch { coin, due, .. })) if due / 1_000 + OVERDUE < now => {
                overdue.push((due, *name, coin));
            }
            Ok(_) => {}
            Err(cause) => findings.problem(
                CHECK,
                format!("the held switch of {} cannot be read: {}", Shown(name), Shown(&cause)),
                format!(
                    "correct the ACL, or delete {}, which gives the switch up",
                    Shown(&intents.child(name))
                ),
            ),
        }
    }
    match overdue.iter().min_by_key(|(due, ..)| *due) {
        Some((due, name, coin)) => findings.problem(
            CHECK,
            format!(
                "{} held switches are overdue, since no daemon carries them out; the oldest: {} to {}, due {}",
                overdue.len(),
                Shown(name),
                Shown(coin.as_str()),
                rfc_3339_millis(*due)
            ),
            "start a daemon with this ZKHeldSwitchDir; if one runs, look for \"held switch\" in its log",
        ),
        None => findings.ok(CHECK, format!("{count} switches wait, none of them overdue")),
    }
    Ok(())
}

/// Checks for requests for registration that no daemon answers.
pub async fn requests(
    findings: &mut Findings,
    zookeeper: &Inspector,
    dir: &ZnodeDir,
) -> Result<(), NoAnswer> {
    const CHECK: &str = "registration";
    let mut names = zookeeper.children(dir.node()).await?;
    let count = names.len();
    names.truncate(LOOKED_AT);
    let paths: Vec<String> = names.iter().map(|name| dir.child(name)).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let now = seconds(SystemTime::now());
    let seen = zookeeper.look(&paths).await?;
    let ages = names.iter().zip(seen).filter_map(|(name, seen)| match seen {
        Seen::Znode { written, .. } => Some((now.saturating_sub(seconds(written)), name)),
        Seen::Nothing | Seen::Forbidden(_) => None,
    });
    let old: Vec<_> = ages.filter(|(age, _)| *age > OLD_REQUEST).collect();
    match old.iter().max() {
        Some((age, name)) => findings.problem(
            CHECK,
            format!(
                "{} requests in {} are older than {OLD_REQUEST} s; the oldest: {}, {age} s",
                old.len(),
                dir.node(),
                Shown(name)
            ),
            "start the daemon; if it runs, look for \"registration\" in its log",
        ),
        None => {
            findings.ok(CHECK, format!("{count} requests wait, none older than {OLD_REQUEST} s"))
        }
    }
    Ok(())
}
