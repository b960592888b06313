//! `history`: searches the daemon's history, page by page, and follows it.
//!
//! * `verify`: checks the chain over payout changes, in the file itself.

mod verify;

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use switcher_actors::escape_json;
use tokio::time::sleep;

use super::{
    access::{ApiAccess, Listener},
    api::{Api, Page},
    arguments::{HistoryArguments, HistoryCommand, SearchArguments},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    rows::Row,
    terminal,
};

/// Rows without `--limit`.
const USUAL_ROWS: u64 = 100;

/// Maximum rows of a page (trust contract, section 1).
const PAGE_ROWS: u64 = 1_000;

/// Interval of `--follow`.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

const WHAT: &str = "search of the history";

/// `history` and `history verify`.
pub async fn history(arguments: &HistoryArguments, file: Option<&Path>) -> CommandResult {
    let HistoryArguments { command, search, api } = arguments;
    if let Some(HistoryCommand::Verify(verify)) = command {
        if *search != SearchArguments::default() {
            let text = "`history verify` takes no flags of a search; `history … -- verify` searches the sub-account verify";
            return Err(FailureKind::Usage.failure(text));
        }
        return verify::verify(verify, file);
    }
    let access = ApiAccess::find(api, Listener::Admin, file)?;
    let search = Search {
        api: Api::new(&access, Duration::from_secs(api.timeout)),
        page: if search.requests { "/history/requests" } else { "/history" },
        filters: filters(search, SystemTime::now()),
        format: match (search.csv, api.output.json) {
            (true, _) => Format::Csv,
            (_, true) => Format::Json,
            _ if search.requests => Format::RequestLines,
            _ => Format::ChangeLines,
        },
        limit: search.limit.unwrap_or(USUAL_ROWS),
        is_followed: search.follow,
    };
    match search.run(&mut io::stdout().lock()).await {
        Ok(()) | Err(Stop::Closed) => Ok(CommandReport::printed()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// The parameters that all pages of the search share.
fn filters(search: &SearchArguments, now: SystemTime) -> Vec<(&'static str, String)> {
    let time = |time: &Option<super::when::When>| time.as_ref().map(|it| it.resolve(now));
    let filters = [
        ("sub_account", search.sub_account.clone()),
        ("sub_pool", search.sub_pool.clone()),
        ("coin", search.coin.clone()),
        ("actor", search.actor.clone()),
        ("request", search.request.clone()),
        ("from", time(&search.from)),
        ("to", time(&search.to)),
    ];
    filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Form of the rows on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    ChangeLines,
    RequestLines,
    /// An object a line.
    Json,
    Csv,
}

/// Why no more rows are printed.
#[derive(Debug)]
enum Stop {
    /// The reader of standard output has closed it.
    Closed,
    Failed(CommandFailure),
}

impl From<CommandFailure> for Stop {
    fn from(failure: CommandFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => {
                let text = format!("standard output cannot be written: {error}");
                Self::Failed(FailureKind::NoOutput.failure(text))
            }
        }
    }
}

/// A search.
struct Search {
    api: Api,
    page: &'static str,
    filters: Vec<(&'static str, String)>,
    format: Format,
    limit: u64,
    is_followed: bool,
}

impl Search {
    async fn run(&self, output: &mut impl Write) -> Result<(), Stop> {
        if self.is_followed {
            return self.follow(output).await;
        }
        let (mut left, mut cursor, mut is_first) = (self.limit, None, true);
        while left > 0 {
            let page = self.fetch("newest", cursor.as_deref(), left.min(PAGE_ROWS)).await?;
            page.print(self.format, is_first, output)?;
            left = left.saturating_sub(page.count());
            (cursor, is_first) = (page.next, false);
            if cursor.is_none() {
                return Ok(());
            }
        }
        terminal::note(self.is_quiet(), "there are older rows; --limit prints more");
        Ok(())
    }

    /// Prints the newest rows, the newest last, then newer ones until the process is interrupted.
    async fn follow(&self, output: &mut impl Write) -> Result<(), Stop> {
        let (mut rows, mut older) = (Vec::new(), None);
        while (rows.len() as u64) < self.limit {
            let left = self.limit - rows.len() as u64;
            let page = self.fetch("newest", older.as_deref(), left.min(PAGE_ROWS)).await?;
            rows.extend(page.rows);
            older = page.next;
            if older.is_none() {
                break;
            }
        }
        rows.reverse();
        let mut cursor = last_number(&rows)?;
        print(&rows, self.format, output)?;
        let (mut is_away, is_quiet) = (false, self.is_quiet());
        loop {
            sleep(FOLLOW_EVERY).await;
            match self.newer(&mut cursor, output).await {
                Ok(()) => is_away = false,
                // The daemon may restart.
                Err(Stop::Failed(failure)) if failure.kind == FailureKind::Unavailable => {
                    terminal::note(
                        is_away || is_quiet,
                        &format!("{failure}; trying again every second"),
                    );
                    is_away = true;
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Prints the rows after `cursor`, and moves it to the last of them.
    async fn newer(
        &self,
        cursor: &mut Option<String>,
        output: &mut impl Write,
    ) -> Result<(), Stop> {
        loop {
            let page = self.fetch("oldest", cursor.as_deref(), PAGE_ROWS).await?;
            let last = last_number(&page.rows)?;
            print(&page.rows, self.format, output)?;
            *cursor = last.or(cursor.take());
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether a script reads the output.
    fn is_quiet(&self) -> bool {
        self.format == Format::Json
    }

    async fn fetch(
        &self,
        order: &str,
        cursor: Option<&str>,
        rows: u64,
    ) -> Result<RowsPage, CommandFailure> {
        let target = self.target(order, cursor, rows);
        let page = self.api.get_page(&target).await.map_err(|error| error.of_question(WHAT))?;
        let read = if page.status == 200 { RowsPage::read(&page, self.format) } else { None };
        read.ok_or_else(|| {
            let refusal = page.answer().and_then(|answer| answer.into_page_failure(WHAT, true));
            refusal.unwrap_or_else(|| self.api.not_the_daemon(&page).of_question(WHAT))
        })
    }

    fn target(&self, order: &str, cursor: Option<&str>, rows: u64) -> String {
        let mut target = format!("{}?order={order}&limit={rows}", self.page);
        let format = (self.format == Format::Csv).then_some(("format", "csv"));
        let others = format.into_iter().chain(cursor.map(|cursor| ("cursor", cursor)));
        let filters = self.filters.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in filters.chain(others) {
            target.push_str(&format!("&{name}={}", percent_encoded(value)));
        }
        target
    }
}

/// A text, escaped as a parameter's value.
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// A page of rows.
struct RowsPage {
    /// Empty for CSV.
    rows: Vec<Box<RawValue>>,
    /// Text of the page, for CSV.
    csv: Option<String>,
    next: Option<String>,
}

/// A page in JSON.
#[derive(Deserialize)]
struct JsonPage {
    #[serde(alias = "requests")]
    changes: Vec<Box<RawValue>>,
    next: Value,
}

impl RowsPage {
    /// `None` if the answer is no page of rows.
    fn read(page: &Page, format: Format) -> Option<Self> {
        if format == Format::Csv {
            let next = page.next_cursor.clone().filter(|next| !next.is_empty());
            let csv =
                String::from_utf8(page.body.clone()).ok().filter(|it| it.starts_with("number"))?;
            return Some(Self { rows: Vec::new(), csv: Some(csv), next });
        }
        let JsonPage { changes: rows, next } = serde_json::from_slice(&page.body).ok()?;
        let next = match next {
            Value::Null => None,
            Value::String(next) => Some(next),
            next => Some(next.to_string()),
        };
        Some(Self { rows, csv: None, next })
    }

    fn count(&self) -> u64 {
        let Some(csv) = &self.csv else { return self.rows.len() as u64 };
        csv::Reader::from_reader(csv.as_bytes()).byte_records().count() as u64
    }

    /// Prints the rows; only the first page of CSV keeps its header row.
    fn print(&self, format: Format, is_first: bool, output: &mut impl Write) -> Result<(), Stop> {
        let Some(csv) = &self.csv else { return print(&self.rows, format, output) };
        let rows = csv.split_once('\n').map_or("", |(_, rows)| rows);
        output.write_all(if is_first { csv } else { rows }.as_bytes())?;
        Ok(output.flush()?)
    }
}

fn print(rows: &[Box<RawValue>], format: Format, output: &mut impl Write) -> Result<(), Stop> {
    for row in rows {
        writeln!(output, "{}", line(row, format))?;
    }
    Ok(output.flush()?)
}

fn line(row: &RawValue, format: Format) -> String {
    match (format, serde_json::from_str(row.get())) {
        (Format::ChangeLines, Ok(Value::Object(fields))) => Row(&fields).change_line(),
        (Format::RequestLines, Ok(Value::Object(fields))) => Row(&fields).request_line(),
        _ => escape_json(row.get()).into_owned(),
    }
}

/// Number of the last row, which is the cursor of the rows after it; `None` without a row.
fn last_number(rows: &[Box<RawValue>]) -> Result<Option<String>, CommandFailure> {
    #[derive(Deserialize)]
    struct Numbered {
        number: u64,
    }
    let Some(row) = rows.last() else { return Ok(None) };
    let row: Numbered = serde_json::from_str(row.get()).map_err(|error| {
        FailureKind::Protocol
            .failure(format!("{WHAT}: a row without a number cannot be followed: {error}"))
    })?;
    Ok(Some(row.number.to_string()))
}

#[cfg(test)]
mod tests;
