//! Every configuration key: its kind, default and meaning. `--help`, the checks, the environment and
//! the table in docs/operate/configuration.md all follow this list.

/// Type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `true` or `false`.
    Flag,
    /// Text.
    Text,
    /// URL; shown without credentials and query.
    Url,
    /// Text that is never shown.
    Secret,
    /// Whole number within limits, both inclusive.
    Number {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// List of texts; in the environment, separated by commas.
    List,
    /// Object of coins and URLs, which are shown without credentials and query; in the environment, a variable
    /// `NAME_COIN` for each.
    Urls,
    /// Object of texts that are never shown; in the environment, JSON.
    SecretTexts,
}

impl KeyKind {
    /// Whether a value is never shown.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretTexts)
    }
}

/// Object of the file whose fields are keys: its field `URL` is the key `UserAutoRegAPI_URL`, which is also the
/// environment's name.
pub const GROUP: &str = "UserAutoRegAPI";

/// A key of the configuration file, and the environment variable of the same name.
#[derive(Debug)]
pub struct Key {
    /// Exact name.
    pub name: &'static str,
    /// Type of its value.
    pub kind: KeyKind,
    /// Value of an absent key, as the environment would spell it; `None`: see `meaning`.
    pub default: Option<&'static str>,
    /// Purpose, with the unit.
    pub meaning: &'static str,
    /// Whether a reload applies another value. Otherwise a reload with another value is rejected: it needs a restart.
    pub is_reloadable: bool,
    /// Whether a part of the daemon is off while the value is empty. Only a restart turns it on or off.
    pub is_switch: bool,
    /// Whether the environment follows the Docker image of the daemon that this one replaces: a blank and `0` are no
    /// value, and no item of a list is empty (user-list contract, section 9).
    pub is_docker_rules: bool,
}

impl Key {
    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn means(mut self, meaning: &'static str) -> Self {
        self.meaning = meaning;
        self
    }

    const fn reloadable(mut self) -> Self {
        self.is_reloadable = true;
        self
    }

    /// A reload applies another value, but neither sets nor clears the key.
    const fn reloadable_while_set(mut self) -> Self {
        self.is_switch = true;
        self.reloadable()
    }

    const fn docker_rules(mut self) -> Self {
        self.is_docker_rules = true;
        self
    }
}

const fn key(name: &'static str, kind: KeyKind) -> Key {
    Key {
        name,
        kind,
        default: None,
        meaning: "",
        is_reloadable: false,
        is_switch: false,
        is_docker_rules: false,
    }
}

const fn flag(name: &'static str) -> Key {
    key(name, KeyKind::Flag).or("false")
}

const fn text(name: &'static str) -> Key {
    key(name, KeyKind::Text)
}

const fn secret(name: &'static str) -> Key {
    key(name, KeyKind::Secret)
}

const fn list(name: &'static str) -> Key {
    key(name, KeyKind::List)
}

const fn number(name: &'static str, min: u64, max: u64, default: &'static str) -> Key {
    key(name, KeyKind::Number { min, max }).or(default)
}

const fn seconds(name: &'static str, default: &'static str) -> Key {
    number(name, 1, 3600, default)
}

