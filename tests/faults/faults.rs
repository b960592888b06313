//! The faults: each strikes a scene under traffic, lasts for a while, and ends.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use zookeeper_client::{Acl, AuthId, Client, Permission};

use crate::frames::Op;
use crate::proxy::{Moment, Trap, Way};
use crate::scene::{Member, REGISTRAR, SESSION_TIMEOUT, Scene, Servers, coin, has_tls};
use crate::support::client::{self, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::{DIGEST_CREDENTIALS, Role};

/// How long something lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A tenth of a second or some more.
    Blink,
    /// About a second: less than a session.
    Short,
    /// More than a session.
    Long,
}

impl Span {
    fn pick(self, random: &mut Rng) -> Duration {
        let milliseconds = match self {
            Self::Blink => random.u64(50..300),
            Self::Short => random.u64(800..1_300),
            Self::Long => random.u64(2_600..3_400),
        };
        Duration::from_millis(milliseconds)
    }
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The leader, or the only one.
    Leader,
    Follower,
    All,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A daemon's connections to ZooKeeper are reset.
    Cut,
    /// The connection is cut at a request of this kind.
    CutAt(Op, Moment),
    /// The same, while a lost session is being ended or a new one made.
    CutAtReconnect(Op, Moment),
    /// Nothing passes between a daemon and ZooKeeper.
    Silence(Span),
    /// The same, but only with the server that the daemon is with.
    SilenceOfOne,
    /// Nothing reaches ZooKeeper.
    RequestsHeld(Span),
    /// Nothing comes back.
    AnswersHeld(Span),
    /// A daemon cannot connect, and its connection is reset.
    Closed(Span),
    /// Everything between a daemon and ZooKeeper takes so many milliseconds longer.
    Slow(u64),
    /// The connections of a daemon's clients are reset.
    ClientsCut,
    /// Nothing passes between clients and a daemon.
    ClientsSilent(Span),
    /// SIGKILL, and a start later.
    ServerKilled(Which, Span),
    /// SIGSTOP, and SIGCONT later: to a leader that was stopped for long once another leads.
    ServerStopped(Which, Span),
    /// One server after the other is restarted.
    Rolling,
    /// Too few servers are left for writes.
    ReadOnly,
    /// The disk of the only server, or of the leader, is full; it is started again with room.
    DiskFull,
    /// SIGKILL, and a start at once.
    DaemonKilled,
    /// SIGTERM, and a start at once.
    DaemonRestarted,
    /// SIGSTOP, and SIGCONT later.
    DaemonStopped(Span),
    /// Our rights to the watch directory are taken away, and given back.
    RightsRevoked,
    /// The wall clock steps a quarter ahead, and half a year back.
    ClockStepped,
    /// A foreign client deletes and changes znodes of sub-accounts, and the watch directory's data.
    Vandal,
}

