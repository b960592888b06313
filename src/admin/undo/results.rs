//! The results of an undo, and its answer. Results are kept as JSON text: a request may have hundreds of thousands.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, ContentType},
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use switcher_actors::{NotRecorded, RequestId, escape_json};

use crate::http::error::ErrNo;

/// Cause of an entry whose znode was written after the undone request.
pub const SWITCHED_SINCE: &str = "switched since";

/// Outcome of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoOutcome {
    WouldRestore,
    WouldDelete,
    Restored,
    Deleted,
    LeftAlone,
    NotApplied,
    Unknown,
}

/// One result. A value is absent if it is not known, and `null` without a znode.
#[derive(Serialize)]
pub struct UndoResult<'a> {
    #[serde(flatten)]
    pub target: UndoTarget<'a>,
    /// The value before the undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Value>,
    pub outcome: UndoOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(flatten)]
    pub newer: Option<Newer>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum UndoTarget<'a> {
    SubAccount { sub_account: &'a str },
    SubPool { coin: &'a str, sub_pool: &'a str },
}

/// The newer change of an entry that was left alone.
#[derive(Serialize)]
pub struct Newer {
    /// Its request.
    pub by: String,
    /// Its time; RFC 3339, in UTC.
    pub at: String,
}

/// All results.
#[derive(Default)]
pub struct Results {
    /// Separated by commas.
    json: String,
    counts: BTreeMap<UndoOutcome, usize>,
}

impl Results {
    pub fn add(&mut self, result: &UndoResult<'_>) {
        if !self.json.is_empty() {
            self.json.push(',');
        }
        // Texts, and maps with text keys, always serialize.
        let json = serde_json::to_string(result).unwrap_or_default();
        self.json.push_str(&escape_json(&json));
        *self.counts.entry(result.outcome).or_default() += 1;
    }

    fn count(&self, outcome: UndoOutcome) -> usize {
        self.counts.get(&outcome).copied().unwrap_or_default()
    }

    /// Number of entries by outcome, for the log.
    pub fn counts(&self) -> String {
        json!(self.counts).to_string()
    }

    pub fn may_have_written(&self) -> bool {
        [UndoOutcome::Restored, UndoOutcome::Deleted, UndoOutcome::Unknown]
            .into_iter()
            .any(|outcome| self.count(outcome) > 0)
    }

    /// The answer of the undo `request`. `recorded` is the result of waiting for its records (`HistorySync`).
    pub fn answer(&self, request: RequestId, recorded: Result<(), NotRecorded>) -> HttpResponse {
        let (failed, unknown) =
            (self.count(UndoOutcome::NotApplied), self.count(UndoOutcome::Unknown));
        let err_msg = match recorded {
            Err(cause) if self.may_have_written() => format!("the undo is not recorded: {cause}"),
            _ if failed + unknown == 0 => String::new(),
            _ => format!(
                "{failed} entries could not be put back, and the outcome of {unknown} is unknown: see the results"
            ),
        };
        let success = err_msg.is_empty();
        let status = if success { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        let err_no = if success { 0 } else { status.as_u16() };
        let head = json!([err_no, err_msg, success, request.to_string()]);
        let (err_msg, results) = (escape_json(&head[1].to_string()).into_owned(), &self.json);
        let body = format!(
            r#"{{"err_no":{err_no},"err_msg":{err_msg},"success":{success},"request":"{request}","results":[{results}]}}"#
        );
        let mut response = HttpResponse::build(status)
            .content_type(ContentType::json())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(body);
        response.extensions_mut().insert(ErrNo(err_no));
        response
    }
}
