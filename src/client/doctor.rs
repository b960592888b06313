//! `doctor`: looks at the configuration and at all that the daemon depends on. Writes nothing.

use std::{
    borrow::Cow,
    env, fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use switcher_actors::{
    AccessRule, BrokerState, Inspector, MapPreview, NoAnswer, PollerSettings, Seen, ServerVersion,
    Shown, SubPoolSettings, WriterSettings, ZnodeDir, preview_map, probe_brokers,
};

use super::{
    api::{Api, CallError},
    arguments::ApiArguments,
    caller::Caller,
    report::Report,
    znodes::seconds,
};
use crate::config::{self, Checked, Rejected, Settings};

/// A jobmaker acks unasked every 300 seconds (contract, section 3): one that has missed two is not slow.
const OLD_ACK: Duration = Duration::from_secs(900);

/// Seconds that two clocks may differ.
const SKEW: u64 = 60;

/// Sub-pools whose acks are looked at.
const SUB_POOLS: usize = 1000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// One thing that was looked at.
struct Finding {
    level: Level,
    /// Which check it belongs to; scripts rely on the names.
    check: &'static str,
    text: String,
    /// What to do, unless all is well.
    remedy: Option<Cow<'static, str>>,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { level: Level::Ok, check, text: text.into(), remedy: None });
    }

    fn warn(&mut self, check: &'static str, text: impl Into<String>, remedy: &'static str) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { level: Level::Warning, check, text: text.into(), remedy });
    }

    fn problem(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { level: Level::Problem, check, text: text.into(), remedy });
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    fn report(self) -> Report {
        let mut report = Report::default();
        let (problems, warnings) = (self.count(Level::Problem), self.count(Level::Warning));
        for Finding { level, check, text, remedy } in &self.0 {
            report.line(format!("{level:8} {check}: {text}"));
            if let Some(remedy) = remedy {
                report.line(format!("         → {remedy}"));
            }
        }
        report.line(format!("problems: {problems}, warnings: {warnings}"));
        let findings = self.0.iter().map(|Finding { level, check, text, remedy }| {
            json!({"level": level.to_string(), "check": check, "text": text, "remedy": remedy})
        });
        report.field("findings", findings.collect::<Vec<Value>>());
        report.field("problems", problems);
        report.field("warnings", warnings);
        if problems > 0 {
            report.amiss();
        }
        report
    }
}

/// Looks at everything, one thing after the other; what depends on what is broken is left out.
pub async fn doctor(arguments: &ApiArguments, file: Option<&Path>) -> Report {
    let mut findings = Findings::default();
    if let Some(settings) = configuration(&mut findings, file) {
        brokers(&mut findings, &settings.writer).await;
        zookeeper(&mut findings, &settings).await;
        upstream(&mut findings, settings.poller.as_ref()).await;
        api(&mut findings, &settings, arguments, file).await;
    }
    findings.report()
}

fn configuration(findings: &mut Findings, file: Option<&Path>) -> Option<Settings> {
    const CHECK: &str = "configuration";
    const MEND: &str = "mend the key in the file or in the environment; --help lists all keys";
    let (settings, warnings) = match config::load(file, |name| env::var_os(name)) {
        Ok(Checked { settings, warnings, .. }) => (Some(settings), warnings),
        Err(Rejected { problems, warnings, .. }) => {
            for problem in problems {
                findings.problem(CHECK, problem.to_string(), MEND);
            }
            (None, warnings)
        }
    };
    for warning in warnings {
        findings.warn(CHECK, warning, MEND);
    }
    if settings.is_some() {
        let shown = |file: &Path| Shown(&file.to_string_lossy()).to_string();
        let file = file.map_or("environment alone".to_owned(), shown);
        findings.ok(CHECK, format!("valid ({file})"));
    }
    settings
}

/// Whether each broker answers, and as which version.
async fn brokers(findings: &mut Findings, writer: &WriterSettings) {
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
                format!("{broker} takes connections, but does not tell its version"),
                "add srvr to 4lw.commands.whitelist in zoo.cfg, or set ZKServerVersion; if \
                 another program listens there, mend ZKBroker",
            ),
            // A session needs one of them only; whether there is one is the next finding.
            BrokerState::Unreachable(cause) => findings.problem(
                CHECK,
                format!("{broker} takes no connection: {cause}"),
                "start ZooKeeper there, mend ZKBroker, or open the way to it",
            ),
        }
    }
}

