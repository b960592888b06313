//! What is said and asked while a command runs: notes, a progress bar, and a question. All on standard error,
//! since standard output is for the result.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::report::{Failure, Kind};

/// Says something that is no result, unless a script listens.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        let _ = writeln!(io::stderr(), "note: {text}");
    }
}

/// Asks a question whose answer is yes or something else. It takes a person who sees it and answers: without a
/// terminal for both it fails.
pub fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let text = "this has to be confirmed, and there is no terminal to ask on (standard input and \
            standard error): give --yes to do it without being asked; nothing was changed";
        return Err(Failure::new(Kind::Usage, text));
    }
    let mut errors = io::stderr();
    let asked = write!(errors, "{question} [y/N] ").and_then(|()| errors.flush());
    let mut answer = String::new();
    asked
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::new(Kind::Usage, format!("nobody could be asked: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Between two states of the bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Characters of the bar itself.
const WIDTH: usize = 30;

/// A progress bar, if somebody can see it.
pub struct Bar {
    is_seen: bool,
    drawn: Option<Instant>,
}

impl Bar {
    /// One that is not drawn yet.
    pub fn new(quiet: bool) -> Self {
        Self { is_seen: !quiet && io::stderr().is_terminal(), drawn: None }
    }

    /// Shows how much is done, and how many a second.
    pub fn show(&mut self, done: usize, all: usize, rate: f64) {
        let is_fresh = self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW);
        if self.is_seen && (!is_fresh || done == all) {
            self.drawn = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}\x1b[K", picture(done, all, rate));
        }
    }

    /// Leaves the line to others.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn picture(done: usize, all: usize, rate: f64) -> String {
    let full = (done * WIDTH).checked_div(all).unwrap_or(WIDTH);
    format!("[{:WIDTH$}] {done} of {all} entries, {rate:.0}/s", "=".repeat(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_what_is_done() {
        assert_eq!(picture(0, 10, 0.0), format!("[{}] 0 of 10 entries, 0/s", " ".repeat(30)));
        let half = format!("[{}{}] 5 of 10 entries, 7/s", "=".repeat(15), " ".repeat(15));
        assert_eq!(picture(5, 10, 7.4), half);
        assert!(picture(10, 10, 1.0).starts_with(&format!("[{}]", "=".repeat(30))));
    }
}
