//! Throughput of a ZooKeeper server through the daemon, and through a bare client in the same run. Prints both
//! sides of every ratio and the goal. Absolute values of different runs or machines do not compare, ratios nearly
//! do.
//!
//! `make bench` runs it, `make bench-report` puts its tables and its plot into `docs/operate/performance.md`, and
//! `make bench BASE=PROGRAM` compares two builds instead ([`base`]). It needs a ZooKeeper and a Java, as the tests do
//! (`.ci/zookeeper`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unused_qualifications
)]

mod bare;
mod base;
mod batches;
mod connections;
mod cost;
mod daemon;
mod history;
mod http;
mod load;
mod log;
mod logins;
mod memory;
mod plot;
mod polls;
mod process;
mod report;
mod scale;
mod singles;
mod stages;
mod sub_pools;
mod turns;
mod user_lists;
mod watching;

use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};

use base::Base;
use daemon::Daemon;
use load::Names;
use plot::Plot;
use process::resident_mb;
use report::{Goal, Report};
use scale::Scale;
use test_support::{self as support, zookeeper::ZooKeeper};
use zookeeper_client::Client;

/// Switches of one batch.
const BATCH: usize = 20_000;
const CONNECTIONS: usize = 256;
const WARM_UP: Duration = Duration::from_secs(3);

const SECTIONS: [&str; 16] = [
    "batch",
    "latency",
    "singles",
    "stages",
    "connections",
    "cost",
    "log",
    "watching",
    "growth",
    "sizes",
    "memory",
    "subpools",
    "polls",
    "lists",
    "history",
    "logins",
];

fn main() -> ExitCode {
    let plan = Plan::from_environment().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2)
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (report, plot) = runtime.block_on(measure(&plan));
    let all_met = report.print();
    if let Some(document) = &plan.document {
        report.write_into(document);
        plot.write(&document.with_extension("svg"));
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Plan {
    chosen: Chosen,
    /// Document for the tables.
    document: Option<PathBuf>,
    base: Option<Base>,
}

impl Plan {
    fn from_environment() -> Result<Self, String> {
        let path = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let (document, base) = (path("BENCH_REPORT"), path("BENCH_BASE"));
        if document.is_some() && base.is_some() {
            return Err("BASE compares two builds, and the document has no place for it".to_owned());
        }
        let sections = if base.is_some() { &base::SECTIONS[..] } else { &SECTIONS[..] };
        // Cargo adds `--bench`.
        let words = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        let chosen = Chosen::among(sections, words)?;
        Ok(Self { chosen, document, base: base.as_deref().map(Base::at).transpose()? })
    }
}

/// Sections, chosen by parts of their names. No word chooses all.
struct Chosen(Vec<String>);

impl Chosen {
    fn among(sections: &[&str], words: Vec<String>) -> Result<Self, String> {
        let is_unknown = |word: &&String| !sections.iter().any(|name| name.contains(&***word));
        match words.iter().find(is_unknown) {
            Some(word) => Err(format!("no section {word} here, only {}", sections.join(", "))),
            None => Ok(Self(words)),
        }
    }

    fn has(&self, section: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| section.contains(&**word))
    }
}

async fn measure(plan: &Plan) -> (Report, Plot) {
    let zookeeper = ZooKeeper::private().await;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut report = Report::new(format!(
        "{cores} cores, shared by the daemon, the load and one ZooKeeper {} server with fsync on",
        zookeeper.version_text().await
    ));
    let mut plot = Plot::default();
    match &plan.base {
        Some(base) => base::measure(&plan.chosen, base, &zookeeper, &mut report).await,
        None => beside_bare_client(&plan.chosen, &zookeeper, &mut report, &mut plot).await,
    }
    (report, plot)
}

async fn beside_bare_client(
    chosen: &Chosen,
    zookeeper: &ZooKeeper,
    report: &mut Report,
    plot: &mut Plot,
) {
    let stage = Stage::set(zookeeper).await;
    stage.footprint(report);
    stage.warm_up().await;
    if chosen.has("batch") {
        batches::measure(&stage, report).await;
    }
    let levels = [("latency", &[1][..]), ("singles", &[16, CONNECTIONS])];
    let levels: Vec<_> = levels.iter().filter(|level| chosen.has(level.0)).collect();
    if !levels.is_empty() {
        let levels: Vec<usize> = levels.iter().flat_map(|level| level.1).copied().collect();
        singles::measure(&stage, &levels, report).await;
    }
    if chosen.has("stages") {
        stages::measure(zookeeper, &stage, report).await;
    }
    if chosen.has("connections") {
        connections::measure(&stage, report, plot).await;
    }
    if chosen.has("cost") {
        cost::measure(zookeeper, &stage, report).await;
    }
    if chosen.has("log") {
        log::measure(zookeeper, &stage, report).await;
    }
    if chosen.has("watching") {
        watching::measure(zookeeper, &stage, report).await;
    }
    if chosen.has("growth") || chosen.has("sizes") {
        let mut scale = Scale::new().await;
        if chosen.has("growth") {
            scale.growth(report, plot).await;
        }
        if chosen.has("sizes") {
            scale.batches(report, plot).await;
        }
    }
    if chosen.has("memory") {
        memory::measure(zookeeper, report).await;
    }
    if chosen.has("subpools") {
        sub_pools::measure(zookeeper, &stage.client, &stage.daemon, report).await;
    }
    if chosen.has("polls") {
        polls::measure(zookeeper, &stage.client, report).await;
    }
    if chosen.has("lists") {
        user_lists::measure(zookeeper, &stage.client, report).await;
    }
    if chosen.has("history") {
        history::measure(zookeeper, &stage, report).await;
    }
    if chosen.has("logins") {
        logins::measure(zookeeper, &stage, report).await;
    }
}

/// Both sides, over the same server.
struct Stage {
    client: Client,
    daemon: Daemon,
    existing: Vec<String>,
}

impl Stage {
    async fn set(zookeeper: &ZooKeeper) -> Self {
        Self {
            client: zookeeper.client().await,
            daemon: Daemon::start(zookeeper).await,
            existing: (0..BATCH).map(|n| format!("user{n:06}")).collect(),
        }
    }

    fn footprint(&self, report: &mut Report) {
        let started = self.daemon.started_in_ms;
        report.goal("milliseconds from start to listening", started, Goal::AtMost(100.0));
        report.goal("resident MB, idle", resident_mb(self.daemon.pid()), Goal::AtMost(12.0));
        let program = fs::metadata(support::daemon::program()).unwrap().len();
        report.goal("MB of the program", program as f64 / 1e6, Goal::AtMost(12.0));
    }

    /// Brings both sides, and the server's compiler, to their pace.
    async fn warm_up(&self) {
        let Self { client, daemon, existing } = self;
        bare::make_directory(client, "/bare").await;
        bare::create_in_transactions(client, "/bare", existing).await;
        http::batch(daemon, existing, "btc").await;
        let names = Names::Existing(existing);
        http::singles(daemon, CONNECTIONS, names, WARM_UP).await;
        bare::singles(client, "/bare", CONNECTIONS, names, WARM_UP).await;
    }
}
