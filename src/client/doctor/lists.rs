//! Checks of the user lists: each URL and the form of its answer.

use std::borrow::Cow;

use switcher_actors::{Coin, ListPreview, Shown, UserListSettings, preview_list};

use super::findings::Findings;

/// Checks that each upstream answers with a list; returns the lists.
pub async fn lists(
    findings: &mut Findings,
    lists: Option<&UserListSettings>,
) -> Vec<(Coin, ListPreview)> {
    const CHECK: &str = "list";
    const REMEDY: &str = "start the backend, correct UserListAPI, or let the backend answer \
        {\"err_no\":0,\"data\":{\"NAME\":PUID}}";
    let Some(settings) = lists else {
        findings.ok(CHECK, "not checked: UserListAPI has no entry");
        return Vec::new();
    };
    let mut fetched = Vec::new();
    for (list_coin, url) in &settings.lists {
        let coin = Shown(list_coin.as_str());
        let list = match preview_list(settings, url).await {
            Ok(list) => list,
            Err(error) => {
                let remedy = error.remedy.map_or(REMEDY.into(), Cow::from);
                findings.problem(CHECK, format!("{coin}: {url}: {}", error.cause), remedy);
                continue;
            }
        };
        let size = list.punames().len();
        if size == 0 && list.invalid() == 0 {
            let text = format!("{coin}: {url} answers with an empty list");
            findings.warn(CHECK, text, "if there are sub-accounts, correct UserListAPI or the backend: an answer without data is empty");
        } else {
            findings.ok(CHECK, format!("{coin}: {url} answers with {size} sub-accounts"));
        }
        if let Some((name, fault)) = list.first_invalid().first() {
            let invalid = list.invalid();
            findings.warn(
                CHECK,
                format!(
                    "{coin}: {invalid} entries can never be listed; the first: {name}: {fault}"
                ),
                "correct the entries; `verify` lists more of them",
            );
        }
        fetched.push((list_coin.clone(), list));
    }
    fetched
}
