//! Summary of the users.

use switcher_actors::Shown;

use super::findings::Findings;
use crate::{
    config::CallerSettings,
    users::{Role, Roles, Secret, User},
};

const CHECK: &str = "users";

/// Reports the users by role. The file itself is checked with the configuration.
pub fn users(findings: &mut Findings, settings: &CallerSettings, users: &[User]) {
    let CallerSettings { credentials, api_roles, users_file, .. } = settings;
    if let Some(credentials) = credentials {
        let text = format!(
            "APIUser {}, with its password in plain text: {}",
            Shown(&credentials.user),
            named(*api_roles)
        );
        findings.ok(CHECK, text);
    }
    let Some(file) = users_file else {
        return findings.ok(CHECK, "UsersFile is not set");
    };
    let tokens = users.iter().filter(|user| matches!(user.secret, Secret::Token(_))).count();
    let by_role = Role::ALL.map(|role| {
        format!("{role} {}", users.iter().filter(|user| user.roles.is_given(role)).count())
    });
    let file = file.to_string_lossy();
    let (all, by_role) = (users.len(), by_role.join(", "));
    findings.ok(CHECK, format!("{}: {all} users, {tokens} with a token; {by_role}", Shown(&file)));
}

fn named(roles: Roles) -> String {
    let names: Vec<_> = roles.iter().map(Role::name).collect();
    if names.is_empty() { "no role".to_owned() } else { names.join(", ") }
}
