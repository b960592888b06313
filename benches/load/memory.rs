//! Memory of a daemon after batches of unknown sub-accounts.

use crate::{
    daemon::Daemon,
    http,
    process::{peak_mb, resident_mb},
    report::{Goal, Report, Table, count, number},
    support::zookeeper::ZooKeeper,
};

/// Names of one batch.
const BATCHES: [usize; 3] = [100_000, 500_000, 500_000];

pub async fn measure(zookeeper: &ZooKeeper, report: &mut Report) {
    // A separate daemon, which holds only these batches.
    let daemon = Daemon::start(zookeeper).await;
    let mut table = Table::new(
        "The daemon's memory, MB",
        &["sub-accounts switched so far", "resident", "at the most"],
    );
    let mut row = |switched: usize| {
        let figures = [resident_mb(daemon.pid()), peak_mb(daemon.pid())];
        table.row([count(switched)].into_iter().chain(figures.map(number)).collect());
        figures
    };
    let [mut resident, mut peak] = row(0);
    let mut switched = 0;
    for batch in BATCHES {
        let names: Vec<String> =
            (switched..switched + batch).map(|number| format!("user{number:07}")).collect();
        http::batch(&daemon, &names, "btc").await;
        switched += batch;
        [resident, peak] = row(switched);
    }
    report.goal("resident MB after a million sub-accounts", resident, Goal::AtMost(80.0));
    report.goal("peak resident MB, batches of 500,000", peak, Goal::AtMost(120.0));
    report.table(table);
}
