//! Sessions of the console: few, in memory, each for one user.
//!
//! The client has the id of its session, the daemon only the id's digest. A session ends after [`LIFETIME`], when its
//! user signs out, and when a reload changes or removes its user. A restart ends all sessions.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::users::{User, Users};

/// Longest duration of a session.
pub const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Most sessions at a time. The oldest one gives way to a new one.
const MOST: usize = 1_000;

/// Most sessions of one user at a time, so that no user can end the sessions of others.
const MOST_OF_USER: usize = 16;

/// Key of a session: the SHA-256 of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key of the session with this id, as a client sent it.
    pub fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// The operating system returned no random bytes.
#[derive(Debug, Error)]
#[error("the operating system returned no random numbers, so no session can begin; try again")]
pub struct NoRandom;

/// All sessions. Clones share them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Store>>);

impl Sessions {
    /// Begins a session. Returns its id, 256 random bits as 64 hexadecimal digits.
    pub fn begin(&self, user: Arc<User>) -> Result<String, NoRandom> {
        let mut bits = [0; 32];
        SystemRandom::new().fill(&mut bits).map_err(|_| NoRandom)?;
        let id: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        self.store().begin(SessionKey::of(id.as_bytes()), user, Instant::now());
        Ok(id)
    }

    /// The user of a session, if `users` still has the same one.
    pub fn user(&self, key: SessionKey, users: &Users) -> Option<Arc<User>> {
        self.store().user(key, users, Instant::now())
    }

    /// Ends a session. Returns its user.
    pub fn end(&self, key: SessionKey) -> Option<Arc<User>> {
        self.store().sessions.remove(&key).map(|session| session.user)
    }

    /// Ends all sessions of users that `users` does not have, or has with other secrets or roles.
    pub fn retain_users(&self, users: &Users) {
        self.store().sessions.retain(|_, session| users.still_has(&session.user));
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sessions, without a clock.
#[derive(Default)]
struct Store {
    sessions: HashMap<SessionKey, Session>,
}

struct Session {
    user: Arc<User>,
    began: Instant,
}

impl Session {
    fn lasts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < LIFETIME
    }
}

impl Store {
    fn begin(&mut self, key: SessionKey, user: Arc<User>, now: Instant) {
        self.sessions.retain(|_, session| session.lasts(now));
        let is_same = |session: &Session| session.user.name == user.name;
        if self.sessions.values().filter(|session| is_same(session)).count() >= MOST_OF_USER {
            self.end_oldest(is_same);
        }
        if self.sessions.len() >= MOST {
            self.end_oldest(|_| true);
        }
        self.sessions.insert(key, Session { user, began: now });
    }

    fn end_oldest(&mut self, of: impl Fn(&Session) -> bool) {
        let among = self.sessions.iter().filter(|(_, session)| of(session));
        if let Some(key) = among.min_by_key(|(_, session)| session.began).map(|(key, _)| *key) {
            self.sessions.remove(&key);
        }
    }

