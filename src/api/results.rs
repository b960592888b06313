//! The answer that tells of each entry of a batch (`results=true`, `dry_run=true`): the three fields of every
//! answer, and then `results`.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{Version, header::ContentType},
    web::{self, Bytes},
};
use futures_util::stream;
use serde::Serialize;
use switcher_actors::{EntryOutcome, EntryResult, PreviousValue, Results, SwitchEntry, Switches};
use tokio::task::yield_now;
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
    /// Cause of the failure.
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
    fn new(entry: &SwitchEntry<'a>, result: &'a EntryResult) -> Self {
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
            PreviousValue::NotKnown => None,
            old => Some(old.text()),
        };
        let replaced_by = replaced_by.map(|coin| coin.as_str());
        // All entries of a batch have a coin.
        let new = entry.coin.map_or("", |coin| coin.as_str());
        Self { puname: entry.puname, old, new, outcome, replaced_by, cause }
    }
}

/// The answer to `request`: what became of all of it, and of each of its entries.
pub async fn answered(
    request: &HttpRequest,
    outcome: &Result<(), ApiError>,
    switches: Arc<Switches>,
    results: Results,
) -> Result<HttpResponse, ApiError> {
    let is_short = switches.entries() <= AT_ONCE;
    let text = AnswerText { head: three_fields(outcome), switches, results };
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json());
    if is_short {
        return Ok(answer.body(text.blocks().map(|(block, _)| block).collect::<Vec<_>>().concat()));
    }
    let text = Arc::new(text);
    if request.version() >= Version::HTTP_11 {
        return Ok(answer.streaming(streamed(text)));
    }
    // HTTP/1.0, which proxies speak, knows no chunks: it is made twice, so that its length is known first.
    let length = web::block({
        let text = Arc::clone(&text);
        move || text.blocks().map(|(block, _)| block.len() as u64).sum()
    });
    let length = length.await.map_err(ApiError::body_broken)?;
    Ok(answer.body(SizedStream::new(length, streamed(text))))
}

/// The answer's blocks. The worker serves others after each of them, however fast the client reads.
fn streamed(text: Arc<AnswerText>) -> impl stream::Stream<Item = Result<Bytes, ApiError>> {
    stream::unfold(Some(Cursor::default()), move |cursor| {
        let text = Arc::clone(&text);
        async move {
            let (block, next) = text.block(cursor?);
            yield_now().await;
            Some((Ok(block.into()), next))
        }
    })
}

/// The text of an answer, made block by block.
struct AnswerText {
    /// The three fields of every answer, a whole object.
    head: Vec<u8>,
    switches: Arc<Switches>,
    results: Results,
}

/// Where a block begins.
#[derive(Clone, Copy, Default)]
struct Cursor {
    entry: usize,
    place: usize,
}

impl AnswerText {
    fn blocks(&self) -> impl Iterator<Item = (Vec<u8>, Option<Cursor>)> {
        let first = self.block(Cursor::default());
        std::iter::successors(Some(first), |(_, next)| next.map(|next| self.block(next)))
    }

    /// The block that begins at `from`, and where the next one begins.
    fn block(&self, from: Cursor) -> (Vec<u8>, Option<Cursor>) {
        let mut block = Vec::new();
        if from.entry == 0 {
            // The object goes on.
            block.extend_from_slice(&self.head[..self.head.len().saturating_sub(1)]);
            block.extend_from_slice(br#","results":["#);
        }
        let mut next = from;
        for entry in self.switches.iter_from(from.entry, from.place).take(AT_ONCE) {
            if next.entry > 0 {
                block.push(b',');
            }
            let result = entry.place.and_then(|place| self.results.get(place));
            let entry_text = Entry::new(&entry, result.unwrap_or(&EntryResult::SUPERSEDED));
            // Only a writer that fails can fail here, and a list of bytes does not.
            let _ = serde_json::to_writer(&mut block, &entry_text);
            next.entry += 1;
            next.place += usize::from(entry.place.is_some());
        }
        let is_over = next.entry >= self.switches.entries();
        if is_over {
            block.extend_from_slice(b"]}");
        }
        (block, (!is_over).then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::{Coins, SwitchesBuilder};

    use super::*;

    /// All entries of a batch that names each sub-account once.
    fn text(outcome: &Result<(), ApiError>, ends: Vec<(String, EntryResult)>) -> String {
        let coins = Coins::new(&["btc"]).expect("valid");
        let mut builder = SwitchesBuilder::new(false);
        ends.iter().for_each(|(name, _)| builder.add(name).expect("valid"));
        builder.set_coin(coins.get("btc").expect("there"));
        let switches = Arc::new(builder.build());
        let results = ends.into_iter().map(|(_, result)| result).collect();
        let text = AnswerText { head: three_fields(outcome), switches, results };
        let blocks: Vec<_> = text.blocks().map(|(block, _)| block).collect();
        String::from_utf8(blocks.concat()).expect("UTF-8")
    }

    #[test]
    fn fields_come_in_their_order_and_only_where_they_say_something() {
        let result = |old, outcome| EntryResult { old, outcome };
        let other = PreviousValue::Data(b"a\"b".to_vec());
        let ends = vec![
            ("a".to_owned(), result(PreviousValue::Absent, EntryOutcome::WouldCreate)),
            ("\\".to_owned(), result(other, EntryOutcome::Applied { replaced_by: None })),
            (
                "c".to_owned(),
                result(PreviousValue::NotKnown, EntryOutcome::NotApplied("no rights".into())),
            ),
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
            let end =
                EntryResult { old: PreviousValue::Absent, outcome: EntryOutcome::WouldCreate };
            let ends = (0..count).map(|n| (n.to_string(), end.clone()));
            let text = text(&Ok(()), ends.collect());
            let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(answer["results"].as_array().map(Vec::len), Some(count));
        }
    }
}
