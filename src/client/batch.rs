//! `batch FILE`: sends a batch in chunks, each only after the one before was acknowledged.

use std::{
    fmt::Display,
    path::PathBuf,
    time::{Duration, Instant},
};

use switcher_actors::Shown;

use super::{
    access::ApiAccess,
    answer::Effect,
    api::Api,
    arguments::BatchArguments,
    batch_file::BatchFile,
    batch_input::{BatchInput, shown},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    resume_file::{ResumeFile, Resumption},
    switch::{WantedSwitch, send},
    terminal::{self, ProgressBar},
};

/// Coins of a refused chunk that the error names.
const COINS_SHOWN: usize = 10;

/// Reads, resumes, sends.
pub async fn batch(arguments: &BatchArguments, access: &ApiAccess) -> CommandResult {
    let input = BatchInput::read(&arguments.file)?;
    let batch = BatchFile::read(&input.content, &access.coins).map_err(|faults| {
        let text = format!("{}: {}", shown(&arguments.file), faults.join("\n  "));
        nothing_sent(FailureKind::Refused, text)
    })?;
    let file = resume_path(arguments, &input)?;
    let server = access.server.as_str();
    let mut resume_file = ResumeFile::new(file, &input.content, batch.entries.len(), server);
    drop(input);
    let quiet = arguments.api.output.json;
    // The lock comes first, so that no other run changes the file. A file that another run holds is not read; after any
    // other failure to lock, the report still shows the content.
    let locked = match resume_file.lock() {
        Err(error) if error.is_in_use => {
            return Err(nothing_sent(FailureKind::NoOutputFile, error));
        }
        locked => locked.map_err(|error| nothing_sent(FailureKind::NoOutputFile, error)),
    };
    if !arguments.restart {
        let resumption =
            resume_file.resume().map_err(|error| nothing_sent(FailureKind::NoInput, error))?;
        note_resumption(resumption, &resume_file, &batch, quiet);
    }
    let api = Api::new(access, Duration::from_secs(arguments.api.timeout));
    let api = api.about(&arguments.change);
    let (bar, report) = (ProgressBar::new(quiet), CommandReport::default());
    let mut run = BatchRun { api, batch, resume_file, bar, report };
    run.report.field("entries", run.batch.entries.len());
    run.report.field("resumed_after", run.resume_file.acknowledged());
    run.report.field("sent_again", run.resume_file.under_way());
    let ended = match locked {
        Ok(()) => run.send_all(arguments.chunk as usize).await,
        Err(failure) => Err(failure),
    };
    Ok(run.end(ended.err()))
}

fn nothing_sent(kind: FailureKind, cause: impl Display) -> CommandFailure {
    kind.failure(format!("nothing was sent: {cause}"))
}

/// Path of the resume file; `None` for a stream, unless the operator names one.
fn resume_path(
    arguments: &BatchArguments,
    input: &BatchInput,
) -> Result<Option<PathBuf>, CommandFailure> {
    let Some(file) = &arguments.progress_file else {
        let mut file = arguments.file.clone().into_os_string();
        file.push(".progress");
        return Ok((!input.is_stream()).then(|| file.into()));
    };
    if input.is_at(file) {
        let file = shown(file);
        let cause = format!(
            "resume file {file}: it is the batch itself; --progress-file needs another place"
        );
        return Err(nothing_sent(FailureKind::NoInput, cause));
    }
    Ok(Some(file.clone()))
}

fn note_resumption(found: Resumption, resumed: &ResumeFile, batch: &BatchFile, quiet: bool) {
    let (first, count) = (resumed.acknowledged(), resumed.under_way());
    let note = |text: &str| terminal::note(quiet, text);
    match found {
        Resumption::NoFile => {}
        Resumption::AnotherBatch => {
            note(
                "the resume file belongs to another content or server: starting at the first entry",
            );
        }
        Resumption::ThisBatch => {
            note(&format!("continuing after {first} of {} entries", batch.entries.len()));
            if count > 0 {
                let place = batch.place(first);
                note(&format!(
                    "the outcome of {count} entries, from {place} on, is unknown: they are sent again"
                ));
            }
        }
    }
}

/// One run of a batch.
struct BatchRun {
    api: Api,
    batch: BatchFile,
    resume_file: ResumeFile,
    bar: ProgressBar,
    report: CommandReport,
}

impl BatchRun {
    /// Sends chunk after chunk, until one is not acknowledged.
    async fn send_all(&mut self, size: usize) -> Result<(), CommandFailure> {
        let (began, all, skipped) =
            (Instant::now(), self.batch.entries.len(), self.resume_file.acknowledged());
        while self.resume_file.acknowledged() < all {
            self.send_chunk(size).await?;
            let done = self.resume_file.acknowledged();
            self.bar.show(done, all, (done - skipped) as f64 / began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn send_chunk(&mut self, size: usize) -> Result<(), CommandFailure> {
        let first = self.resume_file.acknowledged();
        let entries = &self.batch.entries[first..];
        let entries = &entries[..size.min(entries.len())];
        let last = first + entries.len() - 1;
        let what = format!(
            "chunk of {} entries ({} to {})",
            entries.len(),
            self.batch.place(first),
            self.batch.place(last)
        );
        self.resume_file.send(entries.len()).map_err(|error| {
            FailureKind::NoOutputFile.failure(format!("{what}: nothing was sent; {error}"))
        })?;
        let (effect, failure) = match send(&self.api, entries).await {
            Ok(answer) => (answer.effect(), answer.into_failure(&what)),
            Err(error) => (error.effect(), Some(error.of_change(&what))),
        };
        let Some(mut failure) = failure else {
            self.resume_file.acknowledge();
            return Ok(());
        };
        if effect == Effect::Refused {
            failure.text += &format!("; its coins: {}", coins(entries));
        }
        if effect != Effect::Unknown
            && let Err(error) = self.resume_file.take_back()
        {
            failure.text += &format!(
                "\n{error}; the next run treats the outcome of this chunk as unknown and sends it again"
            );
        }
        Err(failure)
    }

    fn end(self, failure: Option<CommandFailure>) -> CommandReport {
        let Self { batch, resume_file, mut bar, mut report, .. } = self;
        bar.clear();
        let (all, done, left) =
            (batch.entries.len(), resume_file.acknowledged(), resume_file.under_way());
        report.field("acknowledged", done);
        report.field("outcome_unknown", left);
        match failure {
            None => {
                report.line(format!("{all} entries acknowledged"));
                if let Err(error) = resume_file.finish() {
                    // A later run with the same batch would skip entries.
                    let text = format!(
                        "{error}\nall {all} entries were acknowledged; remove the resume file before sending the \
                         same batch again, or use --restart"
                    );
                    report.fail(FailureKind::NoOutputFile.failure(text));
                }
            }
            Some(mut failure) => {
                failure.text += &format!("\n{done} of {all} entries were acknowledged");
                if left > 0 {
                    failure.text += &format!(
                        ", and {left} more may have been written or not: the next run sends them \
                         again"
                    );
                }
                report.fail(failure);
            }
        }
        report
    }
}

fn coins(entries: &[WantedSwitch]) -> String {
    let mut coins: Vec<_> = entries.iter().map(|entry| entry.coin.as_str()).collect();
    coins.sort_unstable();
    coins.dedup();
    let shown: Vec<_> =
        coins.iter().take(COINS_SHOWN).map(|coin| Shown(coin).to_string()).collect();
    shown.join(", ") + if coins.len() > COINS_SHOWN { ", …" } else { "" }
}
