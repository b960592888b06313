//! Rows in JSON: the fields of the trust contract, then those of `/recent`, in its order. Unknown values are absent.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use switcher_actors::{RequestId, rfc_3339_millis};
use switcher_history::{
    ChangeRow, Coinbase, Entry, Old, Origin, RequestNumber, RequestRow, Switch, Update,
};

/// A change in JSON.
#[derive(Serialize)]
pub struct ChangeEntry<'a> {
    number: i64,
    /// RFC 3339, in UTC, with milliseconds.
    time: String,
    kind: &'static str,
    #[serde(flatten)]
    origin: OriginEntry<'a>,
    #[serde(flatten)]
    details: Details<'a>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
}

/// A request in JSON.
#[derive(Serialize)]
pub struct RequestEntry<'a> {
    /// Number of the first change.
    number: i64,
    /// Time of the first change, like that of a change.
    time: String,
    kind: &'static str,
    #[serde(flatten)]
    origin: OriginEntry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone_by: Option<String>,
    entries: i64,
    applied: i64,
    not_applied: i64,
    unknown: i64,
    #[serde(skip_serializing_if = "is_zero")]
    held: i64,
    /// Number of created znodes.
    created: i64,
    /// Number of switches to each coin.
    new: &'a BTreeMap<String, i64>,
}

#[derive(Serialize)]
struct OriginEntry<'a> {
    request: String,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo_of: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Switch {
        sub_account: &'a str,
        /// Absent if unknown, `null` if there was no znode.
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<Option<&'a str>>,
        /// `null` if an undo deleted the znode.
        new: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        superseded_by: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<String>,
    },
    Update {
        coin: &'a str,
        sub_pool: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<&'a Coinbase>,
        new: &'a Coinbase,
    },
    Reload {
        keys: &'a [String],
    },
}

impl<'a> From<&'a ChangeRow> for ChangeEntry<'a> {
    fn from(row: &'a ChangeRow) -> Self {
        Self {
            number: row.number,
            time: time(row.time),
            kind: row.entry.kind().word(),
            origin: OriginEntry::from(&row.origin),
            details: Details::from(&row.entry),
            outcome: row.outcome.word(),
            cause: row.cause.as_deref(),
        }
    }
}

impl<'a> From<&'a RequestRow> for RequestEntry<'a> {
    fn from(row: &'a RequestRow) -> Self {
        let [applied, not_applied, unknown, held] = row.outcomes;
        Self {
            number: row.id,
            time: time(row.time),
            kind: row.kind.word(),
            origin: OriginEntry::from(&row.origin),
            undone_by: row.undone_by.map(digits),
            entries: row.entries(),
            applied,
            not_applied,
            unknown,
            held,
            created: row.created,
            new: &row.coins,
        }
    }
}

impl<'a> From<&'a Origin> for OriginEntry<'a> {
    fn from(origin: &'a Origin) -> Self {
        Self {
            request: digits(origin.request),
            source: origin.source.word(),
            actor: origin.actor.as_deref(),
            on_behalf_of: origin.on_behalf_of.as_deref(),
            client: origin.client,
            comment: origin.comment.as_deref(),
            undo_of: origin.undo_of.map(digits),
        }
    }
}

impl<'a> From<&'a Entry> for Details<'a> {
    fn from(entry: &'a Entry) -> Self {
        match entry {
            Entry::Switch(Switch { sub_account, old, new, superseded_by, due, state: _ }) => {
                Self::Switch {
                    sub_account,
                    old: old_value(old),
                    new: new.as_deref(),
                    superseded_by: superseded_by.as_deref(),
                    due: due.map(rfc_3339_millis),
                }
            }
            Entry::Update(Update { coin, sub_pool, old, new }) => {
                Self::Update { coin, sub_pool, old: old.as_ref(), new }
            }
            Entry::Reload { keys } => Self::Reload { keys },
        }
    }
}

/// `None` if unknown, `Some(None)` if there was no znode.
fn old_value(old: &Old) -> Option<Option<&str>> {
    match old {
        Old::NotKnown => None,
        Old::Absent => Some(None),
        Old::Value(text) => Some(Some(text)),
    }
}

/// RFC 3339 of milliseconds since 1970.
fn time(millis: i64) -> String {
    rfc_3339_millis(millis.max(0) as u64)
}

fn digits(request: RequestNumber) -> String {
    RequestId(request).to_string()
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}