/// Every fault of a scene, with the name that the table has.
pub fn all(servers: Servers) -> Vec<(String, Fault)> {
    use Fault::*;
    use Span::*;
    let ways = [
        ("connection reset", Cut),
        ("cut before a transaction arrives", CutAt(Op::Multi, Moment::BeforeRequest)),
        ("cut in the middle of a transaction", CutAt(Op::Multi, Moment::MidRequest)),
        ("cut after a transaction, before its answer", CutAt(Op::Multi, Moment::BeforeAnswer)),
        ("cut in the middle of a transaction's answer", CutAt(Op::Multi, Moment::MidAnswer)),
        (
            "cut after a pull's mark or a sub-pool's request, before its answer",
            CutAt(Op::SetData, Moment::BeforeAnswer),
        ),
        (
            "cut after a request or a held switch is deleted, before the answer",
            CutAt(Op::Delete, Moment::BeforeAnswer),
        ),
        ("cut before a look's answer", CutAt(Op::MultiRead, Moment::BeforeAnswer)),
        ("cut before the answer to a read", CutAt(Op::GetData, Moment::BeforeAnswer)),
        (
            "reset, then cut as the session is taken up",
            CutAtReconnect(Op::Connect, Moment::BeforeAnswer),
        ),
        (
            "reset, then cut as the session is closed",
            CutAtReconnect(Op::CloseSession, Moment::BeforeAnswer),
        ),
        (
            "reset, then cut before the close arrives",
            CutAtReconnect(Op::CloseSession, Moment::BeforeRequest),
        ),
        ("silence for a blink", Silence(Blink)),
        ("silence for a second", Silence(Short)),
        ("silence beyond a session", Silence(Long)),
        ("requests held for a second", RequestsHeld(Short)),
        ("requests held beyond a session", RequestsHeld(Long)),
        ("answers held for a second", AnswersHeld(Short)),
        ("answers held beyond a session", AnswersHeld(Long)),
        ("no connections for a second", Closed(Short)),
        ("no connections beyond a session", Closed(Long)),
        ("50 ms more for everything", Slow(50)),
        ("clients reset", ClientsCut),
        ("clients silent for a second", ClientsSilent(Short)),
        ("daemon SIGKILL", DaemonKilled),
        ("daemon SIGTERM and start", DaemonRestarted),
        ("daemon SIGSTOP for a second", DaemonStopped(Short)),
        ("daemon SIGSTOP beyond its session", DaemonStopped(Long)),
        ("wall clock steps by months", ClockStepped),
        ("rights revoked", RightsRevoked),
        ("znodes deleted and changed by others", Vandal),
    ];
    let one = [
        ("server SIGKILL, back at once", ServerKilled(Which::All, Blink)),
        ("server SIGKILL, back after a second", ServerKilled(Which::All, Short)),
        ("server SIGKILL, back beyond a session", ServerKilled(Which::All, Long)),
        ("server SIGSTOP for a second", ServerStopped(Which::All, Short)),
        ("server SIGSTOP beyond a session", ServerStopped(Which::All, Long)),
        ("disk full", DiskFull),
    ];
    let three = [
        ("silence of one way of three", SilenceOfOne),
        ("leader SIGKILL", ServerKilled(Which::Leader, Short)),
        ("follower SIGKILL", ServerKilled(Which::Follower, Short)),
        ("leader SIGSTOP for a second", ServerStopped(Which::Leader, Short)),
        ("leader SIGSTOP until it is deposed", ServerStopped(Which::Leader, Long)),
        ("follower SIGSTOP for a second", ServerStopped(Which::Follower, Short)),
        ("follower SIGSTOP beyond a session", ServerStopped(Which::Follower, Long)),
        ("all servers SIGKILL for a second", ServerKilled(Which::All, Short)),
        ("all servers SIGKILL beyond a session", ServerKilled(Which::All, Long)),
        ("rolling restart", Rolling),
        ("read-only: one server of three is left", ReadOnly),
        ("leader's disk full", DiskFull),
    ];
    let own: &[_] = if servers == Servers::One { &one } else { &three };
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let chosen = ways.iter().chain(own).filter(|(name, fault)| {
        let is_possible = match fault {
            ClockStepped => clock_library().is_some(),
            CutAt(..) | CutAtReconnect(..) => !has_tls(),
            _ => true,
        };
        name.contains(&only) && is_possible
    });
    chosen.map(|(name, fault)| ((*name).to_owned(), *fault)).collect()
}

/// Result of a strike.
#[derive(Clone, Debug)]
pub struct Struck {
    /// The daemons that were struck: both, if ZooKeeper was.
    pub daemons: Vec<usize>,
    /// End of the fault.
    pub mended: Instant,
    /// For how long clients could not reach a daemon, or it stood still.
    pub frozen: Duration,
    /// Time until the daemon logged the loss of its connection.
    pub noticed: Option<Duration>,
}

/// Reason why a strike does not count.
#[derive(Clone, Debug)]
pub enum Miss {
    /// The strike had no target or no effect, for this reason.
    Nothing(&'static str),
    /// A violation independent of the fault.
    Wrong(String),
}

impl From<String> for Miss {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl Fault {
    /// Whether it strikes ZooKeeper itself, hence all daemons.
    fn strikes_zookeeper(self) -> bool {
        matches!(
            self,
            Self::ServerKilled(..)
                | Self::ServerStopped(..)
                | Self::Rolling
                | Self::ReadOnly
                | Self::DiskFull
                | Self::RightsRevoked
                | Self::Vandal
        )
    }

