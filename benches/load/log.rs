//! Cost of the two log formats, by turns over the same server.

use std::time::Duration;

use crate::{
    CONNECTIONS, ROUNDS, Stage,
    daemon::Daemon,
    http::{self, Batches},
    load::Load,
    process::cpu_ms,
    report::{Goal, Pair, Report},
    support::zookeeper::ZooKeeper,
};

const TIME: Duration = Duration::from_secs(2);

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let names = &stage.existing;
    let (json, human) = (&stage.daemon, &Daemon::start_for_people(zookeeper).await);
    let batches = Batches::of(names, names.len());
    batches.send(human, TIME).await;
    let mut singles =
        Pair::of("CPU ms of 1,000 single switches, JSON lines", "the same, lines for people");
    let mut many =
        Pair::of("CPU ms of 1,000 switches in batches, JSON lines", "the same, lines for people");
    for _ in 0..ROUNDS {
        let single = |daemon| http::singles(daemon, CONNECTIONS, names, TIME);
        singles.add(spent(json, single(json)).await, spent(human, single(human)).await);
        let batch = |daemon| batches.send(daemon, TIME);
        many.add(spent(json, batch(json)).await, spent(human, batch(human)).await);
    }
    report.ratio(singles, Goal::AtMost(1.1));
    report.ratio(many, Goal::AtMost(1.5));
}

/// CPU milliseconds of the daemon for 1,000 switches of a load.
async fn spent(daemon: &Daemon, load: impl Future<Output = Load>) -> f64 {
    let before = cpu_ms(daemon.pid());
    let load = load.await;
    (cpu_ms(daemon.pid()) - before) * 1000.0 / load.switches as f64
}
