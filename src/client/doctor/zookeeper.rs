//! Checks of ZooKeeper: brokers, session, directories.

use switcher_actors::{
    AccessRule, BrokerState, Inspector, NoAnswer, Seen, ServerVersion, Shown, SubPoolSettings,
    TlsFault, ZkTls, ZnodeDir, probe_brokers,
};

use super::{findings::Findings, jobmakers::jobmakers, waiting};
use crate::config::Settings;

/// Checks that each broker answers, and its version.
pub async fn brokers(findings: &mut Findings, brokers: &[String], tls: Option<&ZkTls>) {
    const CHECK: &str = "broker";
    let way = if tls.is_some() { " over TLS" } else { "" };
    for (broker, state) in brokers.iter().zip(probe_brokers(brokers, tls).await) {
        match state {
            BrokerState::Version(version) if version < ServerVersion::OLDEST => findings.problem(
                CHECK,
                format!("{broker} has version {version}"),
                "update ZooKeeper: versions before 3.4.6 are not supported",
            ),
            BrokerState::Version(version) => {
                findings.ok(CHECK, format!("{broker} answers{way}, version {version}"));
            }
            BrokerState::Silent => findings.warn(
                CHECK,
                format!("{broker} accepts connections but does not report its version"),
                "add srvr to 4lw.commands.whitelist in zoo.cfg, or set ZKServerVersion; if \
                 another program listens there, correct ZKBroker",
            ),
            BrokerState::Tls(TlsFault { cause, remedy }) => {
                findings.problem(CHECK, format!("TLS to {broker} fails: {cause}"), remedy);
            }
            // One broker is enough for a session, which is the next check.
            BrokerState::Unreachable(cause) => findings.problem(
                CHECK,
                format!("{broker} accepts no connection: {cause}"),
                "start ZooKeeper there, correct ZKBroker, or open the network path to it",
            ),
        }
    }
}

/// Opens a session, and checks the znodes.
pub async fn session(findings: &mut Findings, settings: &Settings, tls: Option<ZkTls>) {
    const CHECK: &str = "session";
    const AWAY: &str = "read ZooKeeper's log; an ensemble needs more than half of its servers";
    let zookeeper = match Inspector::open(settings.writer.zookeeper.clone(), tls).await {
        Ok(zookeeper) => zookeeper,
        Err(error) => return findings.problem(CHECK, format!("not granted: {error}"), AWAY),
    };
    findings.ok(CHECK, "granted");
    if let Err(error) = znodes(findings, settings, &zookeeper).await {
        findings.problem(CHECK, format!("lost: {error}"), AWAY);
    }
    zookeeper.close().await;
}

async fn znodes(
    findings: &mut Findings,
    settings: &Settings,
    zookeeper: &Inspector,
) -> Result<(), NoAnswer> {
    let Settings { writer, sub_pools, user_lists, registration, .. } = settings;
    let index = user_lists.as_ref().filter(|lists| !lists.lower_case);
    let index = index.and_then(|lists| lists.index.as_ref());
    let requests = registration.as_ref().map(|registration| &registration.dir);
    let user = writer.zookeeper.credentials.as_ref().map(|credentials| credentials.user());
    let intents = writer.held_dir.subdirectory("switches");
    let held = user_lists.as_ref();
    let mut absent: Vec<&ZnodeDir> = Vec::new();
    for (key, dir, needs) in [
        ("ZKSwitcherWatchDir", Some(&writer.watch_dir), &[Need::Create("sub-accounts")][..]),
        ("ZKUserCaseInsensitiveIndex", index, &[Need::Create("index entries")]),
        ("ZKHeldSwitchDir", held.map(|_| &writer.held_dir), &[Need::Create("the carrier's lock")]),
        (
            "ZKHeldSwitchDir",
            held.map(|_| &intents),
            &[Need::Create("held switches"), Need::Delete("held switches")],
        ),
        ("ZKAutoRegWatchDir", requests, &[Need::Delete("requests")]),
    ] {
        let Some(dir) = dir else { continue };
        if absent.iter().any(|parent| parent.contains(dir)) {
            continue;
        }
        if exists(findings, zookeeper, key, dir, "start the daemon, which creates it").await? {
            acl(findings, zookeeper, dir, user, needs).await?;
        } else {
            absent.push(dir);
        }
    }
    // Another daemon may have left some, also where there are no lists.
    waiting::held(findings, zookeeper, writer).await?;
    if let Some(dir) = requests {
        waiting::requests(findings, zookeeper, dir).await?;
    }
    let Some(SubPoolSettings { base_dir, .. }) = sub_pools else {
        findings.ok("jobmaker", "not checked: ZKSubPoolUpdateBaseDir is empty");
        return Ok(());
    };
    let absent = "start a jobmaker, which creates it, or correct the key";
    if exists(findings, zookeeper, "ZKSubPoolUpdateBaseDir", base_dir, absent).await? {
        acl(findings, zookeeper, base_dir, None, &[]).await?;
        jobmakers(findings, base_dir, zookeeper).await?;
    }
    Ok(())
}

