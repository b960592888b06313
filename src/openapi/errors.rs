//! Each error of the API: what it means to a client, and which endpoints answer it.

use std::{collections::BTreeSet, fmt::Write};

use actix_web::ResponseError;
use serde_json::Value;
use switcher_actors::{CoinbaseUpdateError, ExchangeFailure};
use utoipa::openapi::{
    RefOr, ResponseBuilder, Responses, Schema,
    example::{Example, ExampleBuilder},
};

use super::schema::{exactly, json_content, narrowed, one_of, some_text};
use crate::{
    api::{
        answer::{ApiError, three_fields},
        routes::Endpoint::{self, GetCoinbase, Switch, SwitchMany, UpdateCoinbase},
    },
    http::error::RequestError,
};

const SWITCHES: &[Endpoint] = &[Switch, SwitchMany];
const BATCHES: &[Endpoint] = &[SwitchMany];
const SUB_POOLS: &[Endpoint] = &[GetCoinbase, UpdateCoinbase];
const UPDATES: &[Endpoint] = &[UpdateCoinbase];
const ALL: &[Endpoint] = &[Switch, SwitchMany, GetCoinbase, UpdateCoinbase];
const IN_JSON: &[Endpoint] = &[SwitchMany, GetCoinbase, UpdateCoinbase];
/// It is answered before an endpoint is found.
const NONE: &[Endpoint] = &[];

/// Which endpoints answer an error, and what it means to their clients.
fn explained(error: &ApiError) -> (&'static [Endpoint], &'static str) {
    match error {
        ApiError::Request(error) => request_explained(error),
        ApiError::PunameEmpty => (SWITCHES, "No sub-account is named."),
        ApiError::PunameInvalid => {
            (SWITCHES, "The sub-account's name cannot be a znode's, or is longer than 200 bytes.")
        }
        ApiError::CoinEmpty => (SWITCHES, "No coin is named."),
        ApiError::CoinInexistent => (SWITCHES, "Not in `AvailableCoins`; the match is exact."),
        ApiError::ReadFailed => (SWITCHES, "ZooKeeper is away; nothing was written. Try again."),
        ApiError::WriteFailed => (
            SWITCHES,
            "Not written, or nobody can say; the log tells which. Try again: it is harmless.",
        ),
        ApiError::UserCoinsEmpty => (BATCHES, "The batch has no groups."),
        ApiError::WrongJson(_) => {
            (IN_JSON, "The body is not the JSON asked for; nothing was written.")
        }
        ApiError::FlagUnclear(_) => (BATCHES, "A flag has another value; nothing was written."),
        ApiError::SubPoolCoinEmpty => (SUB_POOLS, "No coin is named."),
        ApiError::SubPoolNameEmpty => (SUB_POOLS, "No sub-pool is named."),
        ApiError::PayoutAddressEmpty => (UPDATES, "No address is named."),
        ApiError::NotForJobmakers(CoinbaseUpdateError::TooLong(_)) => {
            (UPDATES, "The jobmaker would not read it whole; nothing was written.")
        }
        ApiError::NotForJobmakers(CoinbaseUpdateError::CutsCharacter(_)) => {
            (UPDATES, "The jobmaker would never acknowledge it; nothing was written.")
        }
        ApiError::SubPoolsDisabled => {
            (SUB_POOLS, "`ZKSubPoolUpdateBaseDir` is not set: the sub-pool API is off.")
        }
        ApiError::Exchange(failure) => exchange_explained(failure),
        ApiError::PathUnknown => (NONE, "There is no such path."),
    }
}

fn request_explained(error: &RequestError) -> (&'static [Endpoint], &'static str) {
    match error {
        RequestError::BodyBroken(_) => {
            (ALL, "The body broke off, or its coding is wrong; nothing was written.")
        }
        RequestError::Malformed(_) => {
            (ALL, "The request is not HTTP as RFC 9112 has it; nothing was written.")
        }
        RequestError::MethodNotAllowed(_) => {
            (NONE, "The path has other methods, which the header `Allow` lists.")
        }
        RequestError::CrossSite => {
            (NONE, "A browser sent it for a page of another site; nothing was written.")
        }
        RequestError::BodyTooSlow(_)
        | RequestError::BodyTooLarge(_)
        | RequestError::HeadTooSlow(_)
        | RequestError::TargetTooLong(_)
        | RequestError::ExpectationFailed(_)
        | RequestError::HeadersTooLarge(_)
        | RequestError::HeadersTooMany(_) => (ALL, "Nothing was written."),
        RequestError::OtherHost(_) => (
            NONE,
            "At the console's address alone: it is not served under that host; nothing was written.",
        ),
        RequestError::TooManyFailedLogins(_) => (
            NONE,
            "Wrong credentials, and many before from the same address; the header `Retry-After` has the seconds to \
             wait. Correct credentials are always accepted.",
        ),
        RequestError::HeadsTooMany => (ALL, "Nothing was written. Try again."),
    }
}

