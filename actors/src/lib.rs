//! The actors and the domain of `switcher-api-server`: who may write what to ZooKeeper, and when.
//!
//! ```text
//!  HTTP actor ── WriteBatch ───▶ ZkWriter ──▶ ZooKeeper ──▶ stratum servers
//!  (the daemon's  CoinbaseRequest     │  ▲ │          ▲
//!   crate)  ▲                     │  │ └──────────┼─ request ──▶ jobmaker
//!           │                     │  └ outcomes   └─── ack ────────┘
//!           │                     │ Expect, Report: an exchange begins, an ack was seen
//!           │                     ▼
//!           └── answers ───── AckWaiter
//!
//!  Poller ─── BeginPoll, SyncBatch ─▶ ZkWriter ── reports ─▶ Poller
//!    └─ GET ─▶ UserCoinMapURL
//! ```
//!
//! Beside the actors, for an operator's commands: [`Inspector`] looks at ZooKeeper, and [`preview_map`] at the
//! upstream's map. Neither writes anything.
//!
//! Invariants:
//!
//! 1. The graph of addresses has no cycle. An actor is given typed senders; it never looks others up.
//! 2. One owner for each piece of state: the session and the write order are `ZkWriter`'s, the pending
//!    acknowledgements and their deadlines are `AckWaiter`'s, the cursor into the upstream's time is the
//!    Poller's, the listening socket is the HTTP actor's.
//! 3. A single switch is a batch of one. What callers ask for is written whatever is there; what a poll
//!    brings is written only where nobody was fresher. The two never share a transaction.
//! 4. Only `zk` names the ZooKeeper crate, and only `http_client` the HTTP library; the daemon's crate names neither. This
//!    crate serves no HTTP and knows no configuration.
//! 5. Three outcomes, never two: applied, not applied, **unknown**. Unknown is never reported as
//!    success and never sent again blindly.
//! 6. Nothing waits for the network inside a message handler: the mailbox stays live.
//! 7. An actor that dies ends the process with a log line, and the operator's supervisor starts it
//!    again. A lost session is a state of `ZkWriter`, not a death.
//! 8. What happens is told in one place each, a `journal`: the log line, the figure, the last changes. Nothing is
//!    decided by what an [`Metrics`] holds, and nobody waits for it. Only `metrics` names the metrics crate.
//! 9. Every queue is bounded: the mailboxes, the switches that wait, the chunks and the parts of a map
//!    under way, the dry runs that wait, the sub-pool requests that wait, the log's buffer. When one that callers fill is full,
//!    they get a clear error at once.

// A test that unwraps fails where it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ack_waiter;
mod actors;
mod domain;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod go_json;
mod http_client;
mod metrics;
mod poller;
mod zk;
mod zk_writer;

pub use ack_waiter::{Caller, ExchangeFailure, ExchangeReply, JobmakerAnswer};
pub use actors::Actors;
pub use domain::{
    Assignment, Coin, Coinbase, CoinbaseUpdate, CoinbaseUpdateError, Coins, CoinsError, Escaped,
    INVISIBLE, OutcomeKind, PreviousValue, Puname, PunameError, QUOTES, Quoted, RequestId, Shown,
    Source, SubPool, SwitchEntry, SwitchOutcome, SwitchResult, SwitchRules, Switches,
    SwitchesBuilder, ZnodeDir, ZnodeDirError, clip, escape_json, is_invisible, is_quote, is_separator,
    push_escaped, push_json_escape, seconds,
};
pub use http_client::{HttpAnswer, HttpRequest};
pub use metrics::{Change, ChangeKind, Histogram, Metrics, Missing, Recent, Since, SwitchCount};
pub use poller::{
    FetchError, MapPreview, PollerSettings, UpstreamUrl, UpstreamUrlError, preview_map,
};
pub use zk::{
    AccessRule, BrokerState, DigestCredentials, Inspector, NoAnswer, Seen, ServerVersion,
    ZkSettings, probe_brokers,
};
pub use zk_writer::{
    CoinbaseAction, CoinbaseRequest, DryRunBatch, PollerLock, Results, SubPoolSettings, WriteBatch,
    WriteFailure, WriteReply, WriterLimits, WriterSettings,
};
