//! The file: one daemon each, damage, versions, and its limit of bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use switcher_history::{Change, Coinbase, Old, OnDamage, Origin, Source, Update, Writer, verify};

use super::*;

#[tokio::test]
async fn a_second_daemon_on_the_same_file_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    for sync in ["updates", "all"] {
        let (builder, file) = recording(zookeeper);
        let builder = builder.set("HistorySync", sync);
        let daemon = builder.start().await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        let text = refused(&builder).await;
        let names = text.contains(file.to_str().unwrap()) && text.contains("HistoryFile");
        assert!(names && text.contains("another process writes it"), "{text}");
        assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
        let found = records(&file, 2).await;
        assert_eq!(switches(&found)[1], ("alice", "bcc", Outcome::Applied));
        assert!(daemon.log_with(&["cannot be recorded"]).is_empty());
    }
}

/// Stops a daemon that has recorded some switches; the file is whole afterwards.
async fn filled(builder: &Builder, file: &Path) {
    let mut daemon = builder.start().await;
    assert_eq!(daemon.batch(batch("user", 2_000, "btc")).await, Answer::success());
    records(file, 2_000).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(PATIENCE)).await.code(), Some(0));
}

/// Overwrites all pages but the first, without which the file would be another program's.
fn damage(file: &Path) {
    let size = fs::metadata(file).unwrap().len();
    let noise = vec![0xa5; usize::try_from(size).unwrap() - 8192];
    File::options().write(true).open(file).unwrap().write_all_at(&noise, 8192).unwrap();
}

/// The files that were moved aside.
fn aside(file: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("history.db.damaged-")
            && !name.ends_with("-wal")
            && !name.ends_with("-shm")
    };
    entries.filter(is_aside).collect()
}

const MOVED: &str = "the history was damaged and is moved aside; a new one begins";

#[tokio::test]
async fn a_file_that_is_damaged_at_the_start_is_moved_aside_or_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    filled(&builder, &file).await;
    damage(&file);
    let damaged = fs::read(&file).unwrap();
    let text = refused(&builder.clone().set("HistorySync", "all")).await;
    assert!(text.contains("it is damaged: ") && text.contains(file.to_str().unwrap()), "{text}");
    assert!(fs::read(&file).unwrap() == damaged && aside(&file).is_empty(), "it is untouched");
    let daemon = builder.start().await;
    let line = daemon.wait_for_log(&["ERRO", MOVED, "damaged-"]).await;
    let moved = aside(&file);
    assert!(moved.len() == 1 && line.contains(moved[0].to_str().unwrap()), "{line}: {moved:?}");
    assert!(fs::read(&moved[0]).unwrap() == damaged);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let found = records(&file, 1).await;
    assert_eq!(switches(&found), [("alice", "btc", Outcome::Applied)]);
}

/// The tables and indices of a file, with the offsets of their first pages.
fn roots(file: &Path) -> Vec<(String, u64)> {
    let db = rusqlite::Connection::open(file).unwrap();
    let mut roots = db.prepare("SELECT name, rootpage FROM sqlite_schema").unwrap();
    let found =
        roots.query_map([], |row| Ok((row.get(0)?, (row.get::<_, i64>(1)? - 1) as u64 * 8192)));
    found.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn whatever_is_damaged_at_the_start_the_daemon_runs() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    filled(&builder, &file).await;
    let whole = fs::read(&file).unwrap();
    for (name, offset) in roots(&file) {
        fs::write(&file, &whole).unwrap();
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .write_all_at(&[0xa5; 8192], offset)
            .unwrap();
        let mut daemon = builder.start().await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success(), "{name}");
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait_exit(seconds(PATIENCE)).await.code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_takes_no_records_until_it_is_back() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let builder = builder.set("ZKSubPoolUpdateBaseDir", "/t/moved/");
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    records(&file, 1).await;
    let elsewhere = file.with_added_extension("moved");
    fs::rename(&file, &elsewhere).unwrap();
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    let fault = "its file was moved, replaced or deleted: put it back";
    daemon.wait_for_log(&["ERRO", "cannot be recorded", fault]).await;
    let body =
        json!({"coin": "btc", "subpool_name": "none", "payout_addr": "a", "coinbase_info": "b"});
    let update = Request::post("/subpool/update-coinbase").body(body.to_string());
    let answer = daemon.send(update).await.answer();
    assert_eq!(answer.err_no, 500);
    assert!(answer.err_msg.contains(fault) && answer.err_msg.ends_with("nothing was written"));
    fs::rename(&elsewhere, &file).unwrap();
    daemon.wait_for_log(&["INFO", "recorded in the history again"]).await;
    let found = records(&file, 3).await;
    assert_eq!(switch(&found[1]).new.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn a_file_that_is_damaged_under_the_daemon_is_moved_aside() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let builder = builder.set("ZKSubPoolUpdateBaseDir", "/t/damaged/");
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.batch(batch("user", 2_000, "btc")).await, Answer::success());
    let last = records(&file, 2_000).await.last().unwrap().number;
    let db = rusqlite::Connection::open(&file).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    // A write by another connection, after which the daemon trusts its memory no more.
    db.execute("UPDATE words SET text = text", []).unwrap();
    drop(db);
    damage(&file);
    for (number, name) in ["alice", "bob", "carol"].iter().enumerate() {
        assert_eq!(daemon.switch(name, "bcc").await, Answer::success());
        daemon.wait_for_log(&["ERRO", MOVED, "damaged-"]).await;
        let found = records(&file, number + 1).await;
        assert_eq!(switches(&found)[number], (*name, "bcc", Outcome::Applied));
        assert!(found[0].number > last, "numbers go on: {found:?}");
    }
    assert_eq!((aside(&file).len(), daemon.log_with(&[MOVED]).len()), (1, 1));
    let page: Value = serde_json::from_slice(&admin.get("/history").await.body).unwrap();
    assert_eq!(page["changes"].as_array().unwrap().len(), 3);
    let body =
        json!({"coin": "btc", "subpool_name": "none", "payout_addr": "a", "coinbase_info": "b"});
    let update = Request::post("/subpool/update-coinbase").body(body.to_string());
    assert_eq!(daemon.send(update).await.answer().err_no, 404);
    let found = records(&file, 4).await;
    assert_eq!(found[3].outcome, Outcome::NotApplied);
    assert_eq!(verify(&file, &file.with_added_extension("key"), None).unwrap(), Ok(2));
}

