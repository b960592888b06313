//! `switcher-api-server`: moves a mining pool's miners between coins.
//!
//! * `daemon`: arguments → configuration → log → application; exit statuses;
//! * `cli`: the arguments; `pages`: completions and manual pages out of their definition;
//! * `client`: the commands that call a daemon, or look at what it depends on;
//! * `config`: keys, file and environment, settings;
//! * `telemetry`: the log;
//! * `app`: starts the actors and the API, waits for a signal, drains in order;
//! * `reload`: reads the configuration again and puts it in force, or leaves all as it was;
//! * `service_manager`: what systemd is told;
//! * `http`: everything that knows requests and answers;
//! * `admin`: metrics, health, recent changes, the console and the API's description, on a listener of their own;
//!
//! Under `cfg(fuzzing)`, which `cargo fuzz` sets, `fuzzing` adds what its targets call.

// A test that unwraps fails where it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod app;
mod cli;
mod client;
mod config;
mod daemon;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod pages;
mod reload;
mod service_manager;
mod telemetry;

pub use daemon::run;
