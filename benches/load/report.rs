//! Collects results and prints them with their goals, and as Markdown.

use std::{fs, path::Path, process::Command};

use crate::turns::Spread;

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

/// Both sides of a ratio: name, and figures by block.
pub struct Pair {
    ours: (String, Vec<f64>),
    bare: (String, Vec<f64>),
}

impl Pair {
    pub fn of(ours: (impl Into<String>, Vec<f64>), bare: (impl Into<String>, Vec<f64>)) -> Self {
        Self { ours: (ours.0.into(), ours.1), bare: (bare.0.into(), bare.1) }
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
        let columns =
            &["daemon; bare client", "daemon", "bare client", "ratio", "its range", "goal"];
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

    pub fn goal(&mut self, name: &str, figure: impl Into<Spread>, goal: Goal) {
        let figure = figure.into();
        let is_met = goal.is_met(figure.median);
        self.missed += usize::from(!is_met);
        let verdict = if is_met { "met" } else { "MISSED" };
        let line = format!("{:<90} goal {:<8} {verdict}", line(name, figure, precise), goal.text());
        self.lines.push(line);
    }

    pub fn ratio(&mut self, pair: Pair, goal: Goal) {
        let Pair { ours, bare } = pair;
        let ratio = Spread::of_ratios(&ours.1, &bare.1);
        let sides = [&ours, &bare].map(|(name, figures)| (name, Spread::of(figures)));
        self.lines.extend(sides.map(|(name, spread)| line(name, spread, number)));
        self.ratios.row(vec![
            format!("{}; {}", ours.0, bare.0),
            number(sides[0].1.median),
            number(sides[1].1.median),
            precise(ratio.median),
            ratio.range(precise),
            goal.text(),
        ]);
        self.goal("    ratio", ratio, goal);
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

/// A line of text for a result.
fn line(name: &str, spread: Spread, number: impl Fn(f64) -> String) -> String {
    let range = if spread.low < spread.high { spread.range(&number) } else { String::new() };
    format!("{name:<54} {:>9}   {range}", number(spread.median))
}

/// A ratio: `0.983`.
pub fn precise(figure: f64) -> String {
    format!("{figure:.3}")
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
