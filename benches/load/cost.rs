//! CPU time: of the daemon, of ZooKeeper and of the load, for the same number of writes.

use std::{process, time::Duration};

use crate::{
    CONNECTIONS, Stage, bare,
    http::{self, Batches},
    load::{Load, Names, each},
    process::cpu_ms,
    report::{Goal, Report, Table, number},
    support::zookeeper::ZooKeeper,
    turns::{Spread, by_turns, median},
};

pub const BLOCKS: usize = 8;
/// The kernel counts CPU time in steps of ten milliseconds.
pub const TIME: Duration = Duration::from_secs(1);

/// Each with the goal of the daemon's time.
const SIDES: [(&str, Option<Goal>); 4] = [
    ("single switches, 256 connections", Some(Goal::AtMost(8.0))),
    ("bare single sets, 256 in flight", None),
    ("batches of 20,000", Some(Goal::AtMost(0.8))),
    ("bare `multi` of 500, 4 deep", None),
];

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let Stage { client, daemon, existing, .. } = stage;
    let batches = Batches::of(existing, existing.len());
    let pids = [daemon.pid(), zookeeper.pid(), process::id()];
    let names = Names::Existing(existing);
    let sides = by_turns::<4, _>(BLOCKS, async |_, side| match side {
        0 => spent(pids, http::singles(daemon, CONNECTIONS, names, TIME)).await,
        1 => spent(pids, bare::singles(client, "/bare", CONNECTIONS, names, TIME)).await,
        2 => spent(pids, batches.send(daemon, TIME)).await,
        _ => spent(pids, bare::batches(client, "/bare", existing, existing.len(), TIME)).await,
    })
    .await;
    let mut table = Table::new(
        "CPU milliseconds for 1,000 switches",
        &["", "daemon", "ZooKeeper", "load, or bare client", "all", "switches/s"],
    );
    for ((name, goal), side) in SIDES.into_iter().zip(sides) {
        let (cpu, loads): (Vec<_>, Vec<_>) = side.into_iter().unzip();
        let cpu = [0, 1, 2].map(|process| column(&cpu, process));
        if let Some(goal) = goal {
            report.goal(&format!("daemon's CPU ms for 1,000: {name}"), Spread::of(&cpu[0]), goal);
        }
        let [daemon, zookeeper, load] = cpu.map(median);
        let (all, rate) = (daemon + zookeeper + load, median(each(&loads, Load::rate)));
        let figures = [daemon, zookeeper, load, all, rate].map(number);
        table.row([name.to_owned()].into_iter().chain(figures).collect());
    }
    report.table(table);
}

/// CPU milliseconds for 1,000 switches that each process takes during a load.
pub async fn spent<const PROCESSES: usize>(
    pids: [u32; PROCESSES],
    load: impl Future<Output = Load>,
) -> ([f64; PROCESSES], Load) {
    let before = pids.map(cpu_ms);
    let load = load.await;
    let mut each = pids.map(cpu_ms);
    for (after, before) in each.iter_mut().zip(before) {
        *after = (*after - before) * 1000.0 / load.switches as f64;
    }
    (each, load)
}

/// Figures of one process.
pub fn column<const PROCESSES: usize>(blocks: &[[f64; PROCESSES]], process: usize) -> Vec<f64> {
    blocks.iter().map(|block| block[process]).collect()
}
