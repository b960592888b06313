//! Line charts as SVG.

use std::{fmt::Write, fs, path::Path};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
/// Room for the labels of the axes: left, right, top, bottom.
const MARGINS: [f64; 4] = [70.0, 20.0, 52.0, 48.0];
const COLUMNS: usize = 2;

/// Colors are attributes: some viewers ignore style sheets and CSS variables.
const INK: &str = "#24292f";
const GROUND: &str = "#ffffff";
const GRID: &str = "#d0d7de";
const SERIES: [&str; 4] = ["#0969da", "#bc4c00", "#1a7f37", "#8250df"];

/// Which direction of the vertical axis is better.
#[derive(Clone, Copy)]
pub enum Better {
    Higher,
    Lower,
}

impl Better {
    fn text(self) -> &'static str {
        match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
        }
    }
}

/// One chart; both axes are logarithmic.
pub struct Chart {
    pub title: &'static str,
    pub across: &'static str,
    pub up: &'static str,
    pub better: Better,
    pub series: Vec<Series>,
}

/// One line of a chart.
pub struct Series {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

impl Series {
    pub fn new(name: &'static str) -> Self {
        Self { name, points: Vec::new() }
    }
}

#[derive(Default)]
pub struct Plot {
    charts: Vec<Chart>,
}

impl Plot {
    pub fn add(&mut self, chart: Chart) {
        self.charts.push(chart);
    }

    pub fn write(&self, file: &Path) {
        let rows = self.charts.len().div_ceil(COLUMNS);
        let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{GROUND}\"/>\n"
        );
        for (index, chart) in self.charts.iter().enumerate() {
            let (column, row) = ((index % COLUMNS) as f64, (index / COLUMNS) as f64);
            writeln!(svg, "<g transform=\"translate({} {})\">", column * WIDTH, row * HEIGHT)
                .unwrap();
            chart.draw(&mut svg);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        fs::write(file, svg).unwrap();
    }
}

/// Logarithmic axis: range of the values, and range of the coordinates.
struct Axis {
    figures: (f64, f64),
    paper: (f64, f64),
}

impl Axis {
    fn of(figures: impl Iterator<Item = f64>, paper: (f64, f64)) -> Self {
        let figures = figures
            .fold((f64::MAX, 0.0_f64), |(low, high), figure| (low.min(figure), high.max(figure)));
        Self { figures, paper }
    }

    fn place(&self, figure: f64) -> f64 {
        let (low, high) = (self.figures.0.ln(), self.figures.1.ln());
        let part = (figure.ln() - low) / (high - low).max(f64::MIN_POSITIVE);
        self.paper.0 + part * (self.paper.1 - self.paper.0)
    }

    /// Widens the range to ticks of 1, 2 or 5.
    fn widened(mut self) -> Self {
        let steps = ticks(self.figures.0 / 10.0, self.figures.1 * 10.0);
        let low = steps.iter().copied().rfind(|&tick| tick <= self.figures.0);
        let high = steps.iter().copied().find(|&tick| tick >= self.figures.1);
        self.figures = (low.unwrap_or(self.figures.0), high.unwrap_or(self.figures.1));
        self
    }
}

/// 1, 2 and 5 of each power of ten in this range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)));
    ticks.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
}

impl Chart {
    fn draw(&self, svg: &mut String) {
        let [left, right, top, bottom] = MARGINS;
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let across = Axis::of(points().map(|point| point.0), (left, WIDTH - right));
        let up = Axis::of(points().map(|point| point.1), (HEIGHT - bottom, top)).widened();

        writeln!(
            svg,
            "<text x=\"{left}\" y=\"18\" font-size=\"13\" font-weight=\"600\">{}</text>",
            self.title
        )
        .unwrap();
        for tick in ticks(up.figures.0, up.figures.1) {
            let (y, end) = (up.place(tick), WIDTH - right);
            writeln!(
                svg,
                "<path stroke=\"{GRID}\" d=\"M{left} {y:.1}H{end}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                shortest(tick)
            )
            .unwrap();
        }
        // Every measured point gets a tick: they are few.
        let measured = self.series.first().into_iter().flat_map(|series| &series.points);
        for &(figure, _) in measured {
            let (x, foot) = (across.place(figure), HEIGHT - bottom);
            writeln!(
                svg,
                "<path stroke=\"{GRID}\" d=\"M{x:.1} {foot}v5\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                foot + 18.0,
                shortest(figure)
            )
            .unwrap();
        }
        let (middle, end) = ((left + WIDTH - right) / 2.0, HEIGHT - 10.0);
        writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{end}\" text-anchor=\"middle\">{}</text>",
            self.across
        )
        .unwrap();
        let half = HEIGHT / 2.0;
        writeln!(
            svg,
            "<text transform=\"translate(14 {half}) rotate(-90)\" text-anchor=\"middle\">{} ({})</text>",
            self.up,
            self.better.text()
        )
        .unwrap();
        for (index, series) in self.series.iter().enumerate() {
            let places: Vec<(f64, f64)> =
                series.points.iter().map(|&(x, y)| (across.place(x), up.place(y))).collect();
            let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let color = SERIES[index % SERIES.len()];
            let stroke = format!("fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"");
            writeln!(svg, "<path {stroke} d=\"M{}\"/>", line.join("L")).unwrap();
            for (x, y) in places {
                writeln!(svg, "<circle fill=\"{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>")
                    .unwrap();
            }
            let x = left + (index % 4) as f64 * 100.0;
            writeln!(
                svg,
                "<path {stroke} d=\"M{x} 34h14\"/><text x=\"{}\" y=\"38\">{}</text>",
                x + 18.0,
                series.name
            )
            .unwrap();
        }
    }
}

/// `10`, `5k`, `1M`, `0.2`.
fn shortest(figure: f64) -> String {
    let (figure, unit) = match figure {
        1e6.. => (figure / 1e6, "M"),
        1e3.. => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    format!("{}{unit}", (figure * 1000.0).round() / 1000.0)
}
