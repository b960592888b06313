//! The last changes as JSON.

use std::{borrow::Cow, net::IpAddr, time::SystemTime};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::{Change, ChangeKind, Coinbase, PreviousValue, Recent, seconds};
use time::OffsetDateTime;

use super::{
    Admin,
    answer::{PageError, json_page},
};
use crate::{api::Parameters, logging::write_rfc_3339};

/// Default of `limit`.
const DEFAULT_LIMIT: usize = 100;

/// A change in JSON.
#[derive(Serialize)]
pub struct ChangeEntry<'a> {
    number: u64,
    /// RFC 3339, in UTC.
    time: String,
    source: &'static str,
    /// Address of the API's client.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    /// The request's id, as in the log and in the header of the API's answer.
    request: String,
    #[serde(flatten)]
    kind: ChangeDetails<'a>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ChangeDetails<'a> {
    Switch {
        sub_account: &'a str,
        /// Absent if unknown, `null` if there was no znode.
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<Option<Cow<'a, str>>>,
        /// `null` if an undo deleted the znode.
        new: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        superseded_by: Option<&'a str>,
        /// Of a held switch, RFC 3339.
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
    Registration {
        sub_account: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        puid: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        first_coin: Option<&'a str>,
        seconds: f64,
    },
}

impl<'a> From<&'a Change> for ChangeEntry<'a> {
    fn from(change: &'a Change) -> Self {
        // The stratum servers request registrations.
        let source = match &change.what {
            ChangeKind::Registration { .. } => "stratum",
            _ => change.source.label(),
        };
        Self {
            number: change.number,
            time: rfc_3339(change.at),
            source,
            client: change.source.client,
            request: change.source.request.to_string(),
            kind: ChangeDetails::from(&change.what),
            outcome: change.outcome,
            cause: change.cause.as_deref(),
            actor: change.source.actor.as_deref(),
            on_behalf_of: change.source.on_behalf_of.as_deref(),
            comment: change.source.comment.as_deref(),
        }
    }
}

impl<'a> From<&'a ChangeKind> for ChangeDetails<'a> {
    fn from(what: &'a ChangeKind) -> Self {
        match what {
            ChangeKind::Switch { puname, old, new, superseded_by, due, .. } => Self::Switch {
                sub_account: puname.as_str(),
                old: (*old != PreviousValue::NotKnown).then(|| old.text()),
                new: new.as_ref().map(|coin| coin.as_str()),
                superseded_by: superseded_by.as_ref().map(|coin| coin.as_str()),
                due: due.map(switcher_actors::rfc_3339_millis),
            },
            ChangeKind::Update { sub_pool, old, new } => Self::Update {
                coin: sub_pool.coin(),
                sub_pool: sub_pool.name(),
                old: old.as_deref(),
                new,
            },
            ChangeKind::Registration { sub_account, puid, first_coin, took } => {
                Self::Registration {
                    sub_account,
                    puid: *puid,
                    first_coin: first_coin.as_ref().map(|coin| coin.as_str()),
                    seconds: seconds(*took),
                }
            }
        }
    }
}

/// Time in milliseconds.
pub fn rfc_3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = i128::try_from(since.as_millis()).unwrap_or_default() * 1_000_000;
    let mut text = Vec::new();
    if let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(nanos) {
        // Writing to a Vec cannot fail.
        let _ = write_rfc_3339(&mut text, time);
    }
    String::from_utf8(text).unwrap_or_default()
}

#[derive(Serialize)]
struct RecentAnswer<'a> {
    changes: Vec<ChangeEntry<'a>>,
}

/// `GET /recent?limit=N`: the last N changes, the oldest first.
pub async fn recent(request: HttpRequest, admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let changes = admin.metrics.recent().last(limit(request.query_string())?);
    let body = RecentAnswer { changes: changes.iter().map(ChangeEntry::from).collect() };
    Ok(json_page(&body))
}

fn limit(query: &str) -> Result<usize, PageError> {
    let mut parameters = Parameters::new(["limit"]);
    parameters.add_urlencoded(query.as_bytes());
    let [limit] = parameters.first();
    if limit.is_empty() {
        return Ok(DEFAULT_LIMIT);
    }
    let parsed = limit.parse().ok().filter(|limit| (1..=Recent::KEPT).contains(limit));
    parsed.ok_or_else(|| PageError::Limit(limit.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc_to_the_millisecond() {
        let time = |nanos| rfc_3339(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_709_210_096_789_999_999), "2024-02-29T12:34:56.789Z");
    }

    #[test]
    fn the_limit_is_at_most_the_number_of_kept_changes() {
        assert_eq!(limit("").ok(), Some(100));
        assert_eq!(limit("x=1&limit=7").ok(), Some(7));
        assert_eq!(limit("limit=1000").ok(), Some(1000));
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=99999999999999999999"]
        {
            assert!(matches!(limit(query), Err(PageError::Limit(_))), "{query}");
        }
    }
}
