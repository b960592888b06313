//! `batch FILE`: sends a batch in chunks, each only after the one before was acknowledged.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use switcher_actors::Shown;

use super::{
    answer::Fate,
    api::{Api, CallError},
    arguments::BatchArguments,
    batch_file::Batch,
    batch_input::{Input, shown},
    caller::Caller,
    report::{Failure, Kind, Report},
    resume_file::{Found, Progress},
    switch::{Entry, send},
    terminal::{self, Bar},
};

/// Coins of a refused chunk that are told.
const COINS_TOLD: usize = 10;

/// Reads, resumes, sends.
pub async fn batch(arguments: &BatchArguments, caller: &Caller) -> Result<Report, Failure> {
    let input = Input::read(&arguments.file)?;
    let batch = Batch::read(&input.content, &caller.coins).map_err(|faults| {
        let text = format!("nothing was sent: {}: {}", shown(&arguments.file), faults.join("\n  "));
        Failure::new(Kind::Refused, text)
    })?;
    let file = progress_file(arguments, &input)?;
    let server = caller.server.as_str();
    let mut progress = Progress::new(file, &input.content, batch.entries.len(), server);
    drop(input);
    let quiet = arguments.api.output.json;
    // The lock comes first, so that no other run changes what is read. If locking fails, the report still shows the
    // progress.
    let locked = progress.lock();
    if !arguments.restart {
        let found = progress
            .resume()
            .map_err(|error| Failure::new(Kind::NoInput, format!("nothing was sent: {error}")))?;
        tell_of_resumption(found, &progress, &batch, quiet);
    }
    let api = Api::new(caller, Duration::from_secs(arguments.api.timeout));
    let mut sending =
        Sending { api, batch, progress, bar: Bar::new(quiet), report: Report::default() };
    sending.begin();
    let ended = match locked {
        Ok(()) => sending.all(arguments.chunk as usize).await,
        Err(error) => Err(Failure::new(Kind::NoOutputFile, format!("nothing was sent: {error}"))),
    };
    Ok(sending.end(ended.err()))
}

/// Where to keep the progress; `None` for a stream, unless the operator names a place.
fn progress_file(arguments: &BatchArguments, input: &Input) -> Result<Option<PathBuf>, Failure> {
    let Some(file) = &arguments.progress_file else {
        let mut file = arguments.file.clone().into_os_string();
        file.push(".progress");
        return Ok((!input.is_stream()).then(|| file.into()));
    };
    if input.is_at(file) {
        let text = format!(
            "nothing was sent: progress file {}: it is the batch itself; --progress-file needs another place",
            shown(file)
        );
        return Err(Failure::new(Kind::NoInput, text));
    }
    Ok(Some(file.clone()))
}

fn tell_of_resumption(found: Found, progress: &Progress, batch: &Batch, quiet: bool) {
    let (first, count) = (progress.acknowledged(), progress.under_way());
    match found {
        Found::Nothing => {}
        Found::AnotherBatch => terminal::note(
            quiet,
            "the progress file is of another content or server: beginning at the first entry",
        ),
        Found::ThisBatch => {
            let all = batch.entries.len();
            terminal::note(quiet, &format!("going on after {first} of {all} entries"));
            if count > 0 {
                terminal::note(
                    quiet,
                    &format!(
                        "{count} entries, from {} on, were under way when the run before ended; nobody \
                     knows whether they were written, so they are sent again",
                        batch.place(first)
                    ),
                );
            }
        }
    }
}

/// A batch on its way.
struct Sending {
    api: Api,
    batch: Batch,
    progress: Progress,
    bar: Bar,
    report: Report,
}

impl Sending {
    fn begin(&mut self) {
        self.report.field("entries", self.batch.entries.len());
        self.report.field("resumed_after", self.progress.acknowledged());
        self.report.field("sent_again", self.progress.under_way());
    }

    /// Sends chunk after chunk, until one is not acknowledged.
    async fn all(&mut self, size: usize) -> Result<(), Failure> {
        let (began, all, skipped) =
            (Instant::now(), self.batch.entries.len(), self.progress.acknowledged());
        while self.progress.acknowledged() < all {
            self.chunk(size).await?;
            let done = self.progress.acknowledged();
            self.bar.show(done, all, (done - skipped) as f64 / began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn chunk(&mut self, size: usize) -> Result<(), Failure> {
        let first = self.progress.acknowledged();
        let entries = &self.batch.entries[first..];
        let entries = &entries[..size.min(entries.len())];
        let last = first + entries.len() - 1;
        let what = format!(
            "chunk of {} entries ({} to {})",
            entries.len(),
            self.batch.place(first),
            self.batch.place(last)
        );
        self.progress.send(entries.len()).map_err(|error| {
            Failure::new(Kind::NoOutputFile, format!("{what}: nothing was sent; {error}"))
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
        let fate = answer.fate();
        match answer.into_failure(&what) {
            None => {
                self.progress.acknowledge();
                Ok(())
            }
            Some(mut failure) => {
                if fate == Fate::Refused {
                    failure.text += &format!("; its coins: {}", coins(entries));
                }
                if fate != Fate::Unknown {
                    self.take_back(&mut failure);
                }
                Err(failure)
            }
        }
    }

    /// Records that nothing of the chunk was written. The failure stays the one that it is, whether or not that works.
    fn take_back(&mut self, failure: &mut Failure) {
        if let Err(error) = self.progress.take_back() {
            failure.text +=
                &format!("\n{error}; the next run sends this chunk as one of unknown outcome");
        }
    }

    fn end(self, failure: Option<Failure>) -> Report {
        let Self { batch, progress, mut bar, mut report, .. } = self;
        bar.clear();
        let (all, done, left) =
            (batch.entries.len(), progress.acknowledged(), progress.under_way());
        report.field("acknowledged", done);
        report.field("outcome_unknown", left);
        match failure {
            None => {
                report.line(format!("{all} entries acknowledged"));
                if let Err(error) = progress.finish() {
                    // A later run with the same batch would skip entries.
                    let text = format!(
                        "{error}\nall {all} entries were acknowledged; remove the progress file before the same \
                         batch is sent again, or use --restart"
                    );
                    report.fail(Failure::new(Kind::NoOutputFile, text));
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

fn coins(entries: &[Entry]) -> String {
    let mut coins: Vec<_> = entries.iter().map(|entry| entry.coin.as_str()).collect();
    coins.sort_unstable();
    coins.dedup();
    let told: Vec<_> = coins.iter().take(COINS_TOLD).map(|coin| Shown(coin).to_string()).collect();
    told.join(", ") + if coins.len() > COINS_TOLD { ", …" } else { "" }
}
