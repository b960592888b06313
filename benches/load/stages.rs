//! Where the time of one switch goes: each stage alone, one request after another. The remainder, which the stages
//! do not explain, is the daemon's own: handing the switch from thread to thread, order of writes, log line.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use zookeeper_client::{Client, Error};

use crate::{
    Stage,
    bare::persistent,
    http::{Connection, REFUSAL, SUCCESS, batch_request, switch},
    load::{ms_since, on_one_thread},
    report::{Report, Table, precise},
    support::zookeeper::ZooKeeper,
    turns::{Spread, by_turns, median},
};

const BLOCKS: usize = 12;
/// Of one stage in a block.
const TIME: Duration = Duration::from_millis(250);

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let [set, refused, existing, batch, read, create, new, two_threads, echo] =
        on_one_thread(blocks(zookeeper, stage));
    let rest = |switch: &[f64], stages: &[&[f64]]| -> Vec<f64> {
        let explained = |block: usize| stages.iter().map(|stage| stage[block]).sum::<f64>();
        switch.iter().enumerate().map(|(block, switch)| switch - explained(block)).collect()
    };
    let rest_existing = rest(&existing, &[&set, &refused]);
    let rest_new = rest(&new, &[&create, &refused]);
    let mut table = Table::new(
        "Where the time of one switch goes, stage by stage, 1 connection",
        &["stage", "median, ms", "its range"],
    );
    for (name, figures) in [
        ("ZooKeeper: a bare set, client and loop on one thread", set),
        ("HTTP: a switch that is refused for its coin", refused.clone()),
        ("remainder: hand-over between threads, order of writes, log line", rest_existing),
        ("**switch, existing**", existing),
        ("the same as a batch of one", batch),
        ("ZooKeeper: a bare create, client and loop on one thread", create),
        ("HTTP, as above", refused),
        ("remainder", rest_new),
        ("**switch, new**", new),
        ("for comparison: a bare read of a missing znode", read),
        ("for comparison: a bare set, client and loop on two threads", two_threads),
        ("for comparison: a message to another thread and back", echo),
    ] {
        let spread = Spread::of(&figures);
        table.row(vec![name.to_owned(), precise(spread.median), spread.range(precise)]);
    }
    report.table(table);
}

/// Medians of each stage, in milliseconds, by block.
async fn blocks(zookeeper: &ZooKeeper, stage: &Stage) -> [Vec<f64>; 9] {
    let Stage { client, daemon, existing } = stage;
    let (own, echo) = (zookeeper.client().await, Echo::start());
    let mut connection = Connection::open(&daemon.address).await;
    by_turns(BLOCKS, async |block, stage| {
        let (mut times, block_began) = (Vec::new(), Instant::now());
        while block_began.elapsed() < TIME {
            let (name, new) = names(existing, block, times.len());
            // A real switch finds threads asleep, since the one before waited for ZooKeeper.
            if let 1 | 8 = stage {
                set(&own, name).await;
            }
            let began = Instant::now();
            match stage {
                0 => set(&own, name).await,
                1 => connection.ask(&switch(name, "?"), REFUSAL).await,
                2 => connection.ask(&switch(name, "bcc"), SUCCESS).await,
                3 => connection.ask(&batch_request(&[name.to_owned()], "bcc"), SUCCESS).await,
                4 => read_missing(&own, &new).await,
                5 => create(&own, &new).await,
                6 => connection.ask(&switch(&new, "bcc"), SUCCESS).await,
                7 => set(client, name).await,
                _ => echo.there_and_back().await,
            }
            times.push(ms_since(began));
        }
        median(times)
    })
    .await
}

/// An existing sub-account, and a new one.
fn names(existing: &[String], block: usize, turn: usize) -> (&str, String) {
    (&existing[turn % existing.len()], format!("stage{block}-{turn}"))
}

async fn set(client: &Client, name: &str) {
    client.set_data(&format!("/bare/{name}"), b"bcc", None).await.unwrap();
}

async fn create(client: &Client, name: &str) {
    client.create(&format!("/bare/{name}"), b"bcc", &persistent()).await.unwrap();
}

async fn read_missing(client: &Client, name: &str) {
    let missing = client.get_data(&format!("/bare/missing-{name}")).await;
    assert!(matches!(missing, Err(Error::NoNode)), "{missing:?}");
}

/// A thread that answers each message at once.
struct Echo(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Echo {
    fn start() -> Self {
        let (sender, mut messages) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                while let Some(back) = messages.recv().await {
                    back.send(()).unwrap();
                }
            });
        });
        Self(sender)
    }

    async fn there_and_back(&self) {
        let (back, answer) = oneshot::channel();
        self.0.send(back).unwrap();
        answer.await.unwrap();
    }
}
