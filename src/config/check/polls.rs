//! The coins, and how the user-coin map is pulled.

use switcher_actors::{Coins, PollerSettings, SwitchRules, UpstreamUrl, ZnodeDir};

use super::{
    Reader,
    directories::poller_lock,
    quoting::{hint, list_hint},
};

impl Reader {
    pub(super) fn coins(&mut self) -> Option<Coins> {
        let names = self.list("AvailableCoins")?;
        let coins = Coins::new(&names);
        if let Err(error) = &coins {
            let origin = self.found("AvailableCoins").map(|found| found.origin);
            let hint = list_hint(names.iter().map(String::as_str), origin, ["btc", "bcc"]);
            let expected = "expected the coins that may be switched to";
            self.problem("AvailableCoins", format!("{error}, {expected}{hint}"));
        }
        coins.ok()
    }

    /// `None` if the map is not pulled, or after a problem was noted.
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
        let url = self.required("UserCoinMapURL", "where to pull the user-coin map from");
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

    /// The messages do not quote the URL: it may hold a password or a token.
    fn upstream(&mut self, text: &str) -> Option<UpstreamUrl> {
        const KEY: &str = "UserCoinMapURL";
        const QUOTES: &[char] = &['"', '\'', '`', '“', '”'];
        let lower = text.to_ascii_lowercase();
        if lower.matches("http://").count() + lower.matches("https://").count() > 1
            && text.contains([',', ';', ' ', '|'])
        {
            self.problem(KEY, "looks like several URLs; the map comes from one");
        } else if text.ends_with(QUOTES) || text.starts_with(QUOTES) {
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
