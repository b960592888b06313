//! User lists (`UserListAPI` and its keys), the list API's listener and rules, and registrations.

use std::{collections::BTreeMap, time::Duration};

use switcher_actors::{
    Coin, Coins, Quoted, RegistrationSettings, UpstreamUrl, UserListSettings, ZnodeDir,
};

use super::{Reader, directories::election_lock, polls::FetchLimits, quoting::list_cause};
use crate::config::{
    ApiSettings, ListAccess, ListApiSettings, Network,
    addresses::{is_loopback, overlap},
    keys::GROUP,
    load::LIST_VARIABLE,
    value::{DEFAULT, FILE, as_texts, origin},
};

const LISTS: &str = "UserListAPI";
const INTERVAL: &str = "IntervalSeconds";
const ENABLED: &str = "EnableUserAutoReg";
const WAIT: &str = "UserAutoRegAPI_IntervalSeconds";
const TIMEOUT: &str = "UserAutoRegTimeoutSeconds";
const REQUESTS: &str = "ZKAutoRegWatchDir";
const URL: &str = "UserAutoRegAPI_URL";
const USER: &str = "UserAutoRegAPI_User";
const PASSWORD: &str = "UserAutoRegAPI_Password";
const DEFAULT_COIN: &str = "UserAutoRegAPI_DefaultCoin";
const POST_DATA: &str = "UserAutoRegAPI_PostData";
/// Place of the name in a text of [`POST_DATA`].
const NAME_PLACE: &str = "{sub_name}";

/// Seconds between two pulls if none or 0 are configured.
const USUAL_INTERVAL: u64 = 10;

/// Seconds between two polls of sserver.
const SSERVER_POLL: u64 = 10;

/// Seconds after which stratum servers disconnect a miner that has not logged in (user-list contract, section 5).
const LOGIN_LIMIT: u64 = 15;

impl Reader {
    /// Settings of the pulls; `None` without lists. `coins` is `AvailableCoins`: their lists come first, in that order.
    pub(super) fn user_lists(
        &mut self,
        coins: Option<&Coins>,
        lower_case: bool,
        index: Option<ZnodeDir>,
        FetchLimits { timeout: fetch_timeout, body: body_limit }: FetchLimits,
    ) -> Option<UserListSettings> {
        let mut urls = self.named_texts(LISTS);
        let interval = self.number(INTERVAL);
        if urls.is_empty() {
            return None;
        }
        self.warn_of_coins(&urls, coins);
        let available = coins.into_iter().flat_map(Coins::iter);
        let available = available.filter_map(|coin| urls.remove_entry(coin.as_str()));
        let mut ordered: Vec<(String, String)> = available.collect();
        ordered.extend(urls);
        let names: Vec<&String> = ordered.iter().map(|(coin, _)| coin).collect();
        let listed = match Coins::new(&names) {
            Ok(listed) => Some(listed),
            Err(error) => {
                let cause = list_cause(&names).map(|it| format!("; {it}")).unwrap_or_default();
                self.problem(
                    LISTS,
                    format!("{error}, expected coins and the URLs of their lists{cause}"),
                );
                None
            }
        };
        let urls: Vec<_> =
            ordered.iter().filter_map(|(coin, url)| self.list_url(coin, url)).collect();
        let listed = listed.filter(|_| urls.len() == ordered.len())?;
        let is_given = self.values.get(INTERVAL).is_some_and(|value| origin(value) != DEFAULT);
        if (interval == 0 || !is_given) && self.are_sound(&[INTERVAL]) {
            let found = if is_given { "is 0" } else { "is not set" };
            self.warnings.push(format!(
                "{INTERVAL} {found}, so lists are pulled {USUAL_INTERVAL} seconds after the last pull; set it"
            ));
        }
        let interval = if interval == 0 { USUAL_INTERVAL } else { interval };
        Some(UserListSettings {
            lists: listed.iter().cloned().zip(urls).collect(),
            interval: Duration::from_secs(interval),
            fetch_timeout,
            body_limit,
            lower_case,
            index,
        })
    }

    fn list_url(&mut self, coin: &str, url: &str) -> Option<UpstreamUrl> {
        let coin = Quoted(coin);
        if url.trim().is_empty() {
            self.problem(LISTS, format!("its URL of {coin} is empty; give it, or remove the coin"));
            return None;
        }
        self.upstream(LISTS, &format!("its URL of {coin} "), url)
    }

    /// The index's directory, if it is on.
    pub(super) fn index(&mut self, index: Option<ZnodeDir>, lower_case: bool) -> Option<ZnodeDir> {
        if lower_case && index.is_some() {
            self.warnings.push(
                "ZKUserCaseInsensitiveIndex has no effect: StratumServerCaseInsensitive is true"
                    .to_owned(),
            );
        }
        index.filter(|_| !lower_case)
    }

