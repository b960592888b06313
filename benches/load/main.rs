//! Throughput of a ZooKeeper server through the daemon, and through a bare client in the same run. Prints both
//! sides of every ratio and the goal. Absolute values of different runs or machines do not compare, ratios nearly
//! do.
//!
//! `make bench` runs it, `make bench-report` puts its tables and its plot into `docs/operate/performance.md`. It needs a ZooKeeper and a Java, as
//! the tests do (`.ci/zookeeper`).

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unused_qualifications)]

mod bare;
mod connections;
mod cost;
mod daemon;
mod http;
mod load;
mod log;
mod memory;
mod plot;
mod polls;
mod process;
mod report;
mod scale;
mod sub_pools;
mod watching;

use std::{env, path::Path, process::ExitCode, time::Duration};

use daemon::Daemon;
use plot::Plot;
use process::resident_mb;
use report::{Goal, Pair, Report};
use scale::Scale;
use test_support::{self as support, zookeeper::ZooKeeper};
use zookeeper_client::Client;

/// Switches of one batch.
const BATCH: usize = 20_000;
/// Both sides of every pair are measured so often, by turns; the medians are compared.
const ROUNDS: usize = 5;
/// How long single switches are sent for in each round.
const SINGLES_FOR: Duration = Duration::from_secs(3);
/// One after another, at one connection.
const ONE_BY_ONE: usize = 2_000;
const CONNECTIONS: usize = 256;

fn main() -> ExitCode {
    // Cargo adds `--bench`; any other word chooses sections by a part of their names.
    let chosen: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (report, plot) = runtime.block_on(measure(&chosen));
    let all_met = report.print();
    if let Some(document) = report::document() {
        let document = Path::new(&document);
        report.write_into(document);
        plot.write(&document.with_extension("svg"));
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(chosen: &[String]) -> (Report, Plot) {
    let is_chosen =
        |section: &str| chosen.is_empty() || chosen.iter().any(|word| section.contains(&**word));
    let zookeeper = ZooKeeper::private().await;
    let stage = Stage {
        client: zookeeper.client().await,
        daemon: Daemon::start(&zookeeper).await,
        existing: (0..BATCH).map(|n| format!("user{n:06}")).collect(),
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut report = Report::new(format!(
        "{cores} cores, shared by the daemon, the load and one ZooKeeper {} server with fsync on",
        zookeeper.version_text().await
    ));
    let mut plot = Plot::default();
    report.goal(
        "milliseconds from start to listening",
        stage.daemon.started_in_ms,
        Goal::AtMost(100.0),
    );
    report.goal("resident MB, idle", resident_mb(stage.daemon.pid()), Goal::AtMost(15.0));

    stage.warm_up().await;
    if is_chosen("batch") {
        stage.batches(&mut report).await;
    }
    if is_chosen("singles") {
        stage.singles(&mut report).await;
    }
    if is_chosen("latency") {
        stage.latency(&mut report).await;
    }
    if is_chosen("connections") {
        connections::measure(&stage, &mut report, &mut plot).await;
    }
    if is_chosen("cost") {
        cost::measure(&zookeeper, &stage, &mut report).await;
    }
    if is_chosen("log") {
        log::measure(&zookeeper, &stage, &mut report).await;
    }
    if is_chosen("watching") {
        watching::measure(&zookeeper, &stage, &mut report).await;
    }
    if is_chosen("growth") || is_chosen("sizes") {
        let mut scale = Scale::new().await;
        if is_chosen("growth") {
            scale.growth(&mut report, &mut plot).await;
        }
        if is_chosen("sizes") {
            scale.batches(&mut report, &mut plot).await;
        }
    }
    if is_chosen("memory") {
        memory::measure(&zookeeper, &mut report).await;
    }
    if is_chosen("subpools") {
        sub_pools::measure(&zookeeper, &stage.client, &stage.daemon, &mut report).await;
    }
    if is_chosen("polls") {
        polls::measure(&zookeeper, &stage.client, &mut report).await;
    }
    (report, plot)
}

/// Both sides, over the same server.
struct Stage {
    client: Client,
    daemon: Daemon,
    existing: Vec<String>,
}

impl Stage {
    /// Brings both sides, and the server's compiler, to their pace.
    async fn warm_up(&self) {
        let Self { client, daemon, existing } = self;
        bare::make_directory(client, "/bare").await;
        bare::create_in_transactions(client, "/bare", existing).await;
        http::batch(daemon, existing, "btc").await;
        http::singles(daemon, CONNECTIONS, existing, SINGLES_FOR).await;
        bare::sets(client, "/bare", existing, CONNECTIONS, SINGLES_FOR).await;
    }

    async fn batches(&self, report: &mut Report) {
        let Self { client, daemon, existing } = self;
        let mut sets =
            Pair::of("batch of 20,000 existing, switches/s", "multi of 500 sets, 4 deep, sets/s");
        for round in 0..ROUNDS {
            let coin = if round % 2 == 0 { "bcc" } else { "btc" };
            sets.add(
                http::batch(daemon, existing, coin).await,
                bare::set_in_transactions(client, "/bare", existing, coin).await,
            );
        }
        report.ratio(sets, Goal::AtLeast(0.5));

        let mut creates =
            Pair::of("batch of 20,000 new, switches/s", "multi of 500 creates, 4 deep, creates/s");
        for round in 0..ROUNDS {
            let new: Vec<String> = (0..BATCH).map(|n| format!("new{round}-{n:06}")).collect();
            creates.add(
                http::batch(daemon, &new, "btc").await,
                bare::create_in_transactions(client, "/bare", &new).await,
            );
        }
        report.ratio(creates, Goal::AtLeast(0.5));
    }

    async fn singles(&self, report: &mut Report) {
        let Self { client, daemon, existing } = self;
        let mut singles =
            Pair::of("single switches/s, 256 connections", "single sets/s, 256 in flight");
        for _ in 0..ROUNDS {
            singles.add(
                http::singles(daemon, CONNECTIONS, existing, SINGLES_FOR).await.rate(),
                bare::sets(client, "/bare", existing, CONNECTIONS, SINGLES_FOR).await.rate(),
            );
        }
        report.ratio(singles, Goal::AtLeast(2.0));
    }

    async fn latency(&self, report: &mut Report) {
        let Self { client, daemon, existing } = self;
        let mut one =
            Pair::of("median ms of one switch, 1 connection", "median ms of one bare set");
        for _ in 0..ROUNDS {
            one.add(
                http::median_ms(daemon, &existing[..ONE_BY_ONE]).await,
                bare::median_ms(client, "/bare", &existing[..ONE_BY_ONE]).await,
            );
        }
        report.ratio(one, Goal::AtMost(1.5));
    }
}