    /// Compares with `users` at each request: a sign-in during a reload may begin a session for the previous entry.
    fn user(&self, key: SessionKey, users: &Users, now: Instant) -> Option<Arc<User>> {
        let session = self.sessions.get(&key)?;
        let is_valid = session.lasts(now) && users.still_has(&session.user);
        is_valid.then(|| Arc::clone(&session.user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{Role, Roles, Secret};

    fn user(name: &str, password: &str, role: Role) -> User {
        let secret = Secret::of_password(password);
        User { name: name.into(), secret, roles: Roles::from_iter([role]) }
    }

    fn wang() -> User {
        user("wang", "password", Role::Switcher)
    }

    fn key(n: usize) -> SessionKey {
        SessionKey::of(&n.to_be_bytes())
    }

    #[test]
    fn ids_are_256_random_bits_of_which_only_a_digest_is_kept() {
        let (sessions, users) = (Sessions::default(), Users::new([wang()]));
        let ids = [(); 2].map(|()| sessions.begin(Arc::new(wang())).unwrap());
        assert_ne!(ids[0], ids[1]);
        for id in &ids {
            assert!(id.len() == 64 && id.bytes().all(|it| it.is_ascii_hexdigit()), "{id}");
            let found = sessions.user(SessionKey::of(id.as_bytes()), &users);
            assert_eq!(found.as_deref(), Some(&wang()));
            assert!(!sessions.store().sessions.keys().any(|key| key.0 == id.as_bytes()[..32]));
        }
        assert_eq!(sessions.user(SessionKey::of(b""), &users), None);
    }

    #[test]
    fn a_session_ends_after_twelve_hours() {
        let (mut store, users, start) = (Store::default(), Users::new([wang()]), Instant::now());
        store.begin(key(1), Arc::new(wang()), start);
        let at = |store: &Store, seconds| {
            store.user(key(1), &users, start + Duration::from_secs(seconds)).is_some()
        };
        assert!(at(&store, 0) && at(&store, 43_199));
        assert!(!at(&store, 43_200));
        store.begin(key(2), Arc::new(wang()), start + LIFETIME);
        assert_eq!(store.sessions.len(), 1, "it is forgotten");
    }

    #[test]
    fn a_session_ends_when_its_user_changes() {
        let changed = [
            None,
            Some(user("wang", "another", Role::Switcher)),
            Some(user("wang", "password", Role::Admin)),
            Some(user("li", "password", Role::Switcher)),
        ];
        for users in changed.map(Users::new) {
            let (sessions, same) = (Sessions::default(), Users::new([wang()]));
            let id = sessions.begin(Arc::new(wang())).unwrap();
            let key = SessionKey::of(id.as_bytes());
            assert_eq!(sessions.user(key, &users), None);
            assert!(sessions.user(key, &same).is_some());
            sessions.retain_users(&same);
            assert!(sessions.user(key, &same).is_some());
            sessions.retain_users(&users);
            assert_eq!(sessions.user(key, &same), None, "another reload does not bring it back");
        }
    }

    #[test]
    fn a_sign_out_ends_one_session() {
        let (sessions, users) = (Sessions::default(), Users::new([wang()]));
        let keys = [(); 2].map(|()| sessions.begin(Arc::new(wang())).unwrap());
        let keys = keys.map(|id| SessionKey::of(id.as_bytes()));
        assert_eq!(sessions.end(keys[0]).as_deref(), Some(&wang()));
        assert_eq!(sessions.end(keys[0]), None);
        assert_eq!(sessions.user(keys[0], &users), None);
        assert!(sessions.user(keys[1], &users).is_some());
    }

    #[test]
    fn the_oldest_session_gives_way() {
        let names: Vec<_> = (0..MOST).map(|n| format!("user{n}")).collect();
        let all: Vec<_> = names.iter().map(|name| user(name, "x", Role::Viewer)).collect();
        let (users, start) = (Users::new(all.clone()), Instant::now());
        let at = |n: usize| start + Duration::from_secs(n as u64);
        let mut store = Store::default();
        // One user after the other, one session more than fit.
        for n in 0..=MOST {
            store.begin(key(n), Arc::new(all[n % MOST].clone()), at(n));
        }
        let is_there = |store: &Store, n| store.user(key(n), &users, at(MOST)).is_some();
        assert_eq!(store.sessions.len(), MOST);
        assert!(!is_there(&store, 0) && (1..=MOST).all(|n| is_there(&store, n)));

        // One user again and again: only its own sessions end.
        let mut store = Store::default();
        store.begin(key(0), Arc::new(all[1].clone()), at(0));
        for n in 1..=MOST_OF_USER + 1 {
            store.begin(key(n), Arc::new(all[0].clone()), at(n));
        }
        assert_eq!(store.sessions.len(), MOST_OF_USER + 1);
        assert!(is_there(&store, 0) && !is_there(&store, 1) && is_there(&store, 2));
    }
}
