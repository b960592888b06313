//! Whole configurations through loading and checking.

mod docker;
mod history;
mod recorded;
mod spelling;
mod user_lists;
mod users;

use std::{ffi::OsString, io::Write, time::Duration};

use super::*;
use crate::config::{self, Credentials};

const GOOD: &str = r#"{
    "EnableAPIServer": true, "APIUser": "admin", "APIPassword": "s3cret", "ListenAddr": "127.0.0.1:8082",
    "AvailableCoins": ["btc", "bcc"], "ZKBroker": ["127.0.0.1:2181"],
    "ZKSwitcherWatchDir": "/stratumSwitcher/btcbcc"
}"#;

fn load(json: &str, environment: &[(&str, &str)]) -> Result<Checked, Vec<String>> {
    load_or_reject(json, environment)
        .map_err(|rejected| rejected.problems.iter().map(ToString::to_string).collect())
}

fn load_or_reject(json: &str, environment: &[(&str, &str)]) -> Result<Checked, Rejected> {
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    file.write_all(json.as_bytes()).unwrap();
    let find = |name: &str| {
        let found = environment.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    config::load(Some(file.path()), find)
}

#[test]
fn a_file_in_use_today_passes() {
    let checked = load(GOOD, &[]).unwrap();
    let api = checked.settings.api.unwrap();
    assert_eq!(api.listen, "127.0.0.1:8082");
    assert_eq!(checked.settings.writer.watch_dir.as_str(), "/stratumSwitcher/btcbcc/");
    assert_eq!(checked.settings.writer.limits.request_timeout, Duration::from_secs(5));
    assert_eq!(checked.settings.writer.limits.queue_limit, 1_000_000);
    assert!(checked.warnings.is_empty());
}

#[test]
fn the_environment_overrides_and_guesses_no_types() {
    let environment = [
        ("APIPassword", "007"),
        ("AvailableCoins", "ltc, auto"),
        ("ZKBroker", "a:2181,b:2182"),
        ("StratumServerCaseInsensitive", "true"),
        ("ZKRequestTimeoutSeconds", "9"),
    ];
    let settings = load(GOOD, &environment).unwrap().settings;
    let callers = settings.callers;
    assert_eq!(callers.credentials.unwrap().password, "007");
    assert!(callers.lower_case);
    assert_eq!(callers.coins.iter().map(|coin| coin.as_str()).collect::<Vec<_>>(), ["ltc", "auto"]);
    assert_eq!(settings.writer.zookeeper.brokers, ["a:2181", "b:2182"]);
    assert_eq!(settings.writer.limits.request_timeout, Duration::from_secs(9));
}

#[test]
fn the_environment_alone_is_enough() {
    let environment = [
        ("EnableAPIServer", "true"),
        ("APIUser", "admin"),
        ("APIPassword", "x"),
        ("ListenAddr", ":8082"),
        ("AvailableCoins", "btc"),
        ("ZKBroker", "zk:2181"),
        ("ZKSwitcherWatchDir", "/w/"),
    ];
    let find = |name: &str| {
        let found = environment.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let settings = config::load(None, find).unwrap().settings;
    assert_eq!(settings.api.unwrap().listen, ":8082");
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = load(
        r#"{"EnableAPIServer": true, "EnableCronJob": "yes", "CronIntervalSeconds": 0,
            "AvailableCoins": [], "ZKBroker": ["localhost:"], "ZKSwitcherWatchDir": "relative/",
            "ZKSubPoolUpdateBaseDir": "subpool", "ZKSubPoolUpdateAckTimeout": "5",
            "ZKServerVersion": "3.3.1", "ZKDigestCredentials": "nocolon", "ListenAddr": "8082"}"#,
        &[("APIUser", "")],
    )
    .unwrap_err();
    let expected = [
        "EnableCronJob: is \"yes\"",
        "AvailableCoins: is empty",
        "ZKBroker: contains \"localhost:\", expected host:port",
        "ZKServerVersion: is \"3.3.1\"",
        "ZKDigestCredentials: is not of the form user:password",
        "ZKSwitcherWatchDir: is \"relative/\"",
        "APIUser: is missing",
        "APIPassword: is missing",
        "ListenAddr: is \"8082\", expected host:port",
        "CronIntervalSeconds: is 0",
        "ZKSubPoolUpdateAckTimeout: is \"5\"",
        "ZKSubPoolUpdateBaseDir: is \"subpool\"",
    ];
    for start in expected {
        assert!(
            problems.iter().any(|problem| problem.starts_with(start)),
            "{start}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn names_match_whatever_their_case_and_null_is_absent() {
    let json = GOOD.replace("APIUser", "apiuser").replacen('{', "{\"ZKQueueLimit\": null,", 1);
    let settings = load(&json, &[("APIUser", "root")]).unwrap().settings;
    assert_eq!(settings.callers.credentials.unwrap().user, "root");
    assert_eq!(settings.writer.limits.queue_limit, 1_000_000);
}

#[test]
fn a_misspelling_is_warned_about_and_a_foreign_key_is_not() {
    let json = GOOD.replacen('{', r#"{"ZKQueueLimits": 1, "MySQLHost": "db","#, 1);
    let warnings = load(&json, &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("ZKQueueLimits") && warnings[0].contains("did you mean ZKQueueLimit?")
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let environment = [("ZKDigestCredentials", "switcher:s3cret")];
    let checked = load(GOOD, &environment).unwrap();
    assert!(!format!("{checked:?}").contains("s3cret"));
    for (url, shown) in [
        ("http://user:s3cret@host/map?token=s3cret", "http://host/map?…"),
        ("http://user:a@s3cret@host/map", "http://host/map"),
        ("http://host/map", "http://host/map"),
    ] {
        let environment = [("UserCoinMapURL", url)];
        let listing = load(GOOD, &environment).unwrap().listing;
        assert!(listing.iter().any(|line| line.contains(shown)), "{listing:?}");
        assert!(!listing.concat().contains("s3cret"), "{listing:?}");
    }
    let no_url = [("EnableCronJob", "true"), ("UserCoinMapURL", "http://u:a@s3cret@:80/?s3cret")];
    let problems = load(GOOD, &no_url).unwrap_err();
    assert!(problems[0].contains("UserCoinMapURL") && !problems.concat().contains("s3cret"));
    let problems = load(&GOOD.replace("\"s3cret\"", "[\"s3cret\"]"), &[]).unwrap_err();
    assert!(problems[0].starts_with("APIPassword") && !problems.concat().contains("s3cret"));
}

#[test]
fn values_of_the_wrong_type_or_out_of_range_are_reported() {
    for (key, value) in [
        ("EnableAPIServer", "1"),
        ("APIUser", "5"),
        ("AvailableCoins", "\"btc\""),
        ("AvailableCoins", "[1]"),
        ("ZKSessionTimeoutSeconds", "0"),
        ("ZKSessionTimeoutSeconds", "2.5"),
        ("ZKQueueLimit", "-1"),
        ("ListenAddr", "\"127.0.0.1:99999\""),
        ("ListenAddr", "\"::1:80\""),
        ("ZKBroker", "[\":2181\"]"),
        ("ZKBroker", "[\"a:2181/chroot\"]"),
        ("APIUser", "\"a:b\""),
    ] {
        let json = replace(key, value);
        let problems = load(&json, &[]).unwrap_err();
        assert!(
            problems.iter().all(|problem| problem.starts_with(key)),
            "{key}={value}: {problems:?}"
        );
    }
}

/// The good file with one key's value in place of its own.
fn replace(key: &str, value: &str) -> String {
    let mut json: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    json[key] = serde_json::from_str(value).unwrap();
    json.to_string()
}

#[test]
fn a_file_that_is_no_json_object_is_reported_with_its_place() {
    for json in ["", "[]", "\"hunter2\"", "{\"APIPassword\": \"hunter2\", }"] {
        let problems = load(json, &[]).unwrap_err();
        assert!(problems[0].contains("is no JSON"), "{problems:?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }
    let missing = config::load(Some(std::path::Path::new("/nowhere.json")), |_| None).unwrap_err();
    assert!(missing.problems[0].to_string().contains("/nowhere.json cannot be read: No such file"));
}

#[test]
fn a_key_in_two_spellings_is_refused_not_drawn_by_lot() {
    let problems = load(&GOOD.replacen('{', r#"{"apiuser": "root","#, 1), &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("APIUser: is in the file more than once"));
}

#[cfg(unix)]
#[test]
fn an_environment_variable_that_is_no_text_is_reported() {
    use std::os::unix::ffi::OsStringExt;

    let find = |name: &str| (name == "APIPassword").then(|| OsString::from_vec(vec![0xff]));
    let rejected = config::load(None, find).unwrap_err();
    let problem = "APIPassword: environment variable APIPassword is not UTF-8";
    assert!(rejected.problems.iter().any(|found| found.to_string() == problem));
}

#[test]
fn a_misspelling_is_named_where_the_key_is_missed() {
    let rejected = load_or_reject(&GOOD.replace("APIPassword", "APIPasword"), &[]).unwrap_err();
    assert!(rejected.problems[0].to_string().starts_with("APIPassword: is missing"));
    assert!(rejected.warnings[0].contains("did you mean APIPassword?"));
}

#[test]
fn with_nothing_to_do_it_does_not_start() {
    let problems = load(&GOOD.replace("true", "false"), &[]).unwrap_err();
    assert!(problems[0].contains("nothing to do"));
}

#[test]
fn the_admin_listener_is_on_unless_its_address_is_empty() {
    let settings = load(GOOD, &[]).unwrap().settings;
    let admin = settings.admin.unwrap();
    assert_eq!(admin.listen, "127.0.0.1:8083");
    assert_eq!(settings.callers.credentials.unwrap().password, "s3cret");
    assert!(load(GOOD, &[("AdminListenAddr", "")]).unwrap().settings.admin.is_none());
}

#[test]
fn a_scraper_has_credentials_of_its_own_or_none() {
    let scraper = |user, password| {
        let loaded = load(GOOD, &[("MetricsUser", user), ("MetricsPassword", password)]);
        loaded.map(|checked| checked.settings.callers.scraper)
    };
    assert!(load(GOOD, &[]).unwrap().settings.callers.scraper.is_none());
    assert!(scraper("", "").unwrap().is_none());
    let credentials = scraper("prometheus", "looks-only").unwrap().unwrap();
    assert_eq!((&*credentials.user, &*credentials.password), ("prometheus", "looks-only"));
    // Two passwords for one name are two passwords.
    assert!(scraper("admin", "looks-only").unwrap().is_some());
    for (user, password, problem) in [
        ("prometheus", "", "MetricsPassword: is empty, and MetricsUser is not"),
        ("", "looks-only", "MetricsUser: is empty, and MetricsPassword is not"),
        ("a:b", "looks-only", "MetricsUser: contains a colon"),
        ("prometheus", "s3cret", "MetricsPassword: equals APIPassword"),
    ] {
        let problems = scraper(user, password).unwrap_err();
        assert!(problems[0].starts_with(problem) && problems.len() == 1, "{problems:?}");
    }
    let checked = load(GOOD, &[("MetricsUser", "prometheus"), ("MetricsPassword", "looks-only")]);
    let listing = checked.unwrap().listing.join("\n");
    assert!(listing.contains("MetricsPassword") && !listing.contains("looks-only"), "{listing}");
}

#[test]
fn an_admin_address_that_cannot_work_is_reported() {
    let reported = |value| load(GOOD, &[("AdminListenAddr", value)]).unwrap_err();
    for value in ["8083", "127.0.0.1", "127.0.0.1:99999", "a b:1"] {
        let problems = reported(value);
        assert!(
            problems[0].starts_with("AdminListenAddr: ") && problems.len() == 1,
            "{problems:?}"
        );
    }
    for value in ["127.0.0.1:8082", ":8082", "0.0.0.0:8082"] {
        assert!(reported(value)[0].contains("overlaps ListenAddr"), "{value}");
    }
}

#[test]
fn an_api_where_the_admin_pages_would_be_by_default_does_without_them() {
    for listen in ["127.0.0.1:8083", "0.0.0.0:8083", ":8083", "[::]:8083"] {
        let checked = load(GOOD, &[("ListenAddr", listen)]).unwrap();
        assert!(checked.settings.admin.is_none(), "{listen}");
        assert!(checked.warnings[0].contains("there are no admin pages"), "{:?}", checked.warnings);
    }
    let elsewhere = load(GOOD, &[("ListenAddr", "10.0.0.1:8083")]).unwrap();
    assert!(elsewhere.settings.admin.is_some_and(|admin| !admin.is_given));
}

#[test]
fn without_the_api_its_credentials_may_be_missing_but_that_is_reported() {
    let polls = r#"{
        "EnableCronJob": true, "UserCoinMapURL": "http://127.0.0.1:8000/", "AvailableCoins": ["btc"],
        "ZKBroker": ["127.0.0.1:2181"], "ZKSwitcherWatchDir": "/stratumSwitcher/btcbcc"
    }"#;
    let checked = load(polls, &[]).unwrap();
    assert!(checked.settings.admin.is_some() && checked.settings.callers.credentials.is_none());
    assert!(checked.warnings[0].contains("only /healthz and /readyz will answer"));
    let scraper = [("MetricsUser", "prometheus"), ("MetricsPassword", "looks-only")];
    let scraped = load(polls, &scraper).unwrap();
    assert!(scraped.warnings[0].contains("only /healthz, /readyz and /metrics will answer"));
    let known = load(polls, &[("APIUser", "admin"), ("APIPassword", "s3cret")]).unwrap();
    assert!(known.settings.admin.is_some() && known.settings.callers.credentials.is_some());
    assert!(known.warnings.is_empty());
    assert!(load(polls, &[("AdminListenAddr", "")]).unwrap().warnings.is_empty());
}

/// Another value than by default and than in `GOOD`, as the environment spells it.
fn another(key: &Key) -> String {
    let text = match (key.name, key.kind) {
        ("EnableAPIServer" | "EnableCronJob", _) => "false",
        ("APIUser" | "APIPassword", _) => "another",
        ("MetricsUser" | "MetricsPassword" | "UserListUser" | "UserListPassword", _) => "scraper2",
        ("UserListAddr", _) => "127.0.0.1:8098",
        ("UserListAllow" | "TrustedProxies", _) => "10.0.0.0/8,::1",
        ("APIRoles", _) => "switcher,payout",
        ("TLSListeners", _) => "api",
        ("IntervalSeconds", _) => "7",
        ("UserAutoRegAPI_URL", _) => "http://elsewhere/register",
        ("UserAutoRegAPI_Password", _) => "another",
        (_, KeyKind::Urls) => r#"{"btc":"http://elsewhere/list"}"#,
        (_, KeyKind::SecretTexts) => r#"{"sub_name":"{sub_name}"}"#,
        ("ListenAddr" | "AdminListenAddr", _) => "127.0.0.1:8099",
        ("AdminHosts", _) => "console.example.com,gate:8443",
        ("AvailableCoins", _) => "btc,ltc",
        ("HistorySync", _) => "all",
        ("LogFormat", _) => "json",
        ("LogLevel", _) => "info,zk_writer=debug",
        ("ZKBroker", _) => "elsewhere:2181",
        ("ZKServerVersion", _) => "3.4.13",
        ("ZKDigestCredentials", _) => "another:secret",
        ("UserCoinMapURL", _) => "http://elsewhere/map",
        (_, KeyKind::Flag) => "true",
        (_, KeyKind::Number { min, .. }) => {
            return (if key.default == Some(&min.to_string()) { min + 1 } else { min }).to_string();
        }
        (_, KeyKind::Text) => "/elsewhere/for/this",
        (name, kind) => panic!("what else may {name} be, which is {kind:?}?"),
    };
    text.to_owned()
}

#[test]
fn each_key_that_a_reload_takes_over_changes_what_a_reload_hands_on() {
    let on = [
        ("EnableCronJob", "true"),
        ("UserCoinMapURL", "http://here/map"),
        ("ZKSubPoolUpdateBaseDir", "/subpools"),
        ("MetricsUser", "scraper"),
        ("MetricsPassword", "scraping"),
        ("UserListUser", "sserver"),
        ("UserListPassword", "polling"),
        ("ZKAutoRegWatchDir", "/requests"),
        ("UserAutoRegAPI_URL", "http://here/register"),
        ("UserAutoRegAPI_DefaultCoin", "btc"),
        ("TLSCertificateFile", "/certificate"),
        ("TLSPrivateKeyFile", "/key"),
        ("ZKTLSCAFile", "/authorities"),
        ("ZKTLSCertificateFile", "/certificate-of-client"),
        ("ZKTLSPrivateKeyFile", "/key-of-client"),
    ];
    let with = |key: &str, value: &str| {
        let on = on.into_iter().filter(|(name, _)| *name != key);
        load(GOOD, &on.chain([(key, value)]).collect::<Vec<_>>()).unwrap()
    };
    // Credentials are not shown.
    let handed_on = |checked: Checked| {
        let new = checked.settings.reloadable();
        let of = |credentials: &Option<Credentials>| {
            credentials.clone().map(|it| (it.user, it.password))
        };
        let lists = of(&new.callers.list_access.credentials);
        (format!("{new:?}"), of(&new.callers.credentials), of(&new.callers.scraper), lists)
    };
    for key in KEYS {
        let (before, after) = (with("", ""), with(key.name, &another(key)));
        let changes = before.values.changes_to(&after.values);
        let changed: Vec<_> = changes.iter().map(|it| (it.key, it.is_reloadable)).collect();
        assert_eq!(changed, [(key.name, key.is_reloadable)]);
        // Contents of files are no settings.
        if key.is_reloadable && !key.name.contains("TLS") {
            assert_ne!(handed_on(before), handed_on(after), "{} is not handed on", key.name);
        }
    }
}

#[test]
fn a_change_is_reported_without_secrets_and_whatever_its_place() {
    let reported = |json: &str, environment: &[(&str, &str)]| {
        let (before, after) = (load(GOOD, &[]).unwrap(), load(json, environment).unwrap());
        let changes = before.values.changes_to(&after.values);
        changes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(
        reported(GOOD, &[("AvailableCoins", "btc, bcc"), ("ZKQueueLimit", "1000000")]).is_empty()
    );
    assert_eq!(
        reported(
            &GOOD.replace("\"bcc\"", "\"ltc\""),
            &[("APIPassword", "hidden"), ("ZKQueueLimit", "7")]
        ),
        [
            "APIPassword (not shown)",
            "AvailableCoins from [\"btc\", \"bcc\"] to [\"btc\", \"ltc\"]",
            "ZKQueueLimit from 1000000 to 7",
        ]
    );
    let url = |url: &str| load(GOOD, &[("UserCoinMapURL", url)]).unwrap().values;
    let changes =
        url("http://u:s3cr3t@here/?token=a").changes_to(&url("http://u:other@here/?token=b"));
    assert_eq!(changes[0].to_string(), "UserCoinMapURL (not shown)");
}

#[test]
fn proxies_are_networks_and_not_all_addresses() {
    let load = |value: &str| load(GOOD, &[("TrustedProxies", value)]);
    let proxies = load("127.0.0.1, fd00::/8").unwrap();
    assert_eq!((proxies.settings.callers.trusted_proxies.len(), proxies.warnings.len()), (2, 0));
    for all in ["0.0.0.0/0", "10.0.0.1,::/0"] {
        let warnings = load(all).unwrap().warnings;
        assert!(warnings[0].starts_with("TrustedProxies has a network of all"), "{warnings:?}");
    }
    for wrong in ["proxy.example.com", "10.0.0.1/8", "10.0.0.0/33"] {
        assert!(load(wrong).unwrap_err()[0].contains("TrustedProxies"));
    }
}

#[test]
fn an_admin_host_is_one_that_browsers_can_send() {
    let hosts = |value: &str| {
        let callers = load(GOOD, &[("AdminHosts", value)]).map(|checked| checked.settings.callers);
        callers.map(|it| it.admin_hosts.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert!(hosts("").unwrap().is_empty());
    assert_eq!(
        hosts("Console.Example.com., gate:8443,[2001:db8::1]").unwrap(),
        ["console.example.com", "gate:8443", "[2001:db8::1]"]
    );
    for wrong in
        ["http://gate", "gate/console", "*.example.com", "\"gate\"", "gate:x", "::1", "a b"]
    {
        let value = format!("good,{wrong}");
        let problems = hosts(&value).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let text = &problems[0];
        for part in ["AdminHosts: contains", &format!("{wrong:?}"), "console.example.com:8443"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