/// What can be seen only with a session.
async fn zookeeper(findings: &mut Findings, settings: &Settings) {
    const CHECK: &str = "session";
    const AWAY: &str = "look at ZooKeeper's log; an ensemble needs more than half of its servers";
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
    watch_dir.look(findings, user, zookeeper).await?;
    let Some(SubPoolSettings { base_dir, .. }) = sub_pools else {
        findings.ok("jobmaker", "not looked for: ZKSubPoolUpdateBaseDir is empty");
        return Ok(());
    };
    let base_dir_is = Directory {
        key: "ZKSubPoolUpdateBaseDir",
        dir: base_dir,
        absent: "start a jobmaker, which creates it, or mend the key",
        needs_create: false,
    };
    if base_dir_is.look(findings, user, zookeeper).await? {
        jobmakers(findings, base_dir, zookeeper).await?;
    }
    Ok(())
}

/// A directory of the configuration.
struct Directory<'a> {
    key: &'static str,
    dir: &'a ZnodeDir,
    absent: &'static str,
    /// Whether the daemon creates znodes there.
    needs_create: bool,
}

impl Directory<'_> {
    /// Whether it is there, and who may do what to it.
    async fn look(
        &self,
        findings: &mut Findings,
        user: Option<&str>,
        zookeeper: &Inspector,
    ) -> Result<bool, NoAnswer> {
        let node = self.dir.node();
        match zookeeper.look(&[node]).await?.pop() {
            Some(Seen::Znode { .. }) => {
                findings.ok("path", format!("{} is there ({node})", self.key))
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
                format!("everybody who reaches ZooKeeper may change {node}"),
                "let only the pool's machines reach ZooKeeper; or set ZKDigestCredentials and the \
                 ACLs of the znodes that exist",
            );
            return;
        }
        let ours = user.map(|user| format!("digest:{user}"));
        let may_create = rules.iter().any(|rule| Some(&rule.who) == ours.as_ref() && rule.create);
        if self.needs_create && !may_create {
            let who: Vec<_> =
                rules.iter().filter(|rule| rule.create).map(|rule| rule.who.as_str()).collect();
            let who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
            findings.problem(
                CHECK,
                format!("the daemon may not create sub-accounts in {node}: {} may", Shown(&who)),
                "set ZKDigestCredentials to a user of the ACL, or change the ACL",
            );
            return;
        }
        findings.ok(CHECK, format!("{node} is not open to the world"));
    }
}

/// When each sub-pool's jobmaker gave a sign of life.
async fn jobmakers(
    findings: &mut Findings,
    base_dir: &ZnodeDir,
    zookeeper: &Inspector,
) -> Result<(), NoAnswer> {
    const CHECK: &str = "jobmaker";
    const START: &str = "start the sub-pool's jobmaker, or look at its log; if the sub-pool is no \
        more, delete its znodes";
    let mut sub_pools = Vec::new();
    for coin in zookeeper.children(base_dir.node()).await? {
        let coin_path = base_dir.child(&coin);
        let names = zookeeper.children(&coin_path).await?;
        sub_pools.extend(
            names
                .into_iter()
                .map(|name| (format!("{coin}/{name}"), format!("{coin_path}/{name}/ack"))),
        );
    }
    sub_pools.sort();
    if sub_pools.len() > SUB_POOLS {
        findings.warn(
            CHECK,
            format!("there are {} sub-pools; {SUB_POOLS} are looked at", sub_pools.len()),
            "delete the znodes of those that are no more",
        );
        sub_pools.truncate(SUB_POOLS);
    }
    if sub_pools.is_empty() {
        let text = format!("there is no sub-pool in {base_dir}");
        findings.warn(CHECK, text, "start a jobmaker, which creates its sub-pools' znodes");
    }
    let paths: Vec<_> = sub_pools.iter().map(|(_, path)| path.as_str()).collect();
    for ((name, _), ack) in sub_pools.iter().zip(zookeeper.look(&paths).await?) {
        let name = Shown(name);
        match ack {
            Seen::Znode { written, .. } => {
                // One that lies ahead of our clock is as fresh as can be.
                let age = SystemTime::now().duration_since(written).unwrap_or_default();
                let text = format!("{name} acked {} s ago", age.as_secs());
                if age > OLD_ACK {
                    findings.problem(CHECK, text + ", which is more than 900", START);
                } else {
                    findings.ok(CHECK, text);
                }
            }
            Seen::Nothing => findings.problem(CHECK, format!("{name} has no ack znode"), START),
            Seen::Forbidden(cause) => findings.problem(
                CHECK,
                format!("the ack of {name} cannot be read: {cause}"),
                "let everybody read it, or set ZKDigestCredentials to a user of its ACL",
            ),
        }
    }
    Ok(())
}

