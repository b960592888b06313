//! Requests of users without the role that they need: metrics and log lines. A program with the wrong token may send
//! thousands a second.

use std::{collections::HashMap, sync::Mutex};

use prometheus_client::metrics::counter::Counter;
use switcher_actors::Source;

use super::{access::MissingRole, logins::lock};
use crate::users::Role;

/// Refusals of a user for a role that are logged one by one. Further ones are counted, until a report finds no new one.
const LOGGED: u64 = 5;

/// The refusals of one listener.
pub struct MissingRoles {
    /// In the order of [`Role::ALL`].
    counters: [Counter; Role::ALL.len()],
    /// Only users of the configuration have entries.
    recent: Mutex<HashMap<MissingRole, Refusals>>,
}

/// Refusals of a user for a role.
#[derive(Default)]
struct Refusals {
    count: u64,
    /// The count at the last report.
    reported: u64,
    /// Source and path of the last one that was not logged, since the last report.
    last: Option<(Source, String)>,
}

/// Refusals since the last report that were not logged.
pub struct LeftOut {
    pub missing: MissingRole,
    pub requests: u64,
    /// Source and path of the last one.
    pub last: (Source, String),
}

impl MissingRoles {
    pub fn new(counter: impl Fn(Role) -> Counter) -> Self {
        Self { counters: Role::ALL.map(counter), recent: Mutex::default() }
    }

    /// Counts a refusal. Returns whether to log it; otherwise the next report contains it.
    pub fn note(&self, missing: &MissingRole, source: &Source, path: &str) -> bool {
        for (counter, _) in self.counters.iter().zip(Role::ALL).filter(|it| it.1 == missing.role) {
            counter.inc();
        }
        let mut recent = lock(&self.recent);
        let refusals = recent.entry(missing.clone()).or_default();
        refusals.count += 1;
        let is_logged = refusals.count <= LOGGED;
        if !is_logged {
            refusals.last = Some((source.clone(), path.to_owned()));
        }
        is_logged
    }

    /// The refusals since the last call that were not logged. Forgets users without any refusal since then.
    pub fn take_left_out(&self) -> Vec<LeftOut> {
        let mut recent = lock(&self.recent);
        recent.retain(|_, it| it.count > it.reported);
        let left_out = recent.iter_mut().filter_map(|(missing, it)| {
            let requests = it.count.saturating_sub(it.reported.max(LOGGED));
            it.reported = it.count;
            Some(LeftOut { missing: missing.clone(), requests, last: it.last.take()? })
        });
        left_out.collect()
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::RequestId;

    use super::*;

    /// The number of refusals of a user that are logged, of so many.
    fn logged(roles: &MissingRoles, user: &str, refusals: u64) -> usize {
        let missing = MissingRole { user: user.into(), role: Role::Switcher };
        let source = Source::api(None, RequestId::default());
        (0..refusals).filter(|_| roles.note(&missing, &source, "/switch")).count()
    }

    fn left_out(roles: &MissingRoles) -> Vec<(String, u64)> {
        let left_out = roles.take_left_out().into_iter();
        left_out.map(|it| (it.missing.user.to_string(), it.requests)).collect()
    }

    #[test]
    fn a_flood_of_a_user_is_counted_and_hides_no_other_user() {
        let roles = MissingRoles::new(|_| Counter::default());
        assert_eq!(logged(&roles, "wang", 1000), 5);
        assert_eq!(logged(&roles, "li", 1), 1);
        assert_eq!(left_out(&roles), [("wang".to_owned(), 995)]);
        assert_eq!((logged(&roles, "wang", 1000), logged(&roles, "li", 0)), (0, 0));
        assert_eq!(left_out(&roles), [("wang".to_owned(), 1000)]);
        assert!(left_out(&roles).is_empty());
        assert_eq!(logged(&roles, "wang", 1), 1, "after a report without any");
    }
}
