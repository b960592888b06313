//! Collects results and prints them with their goals, and as Markdown.

use std::{env, fs, path::Path, process::Command};

/// Goal of a result.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(goal) => figure >= goal,
            Self::AtMost(goal) => figure <= goal,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(goal) => format!(">= {goal}"),
            Self::AtMost(goal) => format!("<= {goal}"),
        }
    }
}

/// Both sides of a ratio, measured by turns.
pub struct Pair {
    names: (&'static str, &'static str),
    ours: Vec<f64>,
    bare: Vec<f64>,
}

impl Pair {
    pub fn of(ours: &'static str, bare: &'static str) -> Self {
        Self { names: (ours, bare), ours: Vec::new(), bare: Vec::new() }
    }

    pub fn add(&mut self, ours: f64, bare: f64) {
        self.ours.push(ours);
        self.bare.push(bare);
    }
}

/// A table as Markdown has it.
pub struct Table {
    title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &'static str, columns: &'static [&'static str]) -> Self {
        Self { title, columns, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let columns: Vec<String> = self.columns.iter().map(|&column| column.to_owned()).collect();
        let rule: Vec<String> = columns.iter().map(|_| "---".to_owned()).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("### {}\n\n{}{}{rows}", self.title, line(&columns), line(&rule))
    }
}

/// A document's generated part stands between these.
const BEGIN: &str = "<!-- printed by `make bench-report` -->\n";
const END: &str = "<!-- end of what was printed -->\n";

pub struct Report {
    machine: String,
    lines: Vec<String>,
    ratios: Table,
    tables: Vec<Table>,
    missed: usize,
}

impl Report {
    pub fn new(machine: String) -> Self {
        let columns = &["daemon; bare client", "daemon", "bare client", "ratio", "goal"];
        Self {
            lines: vec![machine.clone()],
            machine,
            ratios: Table::new("Beside a bare client", columns),
            tables: Vec::new(),
            missed: 0,
        }
    }

    pub fn note(&mut self, text: String) {
        self.lines.push(text);
    }

    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub fn goal(&mut self, name: &str, figure: f64, goal: Goal) {
        let verdict = if goal.is_met(figure) { "met" } else { "MISSED" };
        self.missed += usize::from(!goal.is_met(figure));
        self.lines.push(format!("{name:<44} {figure:>12.2}   goal {:<8} {verdict}", goal.text()));
    }

    pub fn ratio(&mut self, pair: Pair, goal: Goal) {
        for (name, figures) in [(pair.names.0, &pair.ours), (pair.names.1, &pair.bare)] {
            let range = figures.iter().fold((f64::MAX, 0.0), |(low, high): (f64, f64), &figure| {
                (low.min(figure), high.max(figure))
            });
            let median = median(figures.clone());
            let digits = if median < 100.0 { 3 } else { 0 };
            self.lines.push(format!(
                "{name:<44} {median:>12.digits$}   ({:.digits$} to {:.digits$})",
                range.0, range.1
            ));
        }
        let (ours, bare) = (median(pair.ours), median(pair.bare));
        self.ratios.row(vec![
            format!("{}; {}", pair.names.0, pair.names.1),
            number(ours),
            number(bare),
            format!("{:.2}", ours / bare),
            goal.text(),
        ]);
        self.goal("    ratio of the medians", ours / bare, goal);
    }

    /// Prints everything, and returns whether all goals were met.
    pub fn print(&self) -> bool {
        for line in &self.lines {
            println!("{line}");
        }
        println!("{} goals missed\n\n{}", self.missed, self.markdown());
        self.missed == 0
    }

    /// Puts the tables in the place of those that a document has.
    pub fn write_into(&self, document: &Path) {
        let text = fs::read_to_string(document).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("a begin of the tables");
        let (_, after) = rest.split_once(END).expect("an end of the tables");
        let tables = self.markdown();
        fs::write(document, format!("{before}{BEGIN}\n{tables}\n{END}{after}")).unwrap();
    }

    fn markdown(&self) -> String {
        let tables = [&self.ratios].into_iter().chain(&self.tables);
        let tables = tables.filter(|table| !table.rows.is_empty()).map(Table::markdown);
        let tables = tables.collect::<Vec<_>>().join("\n");
        format!("{}, {}.\n\n{tables}", today(), self.machine)
    }
}

fn today() -> String {
    let date = Command::new("date").arg("-I").output().unwrap().stdout;
    String::from_utf8(date).unwrap().trim().to_owned()
}

/// The document and the picture that this run is for, if it is for one.
pub fn document() -> Option<String> {
    env::var("BENCH_REPORT").ok().filter(|path| !path.is_empty())
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A figure in the digits that mean something: `183,364`, `12.3`, `0.655`.
pub fn number(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{figure:.3}"),
        10.0..100.0 => format!("{figure:.1}"),
        _ => count(figure.round() as usize),
    }
}

/// A number of things: `183,364`.
pub fn count(things: usize) -> String {
    let digits = things.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
