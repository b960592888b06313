//! `UserLists`: pulls the list of sub-accounts of each coin, and has `ZkWriter` create their first coins and index
//! entries.
//!
//! * `settings`: settings of the operator;
//! * `listings`: the lists as the list API and the safety period read them.

mod listings;
mod settings;

pub(crate) use listings::Listed;
pub use listings::{ListAnswer, ListDocument, Listings};
pub use settings::UserListSettings;
