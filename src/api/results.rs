//! The answer with a result for each entry of a batch (`results=true`, `dry_run=true`): the three fields of every
//! answer, then `results`.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{Version, header::ContentType},
    web::{self, Bytes},
};
use futures_util::stream;
use serde::Serialize;
use switcher_actors::{
    OutcomeKind, PreviousValue, Results, SwitchEntry, SwitchOutcome, SwitchResult, Switches,
    rfc_3339_millis,
};
use tokio::task::yield_now;
use utoipa::{
    ToSchema,
    openapi::{Object, Type},
};

use super::answer::{ApiError, three_fields};
use crate::http::error::{ErrNo, RequestError};

/// Entries per block. Answers of more are sent block by block: one of 500,000 entries has 35 MB and more, and would
/// occupy the worker for as long.
const BLOCK: usize = 500;

// Clients rely on the order of the fields.
/// The outcome of an entry, or of a dry run the outcome that it would have.
#[derive(Serialize, ToSchema)]
#[schema(as = Result)]
pub struct ResultBody<'a> {
    /// The name of the znode, so in lower case where the operator has configured that.
    puname: &'a str,
    /// The previous data of the znode, cut after 64 bytes: `null` without a znode; left out where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    old: Option<Option<Cow<'a, str>>>,
    /// The coin of the entry.
    new: &'a str,
    #[schema(schema_with = outcome)]
    outcome: &'static str,
    /// The newer coin of another request, which replaced this one in the same moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    replaced_by: Option<&'a str>,
    /// Of a held switch: when its coin is written, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, format = DateTime)]
    due: Option<String>,
    /// Cause of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    cause: Option<&'a str>,
}

/// Schema of an entry's outcome.
fn outcome() -> Object {
    let kinds = [
        OutcomeKind::Applied,
        OutcomeKind::NotApplied,
        OutcomeKind::Unknown,
        OutcomeKind::Superseded,
        OutcomeKind::Held,
        OutcomeKind::WouldCreate,
        OutcomeKind::WouldChange,
        OutcomeKind::WouldBeHeld,
        OutcomeKind::Unchanged,
    ];
    let text = "\
         `applied`: committed by ZooKeeper. `not_applied`: not written, and will not be. `unknown`: perhaps written; of a\n\
         dry run: the znode was not read. `superseded`: a later entry of this batch for the same sub-account counts. `held`:\n\
         committed by ZooKeeper, to be written at `due`: the list of the coin's sub-accounts lacks the sub-account, or has\n\
         had it for less than the safety period. Of a dry run: `would_be_held`: a batch would hold it, until about `due`.\n\
         Of a dry run: `would_create`: there is no znode. `would_change`: the znode holds another value. `unchanged`: the znode holds\n\
         the coin already; a batch would write it again.";
    let outcome = Object::builder().schema_type(Type::String).description(Some(text));
    outcome.enum_values(Some(kinds.map(OutcomeKind::label))).build()
}

impl<'a> ResultBody<'a> {
    fn new(entry: &SwitchEntry<'a>, result: &'a SwitchResult) -> Self {
        let old = match &result.old {
            PreviousValue::NotKnown => None,
            old => Some(old.text()),
        };
        let replaced_by = match &result.outcome {
            SwitchOutcome::ReplacedBy(newer) => Some(newer.as_str()),
            _ => None,
        };
        // All entries of a batch have a coin.
        let new = entry.coin.map_or("", |coin| coin.as_str());
        let outcome = result.outcome.kind().label();
        let due = result.outcome.due().map(rfc_3339_millis);
        let cause = result.outcome.cause();
        Self { puname: entry.puname, old, new, outcome, replaced_by, due, cause }
    }
}

