//! `whoami`: the user that the daemon sees behind the credentials.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use switcher_actors::Shown;

use super::{
    access::ApiAccess,
    api::Api,
    arguments::WhoamiArguments,
    report::{CommandReport, CommandResult},
};

const WHAT: &str = "question about the user";

/// The daemon's `/whoami`.
#[derive(Deserialize)]
struct Identity {
    name: String,
    roles: Vec<String>,
    /// How the user proved to be that user.
    means: String,
    /// Address of the client.
    client: Option<String>,
}

/// `whoami`.
pub async fn whoami(arguments: &WhoamiArguments, access: &ApiAccess) -> CommandResult {
    let api = Api::new(access, Duration::from_secs(arguments.api.timeout));
    let page = api.get_page("/whoami").await.map_err(|error| error.of_question(WHAT))?;
    let identity = match page.status {
        200 => serde_json::from_slice::<Identity>(&page.body).ok(),
        _ => None,
    };
    let Identity { name, roles, means, client } = identity.ok_or_else(|| {
        let refusal = page.answer().and_then(|answer| answer.into_page_failure(WHAT, true));
        refusal.unwrap_or_else(|| api.not_the_daemon(&page).of_question(WHAT))
    })?;
    let mut report = CommandReport::default();
    let from = client.as_deref().map(|it| format!(", from {}", Shown(it))).unwrap_or_default();
    let shown: Vec<_> = roles.iter().map(|role| Shown(role).to_string()).collect();
    report.line(format!("{}: {} (by {}{from})", Shown(&name), shown.join(", "), Shown(&means)));
    report.field("name", name);
    report.field("roles", json!(roles));
    report.field("means", means);
    report.field("client", client);
    Ok(report)
}