    /// Strikes, lasts, and ends.
    pub async fn strike(self, scene: &mut Scene, random: &mut Rng) -> Result<Struck, Miss> {
        // Only the daemon that registers surely deletes something.
        let is_registrars = matches!(self, Self::CutAt(Op::Delete, _));
        let any = random.usize(..scene.daemons.len());
        let daemon = if is_registrars { REGISTRAR } else { any };
        let all = 0..scene.daemons.len();
        let mut struck = Struck {
            daemons: if self.strikes_zookeeper() { all.collect() } else { vec![daemon] },
            mended: Instant::now(),
            frozen: Duration::ZERO,
            noticed: None,
        };
        // When others took the place of a server that was struck, if they did.
        let mut replaced = None;
        match self {
            Self::Cut => scene.daemons[daemon].cut(),
            Self::CutAt(op, moment) => spring(&scene.daemons[daemon], op, moment).await?,
            Self::CutAtReconnect(op, moment) => {
                scene.daemons[daemon].cut();
                spring(&scene.daemons[daemon], op, moment).await?;
            }
            Self::Silence(span) => {
                struck.noticed = hold(&mut scene.daemons[daemon], Way::SILENT, span, random).await;
            }
            Self::SilenceOfOne => {
                struck.noticed = Some(silence_one(&mut scene.daemons[daemon], random).await?);
            }
            Self::RequestsHeld(span) => {
                let way = Way { requests_held: true, ..Way::default() };
                struck.noticed = hold(&mut scene.daemons[daemon], way, span, random).await;
            }
            Self::AnswersHeld(span) => {
                let way = Way { answers_held: true, ..Way::default() };
                struck.noticed = hold(&mut scene.daemons[daemon], way, span, random).await;
            }
            Self::Closed(span) => {
                scene.daemons[daemon].set_ways(Way::CLOSED);
                scene.daemons[daemon].cut();
                tokio::time::sleep(span.pick(random)).await;
                scene.daemons[daemon].set_ways(Way::default());
            }
            Self::Slow(milliseconds) => {
                let delay = Duration::from_millis(milliseconds);
                scene.daemons[daemon].set_ways(Way { delay, ..Way::default() });
                tokio::time::sleep(Duration::from_secs(1)).await;
                scene.daemons[daemon].set_ways(Way::default());
            }
            Self::ClientsCut => scene.daemons[daemon].front.cut(),
            Self::ClientsSilent(span) => {
                struck.frozen = span.pick(random);
                scene.daemons[daemon].front.set(Way::SILENT);
                tokio::time::sleep(struck.frozen).await;
                scene.daemons[daemon].front.set(Way::default());
            }
            Self::ServerKilled(which, span) => {
                let killed = servers(scene, which).await?;
                struck.daemons = scene.with_any(&killed, which == Which::Follower);
                for index in killed {
                    scene.servers[index].kill9();
                }
                let lasting = Instant::now() + span.pick(random);
                if which != Which::All {
                    // The others go on without it.
                    replaced = Some(scene.serving().await);
                }
                tokio::time::sleep_until(lasting.into()).await;
                scene.start_missing();
            }
            Self::ServerStopped(which, span) => {
                let stopped = servers(scene, which).await?;
                struck.daemons = scene.with_any(&stopped, which == Which::Follower);
                stopped.iter().for_each(|&index| scene.servers[index].stop());
                let lasting = Instant::now() + span.pick(random);
                replaced = match (which, span) {
                    (Which::Leader, Span::Long) => Some(scene.another_leads(stopped[0]).await),
                    // The others serve all the time; this is how long its silence may go unnoticed.
                    (Which::Follower, Span::Long) => Some(Ok(Instant::now() + SESSION_TIMEOUT / 2)),
                    _ => None,
                };
                tokio::time::sleep_until(lasting.into()).await;
                stopped.iter().for_each(|&index| scene.servers[index].cont());
            }
            Self::Rolling => {
                for index in 0..scene.servers.len() {
                    scene.servers[index].kill9();
                    scene.servers[index].restart().await;
                }
            }
            Self::ReadOnly => {
                let left = scene.follower().await?;
                for index in (0..scene.servers.len()).filter(|&index| index != left) {
                    scene.servers[index].kill9();
                }
                tokio::time::sleep(Duration::from_secs(3)).await;
                scene.start_missing();
            }
            Self::DiskFull => {
                let full = scene.leader().await?;
                scene.servers[full].fill_disk();
                // Alone it ends; in an ensemble it only gives up its part.
                let start = Instant::now();
                let mut serves = true;
                while serves && start.elapsed() < seconds(10) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let role = scene.servers[full].role().await;
                    serves = matches!(role, Some(Role::Alone | Role::Leader));
                }
                scene.servers[full].kill9();
                scene.start_missing();
                if serves {
                    scene.serving().await?;
                    return Err(Miss::Nothing("the disk was full without effect"));
                }
            }
            Self::DaemonKilled => {
                scene.daemons[1].kill9();
                return Ok(restarted(scene, struck).await);
            }
            Self::DaemonRestarted => {
                scene.daemons[1].terminate().await;
                return Ok(restarted(scene, struck).await);
            }
            Self::DaemonStopped(span) => {
                struck.frozen = span.pick(random);
                scene.daemons[daemon].daemon.signal(Signal::STOP);
                tokio::time::sleep(struck.frozen).await;
                scene.daemons[daemon].daemon.signal(Signal::CONT);
            }
            Self::ClockStepped => {
                let stepped = step_clock(&mut scene.daemons[1]).await;
                let struck = restarted(scene, struck).await;
                return stepped.map(|()| struck);
            }
            Self::RightsRevoked => revoke_rights(scene).await?,
            Self::Vandal => vandalise(scene, random).await?,
        }
        let mended = scene.serving().await?;
        struck.mended = replaced.transpose()?.unwrap_or(mended);
        Ok(struck)
    }
}

/// The elder daemon is never ended; the younger is back when it listens.
async fn restarted(scene: &mut Scene, struck: Struck) -> Struck {
    let mended = scene.daemons[1].start_again().await;
    Struck { daemons: vec![1], mended, ..struck }
}

async fn servers(scene: &Scene, which: Which) -> Result<Vec<usize>, Miss> {
    Ok(match which {
        Which::Leader => vec![scene.leader().await?],
        Which::Follower => vec![scene.follower_of_a_daemon().await?],
        Which::All => (0..scene.servers.len()).collect(),
    })
}

/// Sets a trap and waits until it springs.
async fn spring(member: &Member, op: Op, moment: Moment) -> Result<(), Miss> {
    let before = member.sprung();
    member.set_trap(Some(Trap { op, moment }));
    let start = Instant::now();
    while member.sprung() == before && start.elapsed() < seconds(4) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    member.set_trap(None);
    (member.sprung() > before).then_some(()).ok_or(Miss::Nothing("nothing stepped into the trap"))
}

/// Holds a way; how long it took until the daemon took note, if it did.
async fn hold(member: &mut Member, way: Way, span: Span, random: &mut Rng) -> Option<Duration> {
    let (lasting, losses) = (span.pick(random), member.losses());
    member.set_ways(way);
    let start = Instant::now();
    let mut noticed = None;
    while start.elapsed() < lasting {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if noticed.is_none() && member.losses() > losses {
            noticed = Some(start.elapsed());
        }
    }
    member.set_ways(Way::default());
    // Beyond a session it must have been noticed.
    if span == Span::Long { Some(noticed.unwrap_or(lasting)) } else { noticed }
}

/// The library that steps a program's clock, if it is installed (Debian: libfaketime).
fn clock_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.is_file())
}

