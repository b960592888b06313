//! The users of a configuration, and the search for the user of some credentials.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use foldhash::fast::RandomState;
use subtle::ConstantTimeEq;

use super::{
    Roles, Secret,
    fingerprint::{Fingerprint, fingerprint},
    secret::{MAX_PASSWORD, sha_256},
};

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
    /// By the SHA-256 of the name: the time of a search by the name itself would show a common prefix.
    by_name: HashMap<[u8; 32], Entry, RandomState>,
    /// By the SHA-256 of the token.
    by_token: HashMap<[u8; 32], Arc<User>, RandomState>,
    /// Users with slow hashes. A name without one takes the hash of one of them.
    slow: Vec<Arc<User>>,
}

struct Entry {
    user: Arc<User>,
    /// The login that a slow comparison has accepted.
    remembered: OnceLock<Fingerprint>,
}

/// Result of a fast comparison.
pub enum Check {
    Known(Arc<User>),
    Wrong,
    /// Only a slow comparison can decide: [`Users::compare_slowly`].
    Unclear,
}

/// Names of the users by which two tables differ, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UserChanges {
    pub added: Vec<Arc<str>>,
    pub removed: Vec<Arc<str>>,
    /// Another secret or other roles.
    pub changed: Vec<Arc<str>>,
}

