//! Keys of the history, and the place of its files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::config::{HistorySettings, HistorySync};

fn with(keys: &str) -> Result<Checked, Vec<String>> {
    load(&GOOD.replacen('{', &format!("{{{keys},"), 1), &[])
}

fn found(keys: &str) -> (Option<HistorySettings>, Vec<String>) {
    let Checked { settings, warnings, .. } = with(keys).unwrap();
    (settings.history, warnings)
}

#[test]
fn it_is_off_without_a_file_and_has_defaults_with_one() {
    assert!(load(GOOD, &[]).unwrap().settings.history.is_none());
    assert_eq!(found(r#""HistoryFile": """#), (None, Vec::new()));
    let usual = HistorySettings {
        file: "/v/history.db".into(),
        key_file: "/v/history.db.key".into(),
        days: 90,
        max_bytes: 10 << 30,
        payout_days: 3650,
        sync: HistorySync::Updates,
    };
    assert_eq!(found(r#""HistoryFile": "/v/history.db""#), (Some(usual.clone()), Vec::new()));
    let keys = r#""HistoryFile": "h", "HistoryKeyFile": "/etc/key", "HistoryDays": 1, "HistoryMaxBytes": 67108864,
        "HistoryPayoutDays": 36500, "HistorySync": "all""#;
    let given = HistorySettings {
        file: "h".into(),
        key_file: "/etc/key".into(),
        days: 1,
        max_bytes: 64 << 20,
        payout_days: 36_500,
        sync: HistorySync::All,
    };
    assert_eq!(found(keys), (Some(given), Vec::new()));
    let environment = load(GOOD, &[("HistoryFile", "/v/history.db")]).unwrap();
    assert_eq!(environment.settings.history, Some(usual));
}

#[test]
fn keys_without_a_file_have_no_effect() {
    let (history, warnings) = found(r#""HistoryKeyFile": "/k", "HistorySync": "all""#);
    assert!(history.is_none());
    assert_eq!(
        warnings,
        [
            "HistoryKeyFile has no effect: HistoryFile is not set",
            "HistorySync has no effect: HistoryFile is not set"
        ]
    );
}

#[test]
fn all_its_problems_are_reported_at_once() {
    let problems = with(
        r#""HistoryFile": "/v/", "HistoryDays": 0, "HistoryMaxBytes": 67108863, "HistoryPayoutDays": 36501,
            "HistoryKeyFile": "\"/k\"", "HistorySync": "ALL""#,
    );
    let problems = problems.unwrap_err();
    let expected = [
        "HistoryFile: is \"/v/\", expected the path of a file",
        "HistoryKeyFile: is \"\\\"/k\\\"\", expected the path of a file",
        "HistoryDays: is 0",
        "HistoryMaxBytes: is 67108863",
        "HistoryPayoutDays: is 36501",
        "HistorySync: is \"ALL\", expected updates or all",
    ];
    for (problem, start) in problems.iter().zip(expected) {
        assert!(problem.starts_with(start), "{start}: {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for file in ["/v/h", "/v/h-wal", "/v/h-shm", "/v/h-journal", "/v/h.lock"] {
        let keys = format!(r#""HistoryFile": "/v/h", "HistoryKeyFile": "{file}""#);
        let problems = with(&keys).unwrap_err();
        assert!(problems[0].contains("a file of HistoryFile itself"), "{problems:?}");
    }
    for end in ["\\r", " "] {
        let problems = with(&format!(r#""HistoryFile": "/v/h{end}""#)).unwrap_err();
        assert!(problems[0].starts_with("HistoryFile: is "), "{problems:?}");
    }
}

/// Messages about the place of a history's file.
fn looked_at(file: &Path) -> Result<Vec<String>, Vec<String>> {
    let checked = with(&format!(r#""HistoryFile": "{}""#, file.display())).unwrap();
    let strings = |it: Rejected| it.problems.iter().map(ToString::to_string).collect();
    checked.read_files().map(|(it, _)| it.warnings).map_err(strings)
}

#[test]
fn the_place_of_its_files_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (file, key) = (dir.path().join("h"), dir.path().join("h.key"));
    assert_eq!(looked_at(&file), Ok(Vec::new()));
    let warnings = looked_at(&dir.path().join("no/h")).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("/no does not exist: create it for the daemon's user"));
    fs::write(&key, "k").unwrap();
    for (mode, is_good) in [(0o644, false), (0o604, false), (0o640, true), (0o600, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let found = looked_at(&file);
        assert_eq!(found.is_ok(), is_good, "{mode:o}: {found:?}");
        if let Err(problems) = found {
            assert!(problems[0].starts_with("HistoryKeyFile: is \""), "{problems:?}");
            assert!(problems[0].contains(&format!("mode {mode:o}")), "{problems:?}");
        }
    }
    let problems = looked_at(dir.path()).unwrap_err();
    assert!(problems[0].contains("is no regular file"), "{problems:?}");
    let problems = looked_at(&key.join("h")).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(looked_at(Path::new("history.db")).is_ok(), "the working directory");
}
