//! What systemd is told, by a socket that listens in its place.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};

/// A service manager that hears.
struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// The next message but for those that begin so.
    async fn hears(&self, but: &[&str]) -> String {
        eventually("a message", seconds(30), || async {
            let mut buffer = [0; 4096];
            let length = self.0.recv(&mut buffer).ok()?;
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            (!but.iter().any(|but| text.starts_with(but))).then_some(text)
        })
        .await
    }

    /// What it has heard since.
    fn heard(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let messages = std::iter::from_fn(|| {
            let length = self.0.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        });
        messages.collect()
    }
}

/// A manager with a name outside the file system, and a daemon that knows it.
fn managed(builder: Builder) -> (Manager, Builder) {
    let name = format!("switcher-test-{}-{}", std::process::id(), unique("manager"));
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).unwrap());
    (manager, builder.environment("NOTIFY_SOCKET", &format!("@{name}")))
}

#[tokio::test]
async fn it_is_told_when_the_daemon_serves_reloads_and_ends() {
    let mut zookeeper = ZooKeeper::absent().await;
    let (manager, builder) = managed(Daemon::builder(&zookeeper));
    let mut daemon = builder.start().await;
    assert_eq!(manager.hears(&[]).await, "READY=1", "it serves without ZooKeeper");
    let status = "STATUS=not ready: no session with ZooKeeper";
    assert_eq!(manager.hears(&[]).await, status);
    zookeeper.restart().await;
    assert_eq!(manager.hears(&[]).await, "STATUS=ready");

    builder.clone().set("AvailableCoins", json!(["ltc"])).write_config();
    for verdict in ["configuration reloaded", "previous configuration kept"] {
        daemon.signal(Signal::HUP);
        let reloading = manager.hears(&["STATUS"]).await;
        let (words, micros) = reloading.split_once("\nMONOTONIC_USEC=").expect("the time");
        assert_eq!(words, "RELOADING=1");
        // systemd compares it with its own, which is this machine's.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let age = now.tv_sec - micros.parse::<i64>().unwrap() / 1_000_000;
        assert!((0..60).contains(&age), "{age} s ago");
        assert_eq!(manager.hears(&["STATUS"]).await, "READY=1", "whatever came of it");
        daemon.wait_for_log(&[verdict]).await;
        builder.clone().set("AvailableCoins", json!([])).write_config();
    }

    daemon.signal(Signal::TERM);
    assert!(manager.hears(&["STATUS"]).await.starts_with("STOPPING=1\n"));
    assert_eq!(daemon.wait_exit(seconds(30)).await.code(), Some(0));
}

#[tokio::test]
async fn a_watchdog_is_fed_while_the_daemon_lives_and_only_if_it_is_meant() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).environment("WATCHDOG_USEC", "400000");
    let (manager, fed) = managed(builder.clone());
    let daemon = fed.start().await;
    for _ in 0..3 {
        assert_eq!(manager.hears(&["READY", "STATUS"]).await, "WATCHDOG=1");
    }
    // What hangs is heard of no more.
    daemon.signal(Signal::STOP);
    // What was on its way comes in.
    tokio::time::sleep(seconds(1)).await;
    manager.heard();
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(manager.heard(), [""; 0]);
    daemon.signal(Signal::CONT);
    assert_eq!(manager.hears(&["STATUS"]).await, "WATCHDOG=1");

    let (manager, another) = managed(builder.environment("WATCHDOG_PID", "1"));
    let _daemon = another.start().await;
    assert_eq!(manager.hears(&["STATUS=not"]).await, "READY=1");
    assert_eq!(manager.hears(&["STATUS=not"]).await, "STATUS=ready");
    tokio::time::sleep(seconds(1)).await;
    let heard = manager.heard();
    assert!(!heard.iter().any(|it| it.contains("WATCHDOG")), "it is another's: {heard:?}");
}

#[tokio::test]
async fn a_path_is_as_good_as_a_name_and_a_manager_that_is_gone_is_told_of() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let path = builder.folder().join("notify");
    let builder = builder.environment("NOTIFY_SOCKET", path.to_str().unwrap());
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let daemon = builder.start().await;
    assert_eq!(manager.hears(&[]).await, "READY=1");
    drop(daemon);
    drop(manager);
    let daemon = builder.start().await;
    daemon.wait_for_log(&["service manager not notified", "READY=1", "Connection refused"]).await;
}