impl Users {
    /// Names must differ, as the check of the configuration ensures.
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        let mut table = Self::default();
        for user in users.into_iter().map(Arc::new) {
            if let Secret::Token(digest) = user.secret {
                table.by_token.insert(digest, Arc::clone(&user));
            }
            if user.secret.is_slow() {
                table.slow.push(Arc::clone(&user));
            }
            let name = sha_256(user.name.as_bytes());
            table.by_name.insert(name, Entry { user, remembered: OnceLock::new() });
        }
        table
    }

    /// Whether the user's entry is still the same: a reload may have changed or removed it.
    pub fn still_has(&self, user: &User) -> bool {
        let entry = self.by_name.get(&sha_256(user.name.as_bytes()));
        entry.is_some_and(|entry| *entry.user == *user)
    }

    /// The user of that name, if its secret is still the same.
    pub fn with_same_secret(&self, user: &User) -> Option<Arc<User>> {
        let entry = self.by_name.get(&sha_256(user.name.as_bytes()))?;
        (entry.user.secret == user.secret).then(|| Arc::clone(&entry.user))
    }

    /// The user of a token (`Authorization: Bearer`).
    pub fn of_token(&self, token: &[u8]) -> Option<Arc<User>> {
        self.by_token.get(&sha_256(token)).cloned()
    }

    /// Compares a name and a password, or a name and its token. Takes the same time whether or not the name exists.
    pub fn check(&self, name: &[u8], password: &[u8]) -> Check {
        let (entry, proof) = (self.by_name.get(&sha_256(name)), sha_256(password));
        let is_right = |entry: &&Entry| match &entry.user.secret {
            Secret::Plain(digest) | Secret::Token(digest) => proof.ct_eq(digest).into(),
            Secret::Argon2(_) | Secret::Bcrypt(_) => entry
                .remembered
                .get()
                .is_some_and(|it| it.ct_eq(&fingerprint(name, password)).into()),
        };
        match entry.filter(is_right) {
            Some(entry) => Check::Known(Arc::clone(&entry.user)),
            None if self.slow.is_empty() || password.len() > MAX_PASSWORD => Check::Wrong,
            None => Check::Unclear,
        }
    }

    /// Compares after [`Check::Unclear`], and remembers a right login. Compares one slow hash, whether or not the name
    /// exists and has one: the times of names without one are distributed like those of the others.
    pub fn compare_slowly(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let entry = self.by_name.get(&sha_256(name)).filter(|entry| entry.user.secret.is_slow());
        let user = entry.map(|entry| &entry.user).or_else(|| self.stand_in(name))?;
        let is_right = user.secret.is_proven_by(password);
        let entry = entry.filter(|_| is_right)?;
        // A second accepted password, of which bcrypt reads only the beginning, is compared slowly each time.
        let _ = entry.remembered.set(fingerprint(name, password));
        Some(Arc::clone(&entry.user))
    }

    /// The user with a slow hash that a name without one takes, the same for each login with that name.
    fn stand_in(&self, name: &[u8]) -> Option<&Arc<User>> {
        let [a, b, c, d, ..] = fingerprint(name, b"");
        let number = u32::from_le_bytes([a, b, c, d]) as usize;
        self.slow.get(number.checked_rem(self.slow.len())?)
    }

    /// The differences of a newer table.
    pub fn changes_to(&self, new: &Self) -> UserChanges {
        let mut changes = UserChanges::default();
        for (name, entry) in &new.by_name {
            match self.by_name.get(name) {
                None => changes.added.push(Arc::clone(&entry.user.name)),
                Some(old) if old.user == entry.user => {}
                Some(_) => changes.changed.push(Arc::clone(&entry.user.name)),
            }
        }
        let gone = self.by_name.iter().filter(|(name, _)| !new.by_name.contains_key(*name));
        changes.removed.extend(gone.map(|(_, entry)| Arc::clone(&entry.user.name)));
        for names in [&mut changes.added, &mut changes.removed, &mut changes.changed] {
            names.sort();
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{Role, secret::tests::SLOW_COMPARISONS};

    // `hunter2`, by argon2-cffi.
    const ARGON2: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$kZ7POr3OiZPvoeK2E5qXX0oQ1j95ocrxEiBI+cUMJ1s";

    fn user(name: &str, secret: Secret) -> User {
        User { name: name.into(), secret, roles: [Role::Viewer].into_iter().collect() }
    }

    fn slow(name: &str) -> User {
        user(name, Secret::of_hash(ARGON2).unwrap())
    }

    fn token(name: &str) -> User {
        user(name, Secret::Token(sha_256(b"token")))
    }

    /// The user's name, `wrong` or `unclear`.
    fn check(users: &Users, name: &str, password: &str) -> String {
        match users.check(name.as_bytes(), password.as_bytes()) {
            Check::Known(user) => user.name.to_string(),
            Check::Wrong => "wrong".to_owned(),
            Check::Unclear => "unclear".to_owned(),
        }
    }

    #[test]
    fn passwords_in_plain_text_and_tokens_need_no_slow_comparison() {
        let users = Users::new([user("admin", Secret::of_password("secret")), token("backend")]);
        assert_eq!(check(&users, "admin", "secret"), "admin");
        assert_eq!(check(&users, "backend", "token"), "backend");
        for (name, password) in [
            ("admin", "token"),
            ("backend", "secret"),
            ("backend", ""),
            ("nobody", "secret"),
            ("", ""),
        ] {
            assert_eq!(check(&users, name, password), "wrong", "{name}");
        }
        let of_token = |token: &str| users.of_token(token.as_bytes()).map(|it| it.name.to_string());
        assert_eq!(of_token("token").as_deref(), Some("backend"));
        // Only tokens are sent alone.
        assert_eq!((of_token("secret"), of_token("")), (None, None));
    }

    #[test]
    fn a_right_login_is_remembered_and_wrong_ones_do_not_replace_it() {
        let users = Users::new([slow("wang"), token("backend")]);
        assert_eq!(check(&users, "wang", "hunter2"), "unclear");
        let compare = |name: &str, password: &str| {
            users.compare_slowly(name.as_bytes(), password.as_bytes()).map(|it| it.name.to_string())
        };
        assert_eq!(compare("wang", "hunter2").as_deref(), Some("wang"));
        assert_eq!(check(&users, "wang", "hunter2"), "wang");
        // Of these, the last two take the hash of the first, and must not be that user.
        for (name, password) in [("wang", "hunter1"), ("backend", "hunter2"), ("li", "hunter2")] {
            assert_eq!(check(&users, name, password), "unclear", "{name}");
            assert_eq!(compare(name, password), None, "{name}");
            assert_eq!(check(&users, name, password), "unclear", "{name}");
        }
        assert_eq!(check(&users, "wang", "hunter2"), "wang");
        assert_eq!(check(&users, "backend", "token"), "backend");
        assert_eq!(check(&users, "wang", &"x".repeat(MAX_PASSWORD)), "unclear");
        assert_eq!(check(&users, "wang", &"x".repeat(MAX_PASSWORD + 1)), "wrong");
    }

    #[test]
    fn a_wrong_login_compares_one_slow_hash_whoever_it_names() {
        let plain = user("admin", Secret::of_password("secret"));
        let users = Users::new([slow("wang"), slow("li"), token("backend"), plain]);
        for name in ["wang", "backend", "admin", "nobody", ""] {
            let before = SLOW_COMPARISONS.get();
            assert!(users.compare_slowly(name.as_bytes(), b"guess").is_none(), "{name}");
            assert_eq!(SLOW_COMPARISONS.get() - before, 1, "{name}");
        }
    }

    #[test]
    fn names_without_a_slow_hash_take_one_of_all_each_always_the_same() {
        let users = Users::new((0..4).map(|number| slow(&format!("user{number}"))));
        let mut taken = [0; 4];
        for number in 0..400 {
            let name = format!("nobody{number}");
            let user = users.stand_in(name.as_bytes()).unwrap();
            assert!(Arc::ptr_eq(user, users.stand_in(name.as_bytes()).unwrap()), "{name}");
            taken[users.slow.iter().position(|it| Arc::ptr_eq(it, user)).unwrap()] += 1;
        }
        assert!(taken.iter().all(|&count| count > 40), "{taken:?}");
        assert!(Users::new([token("backend")]).stand_in(b"x").is_none());
    }

    #[test]
    fn changes_name_the_users() {
        let old = Users::new([slow("a"), slow("b"), slow("c"), token("d")]);
        let new = Users::new([slow("b"), token("c"), slow("e"), token("d")]);
        assert!(old.still_has(&slow("a")) && !new.still_has(&slow("a")));
        assert!(new.still_has(&slow("b")) && !new.still_has(&slow("c")));
        let (added, removed) = (vec!["e".into()], vec!["a".into()]);
        let expected = UserChanges { added, removed, changed: vec!["c".into()] };
        assert_eq!(old.changes_to(&new), expected);
        assert_eq!(new.changes_to(&new), UserChanges::default());
    }
}
