//! The history when something fails: crashes, a disk that is slow, full or read-only, damage, other daemons. Searches are
//! tested elsewhere; these tests read the file, and `/history` where it matters that the daemon finds the records.
//!
//! * `updates`: kill -9 at each step of a coinbase update, updates that cannot be recorded, clients that go;
//! * `all`: `HistorySync: all`;
//! * `disk`: a disk that takes nothing for a while, or is full or read-only;
//! * `files`: two daemons, damage, a newer schema, retention;
//! * `restarts`: the recent changes after a restart;
//! * `polls`: the records of polls.

mod all;
mod disk;
mod files;
mod polls;
mod restarts;
mod updates;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use switcher_history::{ChangeRow, Entry, Filter, Order, Outcome, Reader, Switch};

use crate::admin::Admin;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::{Znodes, ZooKeeper};
use crate::support::{eventually, seconds};

/// More than any history of the tests has.
const ALL: usize = 1_000_000;

/// Wait of the daemon for another connection's lock is five seconds; this is several times as long.
const PATIENCE: u64 = 60;

/// A daemon with a history and admin pages, and its file.
fn recording(zookeeper: &ZooKeeper) -> (Builder, PathBuf) {
    let builder = Daemon::builder(zookeeper).admin();
    let file = builder.folder().join("history.db");
    (builder.set("HistoryFile", file.to_str().unwrap()), file)
}

/// The file's records, oldest first, as another program finds them.
fn recorded(file: &Path) -> Vec<ChangeRow> {
    let reader = Reader::open(file).unwrap();
    reader.changes(&Filter::default(), Order::Oldest, None, ALL).unwrap().rows
}

/// The file's records once there are so many.
async fn records(file: &Path, count: usize) -> Vec<ChangeRow> {
    let rows = eventually(&format!("{count} records"), seconds(PATIENCE), || async {
        Some(recorded(file)).filter(|rows| rows.len() >= count)
    })
    .await;
    assert_eq!(rows.len(), count, "{rows:#?}");
    rows
}

fn switch(row: &ChangeRow) -> &Switch {
    match &row.entry {
        Entry::Switch(switch) => switch,
        other => panic!("no switch: {other:?}"),
    }
}

/// Sub-account, new coin and outcome of each record.
fn switches(rows: &[ChangeRow]) -> Vec<(&str, &str, Outcome)> {
    let of = |row| {
        let Switch { sub_account, new, .. } = switch(row);
        (sub_account.as_str(), new.as_deref().unwrap())
    };
    rows.iter().map(|row| (of(row).0, of(row).1, row.outcome)).collect()
}

/// All pages of `/history`, oldest first.
async fn pages(admin: &Admin) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let body = admin.get(&format!("/history?order=oldest&limit=1000{cursor}")).await.body;
        let page: Value = serde_json::from_slice(&body).unwrap();
        rows.extend(page["changes"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// A batch of `count` sub-accounts whose names begin so.
fn batch(start: &str, count: usize, coin: &str) -> String {
    let names: Vec<_> = (0..count).map(|n| format!("{start}{n}")).collect();
    json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string()
}

/// The write lock of a file: the daemon can record nothing meanwhile, as with a disk that takes nothing.
struct Lock(rusqlite::Connection);

impl Lock {
    async fn of(file: &Path) -> Self {
        let db = rusqlite::Connection::open(file).unwrap();
        eventually("the write lock", seconds(PATIENCE), || async {
            db.execute_batch("BEGIN IMMEDIATE").ok()
        })
        .await;
        Self(db)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Waits until the history has recorded all that it was handed.
async fn settled(admin: &Admin) {
    eventually("nothing waits to be recorded", seconds(PATIENCE), || async {
        let samples = admin.samples().await;
        let is_done = samples.value("switcher_history_waiting") == 0.0
            && samples.value("switcher_history_failing") == 0.0;
        is_done.then_some(())
    })
    .await;
}

/// The lines of the program's standard error, for one that must end with 73.
async fn refused(builder: &Builder) -> String {
    let ended = builder.refuse_to_start().await;
    assert_eq!(ended.code, Some(73), "{}", ended.stderr);
    ended.stderr
}
