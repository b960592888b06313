//! Each error of the API, with its endpoints and its meaning for a client.

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
        routes::Endpoint::{self, GetCoinbase, Switch, SwitchMany, UpdateCoinbase, UserList},
    },
    http::{MissingRole, error::RequestError},
    users::Role,
};

const SWITCHES: &[Endpoint] = &[Switch, SwitchMany];
const BATCHES: &[Endpoint] = &[SwitchMany];
const SUB_POOLS: &[Endpoint] = &[GetCoinbase, UpdateCoinbase];
const UPDATES: &[Endpoint] = &[UpdateCoinbase];
const READS: &[Endpoint] = &[GetCoinbase];
const LISTS: &[Endpoint] = &[UserList];
const ALL: &[Endpoint] = &[Switch, SwitchMany, GetCoinbase, UpdateCoinbase];
const IN_JSON: &[Endpoint] = &[SwitchMany, GetCoinbase, UpdateCoinbase];
/// Answered before an endpoint is found.
const NONE: &[Endpoint] = &[];

/// An error of the API, as the document describes it.
struct DocumentedError {
    sample: ApiError,
    /// The endpoints that answer it.
    endpoints: &'static [Endpoint],
    /// Its meaning for a client.
    meaning: &'static str,
}

impl DocumentedError {
    fn is_of(&self, endpoint: Endpoint, status: u16) -> bool {
        self.endpoints.contains(&endpoint) && self.sample.status_code() == status
    }
}

/// Every error.
fn errors() -> Vec<DocumentedError> {
    let mut all = endpoint_errors();
    all.extend(request_errors());
    all.extend(session_errors());
    all.extend(role_errors());
    all.extend(exchange_errors());
    all
}

fn documented<E: Into<ApiError>>(
    errors: impl IntoIterator<Item = (E, &'static [Endpoint], &'static str)>,
) -> Vec<DocumentedError> {
    let documented = |(error, endpoints, meaning): (E, _, _)| DocumentedError {
        sample: error.into(),
        endpoints,
        meaning,
    };
    errors.into_iter().map(documented).collect()
}

fn endpoint_errors() -> Vec<DocumentedError> {
    use ApiError::*;
    documented([
        (PunameEmpty, SWITCHES, "The sub-account is missing."),
        (
            PunameInvalid,
            SWITCHES,
            "The sub-account's name is no valid name of a znode, or is longer than 200 bytes.",
        ),
        (CoinEmpty, SWITCHES, "The coin is missing."),
        (CoinInexistent, SWITCHES, "Not in `AvailableCoins`; the match is exact."),
        (ReadFailed, SWITCHES, "ZooKeeper is away; nothing was written. Try again."),
        (
            WriteFailed,
            SWITCHES,
            "Not written, or unknown; the log has the details. Try again: it is harmless.",
        ),
        (UserCoinsEmpty, BATCHES, "The batch has no groups."),
        (WrongJson("…".into()), IN_JSON, "The body is not the expected JSON; nothing was written."),
        (FlagUnclear("dry_run"), BATCHES, "A flag has another value; nothing was written."),
        (SubPoolCoinEmpty, SUB_POOLS, "The coin is missing."),
        (SubPoolNameEmpty, SUB_POOLS, "The sub-pool is missing."),
        (PayoutAddressEmpty, UPDATES, "The payout address is missing."),
        (
            NotForJobmakers(CoinbaseUpdateError::TooLong(9000)),
            UPDATES,
            "The jobmaker would not read the whole request; nothing was written.",
        ),
        (
            NotForJobmakers(CoinbaseUpdateError::CutsCharacter(30)),
            UPDATES,
            "The jobmaker would never acknowledge it; nothing was written.",
        ),
        (
            SubPoolsDisabled,
            SUB_POOLS,
            "`ZKSubPoolUpdateBaseDir` is not set: the sub-pool API is off.",
        ),
        (PathUnknown, NONE, "The path does not exist."),
        (ListNotReady, LISTS, "No pull of the list has succeeded yet. Try again."),
        (ListForbidden, LISTS, "`UserListAllow` does not have the client's address."),
    ])
}

fn request_errors() -> Vec<DocumentedError> {
    use RequestError::*;
    const NOT_WRITTEN: &str = "Nothing was written.";
    documented([
        (
            BodyBroken("…".into()),
            ALL,
            "The body ended early, or its encoding is wrong; nothing was written.",
        ),
        (
            Malformed("…".into()),
            ALL,
            "The request violates HTTP/1.1 (RFC 9112); nothing was written.",
        ),
        (
            MethodNotAllowed(&[]),
            NONE,
            "The path has other methods, which the header `Allow` lists.",
        ),
        (CrossSite, NONE, "A browser sent it for a page of another site; nothing was written."),
        (BodyTooSlow(30), ALL, NOT_WRITTEN),
        (BodyTooLarge(16 * 1024 * 1024), ALL, NOT_WRITTEN),
        (HeadTooSlow(30), ALL, NOT_WRITTEN),
        (TargetTooLong(8192), ALL, NOT_WRITTEN),
        (
            OtherHost("…".into()),
            NONE,
            "Only at the console's address: the console does not serve this host; nothing was written.",
        ),
        (
            TooManyFailedLogins(5),
            NONE,
            "Wrong credentials, after many failed logins from the same address; the header `Retry-After` has the \
             seconds to wait. Tokens, and passwords that were accepted before, always pass.",
        ),
        (
            LoginUnchecked(5),
            NONE,
            "With `UsersFile`: the password was not compared, after many failed logins from the same address, or \
             because too many logins wait; the header `Retry-After` has the seconds to wait. Tokens, and passwords that were \
             accepted before, always pass.",
        ),
        (ChecksSkipped, NONE, "A fault of the daemon; nothing was written."),
        (
            NoTls,
            NONE,
            "The listener has TLS, and the request was sent without; nothing was written.",
        ),
        (ExpectationFailed("…".into()), ALL, NOT_WRITTEN),
        (HeadersTooLarge(65536), ALL, NOT_WRITTEN),
        (HeadersTooMany(96), ALL, NOT_WRITTEN),
        (HeadsTooMany, ALL, "Nothing was written. Try again."),
    ])
}