/// All keys, the contract's (section 5) and ours.
pub const KEYS: &[Key] = &[
    flag("EnableAPIServer").means("serve the HTTP API"),
    text("APIUser")
        .reloadable()
        .docker_rules()
        .means("user name for HTTP Basic authentication; required with the API, unless UsersFile is set"),
    secret("APIPassword")
        .reloadable()
        .docker_rules()
        .means("password for HTTP Basic authentication; required with the API, unless UsersFile is set"),
    list("APIRoles")
        .or("admin")
        .reloadable()
        .means("roles of APIUser: viewer, switcher, payout, admin"),
    text("UsersFile")
        .or("")
        .reloadable()
        .means("file with the users, their roles and the hashes of their passwords or tokens (JSON); empty = APIUser alone"),
    list("TrustedProxies")
        .or("")
        .reloadable()
        .means("addresses and networks of proxies, whose X-Forwarded-For names the client; empty = none"),
    text("TLSCertificateFile")
        .or("")
        .reloadable_while_set()
        .means("file with the certificate and its chain (PEM) for the listeners; empty = no TLS, which only a restart changes"),
    text("TLSPrivateKeyFile")
        .or("")
        .reloadable_while_set()
        .means("file with the private key of TLSCertificateFile (PEM)"),
    text("TLSClientCAFile")
        .or("")
        .reloadable()
        .means("file with certificate authorities (PEM); clients then need a certificate of one of them, in addition to credentials; empty = none is asked for"),
    list("TLSListeners")
        .or("api,admin")
        .means("listeners with TLS: api, admin"),
    text("ListenAddr").docker_rules().means("host:port of the API; required with the API"),
    text("AdminListenAddr")
        .or("127.0.0.1:8083")
        .means("host:port of the console, metrics, health and the API's description; empty = off"),
    list("AdminHosts")
        .or("")
        .reloadable()
        .means("other host names under which browsers and proxies reach the admin pages, with or without a port"),
    text("MetricsUser")
        .or("")
        .reloadable()
        .means("user name that may read /metrics of the admin pages and nothing else; empty = none"),
    secret("MetricsPassword")
        .or("")
        .reloadable()
        .means("password of MetricsUser; must differ from APIPassword"),
    list("AvailableCoins")
        .reloadable()
        .docker_rules()
        .means("coins that sub-accounts may be switched to; required"),
    list("ZKBroker").docker_rules().means("ZooKeeper servers, each host:port, without a port 2181; required"),
    text("ZKSwitcherWatchDir").docker_rules().means("znode directory of the sub-accounts; required"),
    flag("EnableCronJob").means("poll the user-coin map"),
    number("CronIntervalSeconds", 1, 86_400, "60")
        .reloadable()
        .docker_rules()
        .means("seconds from the start of a poll to the start of the next; a longer poll delays the next"),
    key("UserCoinMapURL", KeyKind::Url)
        .reloadable()
        .docker_rules()
        .means("URL of the user-coin map; required with EnableCronJob"),
    key("UserListAPI", KeyKind::Urls)
        .docker_rules()
        .means("object of coins and the URLs of their user lists; environment: UserListAPI_COIN for each coin of AvailableCoins but auto; absent, {} or [] = no lists"),
    number("IntervalSeconds", 0, 86_400, "10")
        .docker_rules()
        .means("seconds from the end of a pull of a user list to the next; the safety period is 1.5 times as long; 0 = 10"),
    text("ZKUserCaseInsensitiveIndex")
        .or("")
        .docker_rules()
        .means("znode directory of the sub-accounts' spellings; empty = no index; not used with StratumServerCaseInsensitive"),
    text("ZKHeldSwitchDir")
        .or("")
        .means("znode directory of held switches; empty = ZKSwitcherWatchDir without its final slash, and _held/"),
    text("UserListAddr")
        .or("")
        .means("host:port of a listener for the user lists alone; empty = they are served at ListenAddr"),
    list("UserListAllow")
        .or("")
        .reloadable()
        .means("addresses and networks (10.0.0.0/8) whose clients may read the user lists; empty = all"),
    text("UserListUser")
        .or("")
        .reloadable()
        .means("user name for the user lists; empty = no credentials are asked for"),
    secret("UserListPassword")
        .or("")
        .reloadable()
        .means("password of UserListUser; must differ from APIPassword"),
    flag("EnableUserAutoReg").means("register unknown sub-accounts with the pool's backend"),
    text("ZKAutoRegWatchDir")
        .or("")
        .docker_rules()
        .means("znode directory of the stratum servers' requests for registration; required with EnableUserAutoReg"),
    key("UserAutoRegAPI_URL", KeyKind::Url)
        .docker_rules()
        .means("URL of the backend that registers; empty in the file = every registration fails; in the file, a field of the object UserAutoRegAPI, like the following"),
    text("UserAutoRegAPI_User")
        .or("")
        .docker_rules()
        .means("user name for the backend; empty = no credentials are sent"),
    secret("UserAutoRegAPI_Password").or("").docker_rules().means("password for the backend"),
    text("UserAutoRegAPI_DefaultCoin")
        .or("")
        .docker_rules()
        .means("first coin of a registered sub-account; it must have a user list"),
    key("UserAutoRegAPI_PostData", KeyKind::SecretTexts)
        .docker_rules()
        .means("object of texts to send; {sub_name} in a text is the sub-account's name; environment: JSON"),
    number("UserAutoRegAPI_IntervalSeconds", 0, 3600, "0")
        .docker_rules()
        .means("seconds from the backend's success to the end of a registration; with a URL from the environment 10 if absent; sserver needs 10"),
    number("UserAutoRegTimeoutSeconds", 1, 14, "5")
        .means("seconds for a request to the backend that registers"),
    number("UserAutoRegParallelRequests", 1, 64, "1")
        .means("requests to the backend that registers at a time"),
    flag("StratumServerCaseInsensitive").means("write sub-account names in lower case"),
    text("ZKSubPoolUpdateBaseDir")
        .or("")
        .means("znode directory of the sub-pools; empty = sub-pool API off"),
    seconds("ZKSubPoolUpdateAckTimeout", "5")
        .reloadable()
        .means("seconds to wait for a jobmaker's ack; before that, a request may wait the same time in the queue"),
    number("JobmakerCoinbaseMaxBytes", 1, 8192, "30")
        .reloadable()
        .means("bytes at which jobmakers cut coinbase_info (their own setting)"),
    seconds("CronFetchTimeoutSeconds", "30")
        .reloadable()
        .means("seconds for one fetch of the map: connection, header and whole body"),
    number("CronBodyLimitBytes", 1024, 1 << 30, "268435456")
        .reloadable()
        .means("largest user-coin map, in bytes after decompression"),
    number("CronOverlapSeconds", 0, 86_400, "0")
        .reloadable()
        .means("seconds subtracted from last_date, for an upstream that omits changes of that very second"),
    flag("CronRewriteUnchanged")
        .reloadable()
        .means("also write values that ZooKeeper already holds, so that its watches fire"),
    text("ZKPollerLockPath")
        .or("")
        .means("znode by which daemons elect the one that polls; empty = each daemon polls"),
    number("ZKSessionTimeoutSeconds", 1, 60, "5")
        .means("seconds of silence after which ZooKeeper ends the session"),
    seconds("ZKRequestTimeoutSeconds", "5")
        .reloadable()
        .means("seconds after which a switch that is not written gets an error; one second more for every 20,000 queued switches"),
    number("ZKQueueLimit", 1, 10_000_000, "1000000")
        .reloadable()
        .means("limit of queued switches, and a separate one of the same size for entries of dry runs; the daemon refuses more immediately"),
    secret("ZKDigestCredentials")
        .or("")
        .means("user:password for ZooKeeper's digest scheme; empty = none"),
    text("ZKTLSCAFile")
        .or("")
        .reloadable_while_set()
        .means("file with certificate authorities (PEM) of the ZooKeeper servers; connections to them then use TLS; empty = no TLS"),
    text("ZKTLSCertificateFile")
        .or("")
        .reloadable()
        .means("file with the daemon's certificate for ZooKeeper (PEM); empty = none"),
    text("ZKTLSPrivateKeyFile")
        .or("")
        .reloadable()
        .means("file with the private key of ZKTLSCertificateFile (PEM)"),
    text("ZKServerVersion")
        .or("")
        .means("oldest ZooKeeper version in the ensemble, like 3.4.13; empty = ask the servers"),
    number("APIBodyLimitBytes", 1024, 1 << 30, "16777216")
        .reloadable()
        .means("largest request body, in bytes"),
    seconds("APIHeadTimeoutSeconds", "5")
        .means("seconds for a client to send a request's head; also the limit of idle connections"),
    seconds("APIBodyTimeoutSeconds", "30")
        .reloadable()
        .means("seconds for a client to send a request's body"),
    number("ShutdownGraceSeconds", 1, 300, "8")
        .reloadable()
        .means("seconds from SIGTERM to the exit; keep it below the supervisor's limit"),
    text("HistoryFile")
        .or("")
        .means("file of the history, an SQLite database on a local disk, which one daemon writes; empty = off"),
    number("HistoryDays", 1, 36_500, "90").means("days for which switches are kept"),
    number("HistoryMaxBytes", 64 << 20, 1 << 50, "10737418240")
        .means("limit of the used bytes of HistoryFile; beyond it the oldest switches are dropped"),
    number("HistoryPayoutDays", 1, 36_500, "3650")
        .means("days for which changes of coinbase texts and payout addresses, and reloads, are kept"),
    text("HistoryKeyFile")
        .or("")
        .means("file with the key of the chain over these changes, created if absent; empty = HistoryFile with .key appended"),
    text("HistorySync")
        .or("updates")
        .means("updates, or all: a switch is answered with success only after its record is on the disk"),
    text("LogFormat").or("auto").means("human, json, or auto: human on a terminal, else json"),
    text("LogLevel")
        .or("info")
        .reloadable()
        .means("error, warn, info or debug, also by module, as in info,zk_writer=debug; -v 3 and -vmodule win"),
    number("LogFileSize", 0, 1 << 40, "104857600")
        .means("bytes after which the log file of -log_dir is rotated; 0 = never"),
    number("LogFileCount", 1, 1000, "10").means("rotated log files to keep"),
];

