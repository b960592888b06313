//! Log files that grow, are renamed and opened again, under load: no line is lost, and none is torn.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::json;

use super::{Logging, assert_each_once, names, parse, switched};
use crate::support::client::{self, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds};

const SIZE: u64 = 32 * 1024;

async fn batch(logging: &Logging, names: &[String]) {
    let body = json!({"usercoins": [{"coin": "bcc", "punames": names}]}).to_string();
    let request = Request::batch(body).credentials(USER, PASSWORD);
    assert!(client::send(&logging.address, &request).await.unwrap().answer().success);
}

#[tokio::test]
async fn a_file_is_rotated_by_size_and_no_line_is_lost_or_torn() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("LogFileSize", SIZE).set("LogFileCount", 1000);
    let mut logging = Logging::start(builder).await;
    // Lines of batches come by the hundred, those of single switches one by one, from several threads.
    let (singles, many) = (names("single", 1_500), names("batch", 5_000));
    tokio::join!(logging.switch_all(singles.clone()), async {
        for part in many.chunks(1_000) {
            batch(&logging, part).await;
        }
    });
    logging.stop().await;

    let olds = (1..).map(|number| logging.old(number)).take_while(|file| file.exists());
    let files: Vec<PathBuf> = olds.chain([logging.file()]).collect();
    assert!(files.len() > 20, "{} files", files.len());
    for file in &files {
        let length = fs::metadata(file).unwrap().len();
        assert!((1..=SIZE).contains(&length), "{} has {length} bytes", file.display());
    }
    let told = switched(files.iter().map(PathBuf::as_path));
    assert_each_once(&[singles, many].concat(), &told);
    let last = fs::read_to_string(logging.file()).unwrap();
    assert_eq!(parse(last.lines().last().unwrap())["msg"], "stopped");
}

#[tokio::test]
async fn so_many_old_files_are_kept_and_the_newest_of_them() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("LogFileSize", SIZE).set("LogFileCount", 2);
    let mut logging = Logging::start(builder).await;
    let names = names("user", 3_000);
    for part in names.chunks(500) {
        batch(&logging, part).await;
    }
    logging.stop().await;
    let mut found: Vec<_> = fs::read_dir(&logging.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    let name = "switcher-api-server.log";
    assert_eq!(found, [name.to_owned(), format!("{name}.1"), format!("{name}.2")]);
    let files = [logging.old(2), logging.old(1), logging.file()];
    let told = switched(files.iter().map(PathBuf::as_path));
    let newest = &names[names.len() - told.len()..];
    assert!(told.len() > 100, "{}", told.len());
    assert_each_once(newest, &told);
}

#[tokio::test]
async fn whoever_renames_the_file_and_sends_sigusr1_loses_no_line() {
    const TIMES: usize = 8;
    let zookeeper = ZooKeeper::shared().await;
    let mut logging = Logging::start(Daemon::builder(zookeeper)).await;
    let moved: Vec<PathBuf> =
        (0..TIMES).map(|time| logging.folder.join(format!("moved.{time}"))).collect();
    let (mut all, is_over) = (Vec::new(), AtomicBool::new(false));
    let switching = async {
        for round in 0.. {
            let names = names(&format!("round{round}-"), 200);
            logging.switch_all(names.clone()).await;
            all.extend(names);
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    let renaming = async {
        for file in &moved {
            fs::rename(logging.file(), file).unwrap();
            logging.process.signal(Signal::USR1);
            let reopened = |line: &super::Line| line["msg"] == "log file reopened";
            logging.wait_for("a new file", reopened).await;
            logging.wait_for("a switch in it", |line| line["msg"] == "switch").await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(switching, renaming);
    logging.stop().await;
    let files = moved.iter().cloned().chain([logging.file()]).collect::<Vec<_>>();
    assert_each_once(&all, &switched(files.iter().map(PathBuf::as_path)));
}

#[tokio::test]
async fn an_obstacle_to_rotation_is_told_once_and_counted_and_costs_no_line() {
    let zookeeper = ZooKeeper::shared().await;
    let admin = format!("127.0.0.1:{}", free_port());
    let builder = Daemon::builder(zookeeper)
        .set("LogFileSize", SIZE)
        .set("LogFileCount", 1)
        .set("AdminListenAddr", admin.clone());
    let mut logging = Logging::start(builder).await;
    const FAILURES: &str = "switcher_log_rotation_failures_total";
    assert_eq!(logging.metric(&admin, FAILURES).await, 0.0);
    // Root may write everywhere, but not even root puts a file in a directory's place.
    fs::create_dir(logging.old(1)).unwrap();
    let names = names("user", 1_000);
    batch(&logging, &names).await;
    // Lines come after the answer.
    eventually("all lines are written", seconds(20), || async {
        let text = fs::read_to_string(logging.file()).unwrap();
        (text.matches("\"msg\":\"switch\"").count() == names.len()).then_some(())
    })
    .await;
    let failures = logging.metric(&admin, FAILURES).await;
    assert!(failures >= 2.0, "{failures}");
    let told = |text: &str| text.matches("cannot be rotated").count();
    assert_eq!(told(&fs::read_to_string(logging.file()).unwrap()), 1);

    fs::remove_dir(logging.old(1)).unwrap();
    logging.process.signal(Signal::USR1);
    logging.wait_for("an opened file", |line| line["msg"] == "log file reopened").await;
    logging.switch_all(vec!["last".to_owned()]).await;
    logging.stop().await;
    assert!(logging.old(1).is_file(), "it is rotated again");
    let files = [logging.old(1), logging.file()];
    let expected = [names, vec!["last".to_owned()]].concat();
    assert_each_once(&expected, &switched(files.iter().map(PathBuf::as_path)));
}

#[tokio::test]
async fn sigusr1_ends_nobody_neither_before_it_listens_nor_while_it_drains() {
    let zookeeper = ZooKeeper::shared().await;
    // Nobody is there, so a switch waits for as long as it may.
    let builder = Daemon::builder(zookeeper)
        .set("ZKBroker", json!([format!("127.0.0.1:{}", free_port())]))
        .set("ListenAddr", format!("127.0.0.1:{}", free_port()))
        .set("ZKRequestTimeoutSeconds", 3)
        .set("ShutdownGraceSeconds", 20);
    let arguments = ["--config".into(), builder.write_config().into()];
    let (mut process, log) = builder.spawn(&arguments);
    let wait_for = |text: &'static str| {
        let log = log.clone();
        async move {
            let find = || async { log.lines_with(&[text]).into_iter().next() };
            eventually(text, seconds(20), find).await
        }
    };
    wait_for("starting").await;
    process.signal(Signal::USR1);
    let line = wait_for("listening").await;
    let address = line.rsplit("address: ").next().unwrap().to_owned();
    let asking = tokio::spawn(async move {
        let request = Request::switch("alice", "btc").credentials(USER, PASSWORD);
        client::send(&address, &request).await.unwrap().answer()
    });
    wait_for("no ZooKeeper session").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    process.signal(Signal::TERM);
    wait_for("stopping").await;
    process.signal(Signal::USR1);
    assert_eq!(asking.await.unwrap().err_no, 105);
    assert_eq!(process.wait(seconds(30)).await.code(), Some(0), "{:#?}", log.lines());
}
