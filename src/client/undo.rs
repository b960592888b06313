//! `undo`: shows which entries an undo would change, asks, and undoes them.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use switcher_actors::Shown;

use super::{
    access::ApiAccess,
    answer::DaemonAnswer,
    api::{Api, Page},
    arguments::{ChangeArguments, UndoArguments},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    rows::Row,
    terminal,
};

/// Maximum entries shown without `--all`.
const SHOWN_ENTRIES: usize = 20;

/// The results of an undo (trust contract, section 2).
#[derive(Debug)]
struct Undone {
    /// Id of the undo itself.
    request: Option<String>,
    results: Vec<Map<String, Value>>,
    /// The daemon's own error.
    error: Option<CommandFailure>,
}

/// `undo REQUEST`.
pub async fn undo(arguments: &UndoArguments, access: &ApiAccess) -> CommandResult {
    let UndoArguments { request, dry_run, person, yes, all, api, .. } = arguments;
    let what = format!("undo of {}", Shown(request));
    // The body has the comment.
    let about = ChangeArguments { comment: None, person: person.clone() };
    let call = Api::new(access, Duration::from_secs(api.timeout)).about(&about);
    let planned = ask(&call, arguments, true, &what).await?;
    if let Some(error) = planned.error {
        return Err(error);
    }
    let shown = planned.lines(*all);
    let report = |undone: &Undone| {
        let mut report = CommandReport::default();
        report.field("request", request.as_str());
        report.field("dry_run", *dry_run);
        report.field("results", json!(undone.results));
        report
    };
    let changes = planned.count(&["would_restore", "would_delete"]);
    if *dry_run || changes == 0 {
        let mut report = report(&planned);
        shown.into_iter().for_each(|line| report.line(line));
        if !dry_run {
            report.fail(nothing(&what));
        }
        return Ok(report);
    }
    if !yes && !terminal::confirm(&format!("{}\nUndo?", shown.join("\n")))? {
        let text = format!("{what}: not confirmed, nothing was changed");
        return Err(FailureKind::NotConfirmed.failure(text));
    }
    let done = ask(&call, arguments, false, &what).await?;
    let mut report = report(&done);
    report.field("undo", done.request.clone());
    done.lines(*all).into_iter().for_each(|line| report.line(line));
    if let Some(failure) = done.failure(&what) {
        report.fail(failure);
    }
    Ok(report)
}

fn nothing(what: &str) -> CommandFailure {
    let text = format!("{what}: all entries are left alone; nothing was written");
    FailureKind::Refused.failure(text)
}

/// Sends the undo. Returns its results, also if it failed in part; a refusal is an error.
async fn ask(
    api: &Api,
    arguments: &UndoArguments,
    dry_run: bool,
    what: &str,
) -> Result<Undone, CommandFailure> {
    let UndoArguments { request, delete_created, comment, .. } = arguments;
    let mut body =
        json!({"request": request, "dry_run": dry_run, "delete_created": delete_created});
    if let Some(comment) = comment {
        body["comment"] = json!(comment);
    }
    let page = api.post_page("/undo", body.to_string().into_bytes()).await;
    let page = page.map_err(|error| match dry_run {
        true => error.of_question(what),
        false => error.of_change(what),
    })?;
    read(&page, dry_run, what).unwrap_or_else(|| {
        let error = api.not_the_daemon(&page);
        Err(if dry_run { error.of_question(what) } else { error.of_change(what) })
    })
}

/// `None` if the page is not one of the daemon.
fn read(page: &Page, dry_run: bool, what: &str) -> Option<Result<Undone, CommandFailure>> {
    #[derive(Deserialize)]
    struct Fields {
        request: Option<String>,
        results: Option<Vec<Map<String, Value>>>,
    }
    let answer: DaemonAnswer = page.answer()?;
    let Fields { request, results } = serde_json::from_slice(&page.body).ok()?;
    match (answer.into_page_failure(what, dry_run), results) {
        (error, Some(results)) => Some(Ok(Undone { request, results, error })),
        (Some(failure), None) => Some(Err(failure)),
        (None, None) => None,
    }
}

impl Undone {
    fn count(&self, outcomes: &[&str]) -> usize {
        let outcome_of = self.results.iter().filter_map(|it| Row(it).text("outcome"));
        outcome_of.filter(|outcome| outcomes.contains(outcome)).count()
    }

    /// The failure, unless one entry at least was put back, all others were left alone, and the daemon reports a success.
    /// An outcome that this client does not know counts as unknown.
    fn failure(&self, what: &str) -> Option<CommandFailure> {
        let what = format!("{what} by {}", Shown(self.request.as_deref().unwrap_or("?")));
        let (all, put_back) = (self.results.len(), self.count(&["restored", "deleted"]));
        let (left, not) = (self.count(&["left_alone"]), self.count(&["not_applied"]));
        let unknown = all - put_back - left - not;
        let rest = format!("{put_back} of {all} entries were put back");
        if unknown > 0 {
            let text = format!("{what}: {rest}, the outcome of {unknown} is unknown");
            return Some(FailureKind::Unknown.failure(text));
        }
        if not > 0 {
            let text = format!(
                "{what}: {rest}, {not} were not written: undo this undo, and then try again"
            );
            return Some(FailureKind::Unavailable.failure(text));
        }
        let error = self.error.clone();
        error.or_else(|| (put_back == 0).then(|| nothing(&what)))
    }

    /// The entries, and their number by outcome and cause.
    fn lines(&self, all: bool) -> Vec<String> {
        let shown = if all { self.results.len() } else { SHOWN_ENTRIES };
        let entries = self.results.iter().take(shown).map(|it| Row(it).result_line());
        let mut lines: Vec<String> = entries.collect();
        if self.results.len() > shown {
            lines.push(format!("… and {} more (--all)", self.results.len() - shown));
        }
        let mut counts = BTreeMap::<(&str, &str), usize>::new();
        for result in &self.results {
            let text = |name| Row(result).text(name);
            let (outcome, cause) = (text("outcome").unwrap_or("?"), text("cause").unwrap_or(""));
            *counts.entry((outcome, cause)).or_default() += 1;
        }
        for ((outcome, cause), count) in counts {
            let cause =
                if cause.is_empty() { String::new() } else { format!(": {}", Shown(cause)) };
            lines.push(format!("{count:8}  {}{cause}", Shown(outcome)));
        }
        lines
    }
}

#[cfg(test)]
mod tests;
