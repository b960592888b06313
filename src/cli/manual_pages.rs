//! Shell completions and manual pages, generated from the definition of the arguments.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Command;
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
    clap_complete::generate(shell, &mut definition, &name, &mut text);
    if shell == Shell::Bash {
        text = with_subcommands(&name, &String::from_utf8_lossy(&text)).into_bytes();
    }
    print(&text)
}

/// Corrects the names of the script's cases: the generator separates the parts of a program's name with hyphens like
/// subcommands, but only in the cases (<https://github.com/clap-rs/clap/issues/6421>). Without this, nothing is
/// completed after a subcommand. It changes nothing in the script of a generator without the defect.
fn with_subcommands(name: &str, script: &str) -> String {
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}

/// Prints the manual page, or writes all pages into a directory.
pub fn manual(directory: Option<&Path>) -> ExitCode {
    let mut definition = definition().disable_help_subcommand(true);
    definition.build();
    // Without the commit, for which a footer of 80 columns has no room.
    let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let Some(directory) = directory else {
        let mut page = Vec::new();
        return match Man::new(definition).source(program).render(&mut page) {
            Ok(()) => print(&page),
            Err(error) => failed(NO_OUTPUT, &format!("cannot generate the manual page: {error}")),
        };
    };
    // Checked first, since a failure in between would leave some pages behind.
    let is_there = fs::metadata(directory);
    match is_there.and_then(|_| write_pages(definition, program, directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("cannot write manual pages to {}: {error}", directory.display());
            failed(NO_FILE, &text)
        }
    }
}

/// Writes the page of a command and those of its subcommands. Each names the program in its footer: the generator's
/// default is the name of the command without the program, and no version.
fn write_pages(command: Command, program: &str, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(subcommand.clone(), program, directory)?;
    }
    Man::new(command).source(program).generate_to(directory).map(drop)
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
