//! Checks of ZooKeeper: brokers, session, directories.

use switcher_actors::{
    AccessRule, BrokerState, Inspector, NoAnswer, Seen, ServerVersion, Shown, SubPoolSettings,
    WriterSettings, ZnodeDir, probe_brokers,
};

use super::{findings::Findings, jobmakers::jobmakers};
use crate::config::Settings;

/// Checks that each broker answers, and its version.
pub async fn brokers(findings: &mut Findings, writer: &WriterSettings) {
    const CHECK: &str = "broker";
    let brokers = &writer.zookeeper.brokers;
    for (broker, state) in brokers.iter().zip(probe_brokers(brokers).await) {
        match state {
            BrokerState::Version(version) if version < ServerVersion::OLDEST => findings.problem(
                CHECK,
                format!("{broker} has version {version}"),
                "update ZooKeeper: versions before 3.4.6 are not supported",
            ),
            BrokerState::Version(version) => {
                findings.ok(CHECK, format!("{broker} answers, version {version}"));
            }
            BrokerState::Silent => findings.warn(
                CHECK,
                format!("{broker} accepts connections but does not report its version"),
                "add srvr to 4lw.commands.whitelist in zoo.cfg, or set ZKServerVersion; if \
                 another program listens there, correct ZKBroker",
            ),
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
pub async fn session(findings: &mut Findings, settings: &Settings) {
    const CHECK: &str = "session";
    const AWAY: &str = "read ZooKeeper's log; an ensemble needs more than half of its servers";
    let zookeeper = match Inspector::open(settings.writer.zookeeper.clone()).await {
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
    let Settings { writer, sub_pools, .. } = settings;
    let user = writer.zookeeper.credentials.as_ref().map(|credentials| credentials.user());
    let watch_dir = Directory {
        key: "ZKSwitcherWatchDir",
        dir: &writer.watch_dir,
        absent: "start the daemon, which creates it",
        needs_create: true,
    };
    watch_dir.check(findings, user, zookeeper).await?;
    let Some(SubPoolSettings { base_dir, .. }) = sub_pools else {
        findings.ok("jobmaker", "not checked: ZKSubPoolUpdateBaseDir is empty");
        return Ok(());
    };
    let base_dir_exists = Directory {
        key: "ZKSubPoolUpdateBaseDir",
        dir: base_dir,
        absent: "start a jobmaker, which creates it, or correct the key",
        needs_create: false,
    };
    if base_dir_exists.check(findings, user, zookeeper).await? {
        jobmakers(findings, base_dir, zookeeper).await?;
    }
    Ok(())
}

/// A znode directory of the configuration.
struct Directory<'a> {
    key: &'static str,
    dir: &'a ZnodeDir,
    absent: &'static str,
    /// Whether the daemon creates znodes there.
    needs_create: bool,
}

impl Directory<'_> {
    /// Checks that the directory exists, and its ACL.
    async fn check(
        &self,
        findings: &mut Findings,
        user: Option<&str>,
        zookeeper: &Inspector,
    ) -> Result<bool, NoAnswer> {
        let node = self.dir.node();
        match zookeeper.look(&[node]).await?.pop() {
            Some(Seen::Znode { .. }) => {
                findings.ok("path", format!("{} exists ({node})", self.key))
            }
            Some(Seen::Forbidden(cause)) => {
                let text = format!("{} ({node}) cannot be read: {cause}", self.key);
                findings.problem("path", text, "set ZKDigestCredentials to a user of its ACL");
                return Ok(false);
            }
            Some(Seen::Nothing) | None => {
                findings.problem("path", format!("{} ({node}) is absent", self.key), self.absent);
                return Ok(false);
            }
        }
        if let Some(rules) = zookeeper.access(node).await? {
            self.judge(findings, user, &rules);
        }
        Ok(true)
    }

    fn judge(&self, findings: &mut Findings, user: Option<&str>, rules: &[AccessRule]) {
        const CHECK: &str = "acl";
        let node = self.dir.node();
        let everybody: Vec<_> = rules.iter().filter(|rule| rule.is_everybody).collect();
        if everybody.iter().any(|rule| rule.write || rule.create || rule.delete) {
            findings.warn(
                CHECK,
                format!("any client that reaches ZooKeeper may change {node}"),
                "let only the pool's machines reach ZooKeeper; or set ZKDigestCredentials and the \
                 ACLs of the znodes that exist",
            );
            return;
        }
        let ours = user.map(|user| format!("digest:{user}"));
        let may_create = rules.iter().any(|rule| Some(&rule.who) == ours.as_ref() && rule.create);
        if self.needs_create && !may_create {
            let users: Vec<_> =
                rules.iter().filter(|rule| rule.create).map(|rule| rule.who.as_str()).collect();
            let users = if users.is_empty() { "no user".to_owned() } else { users.join(", ") };
            findings.problem(
                CHECK,
                format!("the daemon may not create sub-accounts in {node}: {} may", Shown(&users)),
                "set ZKDigestCredentials to a user of the ACL, or change the ACL",
            );
            return;
        }
        findings.ok(CHECK, format!("{node} is not open to the world"));
    }
}
