//! Checks of the upstream: the user-coin map and its clock.

use std::{borrow::Cow, time::SystemTime};

use switcher_actors::{MapPreview, PollerSettings, preview_map};

use super::findings::Findings;
use crate::client::znodes::seconds;

/// Harmless difference of two clocks, in seconds.
const SKEW: u64 = 60;

/// Checks that the upstream answers, the form of its answer, and its clock.
pub async fn upstream(findings: &mut Findings, poller: Option<&PollerSettings>) {
    const CHECK: &str = "upstream";
    let Some(poller) = poller else {
        return findings.ok(CHECK, "not checked: EnableCronJob is false");
    };
    let url = &poller.url;
    let map = match preview_map(poller).await {
        Ok(map) => map,
        Err(error) => {
            let remedy = error
                .remedy
                .map_or("start the backend, or correct UserCoinMapURL".into(), Cow::from);
            return findings.problem(CHECK, format!("{url}: {}", error.cause), remedy);
        }
    };
    findings.ok(CHECK, format!("{url} answers with {} sub-accounts", map.sub_accounts()));
    if let Some(warning) = map.warning() {
        findings.warn(
            CHECK,
            warning,
            "let the backend answer in the documented form (docs/guide/polling.md)",
        );
    }
    if let Some((name, fault)) = map.first_invalid().first() {
        findings.warn(
            CHECK,
            format!("{} entries can never be written; the first: {name}: {fault}", map.invalid()),
            "correct the entries, or add the coin to AvailableCoins; `verify` lists more entries",
        );
    }
    clock(findings, &map, SystemTime::now());
}

fn clock(findings: &mut Findings, map: &MapPreview, now: SystemTime) {
    const CHECK: &str = "clock";
    let Some(date) = map.now_date() else {
        return findings.ok(CHECK, "the upstream sends no now_date to compare");
    };
    let ours = i64::try_from(seconds(now)).unwrap_or(i64::MAX);
    let skew = date.saturating_sub(ours);
    let text = format!(
        "the upstream's now_date is {} s {} our clock",
        skew.unsigned_abs(),
        if skew < 0 { "behind" } else { "ahead of" }
    );
    if !map.is_followed(now) {
        findings.problem(
            CHECK,
            format!("{text}; it is not followed, so each poll fetches the whole map"),
            "let the backend send the seconds since 1970 as now_date, and both machines use NTP",
        );
    } else if skew.unsigned_abs() > SKEW {
        findings.warn(CHECK, text, "let both machines use NTP");
    } else {
        findings.ok(CHECK, text);
    }
}
