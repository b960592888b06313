//! The daemon's integration tests: one binary that starts the real daemon beside a real ZooKeeper
//! and asks it what its clients, its operator and its supervisor will ask.
//!
//! `support` holds the tools, each other module one subject. Tests run in parallel: each has its
//! own daemon and its own watch directory in a ZooKeeper that all share, and those that break
//! ZooKeeper start one of their own. Deadlines are generous on purpose; speed is judged in
//! `benches/`.

// A test that cannot go on stops with a panic: that is its way to report.
#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod admin;
mod answers;
mod auth;
mod batches;
mod client;
mod configuration;
mod console;
mod faults;
mod frame_proxy;
mod golden;
mod held;
mod history;
mod history_faults;
mod hostile;
mod http;
mod invariants;
mod jobmaker;
mod large_batches;
mod large_znodes;
mod lifecycle;
mod limits;
mod logs;
mod old_values;
mod openapi;
mod pipelining;
mod polls;
mod proxies;
mod races;
mod records;
mod recreated;
mod registration;
mod reload;
mod request_limit;
mod results;
mod service_manager;
mod sub_pools;
mod supervisor;
mod switching;
mod tls;
mod undo;
mod user_lists;
mod users;
mod zk_tls;

use test_support as support;
