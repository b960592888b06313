//! Everything that a campaign has on stage: ZooKeeper servers, two daemons, a way between each daemon and each
//! server, a way between the clients and each daemon, and a backend with a user-coin map, user lists and registration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;
use upstream_sim::Upstream;

use crate::backend;
use crate::lists::Lists;
use crate::proxy::{Proxy, Trap, Way};
use crate::recorded::{Kill, Line};
use crate::support::certificates::Authority;
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::{DIGEST_CREDENTIALS, Role, ServerTls, ZooKeeper};
use crate::support::{free_port, seconds, unique, write_private};

/// Short, so that a fault can outlast a session within seconds.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// `ZKRequestTimeoutSeconds` of the daemons.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// `ZKSubPoolUpdateAckTimeout` of the daemons.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(1);
/// Different coins, hence how often a sub-account can be switched in a round: more than there is time for.
pub const COINS: usize = 24_000;
/// The same for maps.
pub const MAPS: usize = 1_000;
/// Coins whose lists grow. The first is that of registered sub-accounts.
pub const GROWING: [&str; 2] = ["l0", "l1"];
/// Coins whose lists stay empty, so that switches to them are held.
pub const EMPTY: usize = 8;
/// `IntervalSeconds` of the daemons.
const LIST_INTERVAL: u64 = 1;
/// Their safety period in seconds.
pub const PERIOD: u64 = LIST_INTERVAL * 15 / 10;
/// `UserAutoRegTimeoutSeconds`.
const REGISTRATION_TIMEOUT: u64 = 3;
/// The daemon that registers: the one that is killed and restarted.
pub const REGISTRAR: usize = 1;
/// Path of registrations at the backend.
pub const REGISTER: &str = "/register";

/// The servers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Servers {
    One,
    Three,
}

/// Whether the daemons speak TLS to ZooKeeper (`FAULTS_TLS=1`). Then the ways see no requests, so there are no traps.
pub fn has_tls() -> bool {
    std::env::var("FAULTS_TLS").is_ok_and(|it| it == "1")
}

/// See the module.
pub struct Scene {
    pub servers: Vec<ZooKeeper>,
    /// The first is never stopped, so that its leaks show.
    pub daemons: Vec<Member>,
    pub upstream: Upstream,
    /// The backend's lists.
    pub lists: Lists,
    /// Where the sub-pools' znodes are, with its slash.
    pub base_dir: String,
    /// Whether the daemons choose one that polls; otherwise each does.
    pub one_polls: bool,
    /// Whether the servers know reads of many znodes at once, which came with 3.6.
    pub reads_many_at_once: bool,
}

/// Where the daemons' znodes are.
#[derive(Clone, Debug)]
pub struct Places {
    root: String,
}

