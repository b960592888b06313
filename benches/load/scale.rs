//! Effects of size: batches of one name to half a million, and a watch directory of a thousand to a million
//! znodes. Both sides write the same znodes, of a server of their own.

use zookeeper_client::Client;

use crate::{
    CONNECTIONS, bare,
    daemon::Daemon,
    http::{self, Batches},
    load::{Load, Names, each},
    plot::{Better, Chart, Plot, Series},
    process::resident_mb,
    report::{Goal, Pair, Report, Table, count, number, precise},
    singles::TIME,
    support::zookeeper::ZooKeeper,
    turns::{Spread, by_turns, median},
};

const BLOCKS: usize = 6;
const SIZES: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 500_000];
const ZNODES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Names of one request that adds znodes.
const ADDED_AT_ONCE: usize = 100_000;
/// Names that are switched, at most.
const SWITCHED: usize = 250_000;
const BATCH: usize = 1_000;

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
            let figures = self.figures().await;
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

    async fn figures(&self) -> [f64; 6] {
        let Self { client, daemon, znodes, .. } = self;
        let directory = daemon.directory();
        let stride = znodes.div_ceil(SWITCHED);
        let mut switched: Vec<String> = (0..*znodes)
            .step_by(stride)
            .map(|number| names(number..number + 1).remove(0))
            .collect();
        let (by, mut block_of_names) = (switched.len() / BLOCKS, 0);
        let figures = by_turns(BLOCKS, async |block, side| {
            // Others than in the block before, as far as there are others.
            if block > block_of_names {
                switched.rotate_left(by);
                block_of_names = block;
            }
            let names = Names::Existing(&switched);
            match side {
                0 => http::singles(daemon, CONNECTIONS, names, TIME).await.rate(),
                1 => bare::singles(client, directory, CONNECTIONS, names, TIME).await.rate(),
                2 => Batches::of(&switched, BATCH).send(daemon, TIME).await.rate(),
                3 => bare::batches(client, directory, &switched, BATCH, TIME).await.rate(),
                4 => http::singles(daemon, 1, names, TIME).await.median_ms(),
                _ => bare::singles(client, directory, 1, names, TIME).await.median_ms(),
            }
        })
        .await;
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
            // At least 100,000, so that a name returns late.
            let names = &all[..size.max(BATCH * 100)];
            let prepared = Batches::of(names, size);
            let Self { client, daemon, .. } = &*self;
            let loads = by_turns::<2, _>(BLOCKS, async |_, side| match side {
                0 => prepared.send(daemon, TIME).await,
                _ => bare::batches(client, daemon.directory(), names, size, TIME).await,
            })
            .await;
            let [ours, bare] = loads.each_ref().map(|loads| each(loads, Load::rate));
            let times = loads.map(|loads| number(median(each(&loads, Load::median_ms))));
            let figures = [&ours, &bare].map(|rates| median(rates.clone()));
            for (series, figure) in rates.iter_mut().zip(figures) {
                series.points.push((size as f64, figure));
            }
            let ratio = Spread::of_ratios(&ours, &bare).text(precise);
            let cells = figures.map(number).into_iter().chain([ratio]).chain(times);
            table.row([count(size)].into_iter().chain(cells).collect());
            if size == largest {
                let pair = Pair::of(
                    ("batch of 500,000 existing, switches/s", ours),
                    ("multi of 500 sets, 4 deep, sets/s", bare),
                );
                report.ratio(pair, Goal::AtLeast(0.8));
            }
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
