//! Output of a campaign: a line for each fault, with all its rounds, and a line for each footprint.

use std::fmt::Write as _;
use std::time::Duration;

use crate::footprint::{Footprint, Stretch};
use crate::judge::Violations;
use crate::scene::{SESSION_TIMEOUT, Servers};

const HEAD: &str = "\
| fault | strikes | switches applied | not applied | unknown | no answer | exchanges answered | other \
| recovery: median, slowest (s) | noticed after, at most (s) | slowest answer (s) | held \
| listed | registered | refused | settled after: median, slowest (s) | violations |\n\
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

const FOOTPRINTS_HEAD: &str = "\
| faultless stretch | strikes before | taken | descriptors | threads | MB | watches |\n\
| --- | --- | --- | --- | --- | --- | --- |\n";

/// All rounds of one fault.
#[derive(Debug, Default)]
pub struct Row {
    pub name: String,
    pub strikes: usize,
    /// Why the last strike that was none was none.
    pub missed: &'static str,
    /// Applied, not applied, unknown, unanswered.
    pub switches: [usize; 4],
    /// Answered by the jobmaker, and otherwise.
    pub exchanges: [usize; 2],
    pub recoveries: Vec<Duration>,
    pub noticed: Vec<Duration>,
    pub slowest: Duration,
    /// Of the applied switches, those that were held first.
    pub held: usize,
    /// New sub-accounts in the backend's lists.
    pub listed: usize,
    /// Requests for registration that ended with a first coin, and without.
    pub registrations: [usize; 2],
    /// Time from the end of each round's traffic until nothing waits for a daemon.
    pub settled: Vec<Duration>,
    /// How much longer that took than the same for maps, in all rounds together.
    pub longer: Duration,
    pub violations: Violations,
    /// Sub-accounts of which ZooKeeper's servers held different things in the end.
    pub disputed: usize,
}

impl Row {
    fn line(&self) -> String {
        let [applied, not_applied, unknown, unanswered] = self.switches;
        let [answered, other] = self.exchanges;
        let [registered, refused] = self.registrations;
        format!(
            "| {} | {} | {applied} | {not_applied} | {unknown} | {unanswered} | {answered} | {other} \
             | {} | {} | {:.2} | {} | {} | {registered} | {refused} | {} | {} |\n",
            self.name,
            self.strikes,
            median_and_slowest(&self.recoveries),
            shown(self.noticed.iter().max().copied()),
            self.slowest.as_secs_f64(),
            self.held,
            self.listed,
            median_and_slowest(&self.settled),
            self.violations.len(),
        )
    }
}

fn median_and_slowest(durations: &[Duration]) -> String {
    let mut durations = durations.to_vec();
    durations.sort_unstable();
    let median = durations.get(durations.len().saturating_sub(1) / 2).copied();
    format!("{}, {}", shown(median), shown(durations.last().copied()))
}

/// Prints the tables of a scene, in which so much was found wrong, in rounds or otherwise.
pub fn print(servers: Servers, rows: &[&Row], stretches: &[Stretch], violations: usize) {
    let lines: String = rows.iter().map(|row| row.line()).collect();
    println!("\n{servers:?} server(s), session timeout {SESSION_TIMEOUT:?}:\n\n{HEAD}{lines}");
    let strikes: usize = rows.iter().map(|row| row.strikes).sum();
    let longer: Duration = rows.iter().map(|row| row.longer).sum();
    println!(
        "{strikes} strikes, slowest recovery {} s, slowest notice {} s, {} s of waiting for lists, registrations and held \
         switches alone, {violations} violations\n",
        shown(rows.iter().flat_map(|row| &row.recoveries).max().copied()),
        shown(rows.iter().flat_map(|row| &row.noticed).max().copied()),
        shown(Some(longer)),
    );
    let disputed: usize = rows.iter().map(|row| row.disputed).sum();
    if disputed > 0 {
        println!("ZooKeeper's own servers disagreed about {disputed} sub-accounts in the end\n");
    }
    let lines: String = stretches.iter().map(stretch_lines).collect();
    println!("{FOOTPRINTS_HEAD}{lines}");
}

fn stretch_lines(stretch: &Stretch) -> String {
    let mut lines = String::new();
    for (taken, footprint) in
        [("at its beginning", &stretch.before), ("at its end", &stretch.after)]
    {
        let Footprint { descriptors, threads, megabytes, watches } = footprint;
        let _ = write!(lines, "| {} | {} | {taken} |", stretch.name, stretch.strikes);
        for figure in [descriptors, threads, megabytes, watches] {
            let figure = figure.map_or("?".to_owned(), |figure| figure.to_string());
            let _ = write!(lines, " {figure} |");
        }
        lines.push('\n');
    }
    lines
}

fn shown(duration: Option<Duration>) -> String {
    duration.map_or("-".to_owned(), |it| format!("{:.2}", it.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_shown_as_nothing() {
        let line = Row { name: "a fault".to_owned(), ..Row::default() }.line();
        assert!(line.contains("| -, - | - | 0.00 | 0 | 0 | 0 | 0 | -, - |"), "{line}");
        let before = Footprint { descriptors: Some(30), ..Footprint::default() };
        let stretch = Stretch { name: "end".to_owned(), before, ..Stretch::default() };
        let lines = stretch_lines(&stretch);
        assert!(lines.contains("| 30 | ? | ? | ? |\n"), "{lines}");
    }

    #[test]
    fn a_row_has_the_median_and_the_slowest_of_its_recoveries() {
        let recoveries = [30, 10, 20].map(Duration::from_secs).to_vec();
        let line = Row { recoveries, ..Row::default() }.line();
        assert!(line.contains("| 20.00, 30.00 |"), "{line}");
    }
}