fn exchange_explained(failure: &ExchangeFailure) -> (&'static [Endpoint], &'static str) {
    let meaning = match failure {
        ExchangeFailure::QueueFull | ExchangeFailure::ShuttingDown => "Try again.",
        ExchangeFailure::NotServed => "The jobmaker is slow or away. Try again.",
        ExchangeFailure::NoSubPool(_) => {
            "Its jobmaker creates the znode, or no znode can be called that; nothing was written."
        }
        ExchangeFailure::NoJobmaker => "Start its jobmaker; nothing was written.",
        ExchangeFailure::NotRead(_) => "ZooKeeper is away; nothing was written. Try again.",
        ExchangeFailure::NotWritten(_) => "ZooKeeper refuses it: look at the znode's ACL.",
        ExchangeFailure::TimedOut => {
            "The outcome is unknown: the jobmaker may still apply it. Ask get-coinbase."
        }
        ExchangeFailure::Overtaken => {
            "The outcome is unknown: somebody else changed the sub-pool. Ask get-coinbase, then try again."
        }
        ExchangeFailure::AckNotRead(_) | ExchangeFailure::AckUnparsable => {
            "The outcome is unknown. Look at the jobmaker, then ask get-coinbase."
        }
        ExchangeFailure::Unknown(_) => "Ask get-coinbase before trying again.",
    };
    (SUB_POOLS, meaning)
}

/// One of each.
fn samples() -> Vec<ApiError> {
    let text = || "…".to_owned();
    let exchanges = [
        ExchangeFailure::QueueFull,
        ExchangeFailure::ShuttingDown,
        ExchangeFailure::NotServed,
        ExchangeFailure::NoSubPool(text()),
        ExchangeFailure::NoJobmaker,
        ExchangeFailure::NotRead(text()),
        ExchangeFailure::NotWritten(text()),
        ExchangeFailure::TimedOut,
        ExchangeFailure::Overtaken,
        ExchangeFailure::AckNotRead(text()),
        ExchangeFailure::AckUnparsable,
        ExchangeFailure::Unknown(text()),
    ];
    let others = [
        ApiError::PunameEmpty,
        ApiError::PunameInvalid,
        ApiError::CoinEmpty,
        ApiError::CoinInexistent,
        ApiError::ReadFailed,
        ApiError::WriteFailed,
        ApiError::UserCoinsEmpty,
        ApiError::WrongJson(text()),
        RequestError::BodyBroken(text()).into(),
        RequestError::Malformed(text()).into(),
        ApiError::FlagUnclear("dry_run"),
        ApiError::SubPoolCoinEmpty,
        ApiError::SubPoolNameEmpty,
        ApiError::PayoutAddressEmpty,
        ApiError::NotForJobmakers(CoinbaseUpdateError::TooLong(9000)),
        ApiError::NotForJobmakers(CoinbaseUpdateError::CutsCharacter(30)),
        ApiError::SubPoolsDisabled,
        ApiError::PathUnknown,
        RequestError::MethodNotAllowed(&[]).into(),
        RequestError::CrossSite.into(),
        RequestError::BodyTooSlow(30).into(),
        RequestError::BodyTooLarge(16 * 1024 * 1024).into(),
        RequestError::HeadTooSlow(30).into(),
        RequestError::TargetTooLong(8192).into(),
        RequestError::OtherHost(text()).into(),
        RequestError::TooManyFailedLogins(5).into(),
        RequestError::ExpectationFailed(text()).into(),
        RequestError::HeadersTooLarge(65536).into(),
        RequestError::HeadersTooMany(96).into(),
        RequestError::HeadsTooMany.into(),
    ];
    others.into_iter().chain(exchanges.map(ApiError::Exchange)).collect()
}

fn samples_of(endpoint: Endpoint, status: u16) -> impl Iterator<Item = ApiError> {
    let answers = move |error: &ApiError| {
        explained(error).0.contains(&endpoint) && error.status_code() == status
    };
    samples().into_iter().filter(answers)
}

