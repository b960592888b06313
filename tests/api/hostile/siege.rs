//! The setting of each attack: a daemon with a debug log, a bystander, all requests of which must succeed, and
//! the checks afterwards.

use std::cell::Cell;
use std::ops::AddAssign;
use std::time::Duration;

use crate::support::client::{Request, basic};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

pub const USER: &str = "keeper";
/// The daemon's own password; no log may show it.
pub const PASSWORD: &str = "t0p-s3cr3t-of-the-pool";
/// The attackers' password. It could be nearly right, so no log may show it either.
pub const ATTEMPT: &str = "n3arly-s3cr3t-of-the-pool";

/// Line ends of all kinds, a line that looks like the log's, and escapes that move a terminal's cursor.
pub const FORGERY: &str = "x, outcome: applied\r\nJan 01 00:00:00.000 INFO switch, forged: yes\
    \u{1b}[2J\u{1b}]0;t\u{7}\u{85}Jan 01\u{2028}Jan 01\u{202e}\u{9b}2J";

/// Requests of the bystander during an attack; one that is over sooner is repeated.
const AT_LEAST: usize = 20;

/// How much of an attack there is.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Connections of an attack that holds them.
    pub connections: usize,
    /// Requests of an attack that sends them.
    pub requests: usize,
    /// Connections that say nothing.
    pub idle: usize,
    /// Connections that send and read nothing.
    pub deaf: usize,
    /// How often an attack of few requests is repeated.
    pub rounds: usize,
    /// Different coins or paths that the list API is asked for.
    pub targets: usize,
}

/// For `make test`.
pub const SHORT: Scale =
    Scale { connections: 200, requests: 2_000, idle: 1_000, deaf: 40, rounds: 1, targets: 10_000 };
/// For `make hostile`.
pub const LONG: Scale = Scale {
    connections: 2_000,
    requests: 50_000,
    idle: 10_000,
    deaf: 200,
    rounds: 10,
    targets: 1_000_000,
};

/// Connections and requests of an attacker.
#[derive(Clone, Copy, Default)]
pub struct Sent {
    pub connections: usize,
    pub requests: usize,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.requests += other.requests;
    }
}

/// An attack's name, and the megabytes that the daemon may hold at its worst moment: about twice the
/// measured value.
#[derive(Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    pub megabytes: u64,
}

impl Attack {
    pub fn new(name: &'static str, megabytes: u64) -> Self {
        Self { name, megabytes }
    }
}

/// Results of an attack.
pub struct Reckoning {
    attack: Attack,
    sent: Sent,
    asked: usize,
    served: usize,
    /// Failed requests of the bystander.
    unserved: Vec<String>,
    peak: u64,
    forged: Vec<String>,
    secrets: Vec<String>,
}

impl Reckoning {
    pub fn head() -> String {
        format!(
            "{:<34} {:>11} {:>9} {:>10} {:>8} {:>8} {:>8} {:>7} {:>8}",
            "attack",
            "connections",
            "requests",
            "bystander",
            "served",
            "peak MB",
            "limit MB",
            "forged",
            "secrets"
        )
    }

    pub fn row(&self) -> String {
        let Self { attack, sent, asked, served, peak, forged, secrets, unserved: _ } = self;
        let Sent { connections, requests } = sent;
        let Attack { name, megabytes: limit } = attack;
        format!(
            "{name:<34} {connections:>11} {requests:>9} {asked:>10} {served:>8} {peak:>8} {limit:>8} {:>7} {:>8}",
            forged.len(),
            secrets.len()
        )
    }

    /// Panics unless the attack achieved nothing.
    pub fn assert_harmless(&self) {
        let Self { attack, asked, served, unserved, peak, forged, secrets, .. } = self;
        let Attack { name, megabytes: limit } = attack;
        assert!(asked == served, "{name}: {served} of {asked} served: {unserved:?}");
        assert!(peak <= limit, "{name}: {peak} MB, of {limit} allowed");
        assert!(forged.is_empty(), "{name}: {forged:#?}");
        assert!(secrets.is_empty(), "{name}: {secrets:#?}");
    }
}

/// A daemon with a debug log and timeouts of a second.
pub fn builder(zookeeper: &ZooKeeper) -> Builder {
    quiet(zookeeper).argument("-v").argument("3")
}

/// The same with the usual log: a debug log has a line for each request.
pub fn quiet(zookeeper: &ZooKeeper) -> Builder {
    Daemon::builder(zookeeper)
        .set("APIUser", USER)
        .set("APIPassword", PASSWORD)
        .set("APIHeadTimeoutSeconds", 1)
        .set("APIBodyTimeoutSeconds", 2)
}

/// A request with the right credentials.
pub fn known(request: Request) -> Request {
    request.credentials(USER, PASSWORD)
}