#[tokio::test]
async fn a_file_of_a_newer_daemon_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    filled(&builder, &file).await;
    let db = rusqlite::Connection::open(&file).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    let before = fs::read(&file).unwrap();
    for sync in ["updates", "all"] {
        let text = refused(&builder.clone().set("HistorySync", sync)).await;
        let says = "it has version 2 of the tables, and this daemon knows 1";
        assert!(text.contains(says) && text.contains(file.to_str().unwrap()), "{text}");
        assert!(fs::read(&file).unwrap() == before && aside(&file).is_empty());
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn origin(request: u64) -> Arc<Origin> {
    Arc::new(Origin {
        request,
        source: Source::Api,
        client: None,
        actor: None,
        on_behalf_of: None,
        comment: None,
        undo_of: None,
    })
}

/// Switches of an earlier daemon, with long names.
fn earlier(request: u64, count: usize) -> Vec<Change> {
    let origin = origin(request);
    let switch = |n| Switch {
        sub_account: format!("{request}-{n}-{}", "x".repeat(2_000)),
        old: Old::NotKnown,
        new: Some("btc".to_owned()),
        superseded_by: None,
        due: None,
        state: None,
    };
    let change = |n| Change {
        time: now(),
        origin: Arc::clone(&origin),
        entry: Entry::Switch(switch(n)),
        outcome: Outcome::Applied,
        cause: None,
    };
    (0..count).map(change).collect()
}

/// The least limit that there may be is 64 MiB, so an earlier daemon has filled the file.
#[tokio::test]
async fn under_load_the_oldest_switches_go_and_the_newest_and_all_updates_stay() {
    const LIMIT: u64 = 64 << 20;
    const PARTS: u64 = 9;
    const IN_PART: usize = 2_500;
    const BATCH: usize = 1_000;
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let key_file = file.with_added_extension("key");
    let opened = Writer::open(&file, &key_file, IN_PART as i64, OnDamage::Refuse).unwrap();
    let mut writer = opened.writer;
    let coinbase = Coinbase { coinbase_info: "tiger".to_owned(), payout_addr: "a".to_owned() };
    let update =
        Update { coin: "btc".to_owned(), sub_pool: "p".to_owned(), old: None, new: coinbase };
    let number = writer.begin_update(now(), &origin(1), &update).unwrap();
    let head = writer.end_update(number, now(), Outcome::Applied, None, None, None).unwrap();
    for part in 0..PARTS {
        writer.append(&earlier(2 + part, IN_PART)).unwrap();
    }
    assert!(writer.size().unwrap().bytes > LIMIT + (16 << 20));
    drop(writer);
    let full = fs::metadata(&file).unwrap().len();

    let daemon = builder.set("HistoryMaxBytes", LIMIT).start().await;
    let admin = Admin::of(&daemon).await;
    let mut sent = 0;
    eventually("the history is within its limit", seconds(PATIENCE), || {
        sent += 1;
        let coin = if sent % 2 == 0 { "btc" } else { "bcc" };
        let (daemon, admin) = (&daemon, &admin);
        async move {
            assert_eq!(daemon.batch(batch("new", BATCH, coin)).await, Answer::success());
            let bytes = admin.samples().await.value("switcher_history_bytes");
            (bytes > 0.0 && bytes <= LIMIT as f64).then_some(())
        }
    })
    .await;
    settled(&admin).await;
    let found = recorded(&file);
    assert_eq!((found[0].number, &found[0].entry), (number, &Entry::Update(update)));
    assert_eq!(found[0].outcome, Outcome::Applied);
    assert_eq!(verify(&file, &key_file, Some(&head)).unwrap(), Ok(2));
    let is_new = |row: &&ChangeRow| switch(row).sub_account.starts_with("new");
    let (new, old): (Vec<_>, Vec<_>) = found[1..].iter().partition(is_new);
    assert_eq!(new.len(), sent * BATCH);
    // Whole parts are gone, the oldest ones.
    assert!(!old.is_empty() && old.len() < PARTS as usize * IN_PART && old.len() % IN_PART == 0);
    assert!(old.windows(2).all(|two| two[1].number == two[0].number + 1));
    assert_eq!(old.last().unwrap().origin.request, 1 + PARTS);
    let left = fs::metadata(&file).unwrap().len();
    assert!(left <= full + (1 << 20), "space is used again: {full} became {left}");
}
