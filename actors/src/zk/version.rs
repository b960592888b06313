//! Versions of the ZooKeeper servers, and the operations that each supports.
//!
//! A server closes the connection on an operation that it does not know: 3.4 on `create2`, on a `multi` of creates and
//! on a `multiRead`. So the version is asked first, by the four-letter word `srvr`, which 3.4 to 3.9 answer by default.

use std::{fmt, io, str::FromStr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use super::{
    dial::{NoConnection, dial, expects_tls, has_no_tls, needs_tls},
    tls::ZkTls,
};
use crate::tls::TlsFault;

/// A ZooKeeper server's version. The oldest of an ensemble counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// `3` in 3.8.0.
    pub major: u32,
    /// `8` in 3.8.0.
    pub minor: u32,
    /// `0` in 3.8.0.
    pub patch: u32,
}

/// The text is no version like `3.4.13`.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("is no version like 3.4.13")]
pub struct ServerVersionError;

impl ServerVersion {
    /// The oldest supported version, assumed of a server that does not report its own.
    pub const OLDEST: Self = Self { major: 3, minor: 4, patch: 6 };

    /// Whether a transaction may create znodes, and a single create may be answered with a stat.
    pub(crate) fn creates_in_transactions(self) -> bool {
        (self.major, self.minor) >= (3, 5)
    }

    /// Whether one request can read several znodes.
    pub(crate) fn reads_many_at_once(self) -> bool {
        (self.major, self.minor) >= (3, 6)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ServerVersion {
    type Err = ServerVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.').map(|part| part.parse().map_err(|_| ServerVersionError));
        let mut part = || parts.next().unwrap_or(Err(ServerVersionError));
        let version = Self { major: part()?, minor: part()?, patch: part()? };
        if parts.next().is_some() { Err(ServerVersionError) } else { Ok(version) }
    }
}

/// Grace period, after the first answer, for brokers whose version is already known.
const GRACE: Duration = Duration::from_millis(50);

/// Answer of one broker.
#[derive(Debug)]
pub(super) enum Probe {
    /// It answered `srvr`.
    Version(ServerVersion),
    /// It answered something else: it does not serve now, or `srvr` is not allowed.
    Evasive,
    /// It speaks another protocol. The text is the beginning of its answer.
    Foreign(String),
    /// It speaks TLS in another way than we do, or only one side speaks TLS.
    Tls(TlsFault),
    /// It accepts connections and answers nothing: it hangs, or is no ZooKeeper server.
    Silent,
    /// It accepts no connections.
    Unreachable(io::Error),
    /// It neither accepted nor refused a connection in time: its name or its network may be slow. Or [`GRACE`] ended
    /// first.
    Slow,
}

/// Asks all brokers (`host:port`) at once and returns the answers in the same order. Each has `patience` to accept the
/// connection and as long again to answer. Those that are `known` have only [`GRACE`] once another has answered, so that
/// one that hangs delays no connection to the others.
pub(super) async fn probe(
    brokers: &[String],
    tls: Option<&ZkTls>,
    patience: Duration,
    known: &[bool],
) -> Vec<Probe> {
    let probes = brokers.iter().enumerate();
    let mut probes: FuturesUnordered<_> = probes
        .map(|(index, broker)| async move { (index, probe_one(broker, tls, patience).await) })
        .collect();
    let mut answers: Vec<_> = brokers.iter().map(|_| None).collect();
    let mut latest = None;
    loop {
        let next = async {
            match latest {
                Some(latest) => timeout_at(latest, probes.next()).await.unwrap_or(None),
                None => probes.next().await,
            }
        };
        let Some((index, probe)) = next.await else { break };
        answers[index] = Some(probe);
        let has_answered =
            |answer: &Option<_>| matches!(answer, Some(Probe::Version(_) | Probe::Evasive));
        let is_enough = answers.iter().any(has_answered)
            && answers.iter().zip(known).all(|(answer, known)| answer.is_some() || *known);
        if is_enough && latest.is_none() {
            latest = Some(Instant::now() + GRACE);
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Probe::Slow)).collect()
}

async fn probe_one(broker: &str, tls: Option<&ZkTls>, patience: Duration) -> Probe {
    match ask(broker, tls, patience).await {
        // A server that expects TLS waits for more than that word.
        Probe::Silent if tls.is_none() && expects_tls(broker, patience).await => {
            Probe::Tls(needs_tls())
        }
        Probe::Tls(fault) if expects_tls(broker, patience).await => Probe::Tls(fault),
        Probe::Tls(fault) => match ask(broker, None, patience).await {
            Probe::Version(_) | Probe::Evasive => Probe::Tls(has_no_tls()),
            _ => Probe::Tls(fault),
        },
        other => other,
    }
}

async fn ask(broker: &str, tls: Option<&ZkTls>, patience: Duration) -> Probe {
    let mut stream = match dial(broker, tls, patience).await {
        Ok(stream) => stream,
        Err(NoConnection::Refused(error)) => return Probe::Unreachable(error),
        Err(NoConnection::Slow) => return Probe::Slow,
        Err(NoConnection::Silent) => return Probe::Silent,
        Err(NoConnection::Tls(fault)) => return Probe::Tls(fault),
    };
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(b"srvr").await?;
        stream.flush().await?;
        (&mut stream).take(4096).read_to_end(&mut answer).await
    };
    // A server that speaks first may wait for more than that word: its first bytes are the answer.
    let asked = timeout(patience, asked).await;
    match (asked, tls) {
        _ if !answer.is_empty() => sort(&answer),
        (Ok(Err(error)), Some(tls)) => tls.late_fault(&error).map_or(Probe::Silent, Probe::Tls),
        _ => Probe::Silent,
    }
}