/// Restarts a daemon with a clock that can be stepped, steps it, and ends it.
async fn step_clock(member: &mut Member) -> Result<(), Miss> {
    let library = clock_library().ok_or(Miss::Nothing("no libfaketime"))?;
    member.terminate().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "+0").unwrap();
    member
        .start_with(&[
            ("LD_PRELOAD", &library.to_string_lossy()),
            ("FAKETIME_TIMESTAMP_FILE", &file.path().to_string_lossy()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ])
        .await;
    let mut steps = Ok(());
    for (number, step) in ["+90d", "-90d", "+0"].into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        std::fs::write(&file, step).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        // A deadline that steps with the clock has passed before the switch is sent, or never passes.
        let switched = switch(&member.daemon, "clock", &coin(number)).await;
        steps = steps.and(switched.map_err(|error| format!("after a step by {step}: {error}")));
    }
    member.terminate().await;
    let log = member.daemon.log();
    let months: HashSet<_> =
        log.iter().filter_map(|line| line.strip_prefix(r#"{"ts":""#)?.get(..7)).collect();
    if months.len() < 3 {
        return Err(Miss::Wrong(format!("its clock was not stepped: {months:?}")));
    }
    Ok(steps?)
}

/// Holds the way that a daemon uses, until it has found another and its session has nearly expired; how long it
/// took to take note.
async fn silence_one(member: &mut Member, random: &mut Rng) -> Result<Duration, Miss> {
    let index = member.ways.iter().position(|way| way.connections() > 0);
    let index = index.ok_or(Miss::Nothing("the daemon was with no server"))?;
    let losses = member.losses();
    member.ways[index].set(Way::SILENT);
    let start = Instant::now();
    let lasting = Duration::from_millis(random.u64(1_300..1_700));
    let (mut noticed, mut has_another) = (None, false);
    while start.elapsed() < lasting || !has_another {
        if start.elapsed() > seconds(10) {
            member.ways[index].set(Way::default());
            return Err(Miss::Wrong(
                "a daemon whose server is silent looks for no other".to_owned(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        if noticed.is_none() && member.losses() > losses {
            noticed = Some(start.elapsed());
        }
        let mut others = member.ways.iter().enumerate().filter(|&(other, _)| other != index);
        has_another = noticed.is_some() && others.any(|(_, way)| way.connections() > 0);
    }
    member.ways[index].set(Way::default());
    // Time for the held bytes to arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(noticed.unwrap_or(lasting))
}

/// A client with the daemons' own credentials.
async fn insider(scene: &Scene) -> Result<Client, Miss> {
    let connector = Client::connector()
        .with_session_timeout(seconds(10))
        .with_auth("digest", DIGEST_CREDENTIALS.as_bytes());
    let connected = connector.connect(&scene.brokers()).await;
    connected.map_err(|_| Miss::Nothing("we could not connect to ZooKeeper"))
}

async fn revoke_rights(scene: &Scene) -> Result<(), Miss> {
    let client = insider(scene).await?;
    let directory = watch_dir(&scene.daemons[0].daemon);
    let readers = [
        Acl::new(Permission::READ, AuthId::anyone()),
        Acl::new(Permission::ADMIN, AuthId::new("digest", "switcher:nDNRwTP18XoTCSCyrlA2qGySxeA=")),
    ];
    let refused = |_| Miss::Nothing("ZooKeeper did not change the rights");
    let (before, _) = client.get_acl(&directory).await.map_err(refused)?;
    let revoked = client.set_acl(&directory, &readers, None).await;
    if revoked.is_ok() {
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // A revocation that failed may have been made.
    let given_back = client.set_acl(&directory, &before, None).await;
    given_back.map_err(|error| format!("the rights could not be given back: {error}"))?;
    revoked.map(|_| ()).map_err(refused)
}

/// Names that only the vandal uses.
const PREY: &str = "prey";

async fn vandalise(scene: &Scene, random: &mut Rng) -> Result<(), Miss> {
    let client = insider(scene).await?;
    let daemon = &scene.daemons[0].daemon;
    let until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < until {
        let name = format!("{PREY}{}", random.u8(..4));
        let path = daemon.path(&name);
        // Foreign writes must not fail a switch.
        switch(daemon, &name, "c0").await?;
        if random.bool() {
            let _ = client.delete(&path, None).await;
        } else {
            let _ = client.set_data(&path, b"somebody's, coin: forged\n", None).await;
        }
        let _ = client.set_data(&watch_dir(daemon), b"somebody's own", None).await;
    }
    for number in 0..4 {
        let name = format!("{PREY}{number}");
        switch(daemon, &name, "c1").await?;
        let data = client.get_data(&daemon.path(&name)).await.map(|(data, _)| data);
        if data.as_deref() != Ok(b"c1") {
            return Err(Miss::Wrong(format!("{name}, switched after the vandal, is {data:?}")));
        }
    }
    Ok(())
}

/// Switches a sub-account. Returns a description of a failure.
async fn switch(daemon: &Daemon, name: &str, coin: &str) -> Result<(), String> {
    let request = Request::switch(name, coin).credentials(USER, PASSWORD);
    match client::send(daemon.base(), &request).await {
        Ok(response) if response.status == 200 && response.answer().success => Ok(()),
        answer => Err(format!("{name} cannot be switched to {coin}: {answer:?}")),
    }
}

fn watch_dir(daemon: &Daemon) -> String {
    daemon.watch_dir().trim_end_matches('/').to_owned()
}