/// The errors that an endpoint answers with this status, by number and text.
pub fn examples(endpoint: Endpoint, status: u16) -> impl Iterator<Item = (String, RefOr<Example>)> {
    samples_of(endpoint, status).map(|error| {
        let (_, meaning) = explained(&error);
        let name = format!("{} {error}", error.err_no());
        let body = serde_json::from_slice(&three_fields(&Err(error))).ok();
        (name, ExampleBuilder::new().summary(meaning).value(body).build().into())
    })
}

/// What an endpoint refuses with this status.
pub fn refused(endpoint: Endpoint, status: u16) -> RefOr<Schema> {
    let numbers: BTreeSet<u16> = samples_of(endpoint, status).map(|error| error.err_no()).collect();
    narrowed(
        "Refused",
        "Answer",
        [
            ("err_no", one_of(numbers.into_iter().map(Value::from)).into()),
            ("err_msg", some_text("What is wrong").into()),
            ("success", exactly(false).into()),
        ],
    )
}

/// Adds the answers that have a status of their own.
pub fn add_statuses(responses: &mut Responses, endpoint: Endpoint) {
    let own = |error: &ApiError| {
        let of_endpoint = explained(error).0.contains(&endpoint) && error.status_code() != 200;
        of_endpoint.then(|| error.err_no())
    };
    for error in samples() {
        let Some(status) = own(&error) else { continue };
        let mut content = json_content(refused(endpoint, status));
        content.examples.extend(examples(endpoint, status));
        let text = format!("Refused: {error}. {}", explained(&error).1);
        let response =
            ResponseBuilder::new().description(text).content("application/json", content);
        responses.responses.insert(status.to_string(), response.build().into());
    }
}

/// The errors that have no endpoint, in words.
pub fn of_no_endpoint() -> String {
    let mut text =
        "Besides, with the status of the same number and the same three fields:\n".to_owned();
    for error in samples() {
        let (endpoints, meaning) = explained(&error);
        if endpoints.is_empty() {
            // A text takes all that is written to it.
            let _ = write!(text, "\n* `{}` `{error}`: {meaning}", error.err_no());
        }
    }
    text + "\n\nWhat is no HTTP/1.1 is answered `400` or `431` with an empty body."
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The variants of an enum, as its source has them.
    fn variants<'a>(source: &'a str, name: &str) -> BTreeSet<&'a str> {
        let begin = source.find(&format!("pub enum {name} {{")).expect("the enum");
        let body = source[begin..].split("\n}").next().expect("its end");
        let names = body.lines().filter_map(|line| {
            let line =
                line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase));
            line?.split(|c: char| !c.is_alphanumeric()).next()
        });
        names.collect()
    }

    fn name(debug: &str) -> &str {
        debug.split('(').next().unwrap_or_default()
    }

    #[test]
    fn there_is_a_sample_of_every_error() {
        let shown: Vec<String> = samples().iter().map(|error| format!("{error:?}")).collect();
        let sampled: BTreeSet<&str> = shown.iter().map(|debug| name(debug)).collect();
        assert_eq!(sampled, variants(include_str!("../api/answer.rs"), "ApiError"));

        let requests = shown.iter().filter_map(|debug| debug.strip_prefix("Request("));
        let sampled: BTreeSet<&str> =
            requests.map(|debug| name(debug.trim_end_matches(')'))).collect();
        assert_eq!(sampled, variants(include_str!("../http/error.rs"), "RequestError"));

        let exchanges = shown.iter().filter_map(|debug| debug.strip_prefix("Exchange("));
        let sampled: BTreeSet<&str> =
            exchanges.map(|debug| name(debug.trim_end_matches(')'))).collect();
        let source = include_str!("../../actors/src/ack_waiter/messages.rs");
        assert_eq!(sampled, variants(source, "ExchangeFailure"));

        let updates = shown.iter().filter_map(|debug| debug.strip_prefix("NotForJobmakers("));
        let sampled: BTreeSet<&str> = updates.map(name).collect();
        let source = include_str!("../../actors/src/domain/sub_pool.rs");
        assert_eq!(sampled, variants(source, "CoinbaseUpdateError"));
    }

    /// Every number that the API answers, once.
    pub fn numbers() -> BTreeSet<u16> {
        samples().iter().map(ApiError::err_no).collect()
    }
}
