//! `history verify`: checks the chain over the changes of payout addresses, in the history's file itself.

use std::{fs, path::Path};

use switcher_actors::Shown;
use switcher_history::{ChainKey, Link};

use crate::{
    client::{
        access::configured,
        arguments::HistoryVerifyArguments,
        report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    },
    config::{Access, usual_key_file},
};

/// Checks the file that the flags or the configuration name. Opens it for reading beside the daemon.
pub fn verify(arguments: &HistoryVerifyArguments, file: Option<&Path>) -> CommandResult {
    let HistoryVerifyArguments { head, file: chosen, key_file, .. } = arguments;
    let is_complete = chosen.is_some() && key_file.is_some();
    let access = if is_complete { Access::default() } else { configured(file)? };
    let history = chosen.clone().or(access.history_file).ok_or_else(|| {
        let text = "no history: give --file FILE, or set HistoryFile in the environment or the configuration";
        FailureKind::Configuration.failure(text)
    })?;
    // A copy of the history elsewhere has the daemon's key.
    let key_file = key_file.clone().or(access.history_key_file);
    let key_file = key_file.unwrap_or_else(|| usual_key_file(&history));
    let head = head.as_deref().map(link).transpose()?;
    let key = fs::read(&key_file).map_err(|error| {
        let text = format!("key file {}: {error}", Shown(&key_file.to_string_lossy()));
        FailureKind::NoInput.failure(text)
    })?;
    let shown = history.to_string_lossy();
    let checked = switcher_history::verify(&history, &ChainKey::new(&key), head.as_ref());
    let checked = checked.map_err(|error| {
        FailureKind::NoInput.failure(format!("history {}: {error}", Shown(&shown)))
    })?;
    let mut report = CommandReport::default();
    report.field("file", shown.as_ref());
    match checked {
        Ok(records) => {
            report.line(format!("{}: the chain of {records} records is whole", Shown(&shown)));
            report.field("records", records);
        }
        Err(fault) => {
            report.line(format!("{}: {fault}", Shown(&shown)));
            report.field("fault", fault.to_string());
            report.found_something();
        }
    }
    Ok(report)
}

fn link(text: &str) -> Result<Link, CommandFailure> {
    let digits = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = digits.collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        FailureKind::Usage.failure(format!("--head {}: expected 64 hexadecimal digits", Shown(text)))
    })
}
