//! No path of a listener is open to a user without the role that its table states.

use std::{collections::BTreeSet, sync::Arc};

use actix_web::{App, HttpMessage, body, http::Method, test as web};
use serde_json::Value;

use super::*;
use crate::{
    api::routes::{self as api, TABLE},
    http::{Actor, Identified, Means},
    users::{Roles, Secret, User},
};

/// Paths that need no user: health, and the way in and out.
const OPEN: [&str; 6] =
    ["/healthz", "/readyz", "/login", "/login.css", "/logout", "/console/icon.svg"];

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

fn actor(roles: &[Role]) -> Actor {
    let (name, secret) = ("wang".into(), Secret::of_password(""));
    let user = User { name, secret, roles: roles.iter().copied().collect::<Roles>() };
    Actor { user: Arc::new(user), means: Means::Basic }
}

/// The role without which a path is closed; `None` if any user may use it.
fn role(access: Access) -> Option<Role> {
    match access {
        Access::Everyone | Access::AnyUser => None,
        Access::Metrics | Access::DryRunOr(_) => Some(Role::Viewer),
        Access::Role(role) => Some(role),
    }
}

/// All paths of the admin listener with their accesses, then those of the API.
fn admin_paths() -> Vec<(&'static str, Access)> {
    let pages = PAGES.iter().map(|page| (page.path, page.access));
    pages.chain(console::FILES.iter().map(|file| (file.path, file.access))).collect()
}

fn api_paths() -> Vec<(&'static str, Access)> {
    TABLE.iter().flat_map(|row| row.paths.iter().map(|path| (*path, row.access))).collect()
}

/// Status and `err_no` of each method of a path, for a user without roles, or none.
async fn refusals(
    configure: fn(&mut ServiceConfig),
    path: &str,
    actor: Option<&Actor>,
) -> BTreeSet<(u16, u64, String)> {
    let app = web::init_service(App::new().configure(configure)).await;
    let mut refusals = BTreeSet::new();
    for method in METHODS {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = web::TestRequest::with_uri(path).method(method).to_request();
        if let Some(actor) = actor {
            request.extensions_mut().insert(Identified::new(actor.clone()));
        }
        let response = web::call_service(&app, request).await;
        let status = response.status().as_u16();
        let body = body::to_bytes(response.into_body()).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = body["err_msg"].as_str().unwrap_or_default().to_owned();
        refusals.insert((status, body["err_no"].as_u64().unwrap_or_default(), text));
    }
    refusals
}

#[actix_web::test]
async fn every_path_is_closed_to_users_without_its_role() {
    let stranger = actor(&[]);
    type Configure = fn(&mut ServiceConfig);
    let tables = [(add as Configure, 403, admin_paths()), (api::add, 200, api_paths())];
    for (configure, status, paths) in tables {
        assert!(paths.len() >= 6, "{paths:?}");
        for (path, access) in paths {
            let Some(role) = role(access) else { continue };
            let refused = refusals(configure, path, Some(&stranger)).await;
            let text = format!("user 'wang' may not {} (role {role})", role.activity());
            assert_eq!(refused.len(), 1, "{path}: {refused:?}");
            let (found, err_no, found_text) = refused.into_iter().next().unwrap_or_default();
            assert_eq!((found, err_no), (status, 403), "{path}");
            assert_eq!(found_text, text, "{path}");
            // A request that the middleware did not identify: the daemon's own fault, and no success.
            let unknown = refusals(configure, path, None).await;
            assert!(unknown.iter().all(|(_, err_no, _)| *err_no == 500), "{path}: {unknown:?}");
        }
    }
}

#[test]
fn what_is_open_and_what_writes_is_known() {
    let of = |wanted: Access| {
        let of_it = admin_paths().into_iter().chain(api_paths()).filter(|(_, it)| *it == wanted);
        of_it.map(|(path, _)| path).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(Access::Everyone), BTreeSet::from(OPEN));
    assert_eq!(of(Access::Metrics), BTreeSet::from(["/metrics"]));
    assert_eq!(of(Access::Role(Role::Payout)).len(), 2);
    // A browser opens pages without a question: none but those of the API's own listener write by GET.
    let writing: Vec<_> = TABLE
        .iter()
        .filter(|row| row.methods.contains(&Method::GET) && role(row.access) != Some(Role::Viewer))
        .flat_map(|row| row.paths)
        .collect();
    assert_eq!(writing, [&"/switch"]);
}

#[actix_web::test]
async fn the_admin_listener_has_no_path_of_the_api_that_writes_by_get() {
    let app = web::init_service(App::new().configure(|config| {
        api::add_posts(config);
        add(config);
    }))
    .await;
    for row in &TABLE {
        for path in row.paths {
            let request = web::TestRequest::get().uri(path).to_request();
            request.extensions_mut().insert(Identified::new(actor(&[Role::Admin])));
            let status = web::call_service(&app, request).await.status();
            let expected = if *path == "/switch" { 404 } else { 405 };
            assert_eq!(status, expected, "{path}");
        }
    }
}
