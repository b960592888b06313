//! `switcher-api-server`: moves a mining pool's miners between coins.
//!
//! * `cli`: arguments, manual pages, shell completions;
//! * `daemon`: start, run, reload, drain; exit statuses;
//! * `client`: commands that call a daemon, or check the services that it depends on;
//! * `config`: keys, file and environment, settings;
//! * `logging`: the log;
//! * `http`: a listener: connections and checks of every request;
//! * `api`: the API's endpoints, requests and answers;
//! * `openapi`: the API's description as a document and as a page;
//! * `tls`: TLS of the listeners: certificates, keys, handshakes;
//! * `users`: users, roles, passwords and tokens;
//! * `admin`: metrics, health, recent changes and the console, on a listener of their own.
//!
//! Under `cfg(fuzzing)`, which `cargo fuzz` sets, `fuzzing` adds what its targets call.

// A test that unwraps fails where it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod api;
mod cli;
mod client;
mod config;
mod daemon;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod logging;
mod openapi;
mod tls;
mod users;

pub use daemon::run;
