//! `UserLists`: pulls the list of sub-accounts of each coin, and has `ZkWriter` create their first coins and index
//! entries.
//!
//! ```text
//!  pull ─▶ fetch ─▶ parse ─▶ PulledList ─▶ FirstCoins… ─▶ Listings ─▶ interval
//! ```
//!
//! * `settings`, `messages`: settings of the operator, messages to the actor;
//! * `answer`: the upstream's JSON (contract, section 3);
//! * `list`: the list of one coin; no clock, no network; `document`: its JSON;
//! * `listings`: the lists as the list API and the safety period read them.

mod answer;
mod document;
mod list;
mod listings;
mod settings;

pub use document::ListDocument;
pub(crate) use listings::Listed;
pub use listings::{ListAnswer, Listings};
pub use settings::UserListSettings;
