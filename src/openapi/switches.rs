//! The switch endpoints: requests as `form` and `json` decode them, answers as `answer` and `results` make them.

use actix_web::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    ContentBuilder, RefOr, Required, Schema,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::{ObjectBuilder, Type},
};

use super::{
    Described, errors, ok,
    schema::{
        any_of, component, exactly, json_content, list, max_bytes, narrowed, no_list, nullable,
        object, one_of, some_text,
    },
};
use crate::api::routes::Endpoint;

/// Tag of the endpoints.
pub const TAG: &str = "switches";

/// Pattern of a component of a znode's path: neither `.` nor `..`, no slash, no control character, no other character
/// that ZooKeeper refuses.
const COMPONENT: &str = r"^(?:\.?[ -\-0-~\u00A0-\uD7FF\uF900-\uFFEF][ -.0-~\u00A0-\uD7FF\uF900-\uFFEF]*|\.\.[ -.0-~\u00A0-\uD7FF\uF900-\uFFEF]+)$";

/// Adds the schemas of the endpoints.
pub fn add_schemas(facts: &Described, add: &mut impl FnMut(&str, RefOr<Schema>)) {
    let lower_case = if facts.lower_case { " The znode's name is in lower case." } else { "" };
    let puname = some_text(&format!(
        "A sub-account's name: at most 200 bytes of UTF-8; no slash, no control character, no other \
         character that ZooKeeper refuses, and neither `.` nor `..`.{lower_case}"
    ));
    let puname = puname.max_length(Some(200)).pattern(Some(COMPONENT));
    add("Puname", puname.examples(["alice"]).extensions(max_bytes(200)).into());
    let mut coin = one_of(facts.coins().map(Value::from));
    coin.description = Some("A coin of `AvailableCoins`".to_owned());
    add("Coin", coin.into());

    let switches = object([
        ("coin", component("Coin")),
        ("punames", list(component("Puname")).min_items(Some(1)).into()),
    ]);
    let switches =
        switches.title(Some("Switches")).description(Some("Sub-accounts that switch to the coin"));
    let empty = ObjectBuilder::new()
        .title(Some("Empty group"))
        .description(Some("A group without sub-accounts has no effect, whatever its coin"))
        .schema_type(nullable(Type::Object))
        .property("coin", ObjectBuilder::new().schema_type(nullable(Type::String)))
        .property("punames", no_list());
    add("Group", any_of(vec![switches.into(), empty.into()]));
    let batch = object([("usercoins", list(component("Group")).min_items(Some(1)).into())]);
    add("Batch", batch.build().into());

    let form = object([("puname?", component("Puname")), ("coin?", component("Coin"))]);
    add("SwitchForm", form.build().into());
    add("Switched", switched("Switched", None));
}

fn switched(title: &str, more: Option<(&'static str, RefOr<Schema>)>) -> RefOr<Schema> {
    let success = [
        ("err_no", exactly(0).into()),
        ("err_msg", exactly("").into()),
        ("success", exactly(true).into()),
    ];
    narrowed(title, "Answer", success.into_iter().chain(more))
}

fn query(name: &str, required: Required, description: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(required)
        .description(Some(description))
}

/// `GET` and `POST /switch`.
pub fn switch_one(facts: &Described, method: &Method) -> OperationBuilder {
    let is_get = *method == Method::GET;
    let required = if is_get { Required::True } else { Required::False };
    let operation = OperationBuilder::new()
        .tag(TAG)
        .summary(Some("Switches one sub-account to a coin"))
        .parameter(
            query("puname", required.clone(), "The sub-account").schema(Some(component("Puname"))),
        )
        .parameter(query("coin", required, "Its new coin").schema(Some(component("Coin"))))
        .response(
            "200",
            ok(
                "ZooKeeper has committed the switch; or the request was refused.",
                vec![component("Switched"), errors::refused(Endpoint::Switch, 200)],
                Endpoint::Switch,
            ),
        );
    if is_get {
        return operation.description(Some("The first of repeated parameters counts."));
    }
    let example = json!({ "puname": "alice", "coin": facts.some_coin() });
    let content = || {
        ContentBuilder::new()
            .schema(Some(component("SwitchForm")))
            .example(Some(example.clone()))
            .build()
    };
    operation
        .description(Some(
            "Both parameters are required, each in the query or in the form. For a parameter in both, an urlencoded \
             form wins over the query, and the query wins over a multipart form. In one place, the first value counts. \
             Bodies of other types are ignored.",
        ))
        .request_body(Some(
            RequestBodyBuilder::new()
                .description(Some("Parameters that are not in the query"))
                .required(Some(Required::False))
                .content("application/x-www-form-urlencoded", content())
                .content("multipart/form-data", content())
                .build(),
        ))
}

/// `POST /switch/multi-user`.
pub fn switch_many(facts: &Described) -> OperationBuilder {
    let flag = |name: &str, description: &str| {
        let values = ["true", "false", "1", "0"].map(Value::from);
        query(name, Required::False, description).schema(Some(one_of(values)))
    };
    let results = || -> RefOr<Schema> { list(component("Result")).into() };
    let example =
        json!({ "usercoins": [{ "coin": facts.some_coin(), "punames": ["alice", "bob"] }] });
    let mut body = json_content(component("Batch"));
    body.example = Some(example);
    OperationBuilder::new()
        .tag(TAG)
        .summary(Some("Switches many sub-accounts at once"))
        .description(Some(format!(
            "The whole batch is checked before anything is written. An invalid entry refuses the batch, and the answer \
             is the error of the first such entry. Of several entries for one sub-account the last one counts. Limit of \
             the body: {} bytes.",
            facts.body_limit
        )))
        .parameter(flag(
            "results",
            "Whether the answer has a result for each entry. The name matches in any case; another value is an error",
        ))
        .parameter(flag(
            "dry_run",
            "Whether nothing is written, and the answer has the result that each entry would have. The name matches in \
             any case; another value is an error",
        ))
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/json", body)
                .build(),
        ))
        .response(
            "200",
            ok(
                "ZooKeeper has committed every entry; or, in a dry run, every znode was read; or the batch was refused. \
                 `results` is present if requested, unless the whole batch was refused.",
                vec![
                    component("Switched"),
                    switched("Switched, with results", Some(("results", results()))),
                    errors::refused(Endpoint::SwitchMany, 200),
                    narrowed(
                        "Failed, with results",
                        "Answer",
                        [
                            ("err_no", one_of([105, 107].map(Value::from)).into()),
                            ("success", exactly(false).into()),
                            ("results", results()),
                        ],
                    ),
                ],
                Endpoint::SwitchMany,
            ),
        )
}
