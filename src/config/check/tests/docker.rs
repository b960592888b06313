//! The environment by the rules of the Go daemon's Docker image (user-list contract, section 9).

use super::*;

/// A whole environment with registrations.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("AvailableCoins", "btc,bcc,auto"),
    ("ZKBroker", "zk1:2181,zk2:2181"),
    ("ZKSwitcherWatchDir", "/sw/"),
    ("UserListAPI_btc", "http://h/btc"),
    ("EnableUserAutoReg", "true"),
    ("ZKAutoRegWatchDir", "/reg/"),
    ("UserAutoRegAPI_URL", "http://h/reg"),
    ("UserAutoRegAPI_DefaultCoin", "btc"),
    ("UserAutoRegAPI_PostData", r#"{"sub_name": "{sub_name}"}"#),
    ("EnableAPIServer", "true"),
    ("APIUser", "admin"),
    ("APIPassword", "s3cret"),
    ("ListenAddr", "127.0.0.1:8082"),
    ("EnableCronJob", "true"),
    ("UserCoinMapURL", "http://h/map"),
];

/// Loads [`ENVIRONMENT`] with one variable replaced, without a file.
fn alone(name: &str, text: &str) -> Result<Checked, Vec<String>> {
    let others = ENVIRONMENT.iter().filter(|(it, _)| *it != name);
    let environment: Vec<_> = others.copied().chain([(name, text)]).collect();
    let find = |name: &str| {
        let found = environment.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let strings = |it: Rejected| it.problems.iter().map(ToString::to_string).collect();
    config::load(None, find).map_err(strings)
}

#[test]
fn a_blank_or_zero_is_no_value() {
    for blank in ["", "  ", "0", " 0 "] {
        for (name, problem) in [
            ("AvailableCoins", "AvailableCoins: is empty"),
            ("ZKBroker", "ZKBroker: is empty"),
            ("ZKSwitcherWatchDir", "ZKSwitcherWatchDir: is missing"),
            ("ListenAddr", "ListenAddr: is missing"),
            ("APIUser", "APIUser: is missing"),
            ("APIPassword", "APIPassword: is missing"),
            ("UserCoinMapURL", "UserCoinMapURL: is missing"),
            ("ZKAutoRegWatchDir", "ZKAutoRegWatchDir: is empty"),
            ("UserAutoRegAPI_URL", "UserAutoRegAPI_URL: is missing"),
            ("UserAutoRegAPI_DefaultCoin", "UserAutoRegAPI_DefaultCoin: is empty"),
        ] {
            let problems = alone(name, blank).unwrap_err();
            assert!(problems[0].starts_with(problem), "{name}={blank:?}: {problems:?}");
            let cause = format!("variable {name} is blank or 0, which counts as absent");
            assert!(problems[0].contains(&cause), "{name}={blank:?}: {problems:?}");
            assert_eq!(problems.len(), 1, "{name}={blank:?}: {problems:?}");
        }
        for name in ["UserAutoRegAPI_User", "UserAutoRegAPI_Password", "ZKUserCaseInsensitiveIndex"]
        {
            assert!(alone(name, blank).is_ok(), "{name}={blank:?}");
        }
        let interval = |name, text| {
            let Settings { poller, user_lists, registration, .. } =
                alone(name, text).unwrap().settings;
            let seconds = [
                poller.unwrap().interval,
                user_lists.unwrap().interval,
                registration.unwrap().wait,
            ];
            seconds.map(|it| it.as_secs())
        };
        for name in ["CronIntervalSeconds", "IntervalSeconds", "UserAutoRegAPI_IntervalSeconds"] {
            assert_eq!(interval(name, blank), [60, 10, 10], "{name}={blank:?}");
        }
        assert!(alone("UserListAPI_btc", blank).is_err(), "{blank:?}");
    }
}

#[test]
fn with_a_file_a_blank_leaves_its_value() {
    let file = GOOD.replacen('{', r#"{"CronIntervalSeconds": 7, "#, 1);
    for blank in ["", " ", "0"] {
        let names = ["AvailableCoins", "ZKBroker", "APIUser", "CronIntervalSeconds", "ListenAddr"];
        let Checked { values, listing, .. } =
            load(&file, &names.map(|name| (name, blank))).unwrap();
        assert!(load(&file, &[]).unwrap().values.changes_to(&values).is_empty(), "{listing:?}");
    }
    // Flags have false in that place.
    let off = load(&file, &[("EnableAPIServer", "0"), ("UserListAPI_btc", "http://h/")]).unwrap();
    assert!(off.settings.api.is_none());
    // Keys that the image does not have keep their meaning.
    for (name, blank) in
        [("ZKQueueLimit", "0"), ("ZKQueueLimit", ""), ("ZKSessionTimeoutSeconds", "0")]
    {
        assert!(load(GOOD, &[(name, blank)]).unwrap_err()[0].starts_with(name), "{name}={blank:?}");
    }
    assert!(load(GOOD, &[("AdminListenAddr", "")]).unwrap().settings.admin.is_none());
    let never = load(GOOD, &[("LogFileSize", "0")]).unwrap();
    assert_eq!(never.settings.log.rotation.size, 0);
}

#[test]
fn a_list_has_no_empty_item() {
    for (name, texts) in [
        ("AvailableCoins", ["btc,", ",btc", "btc,,bcc", "btc, ,bcc", ","]),
        ("ZKBroker", ["zk1:2181,", ",zk1", "zk1,,zk2", "zk1, ,zk2", ","]),
    ] {
        for text in texts {
            let problems = alone(name, text).unwrap_err();
            let problem = problems.iter().find(|it| it.starts_with(&format!("{name}: ")));
            assert!(problem.is_some_and(|it| it.contains("an item is empty")), "{problems:?}");
        }
    }
    let settings = alone("ZKBroker", " zk1 , zk2:2182 ").unwrap().settings;
    assert_eq!(settings.writer.zookeeper.brokers, ["zk1:2181", "zk2:2182"]);
    assert!(load(GOOD, &[("UserListAllow", "10.0.0.0/8,")]).is_ok());
}

#[test]
fn a_default_coin_of_the_environment_is_available() {
    for wrong in ["ltc", "BTC", " btc", "btc "] {
        let problems = alone("UserAutoRegAPI_DefaultCoin", wrong).unwrap_err();
        let start =
            format!("UserAutoRegAPI_DefaultCoin: is \"{wrong}\", which is not in AvailableCoins");
        assert!(problems[0].starts_with(&start) && problems.len() == 1, "{problems:?}");
    }
    for without_list in ["bcc", "auto"] {
        let Checked { settings, warnings, .. } =
            alone("UserAutoRegAPI_DefaultCoin", without_list).unwrap();
        assert!(settings.registration.unwrap().default_coin.is_none());
        assert!(warnings.iter().any(|it| it.contains("no list in UserListAPI")), "{warnings:?}");
    }
    let off = ENVIRONMENT.iter().copied().filter(|(name, _)| *name != "EnableUserAutoReg");
    let off: Vec<_> = off.chain([("UserAutoRegAPI_DefaultCoin", "ltc")]).collect();
    assert!(load("{}", &off).is_ok());
}

#[test]
fn a_file_needs_neither_backend_nor_available_default_coin() {
    for api in [
        "",
        r#""UserAutoRegAPI": {"URL": "", "DefaultCoin": ""}, "#,
        r#""UserAutoRegAPI": {"DefaultCoin": "ltc"}, "#,
    ] {
        let keys = format!(r#"{{{api}"EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/reg", "#);
        let warnings = load(&GOOD.replacen('{', &keys, 1), &[]).unwrap().warnings;
        for part in ["every registration fails", "no list in UserListAPI"] {
            assert!(warnings.iter().any(|it| it.contains(part)), "{api}: {warnings:?}");
        }
    }
}

#[test]
fn the_listing_has_the_wait_that_applies() {
    let listed = |checked: Checked| {
        let line = checked.listing.into_iter();
        line.filter(|it| it.starts_with("UserAutoRegAPI_IntervalSeconds")).collect::<Vec<_>>()
    };
    let key = "UserAutoRegAPI_IntervalSeconds";
    let from_environment = format!("{key} = 10 (default with a URL from the environment)");
    assert_eq!(listed(alone(key, "0").unwrap()), [from_environment]);
    let variable = format!("{key} = 3 (environment variable {key})");
    assert_eq!(listed(alone(key, "3").unwrap()), [variable]);
    assert_eq!(listed(load(GOOD, &[]).unwrap()), [format!("{key} = 0 (default)")]);
    let file = GOOD.replacen('{', r#"{"UserAutoRegAPI": {"IntervalSeconds": 0}, "#, 1);
    let url = [("UserAutoRegAPI_URL", "http://h/")];
    assert_eq!(listed(load(&file, &url).unwrap()), [format!("{key} = 0 (file)")]);
}
