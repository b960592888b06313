//! The actors and the domain of `switcher-api-server`: which switch is written to ZooKeeper, and when.
//!
//! ```text
//!  HTTP actor ── WriteBatches ───▶ ZkWriter ──▶ ZooKeeper ──▶ stratum servers
//!  (crate of the  CoinbaseRequest   │ ▲  │          ▲
//!   daemon)  ▲                      │ │  └──────────┼─ request ──▶ jobmaker
//!            │                      │ │ outcomes    └──── ack ───────┘
//!            │                      │ Expect, Report: begin and events of an exchange
//!            │                      ▼
//!            └─── answers ───── AckWaiter
//!
//!  Poller ─── BeginPoll, SyncBatch ─▶ ZkWriter ── reports ─▶ Poller
//!    └─ GET ─▶ UserCoinMapURL
//!
//!  UserLists ─── FirstCoins ─▶ ZkWriter ── ends ─▶ UserLists ─▶ Listings ─▶ HTTP actor, ZkWriter
//!    └─ GET ─▶ UserListAPI
//!
//!  Registrar ─── WatchRequests, ConfirmElection, DeleteRequest ─▶ ZkWriter
//!    ├─ Registered, Settle ─▶ UserLists
//!    └─ POST ─▶ UserAutoRegAPI.URL
//!
//!  HTTP actor ── PutBack ─▶ ZkWriter
//!
//!  journals ─▶ Recent ─▶ Historian ─▶ HistoryFile
//! ```
//!
//! * `actors`: starts, configures and drains the actors;
//! * `domain`: names, coins, switches and foreign text;
//! * `zk`: the session with ZooKeeper, the only user of its client crate;
//! * `zk_writer`: the actor that owns the session and the order of writes;
//! * `ack_waiter`: the actor that owns the exchanges with jobmakers;
//! * `poller`: the actor that fetches the user-coin map;
//! * `registrar`: the actor that registers unknown sub-accounts with the backend;
//! * `user_lists`: the actor that pulls the lists of sub-accounts, and the lists;
//! * `history`: the actor that records all changes in a database;
//! * `jobmakers`: requests to jobmakers, each update recorded first;
//! * `tls`: TLS as a client, and certificates and keys of files;
//! * `upstream`: the backend over HTTP, for the Poller, `UserLists` and the Registrar;
//! * `http_client`: one HTTP request, for `upstream` and for the daemon's commands;
//! * `metrics`: metrics, readiness and recent changes;
//! * `go_json`: JSON by the rules of Go's decoder;
//! * `fuzzing`: entry points of the fuzz targets.
//!
//! Three parts without an actor serve the operator's commands, and write nothing: [`Inspector`] reads from ZooKeeper,
//! [`preview_map`] fetches the upstream's map, and [`preview_list`] a list of sub-accounts.
//!
//! Invariants:
//!
//! 1. Addresses form no cycle. An actor gets typed senders at its start, and never looks others up.
//! 2. Each piece of state has one owner: `ZkWriter` the session and the order of writes, `AckWaiter` the exchanges and
//!    their deadlines, the Poller its cursor into the upstream's time, `UserLists` the lists, the Registrar the
//!    registrations under way, the Historian the history's database, the HTTP actor the listening socket.
//! 3. A single switch is a batch of one. Callers' switches are written unconditionally; a poll's and an undo's only
//!    where no newer switch exists. The two kinds never share a transaction.
//! 4. Only `zk` names the ZooKeeper crate, and only `http_client` the HTTP library; the daemon's crate names neither.
//!    This crate serves no HTTP and reads no configuration.
//! 5. An outcome is applied, held, not applied or **unknown**. Unknown is never reported as success, and never blindly
//!    sent again.
//! 6. A message handler never waits for the network, so that the mailbox stays live. Only the Historian's handlers wait
//!    for the disk, and no other handler waits for the Historian.
//! 7. An actor's death ends the process with a log line, and the supervisor restarts it. A lost session is a state of
//!    `ZkWriter`, not a death.
//! 8. Each event is recorded in one place, a `journal`: log line, metric, recent change. [`Metrics`] decides nothing
//!    and never blocks. Only `metrics` names the metrics crate.
//! 9. Every queue is bounded: a worker's outbox (one entry a connection), mailboxes, waiting switches, dry runs and
//!    sub-pool requests, chunks, parts of maps and lists, registrations under way, changes to be recorded, the log's
//!    buffer. A full queue of callers' requests refuses at once, with a clear error.

// In a test, `unwrap` fails at the right place.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ack_waiter;
mod actors;
mod domain;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod go_json;
mod history;
mod http_client;
mod jobmakers;
mod metrics;
mod poller;
mod registrar;
mod tls;
mod upstream;
mod user_lists;
mod zk;
mod zk_writer;

pub use ack_waiter::{ExchangeFailure, ExchangeReply, JobmakerAnswer};
pub use actors::{ActorSettings, Actors};
pub use domain::{
    Assignment, COMMENT_BYTES, Coin, Coinbase, CoinbaseUpdate, CoinbaseUpdateError, Coins,
    CoinsError, Escaped, INVISIBLE, ON_BEHALF_OF_BYTES, Origin, OutcomeKind, PreviousValue, Puname,
    PunameError, QUOTES, Quoted, RequestId, RequestIds, Shown, Source, SourceKind, SubPool,
    SwitchEntry, SwitchOutcome, SwitchResult, SwitchRules, Switches, SwitchesBuilder, ZnodeDir,
    ZnodeDirError, clip, cut, escape_json, is_invisible, is_quote, is_separator, push_escaped,
    push_json_escape, rfc_3339, rfc_3339_millis, seconds,
};
pub use history::{History, HistorySettings, HistorySync, NotRecorded};
pub use http_client::{HttpAnswer, HttpRequest};
pub use jobmakers::{Alone, Jobmakers};
pub use metrics::{
    Change, ChangeEnd, ChangeKind, EndedRegistration, Histogram, HistoryNow, LastPull, ListPulls,
    Metrics, Missing, Recent, RegistrationCount, RegistrationsNow, Since, SkippedEntries,
    SwitchCount,
};
pub use poller::{MapPreview, PollerSettings, preview_map};
pub use registrar::{RegistrationSettings, probe_registration, register_known};
pub use tls::{
    Identity, PemFault, TlsClient, TlsFault, TlsRemedies, TlsStream, TlsTrust, certificates,
    is_tls_name, private_key, roots, system_authorities,
};
pub use upstream::{FetchError, UpstreamUrl, UpstreamUrlError};
pub use user_lists::{
    ListAnswer, ListDocument, ListPreview, ListSize, ListedAs, Listings, UserListSettings,
    preview_list,
};
pub use zk::{
    AccessRule, BrokerState, DigestCredentials, Inspector, NoAnswer, Revision, Seen, ServerVersion,
    ZkSettings, ZkTls, ZkTlsFault, probe_brokers,
};
pub use zk_writer::{
    CoinbaseAction, DryRunBatch, ElectionLock, HeldList, HeldRead, HeldSwitch, LeftState, ListHeld,
    LookUp, LookUpReply, PutBack, PutBackEnd, PutBackEntry, PutBackOutcome, Results,
    SubPoolSettings, WriteBatch, WriteBatches, WriteFailure, WriteReply, WriterLimits,
    WriterSettings, held_switches,
};
