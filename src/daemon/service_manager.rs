//! Notifications to the service manager (systemd's `Type=notify`): ready, status, reloading, stopping, watchdog.
//!
//! Protocol: sd_notify(3), lines of text in a datagram to the socket that `NOTIFY_SOCKET` names. The daemon reports
//! ready as soon as it listens, also without ZooKeeper, since it answers requests then, too; the status names what is
//! missing.

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

/// Timeout of a notification.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// Status poll interval.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Sender of notifications.
pub struct ServiceManager {
    /// Our socket and the address of theirs; `None` without a service manager.
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Interval within which it expects a sign of life.
    watchdog: Option<Duration>,
    log: Logger,
}

impl ServiceManager {
    /// The service manager that the environment names. An invalid address is logged, and counts as none.
    pub fn of(environment: impl Fn(&str) -> Option<OsString>, log: &Logger) -> Self {
        let log = log.new(o!());
        let name = environment("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let manager = name.and_then(|name| {
            let failed = |error: io::Error| {
                warn!(log, "service manager cannot be notified";
                    "NOTIFY_SOCKET" => %name.display(), "cause" => %error);
            };
            let found = address(name.as_bytes()).and_then(|address| Ok((socket()?, address)));
            found.map_err(failed).ok()
        });
        let text = |name| environment(name)?.into_string().ok();
        // The variables may be meant for another process.
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid == process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").and_then(|micros| micros.parse().ok());
        let watchdog = watchdog.filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Self { socket: manager, watchdog, log }
    }

    /// The daemon listens, or a reload is over.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload begins; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(format_args!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The daemon stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=finishing accepted requests");
    }

    /// Sends the status whenever it changes, and the watchdog's sign of life: this loop runs and `ZkWriter` handles
    /// messages.
    pub async fn supervise(&self, metrics: &Metrics, actors: &Actors) -> Infallible {
        let pace =
            self.watchdog.map_or(STATUS_INTERVAL, |watchdog| STATUS_INTERVAL.min(watchdog / 4));
        let (mut sent, mut alive) = (None, Instant::now());
        loop {
            if self.socket.is_none() {
                std::future::pending::<()>().await;
            }
            let status = status(metrics);
            if sent.as_ref() != Some(&status) {
                self.send(format_args!("STATUS={status}"));
                sent = Some(status);
            }
            if self.watchdog.is_some_and(|watchdog| alive.elapsed() >= watchdog / 4) {
                actors.answers().await;
                self.send("WATCHDOG=1");
                alive = Instant::now();
            }
            sleep(pace).await;
        }
    }

    fn send(&self, words: impl Display) {
        let Some((socket, address)) = &self.socket else { return };
        let words = words.to_string();
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            warn!(self.log, "service manager not notified, and may act as if the daemon hung"; "words" => words.replace('\n', " "),
                "cause" => %error);
        }
    }
}

/// A path in the file system, or, after `@`, an abstract name.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    }
}

fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}

/// Text for `systemctl status`.
fn status(metrics: &Metrics) -> String {
    let missing: Vec<_> = metrics.missing().iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        return "ready".to_owned();
    }
    format!("not ready: {}", missing.join("; "))
}
