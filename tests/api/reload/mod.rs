//! SIGHUP: a reload applies the whole configuration or nothing.

mod keys;
mod moments;
mod polls;
mod refused;
mod traffic;

use rustix::process::Signal;

use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// Log messages at the end of a reload.
const APPLIED: &str = "configuration reloaded";
const REFUSED: &str = "reload rejected; previous configuration kept";

/// A daemon with long timeouts: a busy machine must not fail these tests.
fn patient(zookeeper: &ZooKeeper) -> Builder {
    Daemon::builder(zookeeper)
        .set("ZKSessionTimeoutSeconds", 30)
        .set("ZKRequestTimeoutSeconds", 60)
        .set("APIHeadTimeoutSeconds", 60)
}

/// Writes the configuration, sends SIGHUP and waits for the result. Returns the log lines of the reload.
pub async fn reload(daemon: &Daemon, builder: &Builder) -> Vec<String> {
    builder.write_config();
    hang_up(daemon).await
}

/// As [`reload`], with the file as it is.
async fn hang_up(daemon: &Daemon) -> Vec<String> {
    let before = daemon.log().len();
    daemon.signal(Signal::HUP);
    eventually("the end of a reload", seconds(60), || async {
        let lines = daemon.log_from(before);
        let end = lines.iter().position(|line| line.contains(APPLIED) || line.contains(REFUSED))?;
        let about = lines[..=end].iter().filter(|line| line.contains("configuration"));
        Some(about.cloned().collect())
    })
    .await
}

/// Panics unless the reload was applied. Returns the changes in the log.
pub async fn applied(daemon: &Daemon, builder: &Builder) -> String {
    let lines = reload(daemon, builder).await;
    let last = lines.last().expect("a line");
    let (_, changed) =
        last.split_once("changed: ").unwrap_or_else(|| panic!("refused: {lines:#?}"));
    changed.to_owned()
}

/// Panics unless the reload was rejected for all `causes`.
pub async fn refused(daemon: &Daemon, builder: &Builder, causes: &[&str]) {
    let lines = reload(daemon, builder).await;
    assert_refused(&lines, causes);
}

fn assert_refused(lines: &[String], causes: &[&str]) {
    assert!(lines.last().expect("a line").contains(REFUSED), "{lines:#?}");
    for cause in causes {
        let is_told = |line: &String| line.contains("not reloaded: ") && line.contains(cause);
        assert!(lines.iter().any(is_told), "no {cause} in {lines:#?}");
    }
}
