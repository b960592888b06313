//! `batch`: files that cannot be written, are no files, or belong to another run.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, mknodat};
use serde_json::{Value, json};

use super::batch::{batch, csv, progress, punames};
use super::puppet::{Act, Puppet, SUCCESS};
use super::{Cli, assert_says, write};
use crate::support::{eventually, seconds};

fn success() -> Act {
    Act::Answer(SUCCESS.to_owned())
}

/// A directory where a file would be written.
fn obstruct(path: impl AsRef<Path>) {
    std::fs::create_dir_all(path.as_ref().join("x")).unwrap();
}

fn obstruct_and(path: &Path, answer: &str) -> Act {
    Act::Obstruct(path.to_owned(), answer.to_owned())
}

fn fifo(path: &Path) -> String {
    mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Acknowledged entries, and entries of unknown outcome, in the document.
fn counts(document: &Value) -> (u64, u64) {
    let count =
        |name: &str| document[name].as_u64().unwrap_or_else(|| panic!("{name}: {document}"));
    (count("acknowledged"), count("outcome_unknown"))
}

#[tokio::test]
async fn a_chunk_that_the_resume_file_cannot_hold_is_not_sent_and_not_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(5));
    let puppet = Puppet::start([success()]).await;
    let at = |cli: Cli| cli.words("--chunk 2").at_address(puppet.address());

    // The first chunk: no directory, a directory without permission to create files, an obstacle.
    obstruct(folder.path().join("kept.new"));
    let kept = folder.path().join("kept").to_str().unwrap().to_owned();
    for place in ["/no/such/progress", "/proc/progress", &kept] {
        let cli = at(batch(&file)).words("--progress-file").arg(place);
        let document = cli.json(73).await;
        assert_eq!(counts(&document), (0, 0), "{document}");
        assert_eq!(document["error"]["kind"], "no output file");
        let told = cli.ends_with(73).await.stderr;
        assert_says(&told, &["nothing was sent", place, "--progress-file", "0 of 5 entries"]);
        assert!(!told.contains("may have been written"), "{told}");
    }
    assert_eq!(puppet.requests(), Vec::<String>::new());

    // A later chunk, with and without a chunk of unknown outcome from an earlier run.
    let obstacle = PathBuf::from(format!("{file}.progress.new"));
    let puppet = Puppet::start([obstruct_and(&obstacle, SUCCESS), success()]).await;
    let document = at_chunk(&file, &puppet).json(73).await;
    assert_eq!(counts(&document), (2, 0), "{document}");
    let text = document["error"]["text"].as_str().unwrap();
    assert_says(
        text,
        &["line 3 to line 4", "nothing was sent", "2 of 5 entries were acknowledged"],
    );
    assert_eq!(puppet.requests().len(), 1);

    std::fs::remove_dir_all(&obstacle).unwrap();
    let puppet = Puppet::start([Act::HangUp]).await;
    at_chunk(&file, &puppet).arg("--restart").ends_with(75).await;
    obstruct(&obstacle);
    let document = at_chunk(&file, &puppet).json(73).await;
    assert_eq!(counts(&document), (0, 2), "the first run's chunk stays in doubt: {document}");
    assert_eq!(puppet.requests().len(), 1);
}

fn at_chunk(file: &str, puppet: &Puppet) -> Cli {
    batch(file).words("--chunk 2").at_address(puppet.address())
}

#[tokio::test]
async fn a_resume_file_that_cannot_be_written_afterwards_hides_no_other_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(2));
    let refusal = r#"{"err_no":104,"err_msg":"invalid coin","success":false}"#;
    let obstacle = PathBuf::from(format!("{file}.progress.new"));
    let puppet = Puppet::start([obstruct_and(&obstacle, refusal)]).await;
    let document = at_chunk(&file, &puppet).json(65).await;
    assert_eq!(counts(&document), (0, 0), "{document}");
    let text = document["error"]["text"].as_str().unwrap();
    assert_says(text, &["refused", "its coins: btc", "resume file", "the next run"]);
}

#[tokio::test]
async fn a_finished_batch_whose_resume_file_stays_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(2));
    let kept = folder.path().join("kept");
    // The file becomes a directory while the only chunk is in flight.
    let puppet = Puppet::start([obstruct_and(&kept, SUCCESS)]).await;
    let cli = at_chunk(&file, &puppet).words("--progress-file").arg(&kept);
    let document = cli.json(73).await;
    assert_eq!(counts(&document), (2, 0), "{document}");
    let text = document["error"]["text"].as_str().unwrap();
    assert_says(text, &["all 2 entries were acknowledged", "remove the resume file", "--restart"]);
}