/// First bytes that servers of other protocols send, by themselves or to an unknown line: HTTP, SSH, Redis, SMTP and FTP,
/// TLS.
const FOREIGN: [&[u8]; 9] =
    [b"HTTP/", b"SSH-", b"-ERR", b"-NOAUTH", b"+OK", b"220 ", b"220-", b"<", b"\x15\x03"];

fn sort(answer: &[u8]) -> Probe {
    if FOREIGN.iter().any(|beginning| answer.starts_with(beginning)) {
        let beginning = String::from_utf8_lossy(&answer[..answer.len().min(40)]);
        return Probe::Foreign(beginning.lines().next().unwrap_or_default().to_owned());
    }
    parse_srvr(&String::from_utf8_lossy(answer)).map_or(Probe::Evasive, Probe::Version)
}

/// Finds `3.8.0` in `Zookeeper version: 3.8.0-5a02a05…, built on …`.
fn parse_srvr(answer: &str) -> Option<ServerVersion> {
    let rest = answer.lines().find_map(|line| line.strip_prefix("Zookeeper version: "))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn version(major: u32, minor: u32, patch: u32) -> ServerVersion {
        ServerVersion { major, minor, patch }
    }

    #[test]
    fn the_version_is_read_from_what_servers_answer() {
        for (answer, expected) in [
            ("Zookeeper version: 3.4.6-1569965, built on 02/20/2014\nLatency", Some((3, 4, 6))),
            ("Zookeeper version: 3.8.0-${mvngit.commit.id}, built on", Some((3, 8, 0))),
            ("Zookeeper version: 3.9.3-c26634f3, built on", Some((3, 9, 3))),
            ("srvr is not executed because it is not in the whitelist.\n", None),
            ("This ZooKeeper instance is not currently serving requests\n", None),
            ("Zookeeper version: nightly\n", None),
            ("", None),
        ] {
            assert_eq!(parse_srvr(answer), expected.map(|(a, b, c)| version(a, b, c)), "{answer}");
        }
    }

    /// A broker that takes connections, and answers them or not.
    async fn broker(answers: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if answers {
                    let _ = stream.read_exact(&mut [0; 4]).await;
                    let _ = stream.write_all(b"Zookeeper version: 3.8.0-x\n").await;
                } else {
                    held.push(stream);
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_known_broker_that_hangs_is_not_waited_for_once_another_has_answered() {
        const ENDLESS: Duration = Duration::from_secs(3_600);
        let brokers = [broker(false).await, broker(true).await, broker(true).await];
        let probes = probe(&brokers, None, ENDLESS, &[true, true, false]);
        let probes = timeout(Duration::from_secs(60), probes).await.expect("not for ever");
        assert!(
            matches!(probes[..], [Probe::Slow, Probe::Version(_), Probe::Version(_)]),
            "{probes:?}"
        );
        // An unknown broker is waited for, and so is a broker that is alone.
        let brief = Duration::from_millis(200);
        let unknown = probe(&brokers, None, brief, &[false, true, true]).await;
        assert!(matches!(unknown[0], Probe::Silent), "{unknown:?}");
        let alone = probe(&brokers[..1], None, brief, &[true]).await;
        assert!(matches!(alone[..], [Probe::Silent]), "{alone:?}");
    }

    #[test]
    fn another_protocol_is_told_from_a_server_that_does_not_say() {
        for answer in [
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "-ERR unknown command 'srvr'\r\n",
            "220 mail.example.org ESMTP\r\n",
        ] {
            let first = answer.lines().next().unwrap();
            assert!(
                matches!(sort(answer.as_bytes()), Probe::Foreign(text) if text == first),
                "{answer}"
            );
        }
        for answer in [
            "srvr is not executed because it is not in the whitelist.\n",
            "This ZooKeeper instance is not currently serving requests\n",
        ] {
            assert!(matches!(sort(answer.as_bytes()), Probe::Evasive), "{answer}");
        }
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!("3.4.13".parse(), Ok(version(3, 4, 13)));
        for text in ["3.4", "3.4.x", "", "3.4.6.1", "v3.4.6"] {
            assert_eq!(text.parse::<ServerVersion>(), Err(ServerVersionError), "{text}");
        }
    }

    #[test]
    fn abilities_follow_the_version() {
        let abilities = |v: ServerVersion| (v.creates_in_transactions(), v.reads_many_at_once());
        assert_eq!(abilities(ServerVersion::OLDEST), (false, false));
        assert_eq!(abilities(version(3, 5, 0)), (true, false));
        assert_eq!(abilities(version(3, 6, 0)), (true, true));
        assert_eq!(abilities(version(4, 0, 0)), (true, true));
    }

    #[tokio::test]
    async fn a_broker_that_keeps_silent_is_told_from_one_that_is_not_there() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let brokers = [address(&silent), address(&gone)];
        drop(gone);
        let probes = probe(&brokers, None, Duration::from_millis(50), &[false, false]).await;
        assert!(matches!(probes[..], [Probe::Silent, Probe::Unreachable(_)]), "{probes:?}");
    }
}
