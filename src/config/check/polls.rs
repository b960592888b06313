//! The coins, and the polls of the user-coin map.

use std::time::Duration;

use switcher_actors::{Coins, PollerSettings, SwitchRules, UpstreamUrl, ZnodeDir, is_quote};

use super::{
    Reader,
    directories::election_lock,
    quoting::{hint, list_cause},
};

const MAP: &str = "UserCoinMapURL";

/// Limits of one answer of an upstream.
#[derive(Clone, Copy)]
pub(super) struct FetchLimits {
    pub(super) timeout: Duration,
    /// In bytes.
    pub(super) body: u64,
}

impl Reader {
    pub(super) fn fetch_limits(&mut self) -> FetchLimits {
        let timeout = self.seconds("CronFetchTimeoutSeconds");
        FetchLimits { timeout, body: self.number("CronBodyLimitBytes") }
    }

    pub(super) fn coins(&mut self) -> Option<Coins> {
        const KEY: &str = "AvailableCoins";
        let names = self.list(KEY)?;
        let coins = Coins::new(&names);
        if let Err(error) = &coins {
            let cause = list_cause(&names).map(|cause| format!("; {cause}")).unwrap_or_default();
            let form = self.list_form(KEY, "btc", "bcc");
            let expected = "expected the coins that sub-accounts may be switched to";
            self.problem(KEY, format!("{error}, {expected}{cause}{form}"));
        }
        coins.ok()
    }

    pub(super) fn poller(
        &mut self,
        enabled: bool,
        coins: Option<Coins>,
        lower_case: bool,
        lock: Option<ZnodeDir>,
        FetchLimits { timeout: fetch_timeout, body: body_limit }: FetchLimits,
    ) -> Option<PollerSettings> {
        let interval = self.seconds("CronIntervalSeconds");
        let overlap = i64::try_from(self.number("CronOverlapSeconds")).unwrap_or_default();
        let rewrite_unchanged = self.flag("CronRewriteUnchanged");
        if !enabled {
            return None;
        }
        let url = self.required(MAP, "the URL of the user-coin map");
        let url = url.and_then(|text| self.upstream(MAP, "", &text));
        Some(PollerSettings {
            url: url?,
            interval,
            fetch_timeout,
            body_limit,
            overlap,
            rewrite_unchanged,
            lock: lock.map(election_lock),
            rules: SwitchRules { coins: coins?, lower_case },
        })
    }

    /// Parses a URL of `key`. Messages begin with `name` and do not quote the URL: it may hold a password or a token.
    pub(super) fn upstream(
        &mut self,
        key: &'static str,
        name: &str,
        text: &str,
    ) -> Option<UpstreamUrl> {
        let lower = text.to_ascii_lowercase();
        if lower.matches("http://").count() + lower.matches("https://").count() > 1
            && text.contains([',', ';', ' ', '|'])
        {
            self.problem(key, format!("{name}looks like several URLs; one is expected"));
        } else if text.ends_with(is_quote) || text.starts_with(is_quote) {
            let fault = "begins or ends with a quote, which is part of the value: remove it";
            self.problem(key, format!("{name}{fault}"));
        } else {
            match UpstreamUrl::parse(text) {
                Ok(url) => return Some(url),
                Err(error) => self.problem(key, format!("{name}{error}{}", hint(text))),
            }
        }
        None
    }
}