impl Places {
    pub fn znode(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// Index entry of a sub-account.
    pub fn index(&self, name: &str) -> String {
        format!("{}_case/{}", self.root, name.to_lowercase())
    }

    /// Request for a registration.
    pub fn request(&self, name: &str) -> String {
        format!("{}_reg/{name}", self.root)
    }

    pub fn intents(&self) -> String {
        format!("{}_held/switches", self.root)
    }

    /// Held switch of a sub-account.
    pub fn intent(&self, name: &str) -> String {
        format!("{}/{name}", self.intents())
    }
}

/// A daemon and the ways to and from it.
pub struct Member {
    builder: Builder,
    pub daemon: Daemon,
    /// To each server.
    pub ways: Vec<Proxy>,
    /// From the clients.
    pub front: Proxy,
    /// How often it was started.
    pub starts: usize,
    /// The address of its admin pages.
    pub admin: String,
    /// The file of its history; the key of the chain is next to it.
    pub history: PathBuf,
    pub syncs_all: bool,
    pub kills: Vec<Kill>,
    log_findings: LogFindings,
    /// Violations of this daemon and its predecessors.
    pub findings: Vec<String>,
}

impl Scene {
    pub async fn set(kind: Servers) -> Self {
        let authority = has_tls().then(|| Authority::new("zookeepers"));
        let tls = authority.as_ref().map(|authority| {
            let identity = authority.server();
            let (certificate, key) = (identity.pem().to_owned(), identity.key_pem());
            ServerTls { certificate, key, clients: None }
        });
        let servers = match (kind, tls) {
            (Servers::One, None) => vec![ZooKeeper::private().await],
            (Servers::One, Some(tls)) => vec![ZooKeeper::with_tls(tls).await],
            (Servers::Three, tls) => ZooKeeper::ensemble_with(4, tls).await,
        };
        let lists = Lists::default();
        let upstream = backend::start(&lists).await;
        let root = format!("/t/{}", unique("faults"));
        let (watch_dir, base_dir) = (format!("{root}/"), "/subpool/".to_owned());
        // The lock has to survive a change of servers. Without a lock, both daemons poll.
        let one_polls = kind == Servers::Three;
        let lock = if one_polls { "/campaign/poller" } else { "" };
        let mut daemons = Vec::new();
        for number in 0..2 {
            let mut ways = Vec::new();
            for server in &servers {
                ways.push(match has_tls() {
                    true => Proxy::to(server.tls_address()).await,
                    false => Proxy::to_zookeeper(server.address()).await,
                });
            }
            let brokers: Vec<_> = ways.iter().map(Proxy::address).collect();
            let [listen, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
            // Each way for the daemon that is killed, too.
            let syncs_all = (number == REGISTRAR) == (kind == Servers::One);
            let coins = (0..COINS).map(coin).chain((0..MAPS).map(map_coin));
            let coins: Vec<_> = coins.chain(listed_coins()).collect();
            let url = |path: &str| format!("http://{}{path}", upstream.address());
            let urls =
                listed_coins().map(|coin| (coin.clone(), url(&format!("/list/{coin}")).into()));
            let builder = Daemon::builder(&servers[0]);
            let history = builder.folder().join("history.db");
            let mut builder = builder
                // The judge of histories reads the log.
                .environment("LogFormat", "json")
                .set("AdminListenAddr", admin.clone())
                .set("HistoryFile", history.to_str().unwrap())
                .set("HistoryKeyFile", history.with_extension("key").to_str().unwrap())
                .set("HistorySync", if syncs_all { "all" } else { "updates" })
                // Longer than a clock steps.
                .set("HistoryDays", 3_650)
                .set("ListenAddr", listen.clone())
                .set("ZKBroker", brokers)
                .set("ZKSwitcherWatchDir", watch_dir.clone())
                .set("ZKSubPoolUpdateBaseDir", base_dir.clone())
                .set("ZKSubPoolUpdateAckTimeout", ACK_TIMEOUT.as_secs())
                .set("ZKSessionTimeoutSeconds", SESSION_TIMEOUT.as_secs())
                .set("ZKRequestTimeoutSeconds", REQUEST_TIMEOUT.as_secs())
                .set("ZKDigestCredentials", DIGEST_CREDENTIALS)
                .set("AvailableCoins", coins)
                .set("EnableCronJob", true)
                .set("CronIntervalSeconds", 1)
                .set("CronFetchTimeoutSeconds", 1)
                .set("ZKPollerLockPath", lock)
                .set("UserCoinMapURL", url(&format!("/daemon{number}")))
                .set("UserListAPI", Value::Object(urls.collect()))
                .set("IntervalSeconds", LIST_INTERVAL)
                .set("ZKUserCaseInsensitiveIndex", format!("{root}_case/"));
            if let Some(authority) = &authority {
                let file = write_private(&builder.folder().join("zk-ca.pem"), authority.pem());
                builder = builder.set("ZKTLSCAFile", file.to_str().unwrap());
            }
            if number == REGISTRAR {
                builder = builder
                    .set("EnableUserAutoReg", true)
                    .set("ZKAutoRegWatchDir", format!("{root}_reg/"))
                    .set("UserAutoRegTimeoutSeconds", REGISTRATION_TIMEOUT)
                    .set("UserAutoRegParallelRequests", 4)
                    .set(
                        "UserAutoRegAPI",
                        json!({
                            "URL": url(REGISTER),
                            "DefaultCoin": GROWING[0],
                            "IntervalSeconds": 1,
                            "PostData": {"sub_name": "{sub_name}"},
                        }),
                    );
            }
            let daemon = builder.start().await;
            let front = Proxy::to(listen).await;
            let (log_findings, findings) = (LogFindings::default(), Vec::new());
            let (starts, kills) = (1, Vec::new());
            daemons.push(Member {
                builder,
                daemon,
                ways,
                front,
                starts,
                admin,
                history,
                syncs_all,
                kills,
                log_findings,
                findings,
            });
        }
        let reads_many_at_once = servers[0].version().await >= (3, 6, 0);
        Self { servers, daemons, upstream, lists, base_dir, one_polls, reads_many_at_once }
    }

    pub fn places(&self) -> Places {
        let watch_dir = self.daemons[0].daemon.watch_dir();
        Places { root: watch_dir.trim_end_matches('/').to_owned() }
    }

    /// Where the clients send their undos.
    pub fn admins(&self) -> Vec<String> {
        self.daemons.iter().map(|member| member.admin.clone()).collect()
    }

    /// Where the clients send their requests.
    pub fn fronts(&self) -> Vec<String> {
        self.daemons.iter().map(|member| member.front.address()).collect()
    }

    /// All servers, past the ways.
    pub fn brokers(&self) -> String {
        let brokers: Vec<_> = self.servers.iter().map(ZooKeeper::address).collect();
        brokers.join(",")
    }

    /// The server that decides: the leader, or the only one.
    pub async fn leader(&self) -> Result<usize, String> {
        self.find("leads", |_| true, |role| role != Role::Follower).await
    }

    /// One of those that do not.
    pub async fn follower(&self) -> Result<usize, String> {
        self.find("follows", |_| true, |role| role == Role::Follower).await
    }

    /// A follower that a daemon is connected to; moves a daemon to another server until there is one.
    pub async fn follower_of_a_daemon(&self) -> Result<usize, String> {
        const TRIES: usize = 20;
        for _ in 0..TRIES {
            for (index, server) in self.servers.iter().enumerate() {
                let has_one = !self.with_any(&[index], true).is_empty();
                if has_one && server.role().await == Some(Role::Follower) {
                    return Ok(index);
                }
            }
            self.daemons[1].cut();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(format!("no daemon was with a follower in {TRIES} tries"))
    }

    /// The daemons connected to any of these servers; all daemons unless it `matters`.
    pub fn with_any(&self, servers: &[usize], matters: bool) -> Vec<usize> {
        let is_with = |daemon: &usize| {
            let ways = &self.daemons[*daemon].ways;
            !matters || servers.iter().any(|&server| ways[server].connections() > 0)
        };
        (0..self.daemons.len()).filter(is_with).collect()
    }

    /// Waits until another server leads; when that was seen.
    pub async fn another_leads(&self, former: usize) -> Result<Instant, String> {
        let others = |index| index != former;
        self.find("leads in its place", others, |role| role == Role::Leader).await?;
        Ok(Instant::now())
    }

    /// Waits until ZooKeeper takes writes again; when that was seen.
    pub async fn serving(&self) -> Result<Instant, String> {
        self.leader().await?;
        Ok(Instant::now())
    }

    /// Waits until one of the servers `among` has the role; `wanted` describes it for the error.
    async fn find(
        &self,
        wanted: &str,
        among: impl Fn(usize) -> bool,
        has_role: impl Fn(Role) -> bool,
    ) -> Result<usize, String> {
        let start = Instant::now();
        while start.elapsed() < seconds(60) {
            for index in (0..self.servers.len()).filter(|&index| among(index)) {
                if self.servers[index].role().await.is_some_and(&has_role) {
                    return Ok(index);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("no server {wanted} after {:?}", start.elapsed()))
    }

    /// Starts every server that was killed.
    pub fn start_missing(&mut self) {
        for server in &mut self.servers {
            if !server.is_running() {
                server.start_again();
            }
        }
    }
}

impl Member {
    /// Sets the state of all ways to the servers.
    pub fn set_ways(&self, way: Way) {
        for proxy in &self.ways {
            proxy.set(way);
        }
    }

    /// Cuts all connections to the servers.
    pub fn cut(&self) {
        for proxy in &self.ways {
            proxy.cut();
        }
    }

    pub fn set_trap(&self, trap: Option<Trap>) {
        for proxy in &self.ways {
            proxy.set_trap(trap);
        }
    }

    pub fn sprung(&self) -> usize {
        self.ways.iter().map(Proxy::sprung).sum()
    }

    /// Number of lost connections that it has logged.
    pub fn losses(&mut self) -> usize {
        self.read_log();
        self.log_findings.losses
    }

    /// Reads the log lines since the last call.
    pub fn read_log(&mut self) {
        let lines = self.daemon.log_from(self.log_findings.lines);
        self.findings.extend(self.log_findings.take_in(lines));
    }

    /// Starts it again after its end; when it listened.
    pub async fn start_again(&mut self) -> Instant {
        self.start_with(&[]).await;
        Instant::now()
    }

    /// The same, with more in its environment.
    pub async fn start_with(&mut self, environment: &[(&str, &str)]) {
        let with =
            |builder: Builder, (name, value): &(&str, &str)| builder.environment(name, value);
        let builder = environment.iter().fold(self.builder.clone(), with);
        let successor = builder.start().await;
        // By now all that the former has said has been read.
        self.read_log();
        self.log_findings.lines = 0;
        self.daemon = successor;
        self.starts += 1;
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.daemon.kill9();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        self.kills.push(Kill { moment: Instant::now(), time });
    }

    /// Takes what its log says of switches and sessions so far.
    pub fn take_log(&mut self) -> (Vec<Line>, BTreeSet<i64>) {
        self.read_log();
        let LogFindings { switches, sessions, .. } = &mut self.log_findings;
        (std::mem::take(switches), sessions.clone())
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) {
        self.daemon.signal(Signal::TERM);
        let ended = timeout(seconds(20), self.daemon.wait_exit(seconds(60))).await;
        match ended {
            Ok(status) if status.code() == Some(0) => {}
            Ok(status) => self.findings.push(format!("SIGTERM ended the daemon with {status}")),
            Err(_) => {
                self.findings.push("SIGTERM did not end the daemon".to_owned());
                self.kill9();
            }
        }
    }
}

/// Findings in a daemon's log so far: the log grows as long as a campaign lasts, and is read once.
#[derive(Default)]
struct LogFindings {
    /// Number of lines read of the current process.
    lines: usize,
    /// How often a connection to ZooKeeper was lost.
    losses: usize,
    /// Lines about switches that were applied.
    switches: Vec<Line>,
    /// Its sessions with ZooKeeper.
    sessions: BTreeSet<i64>,
}

impl LogFindings {
    /// Takes in the lines that follow; returns those of panics.
    fn take_in(&mut self, lines: Vec<String>) -> Vec<String> {
        self.lines += lines.len();
        self.losses += lines.iter().filter(|it| it.contains("ZooKeeper connection lost")).count();
        for line in lines.iter().filter_map(|line| serde_json::from_str(line).ok()) {
            self.switches.extend(Line::parse(&line));
            self.sessions.extend(session(&line));
        }
        lines.into_iter().filter(|line| line.contains("panicked")).collect()
    }
}

/// The session that a line reports.
fn session(line: &Value) -> Option<i64> {
    let session = line["session"].as_str()?.strip_prefix("0x")?;
    u64::from_str_radix(session, 16).ok().map(|session| session as i64)
}

/// The coins of clients' switches.
pub fn coin(number: usize) -> String {
    format!("c{number}")
}

/// The coins whose lists stay empty.
pub fn empty_coin(number: usize) -> String {
    format!("h{number}")
}

/// The coins that have lists.
fn listed_coins() -> impl Iterator<Item = String> {
    GROWING.into_iter().map(str::to_owned).chain((0..EMPTY).map(empty_coin))
}

/// The coins of maps.
pub fn map_coin(number: usize) -> String {
    format!("m{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_panic_is_reported_once_and_losses_are_counted() {
        let mut log = LogFindings::default();
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        let first = lines(&["WARN ZooKeeper connection lost; reconnecting", "thread panicked at"]);
        assert_eq!(log.take_in(first).len(), 1);
        assert_eq!((log.lines, log.losses), (2, 1));
        assert!(log.take_in(lines(&["INFO switch"])).is_empty());
        let more = lines(&["WARN ZooKeeper connection lost; reconnecting"]);
        assert!(log.take_in(more).is_empty());
        assert_eq!((log.lines, log.losses), (4, 2));
    }
}
