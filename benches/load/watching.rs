//! Cost of monitoring: single switches through a daemon without admin pages, and through one whose metrics
//! are scraped, whose changes are streamed and which a console asks. By turns, in the order A B B A, so that what
//! drifts in a machine falls on both alike; of each such block one ratio is taken, and the median of these counts.

use std::{fs, process, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};
use upstream_sim::{Reply, Upstream};

use crate::{
    CONNECTIONS, Stage,
    daemon::Daemon,
    http::{self, CREDENTIALS},
    process::{cpu_ms, resident_mb},
    report::{Goal, Report, Table, median, number},
    sub_pools::BASE_DIR,
    support::{
        daemon::{Builder, Daemon as Tested},
        free_port,
        zookeeper::ZooKeeper,
    },
};

/// Blocks of four loads. Of so many figures the true median lies between the 7th and the 18th, 19 times of 20.
const BLOCKS: usize = 24;
const BOUNDS: [usize; 2] = [6, 17];
/// For each load: short, since disturbances of a machine last seconds.
const TIME: Duration = Duration::from_secs(1);
/// As Prometheus seldom does.
const SCRAPED_EVERY: Duration = Duration::from_secs(1);
/// As a console does.
const ASKED_EVERY: Duration = Duration::from_secs(2);

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    footprint(zookeeper, report).await;
    let (plain, _) = start(Tested::builder(zookeeper), "").await;
    let (watched, pages) = start(Tested::builder(zookeeper), "127.0.0.1").await;
    let names = &stage.existing;
    for daemon in [&plain, &watched] {
        http::batch(daemon, names, "btc").await;
        http::singles(daemon, CONNECTIONS, names, TIME).await;
    }
    let (mut sides, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..BLOCKS {
        let mut sums = [0.0, 0.0];
        for side in [0, 1, 1, 0] {
            let turn = if side == 0 {
                turn(&plain, names).await
            } else {
                let watchers = Watchers::of(&pages).await;
                let turn = turn(&watched, names).await;
                watchers.end().await;
                turn
            };
            sums[side] += turn[0];
            sides[side].push(turn);
        }
        ratios.push(sums[1] / sums[0]);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = median(ratios.clone());
    report.note(format!(
        "single switches/s, watched by not watched: {BLOCKS} blocks from {:.3} to {:.3}",
        ratios[0],
        ratios[BLOCKS - 1]
    ));
    let [low, high] = BOUNDS.map(|bound| ratios[bound]);
    report.note(format!("    their median lies between {low:.3} and {high:.3}, 19 times of 20"));
    report.goal("    median of the ratios", ratio, Goal::AtLeast(0.98));
    let mut table = Table::new(
        "Single switches over 256 connections, watched and not",
        &[
            "",
            "switches/s",
            "CPU milliseconds of the daemon for 1,000",
            "of the load and the watchers",
        ],
    );
    let mut medians = Vec::new();
    for (name, turns) in
        ["admin pages off", "scraped, streamed, and asked by a console"].iter().zip(sides)
    {
        let column =
            |index: usize| median(turns.iter().map(|turn: &[f64; 3]| turn[index]).collect());
        let columns = [0, 1, 2].map(column);
        let mut cells = vec![(*name).to_owned()];
        cells.extend(columns.map(number));
        table.row(cells);
        medians.push(columns);
    }
    let mut cells =
        vec![format!("ratio; of the rates, median of {BLOCKS} blocks and where it lies")];
    cells.push(format!("{ratio:.3}, {low:.3} to {high:.3}"));
    cells.extend([1, 2].map(|column| format!("{:.3}", medians[1][column] / medians[0][column])));
    table.row(cells);
    report.table(table);
}

/// Resources of an idle daemon with everything on, while it is monitored.
async fn footprint(zookeeper: &ZooKeeper, report: &mut Report) {
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let builder = Tested::builder(zookeeper)
        .set("ZKSubPoolUpdateBaseDir", BASE_DIR)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let (daemon, pages) = start(builder, "127.0.0.1").await;
    let watchers = Watchers::of(&pages).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    watchers.end().await;
    report.goal(
        "resident MB, idle, everything on, watched",
        resident_mb(daemon.pid()),
        Goal::AtMost(15.0),
    );
    let program = fs::metadata(env!("CARGO_BIN_EXE_switcher-api-server")).unwrap().len();
    report.goal("MB of the program", program as f64 / 1e6, Goal::AtMost(12.0));
}

/// A daemon with admin pages on that host, or without if it is empty; and their address.
async fn start(builder: Builder, host: &str) -> (Daemon, String) {
    let pages = if host.is_empty() { String::new() } else { format!("{host}:{}", free_port()) };
    (Daemon::start_with(builder.set("AdminListenAddr", pages.clone())).await, pages)
}

/// Switches per second, and CPU milliseconds for 1,000 switches: the daemon's, and the bench's own.
async fn turn(daemon: &Daemon, names: &[String]) -> [f64; 3] {
    let pids = [daemon.pid(), process::id()];
    let before = pids.map(cpu_ms);
    let load = http::singles(daemon, CONNECTIONS, names, TIME).await;
    let after = pids.map(cpu_ms);
    let each = |index: usize| (after[index] - before[index]) * 1000.0 / load.switches as f64;
    [load.rate(), each(0), each(1)]
}

/// Requests that a console repeats.
const CONSOLE_ASKS: [&str; 2] = ["/recent", "/status"];

/// A scraper, a client of the stream, and a console.
struct Watchers {
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Watchers {
    /// Once they are connected, and each has had an answer.
    async fn of(address: &str) -> Self {
        let mut scraper = Pages::open(address).await;
        assert_eq!(scraper.get("/metrics").await, 200);
        let mut console = Pages::open(address).await;
        for page in CONSOLE_ASKS {
            assert_eq!(console.get(page).await, 200);
        }
        let mut stream = Pages::open(address).await;
        stream.ask("/recent/stream").await;
        assert_eq!(stream.head().await.0, 200);
        Self {
            tasks: vec![
                tokio::spawn(keep_asking(scraper, vec!["/metrics"], SCRAPED_EVERY)),
                tokio::spawn(keep_asking(console, CONSOLE_ASKS.to_vec(), ASKED_EVERY)),
                tokio::spawn(stream.swallow()),
            ],
        }
    }

    async fn end(self) {
        for task in self.tasks {
            assert!(!task.is_finished(), "a watcher was hung up on");
            task.abort();
            let _ = task.await;
        }
    }
}

async fn keep_asking(mut pages: Pages, paths: Vec<&'static str>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for path in &paths {
            assert_eq!(pages.get(path).await, 200, "{path}");
        }
    }
}

/// A connection to the admin pages.
struct Pages {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Pages {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream: BufReader::with_capacity(64 * 1024, stream), body: Vec::new() }
    }

    async fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{CREDENTIALS}\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// The answer's status, and the length of its body if given.
    async fn head(&mut self) -> (u16, usize) {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "no answer");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return (status, length);
            } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            }
        }
    }

    /// Asks for a page and reads it; its status.
    async fn get(&mut self, path: &str) -> u16 {
        self.ask(path).await;
        let (status, length) = self.head().await;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await.unwrap();
        status
    }

    /// Reads all that comes.
    async fn swallow(mut self) {
        loop {
            let read = self.stream.fill_buf().await.unwrap().len();
            assert!(read > 0, "the stream has ended");
            self.stream.consume(read);
        }
    }
}
