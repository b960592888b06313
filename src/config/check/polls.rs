//! The coins, and the polls of the user-coin map.

use switcher_actors::{Coins, PollerSettings, SwitchRules, UpstreamUrl, ZnodeDir, is_quote};

use super::{
    Reader,
    directories::poller_lock,
    quoting::{hint, list_cause},
};

impl Reader {
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
    ) -> Option<PollerSettings> {
        let interval = self.seconds("CronIntervalSeconds");
        let fetch_timeout = self.seconds("CronFetchTimeoutSeconds");
        let body_limit = self.number("CronBodyLimitBytes");
        let overlap = i64::try_from(self.number("CronOverlapSeconds")).unwrap_or_default();
        let rewrite_unchanged = self.flag("CronRewriteUnchanged");
        if !enabled {
            return None;
        }
        let url = self.required("UserCoinMapURL", "the URL of the user-coin map");
        let url = url.and_then(|text| self.upstream(&text));
        Some(PollerSettings {
            url: url?,
            interval,
            fetch_timeout,
            body_limit,
            overlap,
            rewrite_unchanged,
            lock: lock.map(poller_lock),
            rules: SwitchRules { coins: coins?, lower_case },
        })
    }

    /// Parses the URL. The messages do not quote it: it may hold a password or a token.
    fn upstream(&mut self, text: &str) -> Option<UpstreamUrl> {
        const KEY: &str = "UserCoinMapURL";
        let lower = text.to_ascii_lowercase();
        if lower.matches("http://").count() + lower.matches("https://").count() > 1
            && text.contains([',', ';', ' ', '|'])
        {
            self.problem(KEY, "looks like several URLs; the map comes from one");
        } else if text.ends_with(is_quote) || text.starts_with(is_quote) {
            self.problem(KEY, "begins or ends with a quote, which is part of the value: remove it");
        } else {
            match UpstreamUrl::parse(text) {
                Ok(url) => return Some(url),
                Err(error) => self.problem(KEY, format!("{error}{}", hint(text))),
            }
        }
        None
    }
}
