//! The switch endpoints: validate, send to `ZkWriter`, answer the outcome.

use std::sync::Arc;

use actix::{Recipient, prelude::SendError};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    web::{Bytes, Data, Payload},
};
use slog::{Logger, info, warn};
use switcher_actors::{
    Coin, DryRunBatch, History, PunameError, Shown, Source, SwitchRules, Switches, SwitchesBuilder,
    WriteBatch, WriteFailure, WriteReply,
};
use tokio::sync::oneshot;

use super::{
    answer::{ApiError, log_refused, switched},
    form::{Parameters, flags, media_type},
    json::{RawBatch, parse_batch},
    outbox::Outbox,
    results,
};
use crate::{
    http::{Actor, LoadedConfig, body, error::RequestError, source},
    users::Role,
};

/// State of a worker's switch endpoints.
pub struct SwitchApi {
    pub outbox: Outbox,
    pub dry_runs: Recipient<DryRunBatch>,
    pub history: History,
    /// For refused and failed requests; `ZkWriter` logs the writes.
    pub log: Logger,
}

/// Validates one switch, in the contract's order of checks.
fn validate_one(rules: &SwitchRules, puname: &str, coin: &str) -> Result<Switches, ApiError> {
    let mut switches = SwitchesBuilder::new(rules.lower_case);
    add(&mut switches, puname)?;
    switches.set_coin(find_coin(rules, coin)?);
    Ok(switches.build())
}

/// Validates a whole batch. The first invalid entry refuses it.
fn validate_batch(rules: &SwitchRules, batch: RawBatch<'_>) -> Result<SwitchesBuilder, ApiError> {
    if batch.groups().len() == 0 {
        return Err(ApiError::UserCoinsEmpty);
    }
    let mut switches = SwitchesBuilder::new(rules.lower_case);
    for (coin, names) in batch.groups() {
        let mut valid_coin = None;
        for name in names {
            add(&mut switches, name)?;
            if valid_coin.is_none() {
                valid_coin = Some(find_coin(rules, coin)?);
            }
        }
        if let Some(coin) = valid_coin {
            switches.set_coin(coin);
        }
    }
    Ok(switches)
}

fn find_coin<'a>(rules: &'a SwitchRules, name: &str) -> Result<&'a Coin, ApiError> {
    if name.is_empty() {
        return Err(ApiError::CoinEmpty);
    }
    rules.coins.get(name).ok_or(ApiError::CoinInexistent)
}

fn add(switches: &mut SwitchesBuilder, puname: &str) -> Result<(), ApiError> {
    switches.add(puname).map_err(|error| match error {
        PunameError::Empty => ApiError::PunameEmpty,
        PunameError::Invalid(_) => ApiError::PunameInvalid,
    })
}

/// `GET` or `POST /switch`: one sub-account, by parameters.
pub async fn switch_one(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.to_owned();
    let media_type = media_type(&content_type);
    let is_form = media_type == "application/x-www-form-urlencoded" && request.method() == "POST";
    let is_multipart = media_type == "multipart/form-data";
    // Any body is read, so that the connection can continue behind it.
    let has_body =
        [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| request.headers().contains_key(name));
    let body = match has_body {
        true => body::read(&request, payload, config.body_limits).await?,
        false => Bytes::new(),
    };
    let query = request.query_string().to_owned();
    let switches = body::parse(body, move |body| {
        let mut parameters = Parameters::new(["puname", "coin"]);
        if is_form {
            parameters.add_urlencoded(&body);
        }
        parameters.add_urlencoded(query.as_bytes());
        if is_multipart {
            parameters.add_multipart(&content_type, body.clone());
        }
        let [puname, coin] = parameters.first();
        validate_one(&config.switch_rules, puname, coin)
    })
    .await;
    api.answer(&request, switches.map(|switches| (Mode::Write, switches))).await
}

/// The effect and the answer that a client requests for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Write,
    /// Write, and answer with a result for each entry.
    WriteWithResults,
    /// Write nothing, and answer with the result that each entry would have.
    DryRun,
}

impl Mode {
    fn in_query(query: &str) -> Result<Self, ApiError> {
        let [dry_run, results] =
            flags(query, ["dry_run", "results"]).map_err(ApiError::FlagUnclear)?;
        Ok(match (dry_run, results) {
            (true, _) => Self::DryRun,
            (false, true) => Self::WriteWithResults,
            (false, false) => Self::Write,
        })
    }
}

/// `POST /switch/multi-user`: a batch, as JSON whatever its content type.
pub async fn switch_many(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    actor: Actor,
    api: Data<SwitchApi>,
) -> Result<HttpResponse, ApiError> {
    let mode = Mode::in_query(request.query_string());
    if mode != Ok(Mode::DryRun) {
        actor.may(Role::Switcher).map_err(RequestError::from)?;
    }
    let body = body::read(&request, payload, config.body_limits).await?;
    let parse = move |body: Bytes| {
        let switches = validate_batch(&config.switch_rules, parse_batch(&body)?)?;
        // Frees memory before the search for repeated names.
        drop(body);
        Ok(switches.build())
    };
    let valid = match mode {
        Ok(mode) => body::parse(body, parse).await.map(|switches| (mode, switches)),
        Err(error) => Err(error),
    };
    api.answer(&request, valid).await
}

