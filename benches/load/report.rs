//! Collects figures and prints them beside their goals.

/// What a figure should be.
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

#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    missed: usize,
}

impl Report {
    pub fn note(&mut self, text: String) {
        self.lines.push(text);
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
        self.goal("    ratio of the medians", median(pair.ours) / median(pair.bare), goal);
    }

    /// Prints everything; tells whether all goals were met.
    pub fn print(&self) -> bool {
        for line in &self.lines {
            println!("{line}");
        }
        println!("{} goals missed", self.missed);
        self.missed == 0
    }
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
