//! The document is complete.

use std::{collections::BTreeSet, sync::Arc};

use actix_web::{App, HttpMessage, test as web};
use serde_json::Value;

use super::*;
use crate::{
    api::routes::TABLE,
    http::{Actor, Identified, Means},
    users::{Roles, Secret, User},
};

pub fn facts() -> Described {
    Described {
        coins: Coins::new(&["btc", "bcc"]).expect("valid"),
        lower_case: false,
        coinbase_max: 30,
        body_limit: 16 * 1024 * 1024,
        sub_pools: true,
        user_lists: true,
        address: "0.0.0.0:8082".parse().expect("an address"),
    }
}

fn json() -> Value {
    serde_json::to_value(document(&facts())).expect("JSON")
}

fn object(value: &Value) -> &serde_json::Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

#[test]
fn every_path_and_method_is_documented_and_no_other() {
    let document = json();
    let documented: BTreeSet<(String, String)> = object(&document["paths"])
        .iter()
        .flat_map(|(path, item)| {
            let methods = object(item).keys().filter(|key| *key != "parameters");
            methods.map(move |method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let served = TABLE.iter().flat_map(|row| {
        let pair = |path: &&str, method: &Method| ((*path).to_owned(), method.to_string());
        row.paths
            .iter()
            .flat_map(move |path| row.methods.iter().map(move |method| pair(path, method)))
    });
    // The list API is under every path that is not in the table.
    let lists = ("/".to_owned(), "GET".to_owned());
    assert_eq!(documented, served.chain([lists]).collect());
}

/// A user with all rights.
fn admin() -> Actor {
    let (name, secret) = ("admin".into(), Secret::of_password(""));
    let user = User { name, secret, roles: Roles::from_iter([Role::Admin]) };
    Actor { user: Arc::new(user), means: Means::Basic }
}

/// A path outside the table would be undocumented.
#[actix_web::test]
async fn the_table_is_what_is_served() {
    let app = web::init_service(App::new().configure(routes::add)).await;
    for path in TABLE.iter().flat_map(|row| row.paths).chain(&["/", "/elsewhere"]) {
        let row = TABLE.iter().find(|row| row.paths.contains(path));
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = web::TestRequest::with_uri(path).method(method.clone()).to_request();
            request.extensions_mut().insert(Identified::new(admin()));
            let response = web::call_service(&app, request).await;
            let expected = match row {
                None => 404,
                Some(row) if !row.methods.contains(&method) => 405,
                // The endpoint was found, and misses what it needs.
                Some(_) => 500,
            };
            assert_eq!(response.status(), expected, "{method} {path}");
            if let (405, Some(row)) = (expected, row) {
                let allow =
                    response.headers().get("Allow").map(|allow| allow.to_str().expect("a text"));
                let methods: Vec<&str> = row.methods.iter().map(Method::as_str).collect();
                assert_eq!(allow, Some(&*methods.join(", ")));
            }
        }
    }
    let services = include_str!("../api/routes.rs").matches("config.service(").count();
    assert_eq!(services, 1, "what is served has to be in the table");
}

#[test]
fn the_answer_to_an_unknown_path_names_every_path() {
    let text = crate::api::answer::ApiError::PathUnknown.to_string();
    for row in &TABLE {
        assert!(text.contains(row.paths[0]), "{text}");
    }
}

#[test]
fn every_number_of_an_error_is_documented() {
    let document = json();
    let shown: Vec<&str> = document["info"]["description"].as_str().into_iter().collect();
    let mut documented = BTreeSet::new();
    for operation in object(&document["paths"]).values().flat_map(|item| object(item).values()) {
        for response in object(&operation["responses"]).values() {
            let examples = &response["content"]["application/json"]["examples"];
            let examples = examples.as_object().into_iter().flatten();
            documented.extend(examples.filter_map(|(_, it)| it["value"]["err_no"].as_u64()));
        }
    }
    for number in errors::tests::numbers() {
        let in_words = shown[0].contains(&format!("`{number}` `"));
        assert!(documented.contains(&number.into()) || in_words, "{number}");
    }
}

#[test]
fn each_operation_has_the_refusal_of_its_role() {
    let document = json();
    for row in &TABLE {
        let role = match row.access {
            Access::Role(role) | Access::DryRunOr(role) => role,
            other => panic!("{other:?} at {:?}", row.paths),
        };
        for path in row.paths {
            for operation in object(&document["paths"][path]).values() {
                let examples =
                    &operation["responses"]["200"]["content"]["application/json"]["examples"];
                let texts: Vec<&str> = object(examples).keys().map(String::as_str).collect();
                let refusal = |text: &&&str| text.starts_with("403 user 'wang' may not ");
                let refusals: Vec<_> = texts.iter().filter(refusal).collect();
                assert_eq!(refusals.len(), 1, "{path}: {texts:?}");
                assert!(refusals[0].contains(&format!("(role {role})")), "{path}: {refusals:?}");
            }
        }
    }
}

#[test]
fn every_reference_has_a_schema() {
    let document = json();
    let text = document.to_string();
    let references = text.split(r##""$ref":"#/components/schemas/"##).skip(1);
    let mut names: Vec<&str> = references.filter_map(|rest| rest.split('"').next()).collect();
    names.dedup();
    assert!(!names.is_empty());
    for name in names {
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[test]
fn operations_have_distinct_names() {
    let document = json();
    let items = object(&document["paths"]).values();
    let operations: Vec<&str> = items
        .flat_map(|item| object(item).values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let distinct: BTreeSet<&str> = operations.iter().copied().collect();
    assert_eq!((operations.len(), distinct.len()), (9, 9), "{operations:?}");
}

#[test]
fn the_servers_variables_default_to_the_listen_address() {
    let server = |address: &str| {
        let server = serde_json::to_value(server(address.parse().expect("an address")));
        let server = server.expect("JSON");
        let default = |name: &str| server["variables"][name]["default"].as_str().map(str::to_owned);
        (default("host").unwrap_or_default(), default("port").unwrap_or_default())
    };
    let pair = |host: &str, port: &str| (host.to_owned(), port.to_owned());
    assert_eq!(server("0.0.0.0:8082"), pair("127.0.0.1", "8082"));
    assert_eq!(server("[::]:8082"), pair("127.0.0.1", "8082"));
    assert_eq!(server("10.0.0.7:80"), pair("10.0.0.7", "80"));
    assert_eq!(server("[::1]:80"), pair("[::1]", "80"));
}
