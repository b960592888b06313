//! `UserLists`: pulls the list of sub-accounts of each coin, and has `ZkWriter` create their first coins and index
//! entries.
//!
//! ```text
//!  pull ─▶ fetch ─▶ parse ─▶ PulledList ─▶ FirstCoins… ─▶ Listings ─▶ interval
//! ```
//!
//! * `settings`, `messages`: settings of the operator, messages to the actor;
//! * `actor`: the shell: one loop for each list; `pull`: one pull; `journal`: its log line;
//! * `answer`: the upstream's JSON (user-list contract, section 3);
//! * `list`: the list of one coin; no clock, no network; `document`: its JSON;
//! * `listings`: the lists as the list API and the safety period read them;
//! * `preview`: a list for the operator's commands.

mod actor;
mod answer;
mod document;
mod journal;
mod list;
mod listings;
mod messages;
mod preview;
mod pull;
mod settings;

pub(crate) use actor::UserLists;
pub use document::ListDocument;
pub(crate) use listings::Listed;
pub use listings::{ListAnswer, ListSize, ListedAs, Listings};
pub(crate) use messages::{ListsToZkWriter, Registered, Settle, StopPulling};
pub use preview::{ListPreview, preview_list};
pub use settings::UserListSettings;
