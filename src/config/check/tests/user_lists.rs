//! Keys of user lists and registrations.

use super::*;

const LIST: &str = r#""UserListAPI": {"bcc": "http://h/bcc", "btc": "http://u:s3cret@h/btc?k=s3cret", "aaa": "http://h/a"},
    "IntervalSeconds": 2, "#;
const REGISTRATION: &str = r#""EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/reg",
    "UserAutoRegAPI": {"IntervalSeconds": 10, "URL": "http://h/reg", "User": "", "Password": "",
        "DefaultCoin": "btc", "PostData": {"sub_name": "{sub_name}", "token": "s3cret"}}, "#;

fn file(keys: &str) -> String {
    GOOD.replacen('{', &format!("{{{keys}"), 1)
}

fn lists_of(settings: &Settings) -> Vec<String> {
    let lists = settings.user_lists.iter().flat_map(|it| &it.lists);
    lists.map(|(coin, url)| format!("{coin} {url}")).collect()
}

#[test]
fn lists_come_in_the_order_of_the_coins() {
    let checked = load(&file(LIST), &[]).unwrap();
    let expected = ["btc http://h/btc?…", "bcc http://h/bcc", "aaa http://h/a"];
    assert_eq!(lists_of(&checked.settings), expected);
    let settings = &checked.settings;
    assert_eq!(settings.user_lists.as_ref().unwrap().interval, Duration::from_secs(2));
    assert_eq!(settings.writer.held_dir.as_str(), "/stratumSwitcher/btcbcc_held/");
    assert!(settings.registration.is_none());
    assert!(!checked.listing.concat().contains("s3cret"), "{:?}", checked.listing);
    let line = r#"UserListAPI = {"aaa": "http://h/a", "bcc": "http://h/bcc", "btc": "http://h/btc?…"} (file)"#;
    assert!(checked.listing.iter().any(|it| it == line), "{:?}", checked.listing);
}

