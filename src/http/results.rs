//! The answer that tells of each entry of a batch (`results=true`, `dry_run=true`): the three fields of every
//! answer, and then `results`.

use std::{borrow::Cow, iter, mem};

use actix_web::{
    HttpRequest, HttpResponse,
    error::ErrorInternalServerError,
    http::{Version, header::ContentType},
    web::Bytes,
};
use futures_util::stream;
use serde::Serialize;
use switcher_actors::{Assignment, EntryOutcome, EntryResult, Old};
use utoipa::ToSchema;

use super::answer::{ApiError, three_fields};

/// Entries that are made text in one go. Answers of more are sent while they are made: one of 500,000 entries
/// has 35 MB and more, and would take the worker from others for as long.
const AT_ONCE: usize = 500;

/// What became of an entry, or what would become of it.
// An entry as clients read it. The order of its fields is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Result)]
pub struct Entry<'a> {
    /// As the znode is called, so in lower case where the operator says so.
    puname: &'a str,
    /// What the znode held before, cut after 64 bytes: `null` where there was no znode; left out where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    old: Option<Option<Cow<'a, str>>>,
    /// The coin that was asked for.
    new: &'a str,
    #[schema(inline)]
    outcome: Outcome,
    /// The newer coin of another request, which took this one's place in the same moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    replaced_by: Option<&'a str>,
    /// Why it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    cause: Option<&'a str>,
}

/// `applied`: ZooKeeper has committed it. `not_applied`: not written, and will not be. `unknown`: nobody can say
/// whether it was written, or, of a dry run, its znode was not read. `superseded`: a later entry of this batch is for
/// the same sub-account, and counts. Of a dry run: `would_create`: there is no znode. `would_change`: it holds
/// something else. `unchanged`: it holds the coin already; a batch would write it again.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Applied,
    NotApplied,
    Unknown,
    Superseded,
    WouldCreate,
    WouldChange,
    Unchanged,
}

impl<'a> Entry<'a> {
    fn new(entry: &'a Assignment, result: &'a EntryResult) -> Self {
        let (outcome, replaced_by, cause) = match &result.outcome {
            EntryOutcome::Applied { replaced_by } => (Outcome::Applied, replaced_by.as_ref(), None),
            EntryOutcome::NotApplied(cause) => (Outcome::NotApplied, None, Some(&**cause)),
            EntryOutcome::Unknown(cause) => (Outcome::Unknown, None, Some(&**cause)),
            EntryOutcome::Superseded => (Outcome::Superseded, None, None),
            EntryOutcome::WouldCreate => (Outcome::WouldCreate, None, None),
            EntryOutcome::WouldChange => (Outcome::WouldChange, None, None),
            // No entry of a batch is looked at without a coin.
            EntryOutcome::Unchanged | EntryOutcome::Seen => (Outcome::Unchanged, None, None),
        };
        let old = match &result.old {
            Old::NotKnown => None,
            old => Some(old.text()),
        };
        let replaced_by = replaced_by.map(|coin| coin.as_str());
        let (puname, new) = (entry.puname.as_str(), entry.coin.as_str());
        Self { puname, old, new, outcome, replaced_by, cause }
    }
}

/// The answer to `request`: what became of all of it, and of each of its entries.
pub fn answered(
    request: &HttpRequest,
    outcome: &Result<(), ApiError>,
    entries: Vec<Assignment>,
    results: Vec<EntryResult>,
) -> HttpResponse {
    let is_short = entries.len() <= AT_ONCE;
    let mut blocks = blocks(three_fields(outcome), entries, results);
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json());
    // HTTP/1.0, which proxies speak, knows no chunks.
    if is_short || request.version() < Version::HTTP_11 {
        let text = blocks.try_fold(Vec::new(), |mut text, block| {
            text.extend_from_slice(&block?);
            Ok::<_, serde_json::Error>(text)
        });
        return match text {
            Ok(text) => answer.body(text),
            Err(error) => HttpResponse::from_error(ErrorInternalServerError(error)),
        };
    }
    answer.streaming(stream::iter(blocks))
}

/// The answer's text, block after block.
fn blocks(
    three_fields: Vec<u8>,
    entries: Vec<Assignment>,
    results: Vec<EntryResult>,
) -> impl Iterator<Item = serde_json::Result<Bytes>> {
    let mut block = three_fields;
    // The object goes on.
    block.pop();
    block.extend_from_slice(br#","results":["#);
    let mut rest = entries.into_iter().zip(results).peekable();
    let mut is_over = false;
    iter::from_fn(move || {
        if is_over {
            return None;
        }
        for _ in 0..AT_ONCE {
            let Some((entry, result)) = rest.next() else { break };
            if let Err(error) = serde_json::to_writer(&mut block, &Entry::new(&entry, &result)) {
                is_over = true;
                return Some(Err(error));
            }
            if rest.peek().is_some() {
                block.push(b',');
            }
        }
        if rest.peek().is_none() {
            is_over = true;
            block.extend_from_slice(b"]}");
        }
        Some(Ok(mem::take(&mut block).into()))
    })
}

#[cfg(test)]
mod tests {
    use switcher_actors::{Coins, Puname};

    use super::*;

    fn text(outcome: &Result<(), ApiError>, ends: Vec<(&str, EntryResult)>) -> String {
        let coins = Coins::new(&["btc"]).expect("valid");
        let entry = |name| Assignment {
            puname: Puname::parse(name).expect("valid"),
            coin: coins.get("btc").expect("there").clone(),
        };
        let (entries, results) =
            ends.into_iter().map(|(name, result)| (entry(name), result)).unzip();
        let blocks = blocks(three_fields(outcome), entries, results);
        let text = blocks.map(|block| block.expect("a block").to_vec()).collect::<Vec<_>>();
        String::from_utf8(text.concat()).expect("UTF-8")
    }

    #[test]
    fn fields_come_in_their_order_and_only_where_they_say_something() {
        let result = |old, outcome| EntryResult { old, outcome };
        let other = Old::Data(b"a\"b".to_vec());
        let ends = vec![
            ("a", result(Old::Absent, EntryOutcome::WouldCreate)),
            ("\\", result(other, EntryOutcome::Applied { replaced_by: None })),
            ("c", result(Old::NotKnown, EntryOutcome::NotApplied("no rights".into()))),
        ];
        assert_eq!(
            text(&Err(ApiError::WriteFailed), ends),
            concat!(
                r#"{"err_no":107,"err_msg":"write record failed","success":false,"results":["#,
                r#"{"puname":"a","old":null,"new":"btc","outcome":"would_create"},"#,
                r#"{"puname":"\\","old":"a\"b","new":"btc","outcome":"applied"},"#,
                r#"{"puname":"c","new":"btc","outcome":"not_applied","cause":"no rights"}]}"#,
            )
        );
        let nobody = r#"{"err_no":0,"err_msg":"","success":true,"results":[]}"#;
        assert_eq!(text(&Ok(()), vec![]), nobody);
    }

    #[test]
    fn blocks_follow_each_other_without_a_gap() {
        for count in [AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE] {
            let end = EntryResult { old: Old::Absent, outcome: EntryOutcome::WouldCreate };
            let text = text(&Ok(()), vec![("a", end); count]);
            let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(answer["results"].as_array().map(Vec::len), Some(count));
        }
    }
}
