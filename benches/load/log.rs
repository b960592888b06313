//! Cost of the two log formats, by turns over the same server.

use crate::{
    CONNECTIONS, Stage,
    cost::{BLOCKS, TIME, column, spent},
    daemon::Daemon,
    http::{self, Batches},
    load::Names,
    report::{Goal, Pair, Report},
    support::zookeeper::ZooKeeper,
    turns::by_turns,
};

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let names = &stage.existing;
    let daemons = [&stage.daemon, &Daemon::start_for_people(zookeeper).await];
    let batches = Batches::of(names, names.len());
    batches.send(daemons[1], TIME).await;
    let figures = by_turns::<4, _>(BLOCKS, async |_, side| {
        let daemon = daemons[side % 2];
        let load = async {
            match side {
                0 | 1 => http::singles(daemon, CONNECTIONS, Names::Existing(names), TIME).await,
                _ => batches.send(daemon, TIME).await,
            }
        };
        spent([daemon.pid()], load).await.0
    })
    .await;
    let [singles, human_singles, many, human_many] = figures.map(|side| column(&side, 0));
    let singles = Pair::of(
        ("CPU ms of 1,000 single switches, JSON lines", singles),
        ("the same, lines for people", human_singles),
    );
    report.ratio(singles, Goal::AtMost(1.1));
    let many = Pair::of(
        ("CPU ms of 1,000 switches in batches, JSON lines", many),
        ("the same, lines for people", human_many),
    );
    report.ratio(many, Goal::AtMost(1.5));
}
