//! Notes, a progress bar, a question and a new password while a command runs. All on standard error: standard output is
//! for the result.

use std::{
    fmt::Display,
    io::{self, BufRead, IsTerminal, Read, Write},
    time::{Duration, Instant},
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::report::{CommandFailure, FailureKind};
use crate::users::MAX_PASSWORD;

/// Prints a note, unless a script reads the output.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        let _ = writeln!(io::stderr(), "note: {text}");
    }
}

/// Asks for a yes. Fails without a terminal for both the question and the answer.
pub fn confirm(question: &str) -> Result<bool, CommandFailure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let text = "confirmation needed, but there is no terminal to ask on (standard input and standard error): give \
            --yes to skip the question; nothing was changed";
        return Err(FailureKind::Usage.failure(text));
    }
    let mut errors = io::stderr();
    let asked = write!(errors, "{question} [y/N] ").and_then(|()| errors.flush());
    let mut answer = String::new();
    asked.and_then(|()| io::stdin().read_line(&mut answer)).map_err(|error| {
        FailureKind::Usage.failure(format!("cannot ask for confirmation: {error}"))
    })?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A new password: typed twice on a terminal, else the first line of standard input.
pub fn new_password() -> Result<String, CommandFailure> {
    if !io::stdin().is_terminal() {
        return password_line("");
    }
    let _silent = NoEcho::begin().map_err(no_password)?;
    let password = password_line("Password: ")?;
    match password_line("Again: ")? == password {
        true => Ok(password),
        false => Err(FailureKind::Usage.failure("the two passwords differ")),
    }
}

/// Reads a line of standard input, after a prompt unless that is empty.
fn password_line(prompt: &str) -> Result<String, CommandFailure> {
    let mut errors = io::stderr();
    let _ = write!(errors, "{prompt}").and_then(|()| errors.flush());
    let mut line = String::new();
    // Room for the end of the line, and for a byte too many.
    let limit = MAX_PASSWORD as u64 + 3;
    io::stdin().lock().take(limit).read_line(&mut line).map_err(no_password)?;
    if !prompt.is_empty() {
        let _ = writeln!(errors);
    }
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.is_empty()
        || password.contains(char::is_control)
        || password.len() > MAX_PASSWORD
    {
        true => Err(no_password(format!(
            "the line is empty, has a control character, or is longer than {MAX_PASSWORD} bytes"
        ))),
        false => Ok(password.to_owned()),
    }
}

fn no_password(cause: impl Display) -> CommandFailure {
    FailureKind::NoInput.failure(format!("no password: {cause}"))
}

/// Standard input without echo, until it is dropped.
struct NoEcho(Termios);

impl NoEcho {
    fn begin() -> io::Result<Self> {
        let usual = tcgetattr(io::stdin())?;
        let mut silent = usual.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(usual))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Shortest time between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Width of the bar, in characters.
const WIDTH: usize = 30;

/// A progress bar, drawn only on a terminal.
pub struct ProgressBar {
    is_seen: bool,
    drawn: Option<Instant>,
}

impl ProgressBar {
    pub fn new(quiet: bool) -> Self {
        Self { is_seen: !quiet && io::stderr().is_terminal(), drawn: None }
    }

    /// Draws the entries done, and the rate per second.
    pub fn show(&mut self, done: usize, all: usize, rate: f64) {
        let is_fresh = self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW);
        if self.is_seen && (!is_fresh || done == all) {
            self.drawn = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}\x1b[K", picture(done, all, rate));
        }
    }

    /// Clears the line.
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
    fn the_bar_grows_with_the_entries_done() {
        assert_eq!(picture(0, 10, 0.0), format!("[{}] 0 of 10 entries, 0/s", " ".repeat(30)));
        let half = format!("[{}{}] 5 of 10 entries, 7/s", "=".repeat(15), " ".repeat(15));
        assert_eq!(picture(5, 10, 7.4), half);
        assert!(picture(10, 10, 1.0).starts_with(&format!("[{}]", "=".repeat(30))));
    }
}
