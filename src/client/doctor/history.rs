//! Checks the history: rights to its directory and files, its file, and the space of its disk.

use std::{fs, path::Path};

use rustix::fs::{Access, access, statvfs};
use switcher_actors::Shown;
use switcher_history::Reader;

use super::findings::Findings;
use crate::config::{HistorySettings, directory};

const CHECK: &str = "history";

/// Suffixes of the files that hold the history's bytes.
const FILES: [&str; 2] = ["", "-wal"];

/// Checks with this user's rights. Writes nothing.
pub fn history(findings: &mut Findings, settings: Option<&HistorySettings>) {
    let Some(HistorySettings { file, key_file, max_bytes, .. }) = settings else {
        return findings.ok(CHECK, "not checked: HistoryFile is not set");
    };
    let dir = directory(file);
    let places = [
        (dir, Access::WRITE_OK | Access::EXEC_OK, "written"),
        (file, Access::READ_OK | Access::WRITE_OK, "read and written"),
        (key_file, Access::READ_OK, "read"),
    ];
    for (place, rights, what) in places {
        let fault = access(place, rights).err().filter(|_| place == dir || place.exists());
        if let Some(error) = fault {
            let text = format!("{} cannot be {what} by this user: {error}", shown(place));
            let remedy =
                "create it for the daemon's user, or run doctor as that user; check the mount";
            return findings.problem(CHECK, text, remedy);
        }
    }
    if file.exists()
        && let Err(error) = Reader::open(file)
    {
        let text = format!("{}: {error}", shown(file));
        let remedy = "if it is damaged, restore a backup or move the file away; the daemon then begins a new one";
        return findings.problem(CHECK, text, remedy);
    }
    let used = FILES.iter().map(|end| {
        let part = format!("{}{end}", file.display());
        fs::metadata(part).map_or(0, |found| found.len())
    });
    let missing = max_bytes.saturating_sub(used.sum());
    match statvfs(dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)) {
        Ok(free) if free < missing => findings.warn(
            CHECK,
            format!(
                "the disk of {} has {} MiB free, and the history may still grow by {} MiB",
                shown(dir),
                free >> 20,
                missing >> 20
            ),
            "free space, or lower HistoryMaxBytes: without space, coinbase updates are refused",
        ),
        Ok(free) => findings.ok(
            CHECK,
            format!("{} can be used; {} MiB of its disk are free", shown(file), free >> 20),
        ),
        Err(error) => findings.warn(
            CHECK,
            format!("the free space of {} is not known: {error}", shown(dir)),
            "look at its disk with df",
        ),
    }
}

fn shown(path: &Path) -> String {
    Shown(&path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use switcher_history::{OnDamage, PART, Writer};

    use super::*;
    use crate::config::HistorySync;

    fn found(file: &Path, max_bytes: u64) -> (String, String) {
        let settings = HistorySettings {
            file: file.to_owned(),
            key_file: file.with_extension("key"),
            days: 90,
            max_bytes,
            payout_days: 3650,
            sync: HistorySync::Updates,
        };
        let mut findings = Findings::default();
        history(&mut findings, Some(&settings));
        let mut output = Vec::new();
        let report = findings.report();
        crate::client::report::show(report, "doctor", true, &mut output, std::io::sink());
        let document: Value = serde_json::from_slice(&output).unwrap();
        let found = &document["findings"];
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        let text = |name: &str| found[0][name].as_str().unwrap().to_owned();
        (text("level"), text("text"))
    }

    #[test]
    fn disk_directory_and_file_are_judged() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h");
        let (level, text) = found(&file, 0);
        assert!(level == "ok" && text.contains("MiB of its disk are free"), "{text}");
        let (level, text) = found(&file, u64::MAX);
        assert!(
            level == "warning" && text.contains("may still grow by 17592186044415 MiB"),
            "{text}"
        );
        let count = || fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(count(), 0, "it leaves no file");
        let key = file.with_extension("key");
        drop(Writer::open(&file, &key, PART, OnDamage::Refuse).unwrap());
        let files = count();
        assert_eq!(found(&file, 0).0, "ok");
        assert_eq!(count(), files, "it leaves no file");
        fs::write(&file, "no database, but a text of some length").unwrap();
        let (level, text) = found(&file, 0);
        assert!(level == "problem" && text.contains("it is damaged"), "{text}");
        let (level, text) = found(&dir.path().join("no/h"), 0);
        assert!(level == "problem" && text.contains("/no cannot be written"), "{text}");
    }
}
