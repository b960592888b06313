//! The list API in the document: under its usual path `/`, though nearly all other paths serve it, too.

use serde_json::json;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Required, ResponseBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type},
};

use super::{Described, schema::exactly};

/// Tag of the endpoint.
pub const TAG: &str = "user lists";

/// Path of the endpoint in the document.
pub const PATH: &str = "/";

/// `GET /`
pub fn list(facts: &Described) -> OperationBuilder {
    let parameter = |name: &str, schema: ObjectBuilder, text: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(schema))
    };
    let of_type = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::new(kind));
    let puid = of_type(Type::Integer).minimum(Some(1)).maximum(Some(i32::MAX));
    let users = of_type(Type::Object)
        .description(Some("Names and numbers (puid), by rising number"))
        .additional_properties(Some(AdditionalProperties::RefOr(puid.into())));
    let answer = of_type(Type::Object)
        .property("err_no", exactly(0))
        .required("err_no")
        .property("err_msg", ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)))
        .required("err_msg")
        .property("data", users)
        .required("data");
    let example = json!({ "err_no": 0, "err_msg": null, "data": { "alice": 1, "bob": 2 } });
    let content = ContentBuilder::new().schema(Some(answer)).example(Some(example)).build();
    let header = |text: &str| HeaderBuilder::new().description(Some(text)).build();
    let found = ResponseBuilder::new()
        .description("The sub-accounts above `last_id`.")
        .header("ETag", header("Tag of this list, for `If-None-Match`"))
        .content("application/json", content);
    let known = ResponseBuilder::new().description("`If-None-Match` has the tag of this list.");
    OperationBuilder::new()
        .tag(TAG)
        .summary(Some("Lists sub-accounts with their numbers"))
        .description(Some(format!(
            "Any path that does not begin with `/switch` or `/subpool` serves it, for requests without an \
             `Authorization` header; with `UserListUser`, for requests with those credentials. A further `?` in the \
             query counts as `&`. The merged list is for lists that share one sequence of numbers. Example: \
             `/?coin={}&last_id=5`.",
            facts.some_coin()
        )))
        .parameter(parameter("coin", of_type(Type::String), "A list's coin; without one, all lists are merged"))
        .parameter(parameter("last_id", of_type(Type::Integer), "Only numbers above this one"))
        .response("200", found.build())
        .response("304", known.build())
}
