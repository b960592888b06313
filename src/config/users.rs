//! Reads and checks `UsersFile`.

use std::path::Path;

use switcher_actors::Quoted;

use super::{
    CallerSettings,
    files::{Findings, mode},
};
use crate::users::{self, Role, User};

const KEY: &str = "UsersFile";

impl Findings {
    /// Reads the users. `has_sub_pools`: whether payout addresses can be changed at all.
    pub(super) fn read_users(
        &mut self,
        callers: &CallerSettings,
        has_sub_pools: bool,
    ) -> Option<Vec<User>> {
        let file = callers.users_file.as_ref()?;
        let bytes = self.read(KEY, file)?;
        self.look_at_mode(file);
        let text = str::from_utf8(&bytes);
        let text =
            text.map_err(|_| self.refuse_file(KEY, file, "which is no text in UTF-8")).ok()?;
        let api_user = callers.credentials.as_ref().map(|it| it.user.as_str());
        let users = users::parse(text, api_user)
            .map_err(|problems| problems.into_iter().for_each(|it| self.problem(KEY, it)))
            .ok()?;
        self.doubt_users(callers, &users, has_sub_pools);
        Some(users)
    }

    fn look_at_mode(&mut self, file: &Path) {
        let Some(mode) = mode(file) else { return };
        let is_file = format!("is {}, which every user", Quoted(&file.to_string_lossy()));
        if mode & 0o002 != 0 {
            let text =
                format!("{is_file} of this machine may change (mode {mode:03o}): run chmod 640");
            self.problem(KEY, text);
        } else if mode & 0o004 != 0 {
            self.warnings.push(format!(
                "{KEY} {is_file} of this machine may read (mode {mode:03o}): run chmod 640"
            ));
        }
    }

    fn doubt_users(&mut self, callers: &CallerSettings, users: &[User], has_sub_pools: bool) {
        let CallerSettings { credentials, api_roles, .. } = callers;
        if credentials.is_some() {
            let (role, roles) = match api_roles.is_given(Role::Admin) {
                true => {
                    (" and the role admin, that is, every right", "only the roles that it needs")
                }
                false => ("", "its roles"),
            };
            self.warnings.push(format!(
                "APIUser has its password in plain text in the configuration{role}: list it in {KEY} with {roles}, and \
                 remove APIUser and APIPassword"
            ));
        } else if users.is_empty() {
            self.warnings.push(format!(
                "{KEY} lists no users, and APIUser is not set: no one can sign in; add a user with switcher-api-server \
                 user hash or user token"
            ));
            return;
        }
        let api_user = credentials.as_ref().map(|it| (it.user.as_str(), *api_roles));
        let all = || users.iter().map(|User { name, roles, .. }| (&**name, *roles)).chain(api_user);
        let of = |role| all().filter(move |(_, roles)| roles.is_given(role)).map(|(name, _)| name);
        let needed = [(Role::Switcher, "sub-accounts"), (Role::Payout, "payout addresses")];
        for (role, changed) in
            needed.into_iter().filter(|it| it.0 == Role::Switcher || has_sub_pools)
        {
            if of(role).next().is_some() {
                continue;
            }
            let admins: Vec<_> = of(Role::Admin).map(|name| Quoted(name).to_string()).collect();
            let by = match &admins[..] {
                [] => "by no one".to_owned(),
                [.., last] if admins.len() > 3 => format!("by {last} and other admins"),
                admins => format!("only by {} (role admin)", admins.join(" and ")),
            };
            self.warnings
                .push(format!("no user has the role {role}: {changed} can be changed {by}"));
        }
    }
}