/// Finds a key by its name, in any case: the daemon that this one replaces reads names so.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.name == name)
        .or_else(|| KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name)))
}

/// Finds the key that a misspelt name probably stands for.
pub fn nearest(name: &str) -> Option<&'static str> {
    const CLOSE_ENOUGH: f64 = 0.87;
    let lower = name.to_lowercase();
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(&lower, &key.name.to_lowercase()), key.name))
        .filter(|(likeness, _)| *likeness >= CLOSE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_found_whatever_their_case() {
        assert_eq!(find("apiuser").map(|key| key.name), Some("APIUser"));
        assert!(find("APIUsr").is_none());
    }

    #[test]
    fn the_sample_and_the_reference_name_every_key() {
        let sample = include_str!("../../config/default.json");
        let reference = include_str!("../../docs/operate/configuration.md");
        for key in KEYS {
            let field = key.name.strip_prefix("UserAutoRegAPI_").unwrap_or(key.name);
            assert!(sample.contains(&format!("\"{field}\"")), "config/default.json: {}", key.name);
            assert!(reference.contains(&format!("`{}`", key.name)), "reference: {}", key.name);
        }
    }

    #[test]
    fn the_reference_marks_the_keys_that_a_reload_applies() {
        let reference = include_str!("../../docs/operate/configuration.md");
        let rows = reference.lines().filter(|line| line.starts_with("| `"));
        let marked = rows.filter(|row| row.ends_with(" | yes |"));
        let keys = marked.filter_map(|row| row.split(" | ").next());
        let listed: BTreeSet<_> =
            keys.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let reloadable = KEYS.iter().filter(|key| key.is_reloadable);
        assert_eq!(listed, reloadable.map(|key| key.name).collect());
    }

    #[test]
    fn a_misspelling_is_recognised_and_a_foreign_key_is_not() {
        assert_eq!(nearest("APIUsr"), Some("APIUser"));
        assert_eq!(nearest("ZKBrokers"), Some("ZKBroker"));
        assert_eq!(nearest("AvailableCoin"), Some("AvailableCoins"));
        assert_eq!(nearest("CronIntervalSecond"), Some("CronIntervalSeconds"));
        for foreign in ["MySQLHost", "StratumPort", "LogPath", "Comment", "_comment"] {
            assert_eq!(nearest(foreign), None, "{foreign}");
        }
    }
}
