//! Checks of the backend that registers sub-accounts.

use std::borrow::Cow;

use switcher_actors::{
    Coin, ListPreview, RegistrationSettings, Shown, probe_registration, register_known,
};

use super::findings::Findings;

const CHECK: &str = "registration";

/// Checks that the backend answers, and its answer to `known`, if one of `lists` has that sub-account. Another name would
/// be registered.
pub async fn registration(
    findings: &mut Findings,
    settings: Option<&RegistrationSettings>,
    known: Option<&str>,
    lists: &[(Coin, ListPreview)],
) {
    let Some(settings) = settings else {
        return findings.ok(CHECK, "not checked: EnableUserAutoReg is false");
    };
    let Some(url) = &settings.url else {
        // The configuration's warning names the key.
        return findings.ok(CHECK, "not checked: UserAutoRegAPI.URL is not set");
    };
    let Some(name) = known else { return probe(findings, settings, url).await };
    let puids = lists.iter().filter_map(|(coin, list)| Some((coin, list.puid(name)?)));
    let puids: Vec<_> = puids.collect();
    if puids.is_empty() {
        return findings.problem(
            CHECK,
            format!(
                "{} is in none of the {} lists that were fetched, so its registration was not requested",
                Shown(name),
                lists.len()
            ),
            "give --registration a sub-account that a list has, spelled as there",
        );
    }
    match register_known(settings, name).await {
        Err(cause) => findings.problem(
            CHECK,
            format!("{url}: no puid for {}: {cause}", Shown(name)),
            "let the backend answer a name that it knows with {\"data\":{\"puid\":N}} \
             (docs/operate/registration.md)",
        ),
        Ok(puid) => match puids.iter().find(|(_, listed)| *listed != puid) {
            Some((coin, listed)) => findings.problem(
                CHECK,
                format!(
                    "{url} answers with puid {puid} for {}, and the list of {} has {listed}",
                    Shown(name),
                    Shown(coin.as_str())
                ),
                "let the backend answer a name that it knows with the puid of the lists",
            ),
            None => findings.ok(
                CHECK,
                format!("{url} answers with puid {puid} for {}, as the lists", Shown(name)),
            ),
        },
    }
}

/// A GET registers nothing. A backend may answer it otherwise than a POST.
async fn probe(
    findings: &mut Findings,
    settings: &RegistrationSettings,
    url: &impl std::fmt::Display,
) {
    const NOT_POSTED: &str = "run `doctor --registration USER` with a sub-account of a list, which checks the answer to a POST";
    let Some(answer) = probe_registration(settings).await else { return };
    match answer {
        Err(error) => {
            let remedy = error.remedy.map_or_else(
                || Cow::from("start the backend, or correct UserAutoRegAPI.URL"),
                Cow::from,
            );
            findings.problem(CHECK, format!("{url}: {}", error.cause), remedy);
        }
        Ok(401) => findings.problem(
            CHECK,
            format!("{url} answers with status 401"),
            "correct UserAutoRegAPI.User and UserAutoRegAPI.Password",
        ),
        // Followed as Go's client does.
        Ok(status @ 301..=303) => findings.problem(
            CHECK,
            format!(
                "{url} redirects with status {status}, after which a registration goes on without its body: the \
                 backend gets no name"
            ),
            "put the address that it redirects to into UserAutoRegAPI.URL, or redirect with status 308",
        ),
        // The method alone is refused.
        Ok(200..=299 | 405) => {
            let text =
                format!("{url} answers a GET; --registration USER also checks a registration");
            findings.ok(CHECK, text);
        }
        Ok(status) => {
            findings.warn(CHECK, format!("{url} answers a GET with status {status}"), NOT_POSTED)
        }
    }
}
