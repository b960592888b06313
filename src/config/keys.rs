//! Every configuration key: its kind, default and meaning. `--help`, the checks, the environment and
//! the README's table all follow this list.

/// What a key's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// A URL, shown without credentials and query.
    Url,
    /// A text that is never shown.
    Secret,
    /// A whole number within limits, both inclusive.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A list of texts; in the environment, separated by commas.
    List,
}

impl Kind {
    /// Whether JSON writes such a value without quotes.
    pub fn is_bare(self) -> bool {
        matches!(self, Self::Flag | Self::Number { .. })
    }
}

/// One key of the configuration file, which is also the name of its environment variable.
#[derive(Debug)]
pub struct Key {
    /// The exact name.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value of an absent key, as the environment would spell it; `None`: see `meaning`.
    pub default: Option<&'static str>,
    /// What it decides, with its unit.
    pub meaning: &'static str,
    /// Whether a running daemon takes another value over when it reads its configuration again. Otherwise it
    /// refuses that, and needs a restart.
    pub is_reloadable: bool,
}

impl Key {
    /// The same key, of which a running daemon takes another value over.
    const fn reloadable(mut self) -> Self {
        self.is_reloadable = true;
        self
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Key {
    Key { name, kind, default, meaning, is_reloadable: false }
}

const SECONDS: Kind = Kind::Number { min: 1, max: 3600 };

/// All keys, the contract's (section 5) and ours.
pub const KEYS: &[Key] = &[
    key("EnableAPIServer", Kind::Flag, Some("false"), "serve the HTTP API"),
    key(
        "APIUser",
        Kind::Text,
        None,
        "user name for HTTP Basic authentication; required with the API",
    )
    .reloadable(),
    key(
        "APIPassword",
        Kind::Secret,
        None,
        "password for HTTP Basic authentication; required with the API",
    )
    .reloadable(),
    key("ListenAddr", Kind::Text, None, "host:port of the API; required with the API"),
    key(
        "AdminListenAddr",
        Kind::Text,
        Some("127.0.0.1:8083"),
        "host:port of the console, metrics, health, recent changes and the API's description; empty = off",
    ),
    key(
        "AdminHosts",
        Kind::List,
        Some(""),
        "host names that browsers and proxies call the admin pages by, apart from their address and localhost; a port is optional",
    )
    .reloadable(),
    key(
        "MetricsUser",
        Kind::Text,
        Some(""),
        "user name that opens /metrics of the admin pages and nothing else; empty = none but the API's",
    )
    .reloadable(),
    key("MetricsPassword", Kind::Secret, Some(""), "its password; not the API's").reloadable(),
    key("AvailableCoins", Kind::List, None, "coins that may be switched to; required").reloadable(),
    key("ZKBroker", Kind::List, None, "ZooKeeper servers, host:port each, without a port 2181; required"),
    key("ZKSwitcherWatchDir", Kind::Text, None, "znode directory of the sub-accounts; required"),
    key("EnableCronJob", Kind::Flag, Some("false"), "pull the user-coin map"),
    key(
        "CronIntervalSeconds",
        Kind::Number { min: 1, max: 86_400 },
        Some("60"),
        "seconds from the beginning of a pull to that of the next; one that takes longer delays it",
    )
    .reloadable(),
    key(
        "UserCoinMapURL",
        Kind::Url,
        None,
        "where the user-coin map is pulled from; required with the cron job",
    )
    .reloadable(),
    key(
        "StratumServerCaseInsensitive",
        Kind::Flag,
        Some("false"),
        "write sub-account names in lower case",
    ),
    key(
        "ZKSubPoolUpdateBaseDir",
        Kind::Text,
        Some(""),
        "znode directory of the sub-pools; empty = sub-pool API off",
    ),
    key(
        "ZKSubPoolUpdateAckTimeout",
        SECONDS,
        Some("5"),
        "seconds to wait for a jobmaker's ack, and before that as many for the request's turn",
    )
    .reloadable(),
    key(
        "JobmakerCoinbaseMaxBytes",
        Kind::Number { min: 1, max: 8192 },
        Some("30"),
        "bytes after which jobmakers cut coinbase_info (their own setting)",
    )
    .reloadable(),
    key(
        "CronFetchTimeoutSeconds",
        SECONDS,
        Some("30"),
        "seconds that a pull's fetch may take: connection, header and whole answer",
    )
    .reloadable(),
    key(
        "CronBodyLimitBytes",
        Kind::Number { min: 1024, max: 1 << 30 },
        Some("268435456"),
        "bytes of the largest user-coin map that is taken, unpacked",
    )
    .reloadable(),
    key(
        "CronOverlapSeconds",
        Kind::Number { min: 0, max: 86_400 },
        Some("0"),
        "seconds that are subtracted from last_date, for an upstream that does not send what changed in that very second",
    )
    .reloadable(),
    key(
        "CronRewriteUnchanged",
        Kind::Flag,
        Some("false"),
        "write what ZooKeeper holds already, too, so that its watches fire",
    )
    .reloadable(),
    key(
        "ZKPollerLockPath",
        Kind::Text,
        Some(""),
        "znode by which daemons choose the one that pulls; empty = each pulls",
    ),
    key(
        "ZKSessionTimeoutSeconds",
        Kind::Number { min: 1, max: 60 },
        Some("5"),
        "seconds of silence after which ZooKeeper ends our session",
    ),
    key(
        "ZKRequestTimeoutSeconds",
        SECONDS,
        Some("5"),
        "seconds after which a switch is answered, whatever ZooKeeper does; a second more for every 20,000 switches that wait",
    )
    .reloadable(),
    key(
        "ZKQueueLimit",
        Kind::Number { min: 1, max: 10_000_000 },
        Some("1000000"),
        "switches that may wait for ZooKeeper, and as many entries of dry runs; more are refused at once",
    )
    .reloadable(),
    key(
        "ZKDigestCredentials",
        Kind::Secret,
        Some(""),
        "user:password for ZooKeeper's digest scheme; empty = none",
    ),
    key(
        "ZKServerVersion",
        Kind::Text,
        Some(""),
        "oldest ZooKeeper version in the ensemble, like 3.4.13; empty = ask the servers",
    ),
    key(
        "APIBodyLimitBytes",
        Kind::Number { min: 1024, max: 1 << 30 },
        Some("16777216"),
        "bytes of the largest request body that is taken",
    )
    .reloadable(),
    key(
        "APIHeadTimeoutSeconds",
        SECONDS,
        Some("5"),
        "seconds that a client may take to send a request's head; idle connections are closed after as long",
    ),
    key(
        "APIBodyTimeoutSeconds",
        SECONDS,
        Some("30"),
        "seconds that a client may take to send a request's body",
    )
    .reloadable(),
    key(
        "ShutdownGraceSeconds",
        Kind::Number { min: 1, max: 300 },
        Some("8"),
        "seconds from SIGTERM to the end; keep it below your supervisor's patience",
    )
    .reloadable(),
    key(
        "LogFormat",
        Kind::Text,
        Some("auto"),
        "what log lines look like: human, json, or auto: human on a terminal, else json",
    ),
    key(
        "LogLevel",
        Kind::Text,
        Some("info"),
        "what is logged: error, warn, info or debug, and of single modules, as in info,zk_writer=debug; -v 3 and -vmodule win",
    )
    .reloadable(),
    key(
        "LogFileSize",
        Kind::Number { min: 0, max: 1 << 40 },
        Some("104857600"),
        "bytes after which the log file of -log_dir is renamed and a new one begun; 0 = never",
    ),
    key(
        "LogFileCount",
        Kind::Number { min: 1, max: 1000 },
        Some("10"),
        "old log files that are kept beside the one that grows",
    ),
];

/// The key of that name, whatever its case: the daemon that this one replaces reads names so.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.name == name)
        .or_else(|| KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name)))
}

/// The key that `name` was probably meant to be, if it is close to one.
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
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case() {
        assert_eq!(find("apiuser").map(|key| key.name), Some("APIUser"));
        assert!(find("APIUsr").is_none());
    }

    #[test]
    fn the_sample_and_the_readme_name_every_key() {
        let sample = include_str!("../../config/default.json");
        let readme = include_str!("../../README.md");
        for key in KEYS {
            assert!(
                sample.contains(&format!("\"{}\"", key.name)),
                "config/default.json: {}",
                key.name
            );
            assert!(readme.contains(&format!("`{}`", key.name)), "README.md: {}", key.name);
        }
    }

    #[test]
    fn the_readme_lists_the_keys_that_a_reload_takes_over() {
        let readme = include_str!("../../README.md");
        let (_, list) = readme.split_once("takes over other values of ").expect("the list");
        let (list, _) = list.split_once(".\n").expect("its end");
        let listed: Vec<_> = list.split('`').skip(1).step_by(2).collect();
        let reloadable = KEYS.iter().filter(|key| key.is_reloadable);
        assert_eq!(listed, reloadable.map(|key| key.name).collect::<Vec<_>>());
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
