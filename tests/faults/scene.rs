//! Everything that a campaign has on stage: ZooKeeper servers, two daemons, a way between each daemon and each
//! server, a way between the clients and each daemon, and a backend with a user-coin map.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use upstream_sim::Upstream;

use crate::backend;
use crate::proxy::{Proxy, Trap, Way};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::{DIGEST_CREDENTIALS, Role, ZooKeeper};
use crate::support::{eventually, free_port, seconds, unique};

/// Short, so that what lasts longer than a session does not last long.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// `ZKRequestTimeoutSeconds` of the daemons.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// `ZKSubPoolUpdateAckTimeout` of the daemons.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(1);
/// Different coins, hence how often a sub-account can be switched in a round: more than there is time for.
pub const COINS: usize = 24_000;
/// The same for maps.
pub const MAPS: usize = 1_000;

/// The servers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Servers {
    One,
    Three,
}

/// See the module.
pub struct Scene {
    pub servers: Vec<ZooKeeper>,
    /// The first is never ended, for what it may leak.
    pub daemons: Vec<Member>,
    pub upstream: Upstream,
    /// Where the sub-pools' znodes are, with its slash.
    pub base_dir: String,
}

/// A daemon and the ways to and from it.
pub struct Member {
    builder: Builder,
    pub daemon: Daemon,
    /// To each server.
    pub ways: Vec<Proxy>,
    /// From the clients.
    pub front: Proxy,
    /// What was wrong with those that it has taken the place of.
    pub findings: Vec<String>,
}

impl Scene {
    pub async fn set(kind: Servers) -> Self {
        let servers = match kind {
            Servers::One => vec![ZooKeeper::private().await],
            Servers::Three => ZooKeeper::ensemble_that_waits(4).await,
        };
        let upstream = backend::start().await;
        let (watch_dir, base_dir) = (format!("/t/{}/", unique("faults")), "/subpool/".to_owned());
        let mut daemons = Vec::new();
        for number in 0..2 {
            let mut ways = Vec::new();
            for server in &servers {
                ways.push(Proxy::to_zookeeper(server.address()).await);
            }
            let brokers: Vec<_> = ways.iter().map(Proxy::address).collect();
            let listen = format!("127.0.0.1:{}", free_port());
            let coins: Vec<_> = (0..COINS).map(coin).chain((0..MAPS).map(map_coin)).collect();
            let builder = Daemon::builder(&servers[0])
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
                .set("UserCoinMapURL", format!("http://{}/daemon{number}", upstream.address()));
            let daemon = builder.start().await;
            let front = Proxy::to(listen).await;
            daemons.push(Member { builder, daemon, ways, front, findings: Vec::new() });
        }
        Self { servers, daemons, upstream, base_dir }
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
    pub async fn leader(&self) -> usize {
        let waited = eventually("a leader", seconds(60), || async {
            self.find(|role| role != Role::Follower).await
        });
        waited.await
    }

    /// One of those that do not.
    pub async fn follower(&self) -> usize {
        let waited = eventually("a follower", seconds(60), || async {
            self.find(|role| role == Role::Follower).await
        });
        waited.await
    }

    async fn find(&self, is_it: impl Fn(Role) -> bool) -> Option<usize> {
        for (index, server) in self.servers.iter().enumerate() {
            if server.role().await.is_some_and(&is_it) {
                return Some(index);
            }
        }
        None
    }

    /// Waits until ZooKeeper takes writes again; when that was seen.
    pub async fn serving(&self) -> Instant {
        let start = Instant::now();
        while self.find(|role| role != Role::Follower).await.is_none() {
            assert!(start.elapsed() < seconds(60), "no server leads after {:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Instant::now()
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
    /// Changes what passes on all ways to the servers.
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

    /// How often it has told that its connection is lost.
    pub fn losses(&self) -> usize {
        self.daemon.log_with(&["ZooKeeper connection lost"]).len()
    }

    /// Starts it again after its end; when it listened.
    pub async fn start_again(&mut self) -> Instant {
        self.findings.extend(self.daemon.log_with(&["panicked"]));
        self.daemon = self.builder.start().await;
        Instant::now()
    }

    /// The same, with more in its environment.
    pub async fn start_with(&mut self, environment: &[(&str, &str)]) {
        let with =
            |builder: Builder, (name, value): &(&str, &str)| builder.environment(name, value);
        self.findings.extend(self.daemon.log_with(&["panicked"]));
        let builder = environment.iter().fold(self.builder.clone(), with);
        self.daemon = builder.start().await;
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) {
        self.daemon.signal(Signal::TERM);
        let status = self.daemon.wait_exit(seconds(20)).await;
        if status.code() != Some(0) {
            self.findings.push(format!("SIGTERM ended the daemon with {status}"));
        }
    }
}

/// The coins of clients' switches.
pub fn coin(number: usize) -> String {
    format!("c{number}")
}

/// The coins of maps.
pub fn map_coin(number: usize) -> String {
    format!("m{number}")
}
