//! Two builds by turns, over the same ZooKeeper: this one, and a base given as a program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use upstream_sim::{Reply, Upstream};

use crate::{
    BATCH, CONNECTIONS, Chosen,
    cost::{self, column, spent},
    daemon::Daemon,
    http::{self, Batches},
    load::{Load, Names, each},
    plot::Better,
    polls::{self, MANY, NOW},
    process::resident_mb,
    report::{Report, Table, number, precise},
    singles::TIME,
    support::{
        self,
        daemon::{Builder, Daemon as Tested},
        zookeeper::ZooKeeper,
    },
    turns::{Spread, by_turns, median},
};

/// Sections that measure two builds.
pub const SECTIONS: [&str; 6] = ["batch", "singles", "latency", "cost", "memory", "polls"];
const BLOCKS: usize = 20;
const POLL_BLOCKS: usize = 10;

/// This build's program and the one to compare with.
pub struct Base {
    /// Copies: how the kernel caches a file affects the resident memory of its processes by several percent.
    programs: [PathBuf; 2],
    name: String,
    _folder: TempDir,
}

impl Base {
    /// Checks that the file is a daemon that can be executed.
    pub fn at(path: &Path) -> Result<Self, String> {
        let fault = |text: String| format!("BASE={}: {text}", path.display());
        let base = fs::canonicalize(path).map_err(|error| fault(error.to_string()))?;
        let own = fs::canonicalize(support::daemon::program()).unwrap();
        if base == own {
            return Err(fault(
                "this build's own program; copy the base before the build".to_owned(),
            ));
        }
        let run = Command::new(&base).arg("--version").output();
        let output = run.map_err(|error| fault(format!("cannot be executed: {error}")))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !version.starts_with("switcher-api-server ") {
            return Err(fault("not a switcher-api-server, by its --version".to_owned()));
        }
        let folder = tempfile::tempdir().unwrap();
        let programs = ["this", "base"].map(|name| folder.path().join(name));
        for (from, to) in [own, base].iter().zip(&programs) {
            fs::copy(from, to).unwrap();
        }
        Ok(Self { programs, name: format!("{}, {version}", path.display()), _folder: folder })
    }

    /// Daemon of one of the builds.
    fn builder(&self, zookeeper: &ZooKeeper, side: usize) -> Builder {
        Tested::builder(zookeeper).program(&self.programs[side])
    }
}

/// Measures the chosen sections, and puts the ratios into a table.
pub async fn measure(chosen: &Chosen, base: &Base, zookeeper: &ZooKeeper, report: &mut Report) {
    let builder = |side| base.builder(zookeeper, side);
    let builds = [Daemon::start_with(builder(0)).await, Daemon::start_with(builder(1)).await];
    let existing: Vec<String> = (0..BATCH).map(|n| format!("user{n:06}")).collect();
    let mut builds = Builds { builds, existing, table: table() };
    builds.warm_up().await;
    if chosen.has("batch") {
        builds.batches().await;
    }
    if chosen.has("latency") {
        builds.singles(1).await;
    }
    if chosen.has("singles") {
        builds.singles(16).await;
        builds.singles(CONNECTIONS).await;
    }
    if chosen.has("cost") {
        builds.cost().await;
    }
    if chosen.has("polls") {
        builds.polls(builder).await;
    }
    if chosen.has("memory") {
        builds.idle(builder).await;
    }
    report.note(format!("base: {}", base.name));
    report.table(builds.table);
}

fn table() -> Table {
    Table::new(
        "This build beside the base",
        &["", "this build", "base", "ratio", "its range, 19 times of 20", "difference"],
    )
}

struct Builds {
    /// This one, and the base.
    builds: [Daemon; 2],
    existing: Vec<String>,
    table: Table,
}

impl Builds {
    fn row(&mut self, name: &str, better: Better, figures: [&[f64]; 2]) {
        let ratio = Spread::of_ratios(figures[0], figures[1]);
        let difference = match (ratio.low > 1.0, ratio.high < 1.0, better) {
            (true, _, Better::Higher) | (_, true, Better::Lower) => "better",
            (true, _, Better::Lower) | (_, true, Better::Higher) => "WORSE",
            _ => "none shown",
        };
        let mut cells = vec![name.to_owned()];
        cells.extend(figures.map(|figures| number(median(figures.to_vec()))));
        cells.extend([precise(ratio.median), ratio.range(precise), difference.to_owned()]);
        self.table.row(cells);
    }