    fn warn_of_coins(&mut self, urls: &BTreeMap<String, String>, coins: Option<&Coins>) {
        for coin in urls.keys() {
            let mut available = coins.into_iter().flat_map(Coins::iter);
            let is_available = available.any(|it| it.as_str() == coin);
            if coin == "auto" {
                self.warnings.push(format!(
                    "{LISTS} has a list of \"auto\", which is no coin: switches to auto are then held until that \
                     list has the sub-account; remove it"
                ));
            }
            let mut others = coins.into_iter().flat_map(Coins::iter).map(|it| it.as_str());
            let other = others.find(|it| *it != coin && it.eq_ignore_ascii_case(coin));
            if let Some(other) = other {
                self.warnings.push(format!(
                    "{LISTS} has a list of {}, but AvailableCoins has {}: the case matters",
                    Quoted(coin),
                    Quoted(other)
                ));
            } else if coins.is_some() && !is_available && coin != "auto" {
                self.warnings.push(format!(
                    "{LISTS} has a list of {}, which AvailableCoins lacks: new sub-accounts of that list get the coin, \
                     but no switch to it is accepted",
                    Quoted(coin)
                ));
            }
        }
    }

    /// Warns of environment variables that name no coin. `names` are those of all lists' variables.
    pub(super) fn warn_of_variables(&mut self, names: &[String]) {
        let Some(coins) = self.values.get("AvailableCoins").and_then(as_texts) else { return };
        for name in names {
            let coin = name.strip_prefix(LIST_VARIABLE).unwrap_or_default();
            // The Docker image of the daemon that this one replaces has a list of auto, and ignores it.
            if coin != "auto" && !coins.iter().any(|it| it == coin) {
                self.warnings.push(format!(
                    "environment variable {} is ignored: {} is not in AvailableCoins",
                    Quoted(name),
                    Quoted(coin)
                ));
            }
        }
    }

    /// Rules for the clients of the list API.
    pub(super) fn list_access(&mut self) -> ListAccess {
        let allow = self.networks("UserListAllow");
        ListAccess { allow, credentials: self.pair("UserListUser", "UserListPassword") }
    }

    /// Addresses and networks.
    pub(super) fn networks(&mut self, key: &'static str) -> Vec<Network> {
        let mut networks = Vec::new();
        for text in self.list(key).unwrap_or_default() {
            match text.parse::<Network>() {
                Ok(network) => networks.push(network),
                Err(fault) => self.problem(key, format!("contains {}, {fault}", Quoted(&text))),
            }
        }
        networks
    }

    /// The list API's own listener. Without lists it is off.
    pub(super) fn list_api(
        &mut self,
        lists: Option<&UserListSettings>,
        access: &ListAccess,
        api: Option<&ApiSettings>,
        head_timeout: Duration,
    ) -> Option<ListApiSettings> {
        const KEY: &str = "UserListAddr";
        let listen = self.text(KEY);
        if !listen.is_empty() {
            self.expect_address(KEY, &listen, "127.0.0.1:8084");
        }
        for (other, is_on) in [("ListenAddr", api.is_some()), ("AdminListenAddr", true)] {
            if is_on && overlap(&listen, &self.peek(other)) {
                let address = self.peek(other);
                self.refuse(
                    KEY,
                    &listen,
                    format!(", which overlaps {other} ({}); choose another port", Quoted(&address)),
                );
            }
        }
        let Some(lists) = lists else {
            if !listen.is_empty() {
                self.warnings.push(format!("{KEY} has no effect: {LISTS} is not set"));
            }
            return None;
        };
        self.warn_of_open_list(lists, access, (KEY, &listen), api);
        (!listen.is_empty()).then_some(ListApiSettings { listen, head_timeout })
    }

    fn warn_of_open_list(
        &mut self,
        lists: &UserListSettings,
        access: &ListAccess,
        (key, own): (&str, &str),
        api: Option<&ApiSettings>,
    ) {
        let (key, listen) = match (own, api) {
            ("", None) => return,
            ("", Some(api)) => ("ListenAddr", api.listen.as_str()),
            (own, _) => (key, own),
        };
        let is_sound = self.are_sound(&["UserListAllow", "UserListUser", "UserListPassword", key]);
        if !is_sound
            || is_loopback(listen)
            || !access.allow.is_empty()
            || access.credentials.is_some()
        {
            return;
        }
        self.warnings.push(format!(
            "the user lists ({} of them) can be read without credentials by every client that reaches {key} ({}); \
             restrict them with UserListAllow, UserListUser, UserListAddr or a firewall",
            lists.lists.len(),
            Quoted(listen)
        ));
    }

