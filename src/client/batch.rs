//! `batch FILE`: sends a batch in chunks, each only after the one before was acknowledged.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use switcher_actors::Shown;

use super::{
    answer::Effect,
    api::{Api, CallError},
    arguments::BatchArguments,
    batch_file::BatchFile,
    batch_input::{BatchInput, shown},
    caller::Caller,
    report::{CommandFailure, CommandReport, FailureKind},
    resume_file::{ResumeFile, Resumption},
    switch::{WantedSwitch, send},
    terminal::{self, ProgressBar},
};

/// Coins of a refused chunk that the error names.
const COINS_SHOWN: usize = 10;

/// Reads, resumes, sends.
pub async fn batch(
    arguments: &BatchArguments,
    caller: &Caller,
) -> Result<CommandReport, CommandFailure> {
    let nothing_sent =
        |kind, cause: &str| CommandFailure::new(kind, format!("nothing was sent: {cause}"));
    let input = BatchInput::read(&arguments.file)?;
    let batch = BatchFile::read(&input.content, &caller.coins).map_err(|faults| {
        let text = format!("{}: {}", shown(&arguments.file), faults.join("\n  "));
        nothing_sent(FailureKind::Refused, &text)
    })?;
    let file = resume_path(arguments, &input)?;
    let server = caller.server.as_str();
    let mut resume_file = ResumeFile::new(file, &input.content, batch.entries.len(), server);
    drop(input);
    let quiet = arguments.api.output.json;
    // The lock comes first, so that no other run changes the file. Any other failure to lock still reports its content.
    let locked = resume_file
        .lock()
        .map_err(|error| (nothing_sent(FailureKind::NoOutputFile, &error.to_string()), error));
    if let Err((failure, error)) = &locked
        && error.is_in_use
    {
        return Err(failure.clone());
    }
    if !arguments.restart {
        let resumption = resume_file
            .resume()
            .map_err(|error| nothing_sent(FailureKind::NoInput, &error.to_string()))?;
        note_resumption(resumption, &resume_file, &batch, quiet);
    }
    let api = Api::new(caller, Duration::from_secs(arguments.api.timeout));
    let (bar, report) = (ProgressBar::new(quiet), CommandReport::default());
    let mut run = BatchRun { api, batch, resume_file, bar, report };
    run.begin();
    let ended = match locked {
        Ok(()) => run.send_all(arguments.chunk as usize).await,
        Err((failure, _)) => Err(failure),
    };
    Ok(run.end(ended.err()))
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
        let text = format!(
            "nothing was sent: resume file {}: it is the batch itself; --progress-file needs another place",
            shown(file)
        );
        return Err(CommandFailure::new(FailureKind::NoInput, text));
    }
    Ok(Some(file.clone()))
}

fn note_resumption(found: Resumption, resumed: &ResumeFile, batch: &BatchFile, quiet: bool) {
    let (first, count) = (resumed.acknowledged(), resumed.under_way());
    match found {
        Resumption::NoFile => {}
        Resumption::AnotherBatch => terminal::note(
            quiet,
            "the resume file belongs to another content or server: starting at the first entry",
        ),
        Resumption::ThisBatch => {
            let all = batch.entries.len();
            terminal::note(quiet, &format!("continuing after {first} of {all} entries"));
            if count > 0 {
                let place = batch.place(first);
                terminal::note(
                    quiet,
                    &format!(
                        "the outcome of {count} entries, from {place} on, is unknown since the last run; they are \
                         sent again"
                    ),
                );
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
    fn begin(&mut self) {
        self.report.field("entries", self.batch.entries.len());
        self.report.field("resumed_after", self.resume_file.acknowledged());
        self.report.field("sent_again", self.resume_file.under_way());
    }

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
            CommandFailure::new(
                FailureKind::NoOutputFile,
                format!("{what}: nothing was sent; {error}"),
            )
        })?;
        let answer = match send(&self.api, entries).await {
            Ok(answer) => answer,
            Err(error) => {
                let is_harmless =
                    matches!(error, CallError::NotSent { .. } | CallError::Unauthorized { .. });
                let mut failure = error.of_change(&what);
                if is_harmless {
                    self.take_back(&mut failure);
                }
                return Err(failure);
            }
        };
        let effect = answer.effect();
        match answer.into_failure(&what) {
            None => {
                self.resume_file.acknowledge();
                Ok(())
            }
            Some(mut failure) => {
                if effect == Effect::Refused {
                    failure.text += &format!("; its coins: {}", coins(entries));
                }
                if effect != Effect::Unknown {
                    self.take_back(&mut failure);
                }
                Err(failure)
            }
        }
    }

    /// Records that nothing of the chunk was written. An error is added to the failure.
    fn take_back(&mut self, failure: &mut CommandFailure) {
        if let Err(error) = self.resume_file.take_back() {
            failure.text += &format!(
                "\n{error}; the next run treats the outcome of this chunk as unknown and sends it again"
            );
        }
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
                    report.fail(CommandFailure::new(FailureKind::NoOutputFile, text));
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
