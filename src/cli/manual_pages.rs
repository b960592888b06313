//! Shell completions and manual pages, generated from the definition of the arguments.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::definition;

/// `EX_CANTCREAT`.
const NO_FILE: u8 = 73;
/// `EX_IOERR`.
const NO_OUTPUT: u8 = 74;

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    let mut definition = definition();
    let name = definition.get_name().to_owned();
    clap_complete::generate(shell, &mut definition, name, &mut text);
    print(&text)
}

/// Prints the manual page, or writes all pages into a directory.
pub fn manual(directory: Option<&Path>) -> ExitCode {
    let mut definition = definition().disable_help_subcommand(true);
    definition.build();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        return match Man::new(definition).render(&mut page) {
            Ok(()) => print(&page),
            Err(error) => failed(NO_OUTPUT, &format!("cannot generate the manual page: {error}")),
        };
    };
    // Checked first, since a failure in between would leave some pages behind.
    let is_there = fs::metadata(directory);
    match is_there.and_then(|_| clap_mangen::generate_to(definition, directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("cannot write manual pages to {}: {error}", directory.display());
            failed(NO_FILE, &text)
        }
    }
}

/// A closed pipe is no failure: the reader has seen enough.
fn print(text: &[u8]) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(NO_OUTPUT, &format!("cannot write to standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn failed(exit_status: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {text}");
    exit_status.into()
}