    async fn warm_up(&self) {
        for daemon in &self.builds {
            http::batch(daemon, &self.existing, "btc").await;
            let names = Names::Existing(&self.existing);
            http::singles(daemon, CONNECTIONS, names, cost::TIME).await;
        }
    }

    async fn batches(&mut self) {
        let Self { builds, existing, .. } = &*self;
        let batches = Batches::of(existing, BATCH);
        let [ours, base] =
            by_turns(BLOCKS, async |_, side| batches.send(&builds[side], TIME).await.rate()).await;
        let [new, base_new] = by_turns(BLOCKS, async |block, side| {
            let new: Vec<String> = (0..BATCH).map(|n| format!("new{block}-{n:06}")).collect();
            http::batch(&builds[side], &new, "btc").await
        })
        .await;
        self.row("batch of 20,000 existing, switches/s", Better::Higher, [&ours, &base]);
        self.row("batch of 20,000 new, switches/s", Better::Higher, [&new, &base_new]);
    }

    async fn singles(&mut self, connections: usize) {
        let Self { builds, existing, .. } = &*self;
        let loads = by_turns::<4, _>(BLOCKS, async |block, side| {
            let prefix = format!("single{connections}-{block}");
            let names = if side < 2 { Names::Existing(existing) } else { Names::New(&prefix) };
            http::singles(&builds[side % 2], connections, names, TIME).await
        })
        .await;
        let (unit, figure, better): (_, fn(&Load) -> f64, _) = match connections {
            1 => ("median ms of one switch", Load::median_ms, Better::Lower),
            _ => ("single switches/s", Load::rate, Better::Higher),
        };
        let [ours, base, new, base_new] = loads.map(|loads| each(&loads, figure));
        for (kind, figures) in [("existing", [&ours, &base]), ("new", [&new, &base_new])] {
            let name = format!("{unit}, {kind}, connections: {connections}");
            self.row(&name, better, figures.map(|figures| &figures[..]));
        }
    }

    async fn cost(&mut self) {
        let Self { builds, existing, .. } = &*self;
        let batches = Batches::of(existing, BATCH);
        let figures = by_turns::<4, _>(cost::BLOCKS, async |_, side| {
            let daemon = &builds[side % 2];
            let load = async {
                match side {
                    0 | 1 => {
                        let names = Names::Existing(existing);
                        http::singles(daemon, CONNECTIONS, names, cost::TIME).await
                    }
                    _ => batches.send(daemon, cost::TIME).await,
                }
            };
            spent([daemon.pid()], load).await.0
        })
        .await;
        let [ours, base, many, base_many] = figures.map(|side| column(&side, 0));
        self.row("CPU ms of 1,000 single switches", Better::Lower, [&ours, &base]);
        self.row("CPU ms of 1,000 switches in batches", Better::Lower, [&many, &base_many]);
    }

    async fn polls(&mut self, builder: impl Fn(usize) -> Builder) {
        let mut sides = Vec::new();
        for side in [0, 1] {
            let upstream = Upstream::start(|_| Reply::map(&[], NOW)).await.unwrap();
            let daemon = Daemon::start_with(polls::polling(builder(side), &upstream)).await;
            polls::pull(&daemon, &upstream, MANY, "btc").await;
            sides.push((daemon, upstream));
        }
        let [ours, base] = by_turns(POLL_BLOCKS, async |block, side| {
            let (daemon, upstream) = &sides[side];
            let coin = if block % 2 == 0 { "bcc" } else { "btc" };
            polls::pull(daemon, upstream, MANY, coin).await
        })
        .await;
        self.row("poll, 100,000 changed, entries/s", Better::Higher, [&ours, &base]);
    }

    async fn idle(&mut self, builder: impl Fn(usize) -> Builder) {
        let [ours, base] = by_turns(BLOCKS, async |_, side| {
            resident_mb(Daemon::start_with(builder(side)).await.pid())
        })
        .await;
        self.row("resident MB, idle", Better::Lower, [&ours, &base]);
    }
}