/// Whether the upstream answers, in which shape, and by which clock.
async fn upstream(findings: &mut Findings, poller: Option<&PollerSettings>) {
    const CHECK: &str = "upstream";
    let Some(poller) = poller else {
        return findings.ok(CHECK, "not asked: EnableCronJob is false");
    };
    let url = &poller.url;
    let map = match preview_map(poller).await {
        Ok(map) => map,
        Err(error) => {
            let remedy =
                error.remedy.map_or("start the backend, or mend UserCoinMapURL".into(), Cow::from);
            return findings.problem(CHECK, format!("{url}: {}", error.cause), remedy);
        }
    };
    findings.ok(CHECK, format!("{url} answers with {} sub-accounts", map.sub_accounts()));
    if let Some(warning) = map.warning() {
        findings.warn(CHECK, warning, "let the backend answer in the documented shape (README)");
    }
    if let Some((name, fault)) = map.first_invalid().first() {
        findings.warn(
            CHECK,
            format!("{} entries can never be written; the first: {name}: {fault}", map.invalid()),
            "mend the entries, or add the coin to AvailableCoins; `verify` shows more of them",
        );
    }
    clock(findings, &map, SystemTime::now());
}

fn clock(findings: &mut Findings, map: &MapPreview, now: SystemTime) {
    const CHECK: &str = "clock";
    let Some(date) = map.now_date() else {
        return findings.ok(CHECK, "the upstream tells no now_date to compare");
    };
    let ours = i64::try_from(seconds(now)).unwrap_or(i64::MAX);
    let skew = date.saturating_sub(ours);
    let text = format!(
        "the upstream's now_date is {} s {} our clock",
        skew.unsigned_abs(),
        if skew < 0 { "behind" } else { "ahead of" }
    );
    if !map.is_followed(now) {
        findings.problem(
            CHECK,
            format!("{text}; it is not followed, so all is pulled each time"),
            "let the backend send the seconds since 1970 as now_date, and both machines use NTP",
        );
    } else if skew.unsigned_abs() > SKEW {
        findings.warn(CHECK, text, "let both machines use NTP");
    } else {
        findings.ok(CHECK, text);
    }
}

/// Whether the daemon answers, and to these credentials. The request names nobody, so it changes nothing.
async fn api(
    findings: &mut Findings,
    settings: &Settings,
    arguments: &ApiArguments,
    file: Option<&Path>,
) {
    const CHECK: &str = "api";
    const USERCOINS_EMPTY: i64 = 108;
    if settings.api.is_none() && arguments.server.is_none() {
        return findings.ok(CHECK, "not called: EnableAPIServer is false");
    }
    let caller = match Caller::find(arguments, file) {
        Ok(caller) => caller,
        Err(failure) => {
            let remedy = "give --server, --user and --password-file, or mend the configuration";
            return findings.problem(CHECK, failure.text, remedy);
        }
    };
    let server = caller.server.as_str();
    let api = Api::new(&caller, Duration::from_secs(arguments.timeout));
    match api.post("/switch/multi-user", br#"{"usercoins":[]}"#.to_vec()).await {
        Ok(answer) if answer.err_no == USERCOINS_EMPTY => {
            findings.ok(CHECK, format!("{server} answers, and takes the credentials"));
        }
        Ok(answer) => findings.problem(
            CHECK,
            format!("{server} answers {} {}", answer.err_no, Shown(&answer.err_msg)),
            "look whether the program there is this daemon, and which version",
        ),
        Err(error) => {
            let remedy = match error {
                CallError::NotSent { .. } => "start the daemon, or mend ListenAddr",
                CallError::NoAnswer { .. } => "look at the daemon's log",
                CallError::Unauthorized { .. } => {
                    "restart the daemon if its configuration has changed since its start"
                }
                CallError::NotTheDaemon { .. } => "stop the other program, or mend ListenAddr",
            };
            findings.problem(CHECK, error.to_string(), remedy);
        }
    }
}
