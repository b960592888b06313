//! What the service manager is told that started us (systemd's `Type=notify`), if there is one: that the daemon
//! serves, what it lacks, that it reads its configuration again, that it ends, and that it is alive.
//!
//! The protocol is that of sd_notify(3): lines of text in a datagram to the socket that `NOTIFY_SOCKET` names. A
//! daemon without ZooKeeper serves, too: it takes requests and answers them as README.md tells. So it is ready when
//! it listens, and its state says what is missing.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt::Display,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use slog::{Logger, o, warn};
use switcher_actors::{Actors, Metrics};
use tokio::time::{Instant, sleep};

/// For a message, should its receiver be busy.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often is looked whether the state is another.
const LOOK: Duration = Duration::from_secs(1);

/// The service manager.
pub struct ServiceManager {
    /// From where and to where messages go; `None` if there is none.
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it expects to hear that we are alive, if it does.
    watchdog: Option<Duration>,
    log: Logger,
}

impl ServiceManager {
    /// The one that `environment` tells of. An address that cannot be one is told of in the log, and is none.
    pub fn of(environment: impl Fn(&str) -> Option<OsString>, log: &Logger) -> Self {
        let log = log.new(o!());
        let name = environment("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let manager = name.and_then(|name| {
            let failed = |error: io::Error| {
                warn!(log, "the service manager cannot be told anything";
                    "NOTIFY_SOCKET" => %name.display(), "cause" => %error);
            };
            let found = address(name.as_bytes()).and_then(|address| Ok((socket()?, address)));
            found.map_err(failed).ok()
        });
        let text = |name| environment(name)?.into_string().ok();
        // Meant for another process, if it names one.
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid == process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").and_then(|micros| micros.parse().ok());
        let watchdog = watchdog.filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Self { socket: manager, watchdog, log }
    }

    /// The daemon listens, or has done with reading its configuration.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read again; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(format_args!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=finishing what was accepted");
    }

    /// Tells what is missing, whenever that is something else; and, as often as it is expected, that the daemon is
    /// alive: that this loop runs and `ZkWriter` handles messages.
    pub async fn supervise(&self, metrics: &Metrics, system: &Actors) -> Infallible {
        let pace = self.watchdog.map_or(LOOK, |watchdog| LOOK.min(watchdog / 4));
        let (mut told, mut alive) = (None, Instant::now());
        loop {
            if self.socket.is_none() {
                std::future::pending::<()>().await;
            }
            let status = status(metrics);
            if told.as_ref() != Some(&status) {
                self.tell(format_args!("STATUS={status}"));
                told = Some(status);
            }
            if self.watchdog.is_some_and(|watchdog| alive.elapsed() >= watchdog / 4) {
                system.answers().await;
                self.tell("WATCHDOG=1");
                alive = Instant::now();
            }
            sleep(pace).await;
        }
    }

    fn tell(&self, words: impl Display) {
        let Some((socket, address)) = &self.socket else { return };
        let words = words.to_string();
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            warn!(self.log, "the service manager was not told, and may act as if the daemon hung"; "words" => words.replace('\n', " "),
                "cause" => %error);
        }
    }
}

/// A socket in the file system, or, with `@` before it, a name outside of it.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    }
}

fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// In words for `systemctl status`.
fn status(metrics: &Metrics) -> String {
    let missing: Vec<_> = metrics.missing().iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        return "ready".to_owned();
    }
    format!("not ready: {}", missing.join("; "))
}
