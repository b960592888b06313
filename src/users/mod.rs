//! Users: their roles and secrets (trust contract, section 3). No clock, no network.
//!
//! * `role`: the rights of a user;
//! * `secret`: stored passwords and tokens;
//! * `fingerprint`: digests of logins under a random key;
//! * `table`: the users of a configuration, and the search for the user of some credentials;
//! * `file`: parses `UsersFile`; `create`: makes entries for it.

mod create;
mod file;
mod fingerprint;
mod role;
mod secret;
mod table;

pub use create::{hash_password, token};
pub use file::parse;
pub use fingerprint::{Fingerprint, fingerprint};
pub use role::{Role, Roles};
pub use secret::{MAX_PASSWORD, Secret};
pub use table::{Check, User, UserChanges, Users};
