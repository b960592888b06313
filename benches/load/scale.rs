//! Effects of size: batches of one name to half a million, and a watch directory of a thousand to a million
//! znodes. Both sides write the same znodes, of a server of their own.

use std::time::Duration;

use zookeeper_client::Client;

use crate::{
    CONNECTIONS, bare,
    daemon::Daemon,
    http::{self, Batches},
    plot::{Better, Chart, Plot, Series},
    process::resident_mb,
    report::{Report, Table, count, median, number},
    support::zookeeper::ZooKeeper,
};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(1);
const SIZES: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 500_000];
const ZNODES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Names of one request that adds znodes.
const ADDED_AT_ONCE: usize = 100_000;
/// Names that are switched: more than the daemon remembers the state of.
const SWITCHED: usize = 250_000;
const BATCH: usize = 1_000;
const ONE_BY_ONE: usize = 1_000;

/// A server with a watch directory that grows.
pub struct Scale {
    zookeeper: ZooKeeper,
    client: Client,
    daemon: Daemon,
    znodes: usize,
}

impl Scale {
    pub async fn new() -> Self {
        let zookeeper = ZooKeeper::private().await;
        let client = zookeeper.client().await;
        let daemon = Daemon::start(&zookeeper).await;
        Self { zookeeper, client, daemon, znodes: 0 }
    }

    async fn grow_to(&mut self, znodes: usize) {
        while self.znodes < znodes {
            let end = znodes.min(self.znodes + ADDED_AT_ONCE);
            http::batch(&self.daemon, &names(self.znodes..end), "btc").await;
            self.znodes = end;
        }
    }

    /// Throughput and latency with more and more znodes there.
    pub async fn growth(&mut self, report: &mut Report, plot: &mut Plot) {
        let mut table = Table::new(
            "Growth with the znodes of the watch directory",
            &[
                "znodes",
                "single switches/s",
                "bare sets/s",
                "in batches of 1,000/s",
                "bare `multi`/s",
                "median of one, ms",
                "bare median, ms",
                "ZooKeeper's resident MB",
            ],
        );
        let mut rates = ["single", "bare set", "batch", "bare multi"].map(Series::new);
        for znodes in ZNODES {
            self.grow_to(znodes).await;
            let figures = self.round_after_round().await;
            for (series, figure) in rates.iter_mut().zip(figures) {
                series.points.push((znodes as f64, figure));
            }
            let mut cells = vec![count(znodes)];
            cells.extend(figures.map(number));
            cells.push(number(resident_mb(self.zookeeper.pid())));
            table.row(cells);
        }
        report.table(table);
        plot.add(Chart {
            title: "Throughput against znodes in the watch directory",
            across: "znodes",
            up: "per second",
            better: Better::Higher,
            series: rates.into(),
        });
    }

    async fn round_after_round(&self) -> [f64; 6] {
        let Self { client, daemon, znodes, .. } = self;
        let directory = daemon.directory();
        let stride = znodes.div_ceil(SWITCHED);
        let mut switched: Vec<String> = (0..*znodes)
            .step_by(stride)
            .map(|number| names(number..number + 1).remove(0))
            .collect();
        let mut figures: [Vec<f64>; 6] = Default::default();
        for _ in 0..ROUNDS {
            // Others than in the round before, as far as there are others.
            let by = switched.len() / ROUNDS;
            switched.rotate_left(by);
            let one_by_one = &switched[..ONE_BY_ONE];
            let batches = Batches::of(&switched, BATCH);
            let round = [
                http::singles(daemon, CONNECTIONS, &switched, TIME).await.rate(),
                bare::sets(client, directory, &switched, CONNECTIONS, TIME).await.rate(),
                batches.send(daemon, TIME).await.rate(),
                bare::batches(client, directory, &switched, BATCH, TIME).await.rate(),
                http::median_ms(daemon, one_by_one).await,
                bare::median_ms(client, directory, one_by_one).await,
            ];
            for (figures, figure) in figures.iter_mut().zip(round) {
                figures.push(figure);
            }
        }
        figures.map(median)
    }

    /// Batches of all sizes, one after another over one connection.
    pub async fn batches(&mut self, report: &mut Report, plot: &mut Plot) {
        let largest = SIZES[SIZES.len() - 1];
        self.grow_to(largest).await;
        let all = names(0..largest);
        let mut table = Table::new(
            "Batches against their size, one after another; the same in bare `multi` of 500, 4 deep",
            &["names", "switches/s", "bare sets/s", "ratio", "median of one batch, ms", "bare, ms"],
        );
        let mut rates = [Series::new("daemon"), Series::new("bare")];
        for size in SIZES {
            // As many as the daemon remembers, or one batch that is larger.
            let names = &all[..size.max(BATCH * 100)];
            let prepared = Batches::of(names, size);
            let mut figures: [Vec<f64>; 4] = Default::default();
            for _ in 0..ROUNDS {
                let ours = prepared.send(&self.daemon, TIME).await;
                let directory = self.daemon.directory();
                let bare = bare::batches(&self.client, directory, names, size, TIME).await;
                let round = [ours.rate(), bare.rate(), ours.median_ms(), bare.median_ms()];
                for (figures, figure) in figures.iter_mut().zip(round) {
                    figures.push(figure);
                }
            }
            let [rate, bare_rate, ms, bare_ms] = figures.map(median);
            for (series, figure) in rates.iter_mut().zip([rate, bare_rate]) {
                series.points.push((size as f64, figure));
            }
            let ratio = format!("{:.2}", rate / bare_rate);
            let [rate, bare_rate, ms, bare_ms] = [rate, bare_rate, ms, bare_ms].map(number);
            table.row(vec![count(size), rate, bare_rate, ratio, ms, bare_ms]);
        }
        report.table(table);
        plot.add(Chart {
            title: "Throughput: batches, bare sets in transactions",
            across: "names in a batch",
            up: "per second",
            better: Better::Higher,
            series: rates.into(),
        });
    }
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("user{number:07}")).collect()
}
