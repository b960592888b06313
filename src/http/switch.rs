//! The switch endpoints: validate, hand over to `ZkWriter`, answer what became of it.

use actix::{Message, Recipient, prelude::SendError};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CONTENT_TYPE,
    web::{Bytes, Data, Payload},
};
use slog::{Logger, info, warn};
use switcher_actors::{
    Assignment, Coins, LookAt, LookAtBatch, Puname, PunameError, Shown, Source, WriteBatch,
    WriteFailure, WriteReply,
};
use tokio::sync::oneshot;

use super::{
    answer::{ApiError, switched},
    body,
    form::{Parameters, flags, media_type},
    json::{Group, parse_batch},
    request_id::source,
    results,
    terms::OfRequest,
};

/// What the endpoints need. One is shared by all workers.
pub struct SwitchApi {
    /// Where switches go.
    pub writer: Recipient<WriteBatch>,
    /// Where dry runs go.
    pub looks: Recipient<LookAtBatch>,
    /// For refused and failed requests; what is written, `ZkWriter` logs.
    pub log: Logger,
}

/// What makes a pair of texts a valid switch.
pub struct Rules {
    /// `AvailableCoins`.
    pub coins: Coins,
    /// `StratumServerCaseInsensitive`.
    pub lower_case: bool,
}

impl Rules {
    /// Validates one switch, in the contract's order of checks.
    fn assignment(&self, puname: &str, coin: &str) -> Result<Assignment, ApiError> {
        let parse = if self.lower_case { Puname::parse_lower_case } else { Puname::parse };
        let puname = parse(puname).map_err(|error| match error {
            PunameError::Empty => ApiError::PunameEmpty,
            PunameError::Invalid(_) => ApiError::PunameInvalid,
        })?;
        if coin.is_empty() {
            return Err(ApiError::CoinEmpty);
        }
        let coin = self.coins.get(coin).ok_or(ApiError::CoinInexistent)?.clone();
        Ok(Assignment { puname, coin })
    }

    /// Validates a batch whole: all of it, or the error of the first bad entry.
    fn assignments(&self, groups: &[Group<'_>]) -> Result<Vec<Assignment>, ApiError> {
        if groups.is_empty() {
            return Err(ApiError::UserCoinsEmpty);
        }
        let pairs = groups.iter().flat_map(|group| {
            group.punames.iter().map(move |puname| (puname.as_ref(), group.coin.as_ref()))
        });
        pairs.map(|(puname, coin)| self.assignment(puname, coin)).collect()
    }
}

/// `GET` or `POST /switch`: one sub-account, by parameters.
pub async fn switch_one(
    request: HttpRequest,
    payload: Payload,
    terms: OfRequest,
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.to_owned();
    let media_type = media_type(&content_type);
    let is_form = media_type == "application/x-www-form-urlencoded" && request.method() == "POST";
    let is_multipart = media_type == "multipart/form-data";
    let body = if is_form || is_multipart {
        body::read(&request, payload, terms.body).await?
    } else {
        Bytes::new()
    };
    let (terms, query) = (terms.into_inner(), request.query_string().to_owned());
    let assignments = body::parse(body, move |body| {
        let mut parameters = Parameters::new(["puname", "coin"]);
        if is_form {
            parameters.add_urlencoded(body);
        }
        parameters.add_urlencoded(query.as_bytes());
        if is_multipart {
            parameters.add_multipart(&content_type, body.clone());
        }
        let [puname, coin] = parameters.first();
        Ok(vec![terms.rules.assignment(puname, coin)?])
    })
    .await;
    api.answer(&request, assignments.map(|assignments| (Wanted::Answer, assignments))).await
}

/// What a client wants of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// To have it written, and an answer.
    Answer,
    /// To have it written, and an answer that tells of each entry.
    Results,
    /// To have nothing written, and be told of each entry what would become of it.
    DryRun,
}

impl Wanted {
    fn in_query(query: &str) -> Result<Self, ApiError> {
        let [dry_run, results] =
            flags(query, ["dry_run", "results"]).map_err(ApiError::FlagUnclear)?;
        Ok(match (dry_run, results) {
            (true, _) => Self::DryRun,
            (false, true) => Self::Results,
            (false, false) => Self::Answer,
        })
    }
}

/// `POST /switch/multi-user`: a batch, as JSON whatever the content type says.
pub async fn switch_many(
    request: HttpRequest,
    payload: Payload,
    terms: OfRequest,
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, terms.body).await?;
    let terms = terms.into_inner();
    let valid = match Wanted::in_query(request.query_string()) {
        Ok(wanted) => {
            let parse = move |body: &Bytes| terms.rules.assignments(&parse_batch(body)?);
            body::parse(body, parse).await.map(|assignments| (wanted, assignments))
        }
        Err(error) => Err(error),
    };
    api.answer(&request, valid).await
}