    /// Registrations; `None` if they are off.
    pub(super) fn registration(
        &mut self,
        enabled: bool,
        dir: Option<ZnodeDir>,
        held: Option<&ZnodeDir>,
        coins: Option<&Coins>,
        lists: Option<&UserListSettings>,
    ) -> Option<RegistrationSettings> {
        let (url, user, password) = (self.text(URL), self.text(USER), self.text(PASSWORD));
        let default_coin = self.text(DEFAULT_COIN);
        let post_data = self.named_texts(POST_DATA);
        let wait = self.number(WAIT);
        let timeout = self.number(TIMEOUT);
        let parallel = self.size("UserAutoRegParallelRequests");
        if !enabled {
            return None;
        }
        if self.are_sound(&[REQUESTS]) {
            let expected = "the stratum servers' directory of requests, an absolute znode path";
            self.required(REQUESTS, expected);
        }
        for (key, text) in [(USER, &user), (PASSWORD, &password)] {
            self.expect_credential(key, &[text]);
        }
        self.refuse_colon(USER);
        let upstream = if url.is_empty() {
            if self.is_of_environment(URL) {
                self.required(URL, "the URL of the backend that registers");
            } else if self.are_sound(&[GROUP, URL]) {
                self.warnings.push(format!("{URL} is not set: every registration fails; set it"));
            }
            None
        } else {
            Some(self.upstream(URL, "", &url)?)
        };
        self.doubt_registration_times(wait, timeout);
        self.doubt_post_data(&post_data);
        Some(RegistrationSettings {
            dir: dir?,
            lock: election_lock(held?.subdirectory("registrar")),
            url: upstream,
            credentials: (!user.is_empty()).then_some((user, password)),
            post_data,
            default_coin: self.default_coin(&default_coin, coins, lists),
            wait: Duration::from_secs(wait),
            timeout: Duration::from_secs(timeout),
            parallel,
        })
    }

    /// The first coin of registered sub-accounts, if it has a list. One from the environment must be in
    /// `AvailableCoins`, as in the Docker image of the daemon that this one replaces.
    fn default_coin(
        &mut self,
        name: &str,
        coins: Option<&Coins>,
        lists: Option<&UserListSettings>,
    ) -> Option<Coin> {
        let is_available = coins.is_none_or(|coins| coins.get(name).is_some());
        let mut listed = lists.into_iter().flat_map(|lists| &lists.lists).map(|(coin, _)| coin);
        let found = listed.find(|coin| coin.as_str() == name).cloned();
        if self.is_of_environment(DEFAULT_COIN) && !is_available {
            if self.required(DEFAULT_COIN, "a coin of AvailableCoins").is_some() {
                let fault = ", which is not in AvailableCoins; expected one of its coins";
                self.refuse(DEFAULT_COIN, name, fault);
            }
        } else if found.is_none() && self.are_sound(&[GROUP, DEFAULT_COIN, LISTS]) {
            self.warnings.push(format!(
                "{DEFAULT_COIN} is {}, which has no list in {LISTS}: registered sub-accounts get no znode; set it to \
                 a coin that has one",
                Quoted(name)
            ));
        }
        found
    }

    /// Whether a registration's value is the environment's, or is missing there: registrations are switched on there,
    /// and the file has no such value.
    fn is_of_environment(&self, key: &str) -> bool {
        let place = |key| self.values.get(key).map_or(DEFAULT, origin);
        let place = if place(key) == DEFAULT { place(ENABLED) } else { place(key) };
        ![DEFAULT, FILE].contains(&place)
    }

    fn doubt_post_data(&mut self, post_data: &BTreeMap<String, String>) {
        let names_it = post_data.values().any(|text| text.contains(NAME_PLACE));
        if !names_it && self.are_sound(&[GROUP, POST_DATA]) {
            self.warnings.push(format!(
                "{POST_DATA} has no {NAME_PLACE}, so the backend gets no sub-account's name; add a text \
                 like {{\"sub_name\": \"{NAME_PLACE}\"}}"
            ));
        }
    }

    fn doubt_registration_times(&mut self, wait: u64, timeout: u64) {
        if !self.are_sound(&[GROUP, WAIT, TIMEOUT]) {
            return;
        }
        if wait + timeout > LOGIN_LIMIT {
            self.warnings.push(format!(
                "{WAIT} ({wait}) and {TIMEOUT} ({timeout}) are more than {LOGIN_LIMIT} together: stratum servers \
                 disconnect a miner that is not registered after {LOGIN_LIMIT} seconds; lower one of them"
            ));
        } else if wait < SSERVER_POLL {
            self.warnings.push(format!(
                "{WAIT} is {wait}: sserver polls the list every {SSERVER_POLL} seconds, and refuses a miner whose \
                 sub-account it does not know when the registration ends; set it to {SSERVER_POLL} for sserver"
            ));
        }
    }
}
