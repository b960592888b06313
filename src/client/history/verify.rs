//! `history verify`: checks the chain over payout changes, in the history's file itself.

use std::path::Path;

use switcher_actors::Shown;
use switcher_history::{Link, OpenError};

use crate::{
    client::{
        access::configured,
        arguments::HistoryVerifyArguments,
        report::{CommandReport, CommandResult, FailureKind},
    },
    config::{Access, usual_key_file},
};

/// Checks the file that the flags or the configuration name, also while a daemon writes it.
pub fn verify(arguments: &HistoryVerifyArguments, file: Option<&Path>) -> CommandResult {
    let HistoryVerifyArguments { head, file: chosen, key_file, .. } = arguments;
    let head = head.as_deref().map(str::parse::<Link>).transpose().map_err(|fault| {
        FailureKind::Usage
            .failure(format!("--head is {fault}: expected chain_head of the log or of /status"))
    })?;
    let is_complete = chosen.is_some() && key_file.is_some();
    let access = if is_complete { Access::default() } else { configured(file)? };
    let history = chosen.clone().or(access.history_file).ok_or_else(|| {
        let text = "no history: give --file FILE, or set HistoryFile in the environment or the configuration";
        FailureKind::Configuration.failure(text)
    })?;
    // The configured key is right for copies, too.
    let key_file = key_file.clone().or(access.history_key_file);
    let key_file = key_file.unwrap_or_else(|| usual_key_file(&history));
    let shown = history.to_string_lossy();
    // The head first: the daemon may append links in between.
    let checked = switcher_history::chain_head(&history).and_then(|newest| {
        let checked = switcher_history::verify(&history, &key_file, head.as_ref())?;
        Ok(checked.map(|records| (records, newest)))
    });
    let mut report = CommandReport::default();
    report.field("file", shown.as_ref());
    let checked = match checked {
        Ok(checked) => checked.map_err(|fault| fault.to_string()),
        Err(error @ OpenError::Damaged(_)) => Err(error.to_string()),
        Err(error) => {
            let text = format!("history {}: {error}", Shown(&shown));
            return Err(FailureKind::NoInput.failure(text));
        }
    };
    match checked {
        Ok((records, newest)) => {
            report.line(format!("{}: the chain of {records} records is whole", Shown(&shown)));
            report.line(format!("head {newest}"));
            report.field("records", records);
            report.field("head", newest.to_string());
        }
        Err(fault) => {
            report.line(format!("{}: {fault}", Shown(&shown)));
            report.field("fault", fault);
            report.found_something();
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use serde_json::Value;
    use switcher_history::{Coinbase, OnDamage, Origin, Outcome, PART, Source, Update, Writer};

    use super::*;
    use crate::client::{arguments::OutputArguments, report::show};

    fn writer(file: &Path) -> Writer {
        Writer::open(file, &usual_key_file(file), PART, OnDamage::Refuse).unwrap().writer
    }

    /// Appends an update and its outcome; returns the head.
    fn update(writer: &mut Writer, payout_addr: &str) -> Link {
        let origin = Origin {
            request: 7,
            source: Source::Api,
            client: None,
            actor: None,
            on_behalf_of: None,
            comment: None,
            undo_of: None,
        };
        let new = Coinbase { coinbase_info: String::new(), payout_addr: payout_addr.to_owned() };
        let update = Update { coin: "btc".to_owned(), sub_pool: "p".to_owned(), old: None, new };
        let number = writer.begin_update(1, &origin, &update).unwrap();
        writer.end_update(number, 2, Outcome::Applied, None, None, None).unwrap()
    }

    fn arguments(file: &Path, head: Option<&str>) -> HistoryVerifyArguments {
        HistoryVerifyArguments {
            head: head.map(str::to_owned),
            file: Some(file.to_owned()),
            key_file: Some(usual_key_file(file)),
            output: OutputArguments::default(),
        }
    }

    fn verified(file: &Path, head: Option<&str>) -> Value {
        let report = verify(&arguments(file, head), None).unwrap();
        let mut output = Vec::new();
        show(report, "history", true, &mut output, std::io::sink());
        serde_json::from_slice(&output).unwrap()
    }

    #[test]
    fn a_whole_chain_has_a_head_and_a_fault_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h");
        let mut open = writer(&file);
        update(&mut open, "1First");
        drop(open);
        let older = fs::read(&file).unwrap();
        let mut open = writer(&file);
        let head = update(&mut open, "1Second").to_string();
        // Beside the daemon.
        for noted in [None, Some(head.as_str())] {
            let document = verified(&file, noted);
            assert_eq!(document["exit_status"], 0, "{document}");
            assert_eq!((&document["records"], &document["head"]), (&4.into(), &(*head).into()));
        }
        drop(open);
        let newer = fs::read(&file).unwrap();

        fs::write(&file, &older).unwrap();
        assert_eq!(verified(&file, None)["records"], 2);
        let document = verified(&file, Some(&head));
        assert_eq!(document["exit_status"], 1, "{document}");
        assert!(document["fault"].as_str().unwrap().contains("cut off"), "{document}");

        let at = newer.windows(7).position(|it| it == b"1Second").unwrap();
        let mut edited = newer.clone();
        edited[at] = b'3';
        fs::write(&file, &edited).unwrap();
        let document = verified(&file, None);
        assert_eq!(document["exit_status"], 1, "{document}");
        assert!(document["fault"].as_str().unwrap().contains("was edited"), "{document}");

        fs::write(&file, "no database, but a text of some length").unwrap();
        let document = verified(&file, None);
        assert_eq!(document["exit_status"], 1, "{document}");
        assert!(document["fault"].as_str().unwrap().contains("damaged"), "{document}");
    }

    #[test]
    fn what_cannot_be_read_is_no_fault_of_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h");
        update(&mut writer(&file), "1First");
        let kind = |arguments| verify(&arguments, None).unwrap_err().kind;
        assert_eq!(kind(arguments(&dir.path().join("no"), None)), FailureKind::NoInput);
        assert_eq!(kind(arguments(&file, Some("12"))), FailureKind::Usage);
        let no_key = Some(PathBuf::from("/no/key"));
        let no_key = HistoryVerifyArguments { key_file: no_key, ..arguments(&file, None) };
        assert_eq!(kind(no_key), FailureKind::NoInput);
    }
}
