use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn resume_file(file: &Path, content: &[u8], server: &str) -> ResumeFile {
    ResumeFile::new(Some(file.to_owned()), content, 10, server)
}

fn record(acknowledged: &str, under_way: &str) -> String {
    let sha256 = format!("{:x}", Sha256::digest(b"x"));
    format!(
        r#"{{"sha256":"{sha256}","server":"h:1","acknowledged":{acknowledged},"under_way":{under_way}}}"#
    )
}

#[test]
fn a_second_run_continues_where_the_first_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("batch.csv.progress");
    let mut first = resume_file(&file, b"x", "h:1");
    assert_eq!(first.resume().unwrap(), Resumption::NoFile);
    first.send(3).unwrap();
    first.acknowledge();
    first.send(2).unwrap();

    let mut second = resume_file(&file, b"x", "h:1");
    assert_eq!(second.resume().unwrap(), Resumption::ThisBatch);
    assert_eq!((second.acknowledged(), second.under_way()), (3, 2));
    // Another daemon, another content: another batch.
    for (content, server) in [(b"y", "h:1"), (b"x", "h:2")] {
        let mut other = resume_file(&file, content, server);
        assert_eq!(other.resume().unwrap(), Resumption::AnotherBatch);
        assert_eq!((other.acknowledged(), other.under_way()), (0, 0));
    }
    let mut third = resume_file(&file, b"x", "h:1");
    assert_eq!(third.resume().unwrap(), Resumption::ThisBatch);
    assert_eq!((third.acknowledged(), third.under_way()), (3, 2));
    third.finish().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn entries_sent_without_an_answer_are_unknown_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    resume_file(&file, b"x", "h:1").send(3).unwrap();
    // A run that cannot reach the daemon learns nothing about the entries of the run before.
    let mut second = resume_file(&file, b"x", "h:1");
    second.resume().unwrap();
    second.send(2).unwrap();
    second.take_back().unwrap();
    let mut third = resume_file(&file, b"x", "h:1");
    third.resume().unwrap();
    assert_eq!((third.acknowledged(), third.under_way()), (0, 3));
    third.send(2).unwrap();
    third.acknowledge();
    assert_eq!((third.acknowledged(), third.under_way()), (2, 1));
    third.send(2).unwrap();
    assert_eq!(third.under_way(), 2);
    third.acknowledge();
    assert_eq!((third.acknowledged(), third.under_way()), (4, 0));
}

#[test]
fn entries_of_a_chunk_that_could_not_be_recorded_are_not_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let mut resumed = resume_file(&file, b"x", "h:1");
    let obstacle = suffixed(&file, ".new");
    fs::create_dir(&obstacle).unwrap();
    resumed.send(3).unwrap_err();
    assert_eq!((resumed.acknowledged(), resumed.under_way()), (0, 0));
    fs::remove_dir(&obstacle).unwrap();
    resumed.send(3).unwrap();
    resumed.acknowledge();
    fs::create_dir(&obstacle).unwrap();
    resumed.send(2).unwrap_err();
    assert_eq!((resumed.acknowledged(), resumed.under_way()), (3, 0));
    assert!(!file.with_extension("new").is_file());
}

#[test]
fn a_file_that_is_no_record_of_an_unfinished_batch_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let good = record("3", "2");
    let huge = format!("{good}{}", " ".repeat(5000));
    let uppercase = good.replace(|c: char| c.is_ascii_lowercase() && c.is_ascii_hexdigit(), "A");
    for text in [
        "",
        "dear diary",
        &good[..good.len() - 1],
        &format!("{good}x"),
        &format!("[{good}]"),
        &good.replace("acknowledged", "acked"),
        &good.replace(&good[11..20], ""),
        &uppercase,
        &huge,
        &record("-1", "0"),
        &record("3.5", "0"),
        &record("\"3\"", "0"),
        &record("null", "0"),
        &record("10", "0"),
        &record("11", "0"),
        &record("18446744073709551615", "1"),
        &record("18446744073709551616", "1"),
        &record("9", "2"),
        &record("0", "18446744073709551615"),
    ] {
        fs::write(&file, text).unwrap();
        let mut resumed = resume_file(&file, b"x", "h:1");
        let error = resumed.resume().expect_err(text).to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
        assert!(error.contains("--restart") && !error.contains("diary"), "{error}");
        assert_eq!((resumed.acknowledged(), resumed.under_way()), (0, 0));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    fs::write(&file, record("9", "1")).unwrap();
    assert_eq!(resume_file(&file, b"x", "h:1").resume().unwrap(), Resumption::ThisBatch);
}

#[test]
fn only_a_regular_file_is_read_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let link = folder.path().join("link");
    symlink("/dev/zero", &link).unwrap();
    let device = Path::new("/dev/zero");
    for file in [folder.path(), &fifo, &link, device] {
        let error = resume_file(file, b"x", "h:1").resume().unwrap_err().to_string();
        assert!(error.contains("not a regular file") && !error.contains("--restart"), "{error}");
        let error = resume_file(file, b"x", "h:1").lock().unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert!(!suffixed(file, ".lock").exists());
    }
}

#[test]
fn a_write_follows_no_symbolic_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, victim) = (folder.path().join("p"), folder.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &file).unwrap();
    symlink(&victim, suffixed(&file, ".new")).unwrap();
    let mut first = resume_file(&file, b"x", "h:1");
    first.send(3).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let there = fs::symlink_metadata(&file).unwrap();
    assert!(there.is_file());
    assert_eq!(there.permissions().mode() & 0o133, 0);
    // Left by a run that was killed.
    fs::write(suffixed(&file, ".new"), "half a rec").unwrap();
    first.send(2).unwrap();
    assert!(!suffixed(&file, ".new").exists());

    symlink(&victim, suffixed(&file, ".lock")).unwrap();
    first.lock().unwrap_err();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn two_runs_do_not_use_one_file_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let mut first = resume_file(&file, b"x", "h:1");
    first.lock().unwrap();
    let error = resume_file(&file, b"x", "h:1").lock().unwrap_err();
    assert!(error.is_in_use && error.to_string().contains("another run uses it"), "{error}");
    drop(first);
    // A lock file that a killed run has left locks nothing.
    fs::write(suffixed(&file, ".lock"), "").unwrap();
    let mut second = resume_file(&file, b"x", "h:1");
    second.lock().unwrap();
    second.finish().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
