//! Cost of monitoring: single switches through a daemon without admin pages, and through one whose metrics
//! are scraped, whose changes are streamed and which a console asks.

use std::{process, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};
use upstream_sim::{Reply, Upstream};

use crate::{
    CONNECTIONS, Stage,
    cost::{column, spent},
    daemon::Daemon,
    http::{self, CREDENTIALS},
    load::Names,
    process::resident_mb,
    report::{Goal, Report, Table, number, precise},
    sub_pools::BASE_DIR,
    support::{
        daemon::{Builder, Daemon as Tested},
        free_port,
        zookeeper::ZooKeeper,
    },
    turns::{Spread, by_turns, median},
};

/// Many, because the ratio is near 1.
const BLOCKS: usize = 30;
/// In each block the watchers ask once, so that shorter blocks would contain more of their requests.
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
        http::singles(daemon, CONNECTIONS, Names::Existing(names), TIME).await;
    }
    let sides = by_turns::<2, _>(BLOCKS, async |_, side| {
        if side == 0 {
            return turn(&plain, names).await;
        }
        let watchers = Watchers::of(&pages).await;
        let turn = turn(&watched, names).await;
        watchers.end().await;
        turn
    })
    .await;
    let [off, on] = sides.map(|turns| [0, 1, 2].map(|index| column(&turns, index)));
    let ratios: Vec<Spread> =
        on.iter().zip(&off).map(|(on, off)| Spread::of_ratios(on, off)).collect();
    report.goal("single switches/s, watched by not watched", ratios[0], Goal::AtLeast(0.98));
    let mut table = Table::new(
        "Single switches over 256 connections, watched and not",
        &[
            "",
            "switches/s",
            "CPU milliseconds of the daemon for 1,000",
            "of the load and the watchers",
        ],
    );
    for (name, columns) in
        [("admin pages off", off), ("scraped, streamed, and asked by a console", on)]
    {
        let cells = columns.map(|column| number(median(column)));
        table.row([name.to_owned()].into_iter().chain(cells).collect());
    }
    let cells = ratios.iter().map(|ratio| ratio.text(precise));
    table.row(["ratio".to_owned()].into_iter().chain(cells).collect());
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
}

/// A daemon with admin pages on that host, or without if it is empty; and their address.
async fn start(builder: Builder, host: &str) -> (Daemon, String) {
    let pages = if host.is_empty() { String::new() } else { format!("{host}:{}", free_port()) };
    (Daemon::start_with(builder.set("AdminListenAddr", pages.clone())).await, pages)
}

/// Switches per second, and CPU milliseconds for 1,000 switches: the daemon's, and the bench's own.
async fn turn(daemon: &Daemon, names: &[String]) -> [f64; 3] {
    let load = http::singles(daemon, CONNECTIONS, Names::Existing(names), TIME);
    let ([daemon, own], load) = spent([daemon.pid(), process::id()], load).await;
    [load.rate(), daemon, own]
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
