//! Reads and checks `UsersFile`.

use super::{CallerSettings, files::Findings};

impl Findings {
    /// Reads the users.
    pub(super) fn read_users(&mut self, callers: &mut CallerSettings) {
        let Some(file) = &callers.users_file else { return };
        let Some(bytes) = self.read("UsersFile", file) else { return };
        match crate::users::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(users) => callers.users = users,
            Err(problems) => problems.into_iter().for_each(|it| self.problem("UsersFile", it)),
        }
    }
}
