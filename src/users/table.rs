//! The users of a configuration, and which of them sent some credentials.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Roles, Secret};

/// A user as `UsersFile` or `APIUser` has it.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: Arc<str>,
    pub secret: Secret,
    pub roles: Roles,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?}, …)", self.name)
    }
}

/// The users of a configuration. A reload replaces the table, and forgets the remembered logins with it.
#[derive(Default)]
pub struct Users {
    by_name: HashMap<Arc<str>, Entry>,
    /// Names by the SHA-256 of a token or of a password in plain text.
    by_digest: HashMap<[u8; 32], Arc<str>>,
    has_slow: bool,
}

struct Entry {
    user: Arc<User>,
    /// Digest of the password that a slow comparison has accepted.
    proven: OnceLock<[u8; 32]>,
}

/// Result of a comparison that takes no time.
pub enum Check {
    Known(Arc<User>),
    Wrong,
    /// Only a slow comparison can tell: [`Users::compare_slowly`].
    Unclear,
}

impl Users {
    /// Later users of the same name replace earlier ones: the configuration is checked before.
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        let mut table = Self::default();
        for user in users {
            if let Secret::Sha256(digest) = user.secret {
                table.by_digest.insert(digest, Arc::clone(&user.name));
            }
            table.has_slow |= user.secret.is_slow();
            let (name, user) = (Arc::clone(&user.name), Arc::new(user));
            table.by_name.insert(name, Entry { user, proven: OnceLock::new() });
        }
        table
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The user of that name, if its entry is still the same: a reload may have changed or removed it.
    pub fn still_has(&self, user: &User) -> bool {
        self.by_name.get(&user.name).is_some_and(|entry| *entry.user == *user)
    }

    /// The user of a token (`Authorization: Bearer`).
    pub fn of_token(&self, token: &[u8]) -> Option<Arc<User>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let name = self.by_digest.get(&digest)?;
        self.by_name.get(name).map(|entry| Arc::clone(&entry.user))
    }

    /// Compares a name and a password, or a name and its token.
    pub fn check(&self, name: &str, password: &[u8]) -> Check {
        let Some(entry) = self.by_name.get(name) else {
            return if self.has_slow { Check::Unclear } else { Check::Wrong };
        };
        let is_known = match entry.user.secret {
            Secret::Sha256(_) => entry.user.secret.is_proven_by(password),
            _ => entry.proven.get().is_some_and(|proven| proven.ct_eq(&digest(password)).into()),
        };
        match (is_known, self.has_slow) {
            (true, _) => Check::Known(Arc::clone(&entry.user)),
            (false, true) => Check::Unclear,
            (false, false) => Check::Wrong,
        }
    }

    /// Compares after [`Check::Unclear`]. Takes tens of milliseconds, whether or not the name exists.
    pub fn compare_slowly(&self, name: &str, password: &[u8]) -> Option<Arc<User>> {
        let entry = self.by_name.get(name)?;
        if !entry.user.secret.is_proven_by(password) {
            return None;
        }
        // A second accepted password, of which bcrypt reads only the beginning, is compared slowly each time.
        let _ = entry.proven.set(digest(password));
        Some(Arc::clone(&entry.user))
    }
}

fn digest(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}