impl SwitchApi {
    /// Writes valid switches, or runs them dry, and answers the outcome.
    async fn answer(
        &self,
        request: &HttpRequest,
        valid: Result<(Mode, Switches), ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        let source = source(request);
        let (mode, switches) =
            valid.inspect_err(|error| log_refused(&self.log, request, &source, error))?;
        let switches = Arc::new(switches);
        let WriteReply { outcome, results } = match mode {
            Mode::Write => self.write(source.clone(), &switches, false).await,
            Mode::WriteWithResults => self.write(source.clone(), &switches, true).await,
            Mode::DryRun => {
                info!(self.log, "dry run"; &source, "switches" => switches.entries());
                dry_run(&self.dry_runs, Arc::clone(&switches)).await
            }
        };
        let outcome = outcome.map_err(|failure| {
            let first = switches.iter().next().map(|first| Shown(first.puname).to_string());
            warn!(self.log, "request failed: {}", failure; source,
                "path" => request.path(), "first_sub_account" => first.unwrap_or_default(),
                "switches" => switches.entries());
            failure.into()
        });
        match results {
            None => outcome.map(|()| switched()),
            Some(results) => results::answered(request, &outcome, switches, results).await,
        }
    }

    async fn write(
        &self,
        source: Source,
        switches: &Arc<Switches>,
        wants_results: bool,
    ) -> WriteReply {
        if let Err(cause) = self.history.admits() {
            return WriteReply::refused(WriteFailure::NotAdmitted(cause));
        }
        let (reply, answer) = oneshot::channel();
        let switches = Arc::clone(switches);
        self.outbox.send(WriteBatch { source, switches, wants_results, reply });
        let mut reply = received(answer).await;
        if reply.outcome.is_ok() {
            reply.outcome = self.history.synced().await.map_err(WriteFailure::NotRecorded);
        }
        reply
    }
}

/// Reads the znodes of `switches`, and returns the result that each would have.
pub async fn dry_run(recipient: &Recipient<DryRunBatch>, switches: Arc<Switches>) -> WriteReply {
    let (reply, answer) = oneshot::channel();
    match recipient.try_send(DryRunBatch { switches, reply }) {
        Ok(()) => received(answer).await,
        Err(error) => WriteReply::refused(refusal(&error)),
    }
}

/// Failure of a request that `ZkWriter`'s mailbox did not take.
pub fn refusal<M>(error: &SendError<M>) -> WriteFailure {
    match error {
        SendError::Full(_) => WriteFailure::Overloaded,
        SendError::Closed(_) => WriteFailure::ShuttingDown,
    }
}

async fn received(answer: oneshot::Receiver<WriteReply>) -> WriteReply {
    let ended = |_| WriteFailure::Unknown("the writer ended meanwhile".to_owned());
    answer.await.map_err(ended).unwrap_or_else(WriteReply::refused)
}

#[cfg(test)]
mod tests {
    use switcher_actors::Coins;

    use super::*;

    fn rules(lower_case: bool) -> SwitchRules {
        SwitchRules { coins: Coins::new(&["btc", "bcc"]).expect("valid"), lower_case }
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
            assert_eq!(validate_one(&rules, puname, coin).err(), Some(error), "{puname} {coin}");
        }
        assert!(validate_one(&rules, "alice", "btc").is_ok());
    }

    #[test]
    fn a_batch_is_refused_for_its_first_bad_entry() {
        let refusal = |groups: &str| {
            let body = format!(r#"{{"usercoins":[{groups}]}}"#);
            let batch = parse_batch(body.as_bytes()).expect("JSON");
            validate_batch(&rules(false), batch).err()
        };
        assert_eq!(refusal(""), Some(ApiError::UserCoinsEmpty));
        let bad = concat!(
            r#"{"coin":"btc","punames":["a","b/"]},{"coin":"ltc","punames":["c"]},"#,
            r#"{"coin":"btc","punames":[""]}"#
        );
        assert_eq!(refusal(bad), Some(ApiError::PunameInvalid));
        // A group without names is not checked further.
        assert_eq!(refusal(r#"{"coin":"ltc","punames":[]}"#), None);
    }

    #[test]
    fn names_are_in_lower_case_where_configured() {
        let name = |rules: SwitchRules| {
            let switches = validate_one(&rules, "AbC", "btc").expect("valid");
            switches.name(0).to_owned()
        };
        assert_eq!((name(rules(false)), name(rules(true))), ("AbC".to_owned(), "abc".to_owned()));
    }
}
