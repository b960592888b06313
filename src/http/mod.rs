//! The HTTP side: everything that knows requests and answers, and nothing of ZooKeeper.
//!
//! * `actor`: owns the actix-web server: binds, serves, stops;
//! * `routes`: the table of paths;
//! * `guard`: what every request passes first: size limits, then authentication;
//! * `connections`: cuts connections whose next request never comes;
//! * `body`, `form`, `json`: reading requests the way the daemon that this one replaces does;
//! * `switch`: the switch endpoints;
//! * `sub_pool`: the sub-pool endpoints;
//! * `answer`: every answer and every error, with its number, in one place;
//! * `results`: the answer that tells of each entry of a batch;
//! * `properties`: what holds for any request, for tests and fuzz targets.

mod actor;
mod answer;
mod auth;
mod body;
mod connections;
mod form;
mod guard;
mod json;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod results;
mod routes;
mod sub_pool;
mod switch;

pub use actor::{Bound, Downstream, HttpApi, Stop};
