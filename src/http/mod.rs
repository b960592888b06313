//! The HTTP side: everything that knows requests and answers, and nothing of ZooKeeper.
//!
//! * `api`: what the API's listener needs, put together;
//! * `actor`: owns a listener: binds, serves, stops; the API's, and that of the admin pages;
//! * `routes`: the table of the API's paths;
//! * `terms`: who is let in and what may be asked for, as long as no other configuration is in force;
//! * `guard`: checks of every request before its endpoint, such as authentication;
//! * `hosts`: which hosts a listener for browsers answers under;
//! * `origin`: recognizes requests that a page of another site has sent;
//! * `logins`: failed logins: counted, logged, and answered late;
//! * `slowdown`: how long each of them waits;
//! * `request_id`: the id that its answer and its log lines carry;
//! * `requests`: the figures of the API's requests;
//! * `connections`: message framing, deadlines and memory of each connection;
//! * `body`, `form`, `json`: reading requests the way the daemon that this one replaces does;
//! * `switch`: the switch endpoints;
//! * `sub_pool`: the sub-pool endpoints;
//! * `answer`: every answer and every error, with its number, in one place;
//! * `results`: the answer that tells of each entry of a batch;
//! * `openapi`: the API's description, for who writes clients;
//! * `properties`: what holds for any request, for tests and fuzz targets.

mod actor;
mod answer;
mod api;
mod auth;
mod body;
mod connections;
mod form;
mod guard;
mod hosts;
mod json;
mod logins;
mod openapi;
mod origin;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod request_id;
mod requests;
mod results;
mod routes;
mod slowdown;
mod sub_pool;
mod switch;
mod terms;

pub use actor::{Allowance, Bound, HttpServer, Stop};
#[cfg(test)]
pub use answer::ApiError;
pub use answer::allow;
pub use api::{Downstream, Endpoints, api};
pub use auth::Gate;
#[cfg(fuzzing)]
pub use connections::properties::messages;
pub use connections::{Deadlines, OF_A_WORKER};
pub use form::Parameters;
pub use guard::Guard;
pub use json::parse_batch;
pub use logins::Logins;
pub use openapi::{ALIAS_OF, Described, MAX_BYTES, OpenApi, document};
pub use requests::Requests;
pub use switch::look;
pub use terms::{InForce, OfRequest};