/// Goes on with `sending` until it ends, or until the daemon has closed all connections but the bystander's: a
/// sender with a closed window may notice that only minutes later.
pub async fn while_it_listens(daemon: &Daemon, before: usize, sending: impl Future) {
    let hanging_up = async {
        tokio::time::sleep(seconds(3)).await;
        eventually("the daemon hangs up on all of them", seconds(60), || async {
            // The bystander's connections come and go.
            (daemon.descriptors() <= before + 4).then_some(())
        })
        .await;
    };
    tokio::select! {
        _ = sending => {}
        () = hanging_up => {}
    }
}

/// Attacks the daemon while a bystander switches, and checks the results.
pub async fn besiege(
    attack: Attack,
    mut daemon: Daemon,
    work: impl AsyncFn(&Daemon) -> Sent,
) -> Reckoning {
    // From then on it has its session, and all descriptors that it keeps.
    let first = daemon.send_as_is(&known(Request::switch("bystander", "btc"))).await;
    assert!(first.answer().success, "{first:?}");
    let (asked, is_over) = (Cell::new(0), Cell::new(false));
    let attacking = async {
        let mut sent = Sent::default();
        while sent.connections == 0 || asked.get() < AT_LEAST {
            sent += work(&daemon).await;
        }
        is_over.set(true);
        sent
    };
    let (sent, unserved) = tokio::join!(attacking, stand_by(&daemon, &asked, &is_over));
    assert!(daemon.is_alive(), "{}: the daemon ended: {:#?}", attack.name, daemon.log());
    let lines = [daemon.log(), daemon.stdout()].concat();
    Reckoning {
        attack,
        sent,
        asked: asked.get(),
        served: asked.get() - unserved.len(),
        unserved,
        peak: daemon.peak_megabytes(),
        forged: lines.iter().filter(|line| is_forged(line)).cloned().collect(),
        secrets: lines.into_iter().filter(|line| shows_a_secret(line)).collect(),
    }
}

/// Switches until the attack is over, and once more, counting; returns the failures.
async fn stand_by(daemon: &Daemon, asked: &Cell<usize>, is_over: &Cell<bool>) -> Vec<String> {
    let (mut unserved, mut kept) = (Vec::new(), None);
    loop {
        let (is_last, number) = (is_over.get(), asked.get());
        let coin = if number % 2 == 0 { "btc" } else { "bcc" };
        let request = known(Request::switch("bystander", coin));
        // Every other request comes over a new connection.
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => daemon.connect().await,
        };
        match connection.send(&request).await {
            Ok(response) if response.status == 200 && response.answer().success => {}
            other => unserved.push(format!("request {number}: {other:?}")),
        }
        kept = (number % 2 == 0).then_some(connection);
        asked.set(number + 1);
        if is_last {
            return unserved;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a line is not the daemon's own: made by a logged text, or with escapes that move a cursor.
fn is_forged(line: &str) -> bool {
    let is_of_no_line =
        |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
    line.starts_with("Jan 01")
        || line.contains(is_of_no_line)
        || outside_quotes(line).contains("forged: ")
}

/// The line without its quoted parts, in single, double or escaped quotes.
fn outside_quotes(line: &str) -> String {
    let (mut outside, mut rest, mut closing) = (String::new(), line, None);
    while let Some(c) = rest.chars().next() {
        let token = &rest[..c.len_utf8()
            + if c == '\\' { rest[1..].chars().next().map_or(0, char::len_utf8) } else { 0 }];
        match closing {
            None if token.ends_with(['"', '\'']) => closing = Some(token),
            None => outside.push_str(token),
            Some(end) if token == end => closing = None,
            Some(_) => {}
        }
        rest = &rest[token.len()..];
    }
    outside
}

fn shows_a_secret(line: &str) -> bool {
    let encoded = [basic(USER, PASSWORD), basic(USER, ATTEMPT)];
    let encoded = encoded.iter().filter_map(|header| header.strip_prefix("Basic "));
    [PASSWORD, ATTEMPT].into_iter().chain(encoded).any(|secret| line.contains(secret))
}

#[test]
fn a_forged_line_would_be_found() {
    for line in [
        "Jan 01 00:00:00.000 INFO switch",
        "Nov 25 INFO switch, sub_account: x, forged: yes",
        "Nov 25 INFO switch, sub_account: \u{1b}[2J",
        "Nov 25 INFO switch\r",
    ] {
        assert!(is_forged(line), "{line:?}");
    }
    for line in [
        r#"Nov 25 INFO switch, sub_account: "x\", forged: yes", outcome: applied"#,
        r#"Nov 25 WARN poll, cause: string \"x, forged: yes\", expected i64, begins '\', forged: yes'"#,
    ] {
        assert!(!is_forged(line), "{line}");
    }
    assert!(shows_a_secret(&format!("header: {}", basic(USER, PASSWORD))));
}
