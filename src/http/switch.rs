//! The switch endpoints: validate, hand over to `ZkWriter`, answer what became of it.

use actix::prelude::SendError;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CONTENT_TYPE,
    web::{Bytes, Data, Payload},
};
use slog::{Logger, info, warn};
use switcher_actors::{
    Assignment, Coins, Puname, PunameError, Shown, Source, WriteBatch, WriteFailure,
};
use tokio::sync::oneshot;

use super::{
    answer::{ApiError, switched},
    body::{self, BodyLimits},
    form::{Parameters, media_type},
    json::{Group, parse_batch},
};

/// What the endpoints need. One is shared by all workers.
pub struct SwitchApi {
    /// Where switches go.
    pub writer: actix::Recipient<WriteBatch>,
    /// What may be switched to, and how names are written.
    pub rules: Rules,
    /// How much a client may send.
    pub body: BodyLimits,
    /// For refused and failed requests; what is written, `ZkWriter` logs.
    pub log: Logger,
}

/// What makes a pair of texts a valid switch.
#[derive(Clone)]
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
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.to_owned();
    let media_type = media_type(&content_type);
    let is_form = media_type == "application/x-www-form-urlencoded" && request.method() == "POST";
    let is_multipart = media_type == "multipart/form-data";
    let body = if is_form || is_multipart {
        body::read(&request, payload, api.body).await?
    } else {
        Bytes::new()
    };
    let (rules, query) = (api.rules.clone(), request.query_string().to_owned());
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
        Ok(vec![rules.assignment(puname, coin)?])
    })
    .await;
    api.write(&request, assignments).await
}

/// `POST /switch/multi-user`: a batch, as JSON whatever the content type says.
pub async fn switch_many(
    request: HttpRequest,
    payload: Payload,
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, api.body).await?;
    let rules = api.rules.clone();
    let assignments = body::parse(body, move |body| rules.assignments(&parse_batch(body)?)).await;
    api.write(&request, assignments).await
}

impl SwitchApi {
    /// Has valid switches written and waits for what becomes of them.
    async fn write(
        &self,
        request: &HttpRequest,
        assignments: Result<Vec<Assignment>, ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        let source = Source::Api(request.peer_addr().map(|peer| peer.ip().to_canonical()));
        let assignments = assignments.inspect_err(|error| {
            info!(self.log, "request refused"; "source" => %source, "path" => request.path(),
                "err_no" => error.number(), "err_msg" => %Shown(&error.to_string()));
        })?;
        let (first, count) =
            (assignments.first().map(|entry| entry.puname.clone()), assignments.len());
        let Err(failure) = self.write_batch(source, assignments).await else {
            return Ok(switched());
        };
        let first = first.as_ref().map(|first| first.shown().to_string()).unwrap_or_default();
        warn!(self.log, "request failed: {}", failure; "source" => %source, "path" => request.path(),
            "first_sub_account" => first, "switches" => count);
        Err(failure.into())
    }

    async fn write_batch(
        &self,
        source: Source,
        assignments: Vec<Assignment>,
    ) -> Result<(), WriteFailure> {
        let (reply, answer) = oneshot::channel();
        self.writer.try_send(WriteBatch { source, assignments, reply }).map_err(
            |error| match error {
                SendError::Full(_) => WriteFailure::Overloaded,
                SendError::Closed(_) => WriteFailure::ShuttingDown,
            },
        )?;
        answer
            .await
            .unwrap_or_else(|_| Err(WriteFailure::Unknown("the writer ended meanwhile".to_owned())))
    }
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
