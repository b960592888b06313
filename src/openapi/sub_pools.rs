//! The sub-pool endpoints: requests as `sub_pool` decodes them, answers as `answer` makes them.

use serde_json::json;
use switcher_actors::Coinbase;
use utoipa::openapi::{
    RefOr, Required, Schema, path::OperationBuilder, request_body::RequestBodyBuilder, schema::Type,
};

use super::{
    Described, errors, ok,
    schema::{component, exactly, json_content, narrowed, nullable, object, some_text, text},
};
use crate::api::{answer::COINBASE_SCHEMA, routes::Endpoint};

/// Tag of the endpoints.
pub const TAG: &str = "sub-pools";

/// Coinbase text and payout address.
fn coinbase() -> RefOr<Schema> {
    component(COINBASE_SCHEMA)
}

/// Adds the schemas of the endpoints.
pub fn add_schemas(add: &mut impl FnMut(&str, RefOr<Schema>)) {
    // Does not compile until a new field is described here.
    let Coinbase { coinbase_info: _, payout_addr: _ } = Coinbase::default();
    let fields = object([
        ("coinbase_info", text("The text in the coinbase transaction").into()),
        ("payout_addr", text("The payout address").into()),
    ]);
    add(COINBASE_SCHEMA, fields.build().into());
    add("SubPool", object([coin(), name()]).build().into());
    let coinbase_info = text("The text in the coinbase transaction; empty by default");
    let update = object([
        coin(),
        name(),
        ("payout_addr", some_text("The new payout address").examples([ADDRESS]).into()),
        ("coinbase_info?", coinbase_info.schema_type(nullable(Type::String)).into()),
    ]);
    add("SubPoolUpdate", update.build().into());
}

/// `err_no` and `success` of a jobmaker's answer.
const DONE: (u16, bool) = (0, true);
const REFUSED: (u16, bool) = (500, false);

const ADDRESS: &str = "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn";

fn coin() -> (&'static str, RefOr<Schema>) {
    let schema = some_text("The sub-pool's coin; not limited to `AvailableCoins`");
    ("coin", schema.examples(["btc"]).into())
}

fn name() -> (&'static str, RefOr<Schema>) {
    ("subpool_name", some_text("The sub-pool's name").examples(["pool3"]).into())
}

/// `POST /subpool/get-coinbase`.
pub fn get_coinbase(facts: &Described) -> OperationBuilder {
    let example = json!({ "coin": "btc", "subpool_name": "pool3" });
    described(
        "Reads a sub-pool's coinbase text and payout address from its jobmaker",
        "The request goes to the jobmaker through ZooKeeper; the answer is the jobmaker's."
            .to_owned(),
        ("SubPool", example),
        vec![answered("Held", DONE, None), answered("Refused by the jobmaker", REFUSED, None)],
        Endpoint::GetCoinbase,
        facts,
    )
}

/// `POST /subpool/update-coinbase`.
pub fn update_coinbase(facts: &Described) -> OperationBuilder {
    let example = json!({
        "coin": "btc", "subpool_name": "pool3", "payout_addr": ADDRESS, "coinbase_info": "tiger",
    });
    described(
        "Changes a sub-pool's coinbase text and payout address",
        format!(
            "The jobmaker cuts `coinbase_info` after {} bytes and reports that. A text that it would cut within a \
             character, and a request of more than 8192 bytes, are refused, since it could not acknowledge them. After \
             an unknown outcome call get-coinbase before you try again.",
            facts.coinbase_max
        ),
        ("SubPoolUpdate", example),
        vec![
            answered("Updated", DONE, Some(("new", coinbase()))),
            answered("Refused by the jobmaker", REFUSED, Some(("new", coinbase()))),
        ],
        Endpoint::UpdateCoinbase,
        facts,
    )
}

fn answered(
    title: &str,
    (err_no, success): (u16, bool),
    more: Option<(&'static str, RefOr<Schema>)>,
) -> RefOr<Schema> {
    let fields = [("err_no", exactly(err_no).into()), ("success", exactly(success).into())];
    narrowed(title, "JobmakerAnswer", fields.into_iter().chain(more))
}

fn described(
    summary: &str,
    description: String,
    (request, example): (&str, serde_json::Value),
    mut answers: Vec<RefOr<Schema>>,
    endpoint: Endpoint,
    facts: &Described,
) -> OperationBuilder {
    let off = if facts.sub_pools { "" } else { " The sub-pool API of this daemon is off." };
    let mut body = json_content(component(request));
    body.example = Some(example);
    answers.push(errors::refused(endpoint, 200));
    OperationBuilder::new()
        .tag(TAG)
        .summary(Some(summary))
        .description(Some(description + off))
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/json", body)
                .build(),
        ))
        .response(
            "200",
            ok("The jobmaker's answer; or the request was refused.", answers, endpoint),
        )
}
