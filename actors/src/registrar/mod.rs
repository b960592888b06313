//! `Registrar`: registers unknown sub-accounts with the pool's backend, as the stratum servers request it.
//!
//! ```text
//!  stratum server ─▶ request ─▶ ZkWriter ─ list ─▶ Registrar ─ POST ─▶ backend
//!        ▲                                             │ puid
//!        │                                             ├─▶ UserLists: into the list
//!        │                                             │ wait
//!        └── request deleted ◀─ ZkWriter ◀─────────────┴─▶ UserLists: index entry, first coin
//! ```
//!
//! Only ZooKeeper knows the requests: a registration that is dropped or killed at any step begins again at the next
//! start. Reasons: docs/develop/decisions/0029-registration.md.
//!
//! * `settings`, `messages`: settings of the operator, messages and senders;
//! * `actor`: takes up requests, and lists them again;
//! * `under_way`: the names under way; no clock, no network;
//! * `registration`: one registration, from the request to its deletion;
//! * `backend`: the HTTP request; `body`, `answer`: its JSON (user-list contract, section 5);
//! * `preview`: the backend, for the operator's commands;
//! * `journal`: log lines and metrics.

mod actor;
mod answer;
mod backend;
mod body;
mod journal;
mod messages;
mod preview;
mod registration;
mod settings;
mod under_way;

pub(crate) use actor::Registrar;
pub(crate) use messages::{StopRegistering, ToUserLists, ToZkWriter};
pub use preview::{probe_registration, register_known};
pub use settings::RegistrationSettings;
