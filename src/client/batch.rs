//! `batch FILE`: sends a batch in chunks, each only after the one before was acknowledged.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use switcher_actors::Shown;

use super::{
    answer::Fate,
    api::{Api, CallError},
    arguments::BatchArguments,
    batch_file::Batch,
    caller::Caller,
    progress::{Found, Progress, ProgressError},
    report::{Failure, Kind, Report},
    switch::{Entry, send},
    terminal::{self, Bar},
};

/// Coins of a refused chunk that are told.
const COINS_TOLD: usize = 10;

/// Reads, resumes, sends.
pub async fn batch(arguments: &BatchArguments, caller: &Caller) -> Result<Report, Failure> {
    let content = read(&arguments.file)?;
    let batch = Batch::read(&content, &caller.coins).map_err(|faults| {
        let text = format!("nothing was sent: {}: {}", shown(&arguments.file), faults.join("\n  "));
        Failure::new(Kind::Refused, text)
    })?;
    let mut progress = Progress::new(progress_file(arguments), &content, caller.server.as_str());
    let quiet = arguments.api.output.json;
    if !arguments.restart {
        let found = progress.resume().map_err(|error| Failure::new(Kind::NoInput, error))?;
        tell_of_resumption(found, &progress, &batch, quiet);
    }
    let api = Api::new(caller, Duration::from_secs(arguments.api.timeout));
    let mut sending =
        Sending { api, batch, progress, bar: Bar::new(quiet), report: Report::default() };
    sending.begin();
    let failure = sending.all(arguments.chunk as usize).await.err();
    Ok(sending.end(failure))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().read_to_end(&mut content).map(|_| content)
    } else {
        fs::read(file)
    };
    read.map_err(|error| Failure::new(Kind::NoInput, format!("{}: {error}", shown(file))))
}

fn shown(file: &Path) -> String {
    match file.to_string_lossy().as_ref() {
        "-" => "standard input".to_owned(),
        file => Shown(file).to_string(),
    }
}

fn progress_file(arguments: &BatchArguments) -> Option<PathBuf> {
    if arguments.progress_file.is_some() || arguments.file == Path::new("-") {
        return arguments.progress_file.clone();
    }
    let mut file = arguments.file.clone().into_os_string();
    file.push(".progress");
    Some(file.into())
}

fn no_progress(error: ProgressError) -> Failure {
    Failure::new(Kind::NoOutputFile, error)
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
        self.progress.send(entries.len()).map_err(no_progress)?;
        let last = first + entries.len() - 1;
        let what = format!(
            "chunk of {} entries ({} to {})",
            entries.len(),
            self.batch.place(first),
            self.batch.place(last)
        );
        let answer = match send(&self.api, entries).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, CallError::NotSent { .. } | CallError::Unauthorized { .. }) {
                    self.progress.take_back().map_err(no_progress)?;
                }
                return Err(error.of_change(&what));
            }
        };
        let fate = answer.fate();
        match answer.into_failure(&what) {
            None => {
                self.progress.acknowledge();
                Ok(())
            }
            Some(mut failure) => {
                if fate != Fate::Unknown {
                    self.progress.take_back().map_err(no_progress)?;
                }
                if fate == Fate::Refused {
                    failure.text += &format!("; its coins: {}", coins(entries));
                }
                Err(failure)
            }
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
                    report.fail(no_progress(error));
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