#[tokio::test]
async fn a_resume_file_that_cannot_be_right_stops_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(4));
    let puppet = Puppet::start([Act::HangUp]).await;
    let cli = at_chunk(&file, &puppet);
    cli.ends_with(75).await;
    let kept = progress(&file);
    for (acknowledged, under_way) in
        [(json!(4), json!(0)), (json!(5), json!(0)), (json!(3), json!(2)), (json!(-1), json!(0))]
    {
        let mut wrong = kept.clone();
        wrong["acknowledged"] = acknowledged;
        wrong["under_way"] = under_way;
        write(folder.path(), "batch.csv.progress", wrong.to_string());
        let told = cli.ends_with(66).await.stderr;
        assert_says(&told, &["nothing was sent", &file, ".progress", "--restart"]);
        assert_eq!(progress(&file), wrong);
    }
    for text in ["", "{", "{}", "null", &format!("{kept}}}")] {
        write(folder.path(), "batch.csv.progress", text);
        assert_says(&cli.ends_with(66).await.stderr, &["nothing was sent", ".progress"]);
    }
    assert_eq!(puppet.requests().len(), 1);
    let puppet = Puppet::start([success()]).await;
    at_chunk(&file, &puppet).arg("--restart").ends_with(0).await;
    assert_eq!(punames(&puppet.requests()[0]), ["user0", "user1"]);
}

#[tokio::test]
async fn a_resume_file_is_a_regular_file_or_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(2));
    let puppet = Puppet::start([success()]).await;
    let pipe = fifo(&folder.path().join("pipe"));
    for place in ["/dev/zero", "/dev/null", &pipe, folder.path().to_str().unwrap()] {
        let cli = at_chunk(&file, &puppet).words("--progress-file").arg(place);
        assert_says(&cli.ends_with(66).await.stderr, &[place, "not a regular file"]);
        let told = cli.arg("--restart").ends_with(73).await.stderr;
        assert_says(&told, &["nothing was sent", place, "not a regular file"]);
    }
    // The resume file must not be the batch itself.
    let told = at_chunk(&file, &puppet).words("--restart --progress-file").arg(&file);
    assert_says(&told.ends_with(66).await.stderr, &["the batch itself"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), csv(2));
    assert_eq!(puppet.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pipe_is_read_like_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let puppet = Puppet::start([success()]).await;
        let cli = at_chunk(path, &puppet).stdin(csv(3));
        assert_eq!(counts(&cli.json(0).await), (3, 0), "{path}");
    }
    let pipe = fifo(&folder.path().join("pipe"));
    let puppet = Puppet::start([success(), Act::HangUp, success()]).await;
    let kept = folder.path().join("kept");
    for (code, cli) in [
        (75, at_chunk(&pipe, &puppet)),
        (0, at_chunk(&pipe, &puppet).words("--progress-file").arg(&kept)),
    ] {
        let writing = tokio::task::spawn_blocking({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, csv(3)).unwrap()
        });
        cli.ends_with(code).await;
        writing.await.unwrap();
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only the pipe: {left:?}");
}

#[tokio::test]
async fn a_batch_without_an_end_is_refused_by_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::start([success()]).await;
    let large = folder.path().join("large.csv");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    for path in ["/dev/zero", large.to_str().unwrap()] {
        let told = at_chunk(path, &puppet).ends_with(65).await.stderr;
        assert_says(&told, &["nothing was sent", path, "larger than 128 MiB"]);
    }
    let told = at_chunk(folder.path().to_str().unwrap(), &puppet).ends_with(66).await.stderr;
    assert_says(&told, &["nothing was sent", "it is a directory"]);
    assert_eq!(puppet.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn two_runs_do_not_send_one_batch_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(2));
    let puppet = Puppet::start([Act::Silence, success()]).await;
    let first = tokio::spawn({
        let cli = at_chunk(&file, &puppet);
        async move { cli.run().await }
    });
    eventually("the first run has sent its chunk", seconds(20), || async {
        (puppet.requests().len() == 1).then_some(())
    })
    .await;
    for cli in [at_chunk(&file, &puppet), at_chunk(&file, &puppet).arg("--restart")] {
        let told = cli.ends_with(73).await.stderr;
        assert_says(&told, &["nothing was sent", ".progress", "another run uses it"]);
        // The live run's chunk is neither unknown nor about to be sent again.
        assert!(!told.contains("note: ") && !told.contains("entries"), "{told}");
    }
    // A killed run leaves its lock file, which no longer locks, and a chunk of unknown outcome.
    first.abort();
    let _ = first.await;
    let document = eventually("the first run is gone", seconds(20), || async {
        let finished = at_chunk(&file, &puppet).arg("--json").run().await;
        let document: Value = serde_json::from_str(&finished.stdout).unwrap();
        (finished.code == Some(0)).then_some(document)
    })
    .await;
    assert_eq!((&document["sent_again"], counts(&document)), (&json!(2), (2, 0)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn no_symbolic_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(2));
    let victim = write(folder.path(), "victim", "precious");
    for suffix in ["", ".new"] {
        std::os::unix::fs::symlink(&victim, format!("{file}.progress{suffix}")).unwrap();
    }
    let puppet = Puppet::start([Act::HangUp]).await;
    at_chunk(&file, &puppet).arg("--restart").ends_with(75).await;
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(progress(&file)["under_way"], 2);
}
