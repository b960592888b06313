//! Single switches over more and more connections, and as many bare sets in flight.

use crate::{
    Stage, bare, http,
    load::Names,
    plot::{Better, Chart, Plot, Series},
    report::{Report, Table},
    singles::{COLUMNS, TIME, figures, row},
    turns::by_turns,
};

const CONNECTIONS: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const BLOCKS: usize = 6;

pub async fn measure(stage: &Stage, report: &mut Report, plot: &mut Plot) {
    let Stage { client, daemon, existing, .. } = stage;
    let mut table = Table::new(
        "Single switches against connections; bare single sets with as many in flight",
        &COLUMNS,
    );
    let mut rates = [Series::new("daemon"), Series::new("bare")];
    let mut times = ["daemon", "bare", "daemon p99", "bare p99"].map(Series::new);
    for connections in CONNECTIONS {
        let names = Names::Existing(existing);
        let [ours, bare] = by_turns(BLOCKS, async |_, side| match side {
            0 => http::singles(daemon, connections, names, TIME).await,
            _ => bare::singles(client, "/bare", connections, names, TIME).await,
        })
        .await;
        let figures = figures(&ours, &bare);
        for (series, figure) in rates.iter_mut().chain(&mut times).zip(figures) {
            series.points.push((connections as f64, figure));
        }
        table.row(row(connections.to_string(), &ours, &bare));
    }
    report.table(table);
    plot.add(Chart {
        title: "Throughput: single switches, bare single sets",
        across: "connections, or sets in flight",
        up: "per second",
        better: Better::Higher,
        series: rates.into(),
    });
    plot.add(Chart {
        title: "Latency: single switch, bare single set",
        across: "connections, or sets in flight",
        up: "milliseconds",
        better: Better::Lower,
        series: times.into(),
    });
}
