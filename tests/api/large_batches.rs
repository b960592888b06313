//! Batches as large as a body may be, four at once: they take little memory, and other clients are answered meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::admin::Admin;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

const MIB: usize = 1024 * 1024;
const CLIENTS: usize = 4;

/// Megabytes of the daemon while it holds the batches of all four.
const MEGABYTES: u64 = 300;

/// The longest wait of another client, in an unoptimized build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Four million entries for one sub-account, in 16 MiB.
fn repeated() -> Vec<u8> {
    batch((0..).map(|_| "a".to_owned()))
}

/// As many sub-accounts as there are in 16 MiB: each name has four letters.
fn distinct() -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    let letter = |n: usize, place: u32| LETTERS[(n >> (6 * place)) & 63] as char;
    batch((0..).map(move |n| (0..4).map(|place| letter(n, place)).collect()))
}

fn batch(names: impl Iterator<Item = String>) -> Vec<u8> {
    let mut json = String::from(r#"{"usercoins":[{"coin":"btc","punames":["x""#);
    for name in names {
        if json.len() + name.len() + 8 > 16 * MIB {
            break;
        }
        json.push_str(",\"");
        json.push_str(&name);
        json.push('"');
    }
    json.push_str("]}]}");
    json.into_bytes()
}

fn request(query: &str, body: Vec<u8>) -> Request {
    let request = Request::post(&format!("/switch/multi-user?{query}")).body(body);
    request.credentials(USER, PASSWORD)
}

/// Does `work` while another client switches; returns that client's longest wait.
async fn longest_wait(daemon: &Daemon, work: impl Future<Output = ()>) -> Duration {
    let mut longest = Duration::ZERO;
    let switching = async {
        loop {
            let start = Instant::now();
            assert_eq!(daemon.switch("other", "btc").await, Answer::success());
            longest = longest.max(start.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = switching => unreachable!("it switches for ever"),
    }
    longest
}

#[allow(clippy::print_stdout)]
fn assert_harmless(daemon: &Daemon, longest: Duration, what: &str) {
    let megabytes = daemon.peak_megabytes();
    println!("{what}: {megabytes} MB, another client waited {longest:?} at the most");
    assert!(megabytes <= MEGABYTES, "{what}: {megabytes} MB");
    assert!(longest < PATIENCE, "{what}: another client waited {longest:?}");
}

fn with_room(zookeeper: &ZooKeeper) -> Builder {
    Daemon::builder(zookeeper).set("ZKQueueLimit", 10_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_beyond_the_limit_get_an_error_alone() {
    let daemon = Daemon::start(ZooKeeper::shared().await).await;
    for query in ["results=true", "dry_run=true"] {
        let request = request(query, repeated());
        let work = async {
            let all = (0..CLIENTS).map(|_| daemon.send_as_is(&request));
            for response in futures_util::future::join_all(all).await {
                assert_eq!(response.answer(), Answer::error(107, "write record failed"));
            }
        };
        let longest = longest_wait(&daemon, work).await;
        assert_harmless(&daemon, longest, query);
    }
}

/// Sends a request and reads up to so many bytes of the answer.
async fn read_some(address: &str, request: &Request, bytes: usize) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request.head_bytes()).await.unwrap();
    stream.write_all(request.body_bytes()).await.unwrap();
    let (mut buffer, mut read) = (vec![0; 64 * 1024], 0);
    while read < bytes {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => read += count,
            _ => break,
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_sub_accounts_are_one_switch_and_their_results_are_made_as_they_are_read() {
    const ANSWER: usize = 8 * MIB;
    let daemon = with_room(ZooKeeper::shared().await).start().await;
    for query in ["results=true", "dry_run=true"] {
        let request = request(query, repeated());
        let work = async {
            let all = (0..CLIENTS).map(|_| read_some(daemon.base(), &request, ANSWER));
            for read in futures_util::future::join_all(all).await {
                assert!(read >= ANSWER, "{query}: {read} bytes");
            }
        };
        let longest = longest_wait(&daemon, work).await;
        assert_harmless(&daemon, longest, query);
    }
    let line = daemon.wait_for_log(&["batch with repeated sub-accounts"]).await;
    assert!(line.contains("superseded: 41"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn millions_of_sub_accounts_wait_in_little_memory() {
    let zookeeper = ZooKeeper::private().await;
    for (query, waiting) in [
        ("results=true", "switcher_switches_waiting"),
        ("dry_run=true", "switcher_dry_run_entries_waiting"),
    ] {
        let mut daemon = with_room(&zookeeper).admin().start().await;
        let admin = Admin::of(&daemon).await;
        let request = request(query, distinct());
        let work = async {
            let sending = (0..CLIENTS).map(|_| read_some(daemon.base(), &request, 1));
            let waits = eventually("all four are accepted", seconds(300), || async {
                (admin.samples().await.value(waiting) > 8_500_000.0).then_some(())
            });
            tokio::select! {
                read = futures_util::future::join_all(sending) => panic!("answered: {read:?}"),
                () = waits => {}
            }
            tokio::time::sleep(seconds(3)).await;
        };
        let longest = longest_wait(&daemon, work).await;
        assert_harmless(&daemon, longest, query);
        daemon.kill9();
    }
}