fn session_errors() -> Vec<DocumentedError> {
    documented([
        (
            RequestError::SignedOut,
            NONE,
            "Only at the console's address: a browser's session has ended; nothing was written.",
        ),
        (
            RequestError::SiteNotProven,
            NONE,
            "Only at the console's address: a request with a session's cookie that a browser's page has not sent; \
             nothing was written.",
        ),
    ])
}

fn role_errors() -> Vec<DocumentedError> {
    let missing = |role| RequestError::MissingRole(MissingRole { user: "wang".into(), role });
    documented([
        (
            missing(Role::Switcher),
            SWITCHES,
            "The user lacks the role `switcher`; a dry run needs `viewer` only. Nothing was written.",
        ),
        (missing(Role::Payout), UPDATES, "The user lacks the role `payout`. Nothing was written."),
        (missing(Role::Viewer), READS, "The user has no role. Nothing was written."),
    ])
}

fn exchange_errors() -> Vec<DocumentedError> {
    use ExchangeFailure::*;
    const CHECK_JOBMAKER: &str =
        "The outcome is unknown. Check the jobmaker, then call get-coinbase.";
    let errors = [
        (QueueFull, "Try again."),
        (ShuttingDown, "Try again."),
        (
            NotRecorded(switcher_actors::NotRecorded("…".into())),
            "The disk of the history is full or fails. Free space, then try again.",
        ),
        (NotServed, "The jobmaker is slow or away. Try again."),
        (
            NoSubPool("…".into()),
            "Its jobmaker has not created the znode, or the name is invalid; nothing was written.",
        ),
        (NoJobmaker, "Start its jobmaker; nothing was written."),
        (NotRead("…".into()), "ZooKeeper is away; nothing was written. Try again."),
        (NotWritten("…".into()), "ZooKeeper refuses the write: check the znode's ACL."),
        (TimedOut, "The outcome is unknown: the jobmaker may still apply it. Call get-coinbase."),
        (
            Overtaken,
            "The outcome is unknown: another client changed the sub-pool. Call get-coinbase, then try again.",
        ),
        (AckNotRead("…".into()), CHECK_JOBMAKER),
        (AckUnparsable, CHECK_JOBMAKER),
        (Unknown("…".into()), "Call get-coinbase before you try again."),
    ];
    documented(errors.map(|(error, meaning)| (ApiError::Exchange(error), SUB_POOLS, meaning)))
}

/// Examples of the errors that an endpoint answers with a status, by number and text.
pub fn examples(endpoint: Endpoint, status: u16) -> impl Iterator<Item = (String, RefOr<Example>)> {
    errors().into_iter().filter(move |error| error.is_of(endpoint, status)).map(|error| {
        let DocumentedError { sample, meaning, .. } = error;
        let name = format!("{} {sample}", sample.err_no());
        let body = serde_json::from_slice(&three_fields(&Err(sample))).ok();
        (name, ExampleBuilder::new().summary(meaning).value(body).build().into())
    })
}

/// Schema of an endpoint's refusals with a status.
pub fn refused(endpoint: Endpoint, status: u16) -> RefOr<Schema> {
    let errors = errors().into_iter().filter(|error| error.is_of(endpoint, status));
    let numbers: BTreeSet<u16> = errors.map(|error| error.sample.err_no()).collect();
    narrowed(
        "Refused",
        "Answer",
        [
            ("err_no", one_of(numbers.into_iter().map(Value::from)).into()),
            ("err_msg", some_text("The cause").into()),
            ("success", exactly(false).into()),
        ],
    )
}

/// Adds the refusals with a status other than 200.
pub fn add_statuses(responses: &mut Responses, endpoint: Endpoint) {
    for error in errors().iter().filter(|error| !error.is_of(endpoint, 200)) {
        if !error.endpoints.contains(&endpoint) {
            continue;
        }
        let status = error.sample.status_code().as_u16();
        let mut content = json_content(refused(endpoint, status));
        content.examples.extend(examples(endpoint, status));
        let text = format!("Refused: {}. {}", error.sample, error.meaning);
        let response =
            ResponseBuilder::new().description(text).content("application/json", content);
        responses.responses.insert(status.to_string(), response.build().into());
    }
}

/// A list of the errors without an endpoint.
pub fn of_no_endpoint() -> String {
    let mut text =
        "In addition, with the status of the same number and the same three fields:\n".to_owned();
    for DocumentedError { sample, meaning, .. } in
        errors().iter().filter(|error| error.endpoints.is_empty())
    {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n* `{}` `{sample}`: {meaning}", sample.err_no());
    }
    text + "\n\nA request that is not HTTP/1.1 is answered `400` or `431` with an empty body."
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Variants of an enum in its source.
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
        let shown: Vec<String> =
            errors().iter().map(|error| format!("{:?}", error.sample)).collect();
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
        errors().iter().map(|error| error.sample.err_no()).collect()
    }
}