/// The answer to `request`: the outcome of the batch, and of each entry.
pub async fn answered(
    request: &HttpRequest,
    outcome: &Result<(), ApiError>,
    switches: Arc<Switches>,
    results: Results,
) -> Result<HttpResponse, ApiError> {
    let is_short = switches.entries() <= BLOCK;
    let text = AnswerText { head: three_fields(outcome), switches, results };
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json());
    if let Err(error) = outcome {
        answer.extensions_mut().insert(ErrNo(error.err_no()));
    }
    if is_short {
        return Ok(answer.body(text.blocks().map(|(block, _)| block).collect::<Vec<_>>().concat()));
    }
    let text = Arc::new(text);
    if request.version() >= Version::HTTP_11 {
        return Ok(answer.streaming(streamed(text)));
    }
    // HTTP/1.0, as of some proxies, has no chunks: the text is made twice, first for its length.
    let length = web::block({
        let text = Arc::clone(&text);
        move || text.blocks().map(|(block, _)| block.len() as u64).sum()
    });
    let length = length.await.map_err(RequestError::body_broken)?;
    Ok(answer.body(SizedStream::new(length, streamed(text))))
}

/// The answer's blocks. The worker serves others after each block, however fast the client reads.
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

/// The beginning of a block.
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

    /// The block that begins at `from`, and the beginning of the next one.
    fn block(&self, from: Cursor) -> (Vec<u8>, Option<Cursor>) {
        let mut block = Vec::new();
        if from.entry == 0 {
            // Without the closing brace.
            block.extend_from_slice(&self.head[..self.head.len().saturating_sub(1)]);
            block.extend_from_slice(br#","results":["#);
        }
        let mut next = from;
        for entry in self.switches.iter_from(from.entry, from.place).take(BLOCK) {
            if next.entry > 0 {
                block.push(b',');
            }
            let result = entry.place.and_then(|place| self.results.get(place));
            let body = ResultBody::new(&entry, result.unwrap_or(&SwitchResult::SUPERSEDED));
            // Only the writer could fail, and a list of bytes does not.
            let _ = serde_json::to_writer(&mut block, &body);
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
    fn text(outcome: &Result<(), ApiError>, ends: Vec<(String, SwitchResult)>) -> String {
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
    fn fields_have_an_order_and_are_left_out_without_a_value() {
        let result = |old, outcome| SwitchResult { old, outcome };
        let other = PreviousValue::Data(b"a\"b".to_vec());
        let ends = vec![
            ("a".to_owned(), result(PreviousValue::Absent, SwitchOutcome::WouldCreate)),
            ("\\".to_owned(), result(other, SwitchOutcome::Applied)),
            (
                "c".to_owned(),
                result(PreviousValue::NotKnown, SwitchOutcome::NotApplied("no rights".into())),
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
        let empty = r#"{"err_no":0,"err_msg":"","success":true,"results":[]}"#;
        assert_eq!(text(&Ok(()), vec![]), empty);
    }

    #[actix_web::test]
    async fn the_metrics_see_the_error_of_an_answer_with_results() {
        let request = actix_web::test::TestRequest::default().to_http_request();
        let switches = Arc::new(SwitchesBuilder::new(false).build());
        let results = || Vec::new().into_iter().collect();
        for (outcome, expected) in [(Ok(()), None), (Err(ApiError::WriteFailed), Some(107))] {
            let answer = answered(&request, &outcome, Arc::clone(&switches), results()).await;
            let answer = answer.expect("an answer");
            let err_no = answer.extensions().get().map(|ErrNo(err_no)| *err_no);
            assert_eq!(err_no, expected);
        }
    }

    #[test]
    fn blocks_follow_each_other_without_a_gap() {
        for count in [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
            let end =
                SwitchResult { old: PreviousValue::Absent, outcome: SwitchOutcome::WouldCreate };
            let ends = (0..count).map(|n| (n.to_string(), end.clone()));
            let text = text(&Ok(()), ends.collect());
            let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(answer["results"].as_array().map(Vec::len), Some(count));
        }
    }
}