#[test]
fn no_list_is_written_in_several_ways() {
    for keys in ["", r#""UserListAPI": {}, "#, r#""UserListAPI": [], "#, r#""UserListAPI": null, "#]
    {
        let checked = load(&file(keys), &[]).unwrap();
        assert!(checked.settings.user_lists.is_none() && checked.warnings.is_empty(), "{keys}");
    }
    let checked = load(&file(r#""userlistapi": {}, "UserListAPI": {"btc": "http://h/"}, "#), &[]);
    assert_eq!(lists_of(&checked.unwrap().settings), ["btc http://h/"]);
}

#[test]
fn an_interval_of_zero_is_ten_with_a_warning() {
    for (interval, seconds, warns) in [
        (r#""IntervalSeconds": 0, "#, 10, true),
        ("", 10, true),
        (r#""IntervalSeconds": 3, "#, 3, false),
    ] {
        let keys = format!(r#"{interval}"UserListAPI": {{"btc": "http://h/"}}, "#);
        let Checked { settings, warnings, .. } = load(&file(&keys), &[]).unwrap();
        assert_eq!(settings.user_lists.unwrap().interval, Duration::from_secs(seconds));
        assert_eq!(
            warnings.iter().any(|it| it.starts_with("IntervalSeconds")),
            warns,
            "{warnings:?}"
        );
    }
    let without_lists = load(&file(r#""IntervalSeconds": 0, "#), &[]).unwrap();
    assert!(without_lists.warnings.is_empty());
}

#[test]
fn the_environment_names_a_list_of_each_coin() {
    let environment = [
        ("UserListAPI_btc", "http://other/"),
        ("UserListAPI_ltc", "http://ignored/"),
        ("UserListAPI_auto", "http://ignored/"),
        ("AvailableCoins", "btc,bcc,auto"),
        ("UserListAllow", "10.0.0.0/8, ::1"),
    ];
    let checked = load(&file(LIST), &environment).unwrap();
    let expected = ["btc http://other/", "bcc http://h/bcc", "aaa http://h/a"];
    assert_eq!(lists_of(&checked.settings), expected);
    let line = checked.listing.iter().find(|line| line.starts_with("UserListAPI = ")).unwrap();
    assert!(line.ends_with("(environment variable UserListAPI_btc)"), "{line}");
    assert_eq!(checked.settings.callers.list_access.allow.len(), 2);
    let blank = load(GOOD, &[("UserListAPI_btc", "  ")]).unwrap_err();
    assert!(blank[0].starts_with("UserListAPI: its URL of \"btc\""), "{blank:?}");
    let json =
        load(GOOD, &[("UserListAPI", r#"{"ltc": "http://l/"}"#), ("UserListAPI_btc", "http://b/")]);
    assert_eq!(lists_of(&json.unwrap().settings), ["btc http://b/", "ltc http://l/"]);
}

#[test]
fn a_registration_is_an_object_or_variables() {
    let checked = load(&file(&format!("{LIST}{REGISTRATION}")), &[]).unwrap();
    let registration = checked.settings.registration.unwrap();
    assert_eq!(registration.dir.as_str(), "/reg/");
    assert_eq!(registration.default_coin.unwrap().as_str(), "btc");
    assert_eq!(
        (registration.wait, registration.timeout, registration.parallel),
        (Duration::from_secs(10), Duration::from_secs(5), 1)
    );
    assert_eq!(registration.post_data["token"], "s3cret");
    assert!(registration.credentials.is_none());
    assert!(!checked.listing.concat().contains("s3cret"), "{:?}", checked.listing);

    let environment = [
        ("EnableUserAutoReg", "true"),
        ("ZKAutoRegWatchDir", "/reg/"),
        ("UserListAPI_btc", "http://h/"),
        ("UserAutoRegAPI_URL", "http://h/reg"),
        ("UserAutoRegAPI_User", "u"),
        ("UserAutoRegAPI_Password", "s3cret-too"),
        ("UserAutoRegAPI_DefaultCoin", "btc"),
        ("UserAutoRegAPI_IntervalSeconds", "0"),
        ("UserAutoRegAPI_PostData", r#"{"sub_name": "{sub_name}"}"#),
        ("ZKUserCaseInsensitiveIndex", "0"),
    ];
    let checked = load(GOOD, &environment).unwrap();
    let registration = checked.settings.registration.unwrap();
    assert_eq!(registration.wait, Duration::from_secs(10));
    assert_eq!(registration.credentials, Some(("u".to_owned(), "s3cret-too".to_owned())));
    assert_eq!(registration.post_data["sub_name"], "{sub_name}");
    assert!(checked.settings.user_lists.unwrap().index.is_none());
    assert!(!checked.listing.concat().contains("s3cret-too"), "{:?}", checked.listing);
}

#[test]
fn what_cannot_work_is_named() {
    for (keys, start) in [
        (r#""UserListAPI": "http://u:s3cret@h/", "#, "UserListAPI: is \"http://h/\""),
        (r#""UserListAPI": ["http://u:s3cret@h/"], "#, "UserListAPI: is [\"http://h/\"]"),
        (r#""UserListAPI": {"btc": 5}, "#, "UserListAPI: is {\"btc\": 5}"),
        (r#""UserListAPI": {"btc": {"a": "s3cret"}}, "#, "UserListAPI: is {\"btc\": an object"),
        (r#""UserListAPI": {"b tc": "http://h/"}, "#, "UserListAPI: its coin \"b tc\""),
        (
            r#""UserListAPI": {"btc": "h/s3cret"}, "#,
            "UserListAPI: its URL of \"btc\" does not begin",
        ),
        (
            r#""UserListAPI": {"btc": "http://a/"}, "userlistapi": {"btc": "http://b/"}, "#,
            "UserListAPI: is in the file more",
        ),
        (r#""UserAutoRegAPI": "s3cret", "#, "UserAutoRegAPI: is no object"),
        (
            r#""UserAutoRegAPI": {"PostData": {"a": 1}}, "#,
            "UserAutoRegAPI_PostData: has a number in its \"a\" (file)",
        ),
        (
            r#""UserAutoRegAPI": {"PostData": "s3cret"}, "#,
            "UserAutoRegAPI_PostData: is a text (file)",
        ),
        (r#""UserListAPI": {"btc": " "}, "#, "UserListAPI: its URL of \"btc\" is empty"),
        (
            r#""UserListAllow": 5, "#,
            "UserListAllow: is 5 (file), expected a list of texts, like [\"10.0.0.0/8\"]",
        ),
        (
            r#""UserAutoRegAPI": {"IntervalSeconds": "x"}, "#,
            "UserAutoRegAPI_IntervalSeconds: is \"x\"",
        ),
        (r#""EnableUserAutoReg": true, "#, "ZKAutoRegWatchDir: is "),
        (
            r#""ZKUserCaseInsensitiveIndex": "/stratumSwitcher/btcbcc/", "#,
            "ZKUserCaseInsensitiveIndex: is \"/stratumSwitcher/btcbcc\", the same as",
        ),
        (r#""ZKAutoRegWatchDir": "/stratumSwitcher/btcbcc/x", "#, "ZKAutoRegWatchDir: is "),
        (r#""ZKHeldSwitchDir": "/stratumSwitcher", "#, "ZKHeldSwitchDir: is "),
        (
            r#""ZKAutoRegWatchDir": "/a//b", "#,
            "ZKAutoRegWatchDir: is \"/a//b\", which has a directory name that is empty: \"\"; expected an absolute",
        ),
        (r#""UserListAddr": "8084", "#, "UserListAddr: is "),
        (r#""UserListAddr": "0.0.0.0:8082", "#, "UserListAddr: is "),
        (r#""UserListAllow": ["10.0.0.1/8"], "#, "UserListAllow: contains "),
        (r#""UserListUser": "a", "#, "UserListPassword: is empty"),
        (
            r#""UserListUser": "a", "UserListPassword": "s3cret", "#,
            "UserListPassword: equals APIPassword",
        ),
        (
            r#""EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/reg", "UserAutoRegAPI": {"User": "a:b"}, "#,
            "UserAutoRegAPI_User: contains a colon",
        ),
    ] {
        let problems = load(&file(keys), &[]).unwrap_err();
        assert!(problems[0].starts_with(start), "{keys}: {problems:?}");
        assert!(!problems.concat().contains("s3cret"), "{problems:?}");
    }
    // Old files may hold both modules' directories, of which one is in no use.
    let taken = r#""ZKSubPoolUpdateBaseDir": "/stratumSwitcher/btcbcc_held/", "#;
    assert!(load(&file(taken), &[]).is_ok());
    let problems = load(&file(&format!("{taken}{LIST}")), &[]).unwrap_err();
    assert!(problems[0].starts_with("ZKHeldSwitchDir: is "), "{problems:?}");
}

/// Where there is no index, its directory may be anywhere.
#[test]
fn an_unused_index_is_no_problem() {
    let unused = r#""StratumServerCaseInsensitive": true, "ZKUserCaseInsensitiveIndex": "/stratumSwitcher/btcbcc/", "#;
    let Checked { settings, warnings, .. } = load(&file(unused), &[]).unwrap();
    assert!(settings.writer.index.is_none());
    assert!(warnings.iter().any(|it| it.contains("has no effect")), "{warnings:?}");
}

/// The default next to a misplaced directory is no second problem.
#[test]
fn a_misplaced_watch_directory_is_one_problem() {
    for misplaced in ["/", "/zookeeper/sw"] {
        let problems = load(&file(LIST), &[("ZKSwitcherWatchDir", misplaced)]).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with("ZKSwitcherWatchDir: "),
            "{problems:?}"
        );
    }
}

#[test]
fn what_hardly_works_is_warned_about() {
    let open = ("ListenAddr", ":8082");
    for (keys, environment, part) in [
        (LIST, vec![open], "without credentials by every client that reaches ListenAddr"),
        (LIST, vec![("UserListAddr", "0.0.0.0:8084")], "reaches UserListAddr"),
        ("", vec![("UserListAddr", "0.0.0.0:8084")], "UserListAddr has no effect"),
        (r#""UserListAPI": {"auto": "http://h/"}, "#, vec![], "list of \"auto\""),
        (r#""UserListAPI": {"BTC": "http://h/"}, "#, vec![], "the case matters"),
        (REGISTRATION, vec![], "registered sub-accounts get no znode"),
        (REGISTRATION, vec![("UserAutoRegAPI_IntervalSeconds", "11")], "are more than 15 together"),
        (
            REGISTRATION,
            vec![("UserAutoRegAPI_IntervalSeconds", "9")],
            "sserver polls the list every 10",
        ),
        (
            r#""EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/r", "UserAutoRegAPI": {}, "#,
            vec![],
            "every registration fails",
        ),
        (r#""UserListApis": {}, "#, vec![], "did you mean UserListAPI?"),
        (LIST, vec![], "a list of \"aaa\", which AvailableCoins lacks"),
        (
            r#""EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/r", "UserAutoRegAPI": {"PostData": {"a": "b"}}, "#,
            vec![],
            "has no {sub_name}",
        ),
        (
            LIST,
            vec![("ZKUserCaseInsensitiveIndex", "/i"), ("StratumServerCaseInsensitive", "true")],
            "ZKUserCaseInsensitiveIndex has no effect",
        ),
    ] {
        let warnings = load(&file(keys), &environment).unwrap().warnings;
        assert!(warnings.iter().any(|it| it.contains(part)), "{part}: {warnings:?}");
    }
    for environment in [
        vec![],
        vec![open, ("UserListAllow", "10.0.0.0/8")],
        vec![open, ("UserListUser", "u"), ("UserListPassword", "p")],
        vec![open, ("UserListAddr", "127.0.0.1:1")],
    ] {
        let warnings = load(&file(LIST), &environment).unwrap().warnings;
        assert!(!warnings.iter().any(|it| it.contains("without credentials")), "{warnings:?}");
    }
}

#[test]
fn lists_or_registrations_are_enough_to_do() {
    let off = [("EnableAPIServer", "false")];
    assert!(load(&file(LIST), &off).is_ok());
    assert!(load(&file(REGISTRATION), &off).is_ok());
    assert!(load(GOOD, &off).is_err());
}

/// A problem is not followed by warnings that its value is missing.
#[test]
fn a_value_that_was_not_read_causes_no_warning() {
    for (keys, environment) in [
        (r#""UserListAPI": {"btc": 5}, "IntervalSeconds": 5, "#, vec![]),
        (r#""UserListAPI": {"btc": "http://h/"}, "IntervalSeconds": "x", "#, vec![]),
        (LIST, vec![("UserAutoRegAPI_URL", "x")]),
        (LIST, vec![("UserAutoRegAPI_PostData", "x")]),
        (LIST, vec![("UserAutoRegAPI_IntervalSeconds", "x")]),
        (LIST, vec![("UserListAllow", "x"), ("ListenAddr", ":8082")]),
    ] {
        let file = file(&format!("{keys}{REGISTRATION}"));
        let Rejected { problems, warnings, .. } = load_or_reject(&file, &environment).unwrap_err();
        assert_eq!(problems.len(), 1, "{keys}: {problems:?}");
        let others = ["case", "AvailableCoins lacks"];
        let mut warnings = warnings.iter();
        let wrong = warnings.find(|it| !others.iter().any(|other| it.contains(other)));
        assert!(wrong.is_none(), "{keys} {environment:?}: {wrong:?}");
    }
    let twice = r#""EnableUserAutoReg": true, "ZKAutoRegWatchDir": 5, "#;
    assert_eq!(load(&file(twice), &[]).unwrap_err().len(), 1);
    let object = load(
        &file(r#""UserAutoRegAPI": 5, "EnableUserAutoReg": true, "ZKAutoRegWatchDir": "/r", "#),
        &[],
    );
    assert_eq!(object.unwrap_err().len(), 1);
}

#[test]
fn a_variable_of_no_coin_is_warned_about() {
    let mut raw = config::load::load_text(GOOD, |_| None);
    let names = ["UserListAPI_ltc", "UserListAPI_BTC", "UserListAPI_btc", "UserListAPI_auto"];
    raw.list_variables = names.map(str::to_owned).to_vec();
    let warnings = check(raw).unwrap().warnings;
    let ignored: Vec<_> = warnings.iter().filter(|it| it.contains("is ignored")).collect();
    assert_eq!(ignored.len(), 2, "{warnings:?}");
    assert!(
        ignored[0].contains("UserListAPI_ltc") && ignored[1].contains("\"BTC\""),
        "{ignored:?}"
    );
}

#[test]
fn an_empty_list_means_no_lists_in_the_environment_too() {
    let checked = load(&file(LIST), &[("UserListAPI", "[]")]).unwrap();
    assert!(checked.settings.user_lists.is_none());
}
