//! Batches of existing and of new sub-accounts.

use crate::{
    BATCH, Stage, bare,
    http::{self, Batches},
    load::{Load, each},
    report::{Goal, Pair, Report},
    singles::TIME,
    turns::by_turns,
};

const BLOCKS: usize = 12;

pub async fn measure(stage: &Stage, report: &mut Report) {
    let Stage { client, daemon, existing } = stage;
    let batches = Batches::of(existing, BATCH);
    let loads = by_turns(BLOCKS, async |_, side| match side {
        0 => batches.send(daemon, TIME).await,
        _ => bare::batches(client, "/bare", existing, BATCH, TIME).await,
    })
    .await;
    let [ours, bare] = loads.map(|loads| each(&loads, Load::rate));
    let sets = Pair::of(
        ("batch of 20,000 existing, switches/s", ours),
        ("multi of 500 sets, 4 deep, sets/s", bare),
    );
    report.ratio(sets, Goal::AtLeast(0.9));

    let [ours, bare] = by_turns(BLOCKS, async |block, side| {
        let new: Vec<String> = (0..BATCH).map(|n| format!("new{block}-{n:06}")).collect();
        match side {
            0 => http::batch(daemon, &new, "btc").await,
            _ => bare::create_in_transactions(client, "/bare", &new).await,
        }
    })
    .await;
    let creates = Pair::of(
        ("batch of 20,000 new, switches/s", ours),
        ("multi of 500 creates, 4 deep, creates/s", bare),
    );
    report.ratio(creates, Goal::AtLeast(0.9));
}
