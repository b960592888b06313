//! CPU time: of the daemon, of ZooKeeper and of the load, for the same number of writes.

use std::{future::Future, process, time::Duration};

use crate::{
    CONNECTIONS, Stage, bare,
    http::{self, Batches},
    load::Load,
    process::cpu_ms,
    report::{Report, Table, median, number},
    support::zookeeper::ZooKeeper,
};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(2);

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let Stage { client, daemon, existing, .. } = stage;
    let batches = Batches::of(existing, existing.len());
    let pids = [daemon.pid(), zookeeper.pid(), process::id()];
    let mut rows = [
        ("single switches, 256 connections", Vec::new()),
        ("bare single sets, 256 in flight", Vec::new()),
        ("batches of 20,000", Vec::new()),
        ("bare `multi` of 500, 4 deep", Vec::new()),
    ];
    for _ in 0..ROUNDS {
        let singles = http::singles(daemon, CONNECTIONS, existing, TIME);
        rows[0].1.push(spent(pids, singles).await);
        let sets = bare::sets(client, "/bare", existing, CONNECTIONS, TIME);
        rows[1].1.push(spent(pids, sets).await);
        rows[2].1.push(spent(pids, batches.send(daemon, TIME)).await);
        let transactions = bare::batches(client, "/bare", existing, existing.len(), TIME);
        rows[3].1.push(spent(pids, transactions).await);
    }
    let mut table = Table::new(
        "CPU milliseconds for 1,000 switches",
        &["", "daemon", "ZooKeeper", "load, or bare client", "all", "switches/s"],
    );
    for (name, rounds) in rows {
        let column = |index: usize| median(rounds.iter().map(|round| round[index]).collect());
        let [daemon, zookeeper, load, rate] = [0, 1, 2, 3].map(column);
        let mut cells = vec![name.to_owned()];
        cells.extend([daemon, zookeeper, load, daemon + zookeeper + load, rate].map(number));
        table.row(cells);
    }
    report.table(table);
}

/// CPU milliseconds for 1,000 switches of each process during a load, and the load's switches per second.
async fn spent(pids: [u32; 3], load: impl Future<Output = Load>) -> [f64; 4] {
    let before = pids.map(cpu_ms);
    let load = load.await;
    let mut each = pids.map(cpu_ms);
    for (after, before) in each.iter_mut().zip(before) {
        *after = (*after - before) * 1000.0 / load.switches as f64;
    }
    let [daemon, zookeeper, own] = each;
    [daemon, zookeeper, own, load.rate()]
}