async fn exists(
    findings: &mut Findings,
    zookeeper: &Inspector,
    key: &str,
    dir: &ZnodeDir,
    absent: &'static str,
) -> Result<bool, NoAnswer> {
    const CHECK: &str = "path";
    let node = dir.node();
    let seen = zookeeper.look(&[node]).await?.pop();
    match &seen {
        Some(Seen::Znode { .. }) => findings.ok(CHECK, format!("{key} exists ({node})")),
        Some(Seen::Forbidden(cause)) => {
            let text = format!("{key} ({node}) cannot be read: {cause}");
            findings.problem(CHECK, text, "set ZKDigestCredentials to a user of its ACL");
        }
        Some(Seen::Nothing) | None => {
            findings.problem(CHECK, format!("{key} ({node}) is absent"), absent);
        }
    }
    Ok(matches!(seen, Some(Seen::Znode { .. })))
}

/// Right that the daemon needs in a directory.
#[derive(Clone, Copy)]
enum Need {
    /// To create these children.
    Create(&'static str),
    /// To delete these children.
    Delete(&'static str),
}

/// Checks that a directory's ACL allows what the daemon needs.
async fn acl(
    findings: &mut Findings,
    zookeeper: &Inspector,
    dir: &ZnodeDir,
    user: Option<&str>,
    needs: &[Need],
) -> Result<(), NoAnswer> {
    const CHECK: &str = "acl";
    let node = dir.node();
    let Some(rules) = zookeeper.access(node).await? else { return Ok(()) };
    let ours = user.map(|user| format!("digest:{user}"));
    let mut is_closed = false;
    for need in needs {
        let (needed, may): (_, fn(&AccessRule) -> bool) = match need {
            Need::Create(what) => (format!("create {what}"), |rule| rule.create),
            Need::Delete(what) => (format!("delete {what}"), |rule| rule.delete),
        };
        let users: Vec<_> = rules.iter().filter(|rule| may(rule)).map(|rule| &*rule.who).collect();
        let is_open = rules.iter().any(|rule| rule.is_everybody && may(rule));
        if !is_open && !ours.as_deref().is_some_and(|ours| users.contains(&ours)) {
            is_closed = true;
            let users = if users.is_empty() { "no user".to_owned() } else { users.join(", ") };
            findings.problem(
                CHECK,
                format!("the daemon may not {needed} in {node}: {} may", Shown(&users)),
                "set ZKDigestCredentials to a user of the ACL, or change the ACL",
            );
        }
    }
    if is_closed {
        return Ok(());
    }
    if rules.iter().any(|rule| rule.is_everybody && (rule.write || rule.create || rule.delete)) {
        findings.warn(
            CHECK,
            format!("any client that reaches ZooKeeper may change {node}"),
            "let only the pool's machines reach ZooKeeper; or set ZKDigestCredentials and the \
             ACLs of the znodes that exist",
        );
    } else {
        findings.ok(CHECK, format!("{node} is not open to the world"));
    }
    Ok(())
}
