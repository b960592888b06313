//! Single switches over more and more connections, and as many bare sets in flight.

use std::time::Duration;

use crate::{
    Stage, bare, http,
    plot::{Better, Chart, Plot, Series},
    report::{Report, Table, median, number},
};

const CONNECTIONS: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(1);

pub async fn measure(stage: &Stage, report: &mut Report, plot: &mut Plot) {
    let Stage { client, daemon, existing, .. } = stage;
    let mut table = Table::new(
        "Single switches against connections; bare single sets with as many in flight",
        &[
            "connections",
            "switches/s",
            "bare sets/s",
            "ratio",
            "median, ms",
            "bare median, ms",
            "p99, ms",
            "bare p99, ms",
        ],
    );
    let mut rates = [Series::new("daemon"), Series::new("bare")];
    let mut times = ["daemon", "bare", "daemon p99", "bare p99"].map(Series::new);
    for connections in CONNECTIONS {
        let mut figures: [Vec<f64>; 6] = Default::default();
        for _ in 0..ROUNDS {
            let ours = http::singles(daemon, connections, existing, TIME).await;
            let bare = bare::sets(client, "/bare", existing, connections, TIME).await;
            let round = [
                ours.rate(),
                bare.rate(),
                ours.median_ms(),
                bare.median_ms(),
                ours.p99_ms(),
                bare.p99_ms(),
            ];
            for (figures, figure) in figures.iter_mut().zip(round) {
                figures.push(figure);
            }
        }
        let figures = figures.map(median);
        for (series, figure) in rates.iter_mut().chain(&mut times).zip(figures) {
            series.points.push((connections as f64, figure));
        }
        let [rate, bare_rate, rest @ ..] = figures;
        let mut cells = vec![connections.to_string(), number(rate), number(bare_rate)];
        cells.push(format!("{:.2}", rate / bare_rate));
        cells.extend(rest.map(number));
        table.row(cells);
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