impl SwitchApi {
    /// Has valid switches written, or looked at, and waits for what becomes of them.
    async fn answer(
        &self,
        request: &HttpRequest,
        valid: Result<(Wanted, Vec<Assignment>), ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        let source = source(request);
        let (wanted, assignments) = valid.inspect_err(|error| {
            info!(self.log, "request refused"; source, "path" => request.path(),
                "err_no" => error.number(), "err_msg" => %Shown(&error.to_string()));
        })?;
        let (first, count) =
            (assignments.first().map(|entry| entry.puname.clone()), assignments.len());
        let entries = (wanted != Wanted::Answer).then(|| assignments.clone());
        let WriteReply { outcome, results } = match wanted {
            Wanted::Answer => self.write(source, assignments, false).await,
            Wanted::Results => self.write(source, assignments, true).await,
            Wanted::DryRun => {
                info!(self.log, "dry run"; source, "switches" => count);
                self.look(assignments).await
            }
        };
        let outcome = outcome.map_err(|failure| {
            let first = first.as_ref().map(|first| first.shown().to_string()).unwrap_or_default();
            warn!(self.log, "request failed: {}", failure; source,
                "path" => request.path(), "first_sub_account" => first, "switches" => count);
            failure.into()
        });
        match entries {
            None => outcome.map(|()| switched()),
            Some(entries) => Ok(results::answered(request, &outcome, entries, results)),
        }
    }

    async fn write(
        &self,
        source: Source,
        assignments: Vec<Assignment>,
        wants_results: bool,
    ) -> WriteReply {
        let count = if wants_results { assignments.len() } else { 0 };
        let batch = |reply| WriteBatch { source, assignments, wants_results, reply };
        let reply = ask(&self.writer, batch).await;
        reply.unwrap_or_else(|failure| WriteReply::unwritten(failure, count))
    }

    async fn look(&self, assignments: Vec<Assignment>) -> WriteReply {
        look(&self.looks, assignments.into_iter().map(LookAt::from).collect()).await
    }
}

/// Has znodes looked at, and waits for what they hold.
pub async fn look(looks: &Recipient<LookAtBatch>, entries: Vec<LookAt>) -> WriteReply {
    let count = entries.len();
    let reply = ask(looks, |reply| LookAtBatch { entries, reply }).await;
    reply.unwrap_or_else(|failure| WriteReply::unread(failure, count))
}

/// Sends `ZkWriter` a message and waits for the answer; the failure is that there is none.
async fn ask<M: Message<Result = ()> + Send>(
    writer: &Recipient<M>,
    message: impl FnOnce(oneshot::Sender<WriteReply>) -> M,
) -> Result<WriteReply, WriteFailure> {
    let (reply, answer) = oneshot::channel();
    writer.try_send(message(reply)).map_err(|error| match error {
        SendError::Full(_) => WriteFailure::Overloaded,
        SendError::Closed(_) => WriteFailure::ShuttingDown,
    })?;
    answer.await.map_err(|_| WriteFailure::Unknown("the writer ended meanwhile".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lower_case: bool) -> Rules {
        Rules { coins: Coins::new(&["btc", "bcc"]).expect("valid"), lower_case }
    }

    #[test]
    fn checks_come_in_the_contracts_order() {
        let rules = rules(false);
        for (puname, coin, error) in [
            ("", "", ApiError::PunameEmpty),
            ("", "ltc", ApiError::PunameEmpty),
            ("a/b", "", ApiError::PunameInvalid),
            ("..", "ltc", ApiError::PunameInvalid),
            ("alice", "", ApiError::CoinEmpty),
            ("alice", "ltc", ApiError::CoinInexistent),
            ("alice", "BTC", ApiError::CoinInexistent),
        ] {
            assert_eq!(rules.assignment(puname, coin), Err(error), "{puname} {coin}");
        }
        assert!(rules.assignment("alice", "btc").is_ok());
    }

    #[test]
    fn a_batch_is_refused_for_its_first_bad_entry() {
        let group = |coin: &'static str, punames: &[&'static str]| Group {
            coin: coin.into(),
            punames: punames.iter().map(|&name| name.into()).collect(),
        };
        let rules = rules(false);
        assert_eq!(rules.assignments(&[]), Err(ApiError::UserCoinsEmpty));
        let bad = [group("btc", &["a", "b/"]), group("ltc", &["c"]), group("btc", &[""])];
        assert_eq!(rules.assignments(&bad), Err(ApiError::PunameInvalid));
        // A group that names nobody is not looked at further.
        assert_eq!(rules.assignments(&[group("ltc", &[])]), Ok(vec![]));
    }

    #[test]
    fn names_are_lowered_where_the_operator_says_so() {
        let name = |rules: Rules| rules.assignment("AbC", "btc").expect("valid").puname.to_string();
        assert_eq!((name(rules(false)), name(rules(true))), ("AbC".to_owned(), "abc".to_owned()));
    }
}
