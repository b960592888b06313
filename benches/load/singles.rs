//! Single switches of existing and of new sub-accounts, and bare sets and creates with as many in flight.

use std::time::Duration;

use crate::{
    Stage, bare, http,
    load::{Load, Names, each},
    report::{Goal, Pair, Report, Table, number, precise},
    turns::{Spread, by_turns, median},
};

const BLOCKS: usize = 12;
/// Of one side in a block.
pub const TIME: Duration = Duration::from_millis(400);

pub const COLUMNS: [&str; 8] = [
    "connections",
    "switches/s",
    "bare writes/s",
    "ratio",
    "median, ms",
    "bare median, ms",
    "p99, ms",
    "bare p99, ms",
];

pub async fn measure(stage: &Stage, levels: &[usize], report: &mut Report) {
    let Stage { client, daemon, existing, .. } = stage;
    let mut table = Table::new(
        "Single switches of existing and new sub-accounts; bare sets and creates with as many in flight",
        &COLUMNS,
    );
    for &connections in levels {
        let [existing, sets, new, creates] = by_turns(BLOCKS, async |block, side| {
            let prefix = format!("single{connections}-{block}");
            let names = if side < 2 { Names::Existing(existing) } else { Names::New(&prefix) };
            match side {
                0 | 2 => http::singles(daemon, connections, names, TIME).await,
                _ => bare::singles(client, "/bare", connections, names, TIME).await,
            }
        })
        .await;
        goals(connections, [&existing, &sets, &new, &creates], report);
        table.row(row(format!("{connections}, existing"), &existing, &sets));
        table.row(row(format!("{connections}, new"), &new, &creates));
    }
    report.table(table);
}

/// Compares with the goals. The sides are existing, bare sets, new, bare creates.
fn goals(connections: usize, sides: [&[Load]; 4], report: &mut Report) {
    let medians = |side: usize| each(sides[side], Load::median_ms);
    let rates = |side: usize| each(sides[side], Load::rate);
    if connections == 1 {
        let one = Pair::of(
            ("median ms of one switch, existing, 1 connection", medians(0)),
            ("median ms of one bare set", medians(1)),
        );
        report.ratio(one, Goal::AtMost(1.2));
        let one = Pair::of(
            ("median ms of one switch, new, 1 connection", medians(2)),
            ("median ms of one bare create", medians(3)),
        );
        return report.ratio(one, Goal::AtMost(1.5));
    }
    let existing = format!("single switches/s, existing, {connections} connections");
    let sets = Pair::of(
        (&existing, rates(0)),
        (format!("single sets/s, {connections} in flight"), rates(1)),
    );
    if connections < 256 {
        return report.ratio(sets, Goal::AtLeast(1.1));
    }
    report.ratio(sets, Goal::AtLeast(3.0));
    let new = format!("single switches/s, new, {connections} connections");
    report.ratio(Pair::of((new, rates(2)), (&existing, rates(0))), Goal::AtLeast(1.0));
}

/// Rates, medians and p99 of the daemon and of the bare client: medians of the blocks.
pub fn figures(ours: &[Load], bare: &[Load]) -> [f64; 6] {
    let pair = |figure: fn(&Load) -> f64| [ours, bare].map(|loads| median(each(loads, figure)));
    let [[rate, bare_rate], [ms, bare_ms], [p99, bare_p99]] =
        [Load::rate, Load::median_ms, Load::p99_ms].map(pair);
    [rate, bare_rate, ms, bare_ms, p99, bare_p99]
}

/// Cells of the [`COLUMNS`].
pub fn row(name: String, ours: &[Load], bare: &[Load]) -> Vec<String> {
    let [rate, bare_rate, times @ ..] = figures(ours, bare);
    let ratio = Spread::of_ratios(&each(ours, Load::rate), &each(bare, Load::rate));
    let rates = [number(rate), number(bare_rate), ratio.text(precise)];
    [name].into_iter().chain(rates).chain(times.map(number)).collect()
}
