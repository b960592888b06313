//! Values as operators, editors and other programs write them: accepted, or refused with the likely cause.

use super::*;

#[test]
fn whole_numbers_are_read_in_any_spelling_and_shown_as_written() {
    let json =
        GOOD.replacen('{', r#"{"CronBodyLimitBytes": 1.048576e+08, "ZKQueueLimit": 6e1,"#, 1);
    let json = json.replacen('{', r#"{"ZKRequestTimeoutSeconds": 60.0, "LogFileSize": 0.0,"#, 1);
    let checked = load(&json, &[("APIBodyLimitBytes", "1.6777216e+07")]).unwrap();
    assert_eq!(checked.settings.writer.limits.queue_limit, 60);
    assert_eq!(checked.settings.writer.limits.request_timeout, Duration::from_secs(60));
    assert_eq!(checked.settings.callers.body_limit, 16_777_216);
    assert!(checked.listing.contains(&"CronBodyLimitBytes = 1.048576e+08 (file)".to_owned()));
    let plain = GOOD.replacen('{', r#"{"CronBodyLimitBytes": 104857600, "ZKQueueLimit": 60,"#, 1);
    let plain = plain.replacen('{', r#"{"ZKRequestTimeoutSeconds": 60,"LogFileSize": 0,"#, 1);
    let changes = checked.values.changes_to(&load(&plain, &[]).unwrap().values);
    assert!(changes.is_empty(), "the same numbers: {:?}", changes.len());

    for key in KEYS.iter().filter(|key| matches!(key.kind, KeyKind::Number { .. })) {
        for value in ["60.5", "1e400", "-1", "-60.0", "1e-400", "2e30"] {
            let json = GOOD.replacen('{', &format!("{{\"{}\": {value},", key.name), 1);
            let problems = load(&json, &[]).unwrap_err();
            let start = format!("{}: is {value} (file), expected a whole number from", key.name);
            assert!(problems.len() == 1 && problems[0].starts_with(&start), "{problems:?}");
        }
    }
}

#[test]
fn an_error_says_that_a_value_needs_no_quotes() {
    let reported = |key, value: &str, environment: &[(&str, &str)]| {
        let json = GOOD.replacen('{', &format!("{{\"{key}\": {value},"), 1);
        load(&json, environment).unwrap_err().join("\n")
    };
    let problem = reported("ZKQueueLimit", "\"60\"", &[]);
    assert!(problem.ends_with("; write it without quotes"), "{problem}");
    let problem = reported("ZKQueueLimit", "1", &[("ZKQueueLimit", "\"60\"")]);
    assert!(problem.ends_with("; the quotes are part of the value: remove them"), "{problem}");
    let problem = reported("EnableCronJob", "\"true\"", &[]);
    assert!(problem.ends_with("; write it without quotes"), "{problem}");
    let problem = reported("LogLevel", "\"loud\\r\"", &[]);
    assert!(problem.contains("carriage return (\\r)"), "{problem}");
    let problem = load(GOOD, &[("ListenAddr", "127.0.0.1:8082\r")]).unwrap_err().join("\n");
    assert!(problem.contains("8082\\r\"") && problem.contains("carriage return"), "{problem}");
}

#[test]
fn syntax_of_lists_and_quotes_inside_values_is_refused_with_its_cause() {
    let in_file = |key, value: serde_json::Value| load(&replace(key, &value.to_string()), &[]);
    let in_environment = |key, value| load(GOOD, &[(key, value)]);
    for (value, cause) in [
        ("\"btc,bcc\"", "the quotes are part of the value"),
        ("'btc','bcc'", "the quotes are part of the value"),
        ("[\"btc\",\"bcc\"]", "a JSON list inside a text"),
        ("[btc,bcc]", "contains a bracket"),
        ("btc bcc", "several values in one"),
        ("btc;bcc", "several values in one"),
        ("btc，bcc", "several values in one"),
        ("btc、bcc", "several values in one"),
        ("btc|bcc", "several values in one"),
        ("btc\tbcc", "several values in one"),
        ("btc\nbcc", "several values in one"),
    ] {
        let problems = in_environment("AvailableCoins", value).unwrap_err();
        let reported = &problems[0];
        assert!(
            problems.len() == 1 && reported.starts_with("AvailableCoins: its coin "),
            "{reported}"
        );
        assert!(
            reported.contains(cause) && reported.contains("write AvailableCoins=btc,bcc"),
            "{reported}"
        );
        let reported = &in_file("AvailableCoins", serde_json::json!([value])).unwrap_err()[0];
        assert!(
            reported.contains(cause) && reported.contains(r#"write ["btc", "bcc"]"#),
            "{reported}"
        );
    }
    let reported = &in_file("AvailableCoins", serde_json::json!(["ltc", "btc "])).unwrap_err()[0];
    assert!(reported.contains("\"btc \"") && reported.contains("blanks around"), "{reported}");
    for value in ["\"zk1:2181,zk2:2181\"", "zk1;zk2", "[\"zk1\",\"zk2\"]", "zk1:2181 zk2:2181"] {
        let reported = &in_environment("ZKBroker", value).unwrap_err()[0];
        assert!(
            reported.contains("expected host:port") && reported.contains("write ZKBroker="),
            "{reported}"
        );
        let reported = &in_file("ZKBroker", serde_json::json!([value])).unwrap_err()[0];
        assert!(reported.contains("write [\"zk1:2181\", \"zk2:2181\"]"), "{reported}");
    }
    for (key, value) in [
        ("ListenAddr", "\"127.0.0.1:8082\""),
        ("ListenAddr", "127.0.0.1:8082,127.0.0.1:8083"),
        ("AdminListenAddr", "'127.0.0.1:8083'"),
        ("ZKSwitcherWatchDir", "\"/switcher/\""),
        ("ZKSubPoolUpdateBaseDir", "'/subpool/'"),
        ("ZKServerVersion", "\"3.4.13\""),
        ("LogFormat", "\"json\""),
        ("LogLevel", "'info'"),
    ] {
        for refused in [in_environment(key, value), in_file(key, value.into())] {
            let reported = &refused.unwrap_err()[0];
            let has_cause =
                reported.contains("the quotes are part") || reported.contains("several values");
            assert!(reported.starts_with(key) && has_cause, "{reported}");
        }
    }
    for url in ["\"http://h/map\"", "http://h/map\"", "http://h/map,http://i/map", "'http://h/map'"]
    {
        let environment = [("EnableCronJob", "true"), ("UserCoinMapURL", url)];
        let reported = load(GOOD, &environment).unwrap_err().join("\n");
        assert!(reported.starts_with("UserCoinMapURL: ") && !reported.contains('\n'), "{reported}");
    }
}

#[test]
fn credentials_that_no_client_can_mean_are_refused_and_never_shown() {
    for key in ["APIUser", "APIPassword", "MetricsUser", "MetricsPassword", "ZKDigestCredentials"] {
        let colon = if key == "ZKDigestCredentials" { "u:" } else { "" };
        for (value, cause) in [
            ("\"hunter2\"", "begins and ends with a quote"),
            ("'hunter2'", "begins and ends with a quote"),
            ("[\"hunter2\"]", "JSON list"),
            ("hunter2\n", "line feed (\\n)"),
            ("hunter2\r", "carriage return (\\r)"),
            ("hunter2\r\n", "line feed"),
            ("hun\tter2", "control character"),
            ("hun\u{0}ter2", "control character"),
            ("hun\u{85}ter2", "control character"),
        ] {
            let value = format!("{colon}{value}");
            let scraper = [("MetricsUser", "scraper"), ("MetricsPassword", "scraping")];
            let rest = scraper.into_iter().filter(|(name, _)| *name != key);
            let environment: Vec<_> = rest.clone().chain([(key, &*value)]).collect();
            let mut file: serde_json::Value = serde_json::from_str(GOOD).unwrap();
            file[key] = value.as_str().into();
            let in_file = load(&file.to_string(), &rest.collect::<Vec<_>>());
            for refused in [load(GOOD, &environment), in_file] {
                let problems = refused.unwrap_err();
                assert!(problems.len() == 1, "{problems:?}");
                let reported = &problems[0];
                assert!(reported.starts_with(key) && reported.contains(cause), "{reported}");
                assert!(!reported.contains("hunter") && !reported.contains("hun"), "{reported}");
            }
        }
    }
    let reported = load(GOOD, &[("ZKDigestCredentials", "\"u:hunter2\"")]).unwrap_err();
    assert!(
        reported[0].contains("begins and ends with a quote") && reported.len() == 1,
        "{reported:?}"
    );
    for good in ["it's", "a b", "a\"b", "\"", "a,b;c", "[x,y]", "用户"] {
        assert!(load(GOOD, &[("APIPassword", good), ("APIUser", good)]).is_ok(), "{good}");
    }
    for doubtful in ["hunter2 ", "\u{feff}hunter2", "hunter2\u{200b}", "\"hunter2"] {
        let warnings = load(GOOD, &[("APIPassword", doubtful)]).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with("APIPassword "), "{warnings:?}");
        assert!(!warnings[0].contains("hunter"), "{warnings:?}");
    }
    for doubtful in ["u:hunter2 ", "u :hunter2", "u: hunter2", "u:\"hunter2", "u:hunter2\u{200b}"] {
        let warnings = load(GOOD, &[("ZKDigestCredentials", doubtful)]).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with("ZKDigestCredentials "));
        assert!(!warnings[0].contains("hunter"), "{warnings:?}");
    }
}

#[test]
fn a_published_password_is_warned_about_the_more_on_every_address() {
    let warnings = |environment: &[(&str, &str)]| load(GOOD, environment).unwrap().warnings;
    assert!(warnings(&[("ListenAddr", "0.0.0.0:8082")]).is_empty());
    for password in credentials::SAMPLE_PASSWORDS {
        let reported = warnings(&[("APIPassword", password)]);
        let expected = "APIPassword is the password of the published samples; choose another one";
        assert_eq!(reported, [expected]);
        for listen in ["0.0.0.0:8082", "[::]:8082", ":8082"] {
            let reported = warnings(&[("APIPassword", password), ("ListenAddr", listen)]);
            assert!(
                reported.len() == 1 && reported[0].contains(&format!("ListenAddr ({listen})")),
                "{reported:?}"
            );
            let own = ("ListenAddr", "127.0.0.1:8082");
            let reported =
                warnings(&[("APIPassword", password), ("AdminListenAddr", ":8083"), own]);
            assert!(
                reported[0].contains("AdminListenAddr (:8083) accepts connections"),
                "{reported:?}"
            );
        }
    }
    let scraper = [("MetricsUser", "prometheus"), ("MetricsPassword", "admin")];
    assert!(warnings(&scraper)[0].starts_with("MetricsPassword is the password of"));
}

#[test]
fn every_password_of_a_shipped_configuration_is_known_to_be_public() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files: Vec<_> =
        ["debian/config.json", "compose.yaml"].map(|name| folder.join(name)).into();
    files.extend(std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut found = 0;
    for file in files.iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().map(|line| line.trim().trim_end_matches(',').replace('"', ""));
        for line in lines {
            let Some((key, password)) = line.split_once(": ") else { continue };
            if ["APIPassword", "MetricsPassword"].contains(&key) && !password.is_empty() {
                found += 1;
                assert!(credentials::SAMPLE_PASSWORDS.contains(&password), "{file:?}: {password}");
            }
        }
    }
    assert!(found >= 3, "default, dev and compose have one");
}

#[test]
fn directories_that_overlap_are_refused_by_both_keys_and_values() {
    let dirs = |watch_dir, sub_pools, lock| {
        load(
            GOOD,
            &[
                ("ZKSwitcherWatchDir", watch_dir),
                ("ZKSubPoolUpdateBaseDir", sub_pools),
                ("ZKPollerLockPath", lock),
            ],
        )
    };
    for (watch_dir, sub_pools) in [
        ("/switcher", "/switcher/subpool"),
        ("/subpool/btc", "/subpool"),
        ("/subpool/btc/", "/subpool/"),
        ("/same", "/same/"),
        ("/a/b/c", "/a"),
    ] {
        let problems = dirs(watch_dir, sub_pools, "").unwrap_err();
        assert!(problems.len() == 1, "{problems:?}");
        let reported = &problems[0];
        assert!(
            reported.starts_with("ZKSubPoolUpdateBaseDir: is ")
                && reported.contains("ZKSwitcherWatchDir"),
            "{reported}"
        );
        for dir in [watch_dir, sub_pools] {
            assert!(reported.contains(&format!("\"{}\"", dir.trim_end_matches('/'))), "{reported}");
        }
    }
    for (lock, other) in [
        ("/switcher/poller", "ZKSwitcherWatchDir"),
        ("/switcher", "ZKSwitcherWatchDir"),
        ("/subpool/poller", "ZKSubPoolUpdateBaseDir"),
        ("/subpool", "ZKSubPoolUpdateBaseDir"),
    ] {
        let problems = dirs("/switcher", "/subpool", lock).unwrap_err();
        let reported = &problems[0];
        assert!(
            problems.len() == 1 && reported.starts_with("ZKPollerLockPath: is "),
            "{problems:?}"
        );
        assert!(
            reported.contains(other) && reported.contains("none contains the other"),
            "{reported}"
        );
    }
    assert_eq!(dirs("/a/switcher", "/a/subpool", "/a").unwrap_err().len(), 2);
    for (watch_dir, sub_pools, lock, key) in [
        ("/", "", "", "ZKSwitcherWatchDir"),
        ("/", "/subpool", "/lock", "ZKSwitcherWatchDir"),
        ("/switcher", "/", "", "ZKSubPoolUpdateBaseDir"),
        ("/switcher", "", "/", "ZKPollerLockPath"),
        ("/zookeeper", "", "", "ZKSwitcherWatchDir"),
        ("/zookeeper/quota/", "", "", "ZKSwitcherWatchDir"),
        ("/switcher", "/zookeeper/", "", "ZKSubPoolUpdateBaseDir"),
        ("/switcher", "", "/zookeeper/lock", "ZKPollerLockPath"),
        ("//", "", "", "ZKSwitcherWatchDir"),
        ("/a/..", "", "", "ZKSwitcherWatchDir"),
        ("/./a", "", "", "ZKSwitcherWatchDir"),
        ("/switcher", "/switcher//", "", "ZKSubPoolUpdateBaseDir"),
        ("/switcher", "/x/../switcher", "", "ZKSubPoolUpdateBaseDir"),
        ("/switcher", "switcher", "", "ZKSubPoolUpdateBaseDir"),
    ] {
        let problems = dirs(watch_dir, sub_pools, lock).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with(&format!("{key}: is ")),
            "{problems:?}"
        );
    }
    for (watch_dir, sub_pools, lock) in [
        ("/switcher", "/switcherX", "/switche"),
        ("/switcher/btcbcc/", "/switcher/subpool/", "/switcher/poller"),
        ("/zookeeperX", "/zookeepe", ""),
        ("/stratumSwitcher/btcbcc/", "/subpool/", ""),
    ] {
        assert!(dirs(watch_dir, sub_pools, lock).is_ok_and(|checked| checked.warnings.is_empty()));
    }
    for odd in ["/switcher ", "/a, /b", "/switcher\"", "/swi\u{200b}tcher"] {
        let warnings = dirs(odd, "", "").unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with("ZKSwitcherWatchDir is "), "{odd}");
    }
}

#[test]
fn a_file_as_editors_of_other_systems_save_it_is_read() {
    let read = |bytes: &[u8]| {
        let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        file.write_all(bytes).unwrap();
        config::load(Some(file.path()), |_| None)
    };
    assert!(read(format!("\u{feff}{}", GOOD.replace('\n', "\r\n")).as_bytes()).is_ok());
    // Another program's comment, in another encoding.
    let latin = [b"{\"Comment\": \"caf\xe9\", ", &GOOD.as_bytes()[1..]].concat();
    assert!(read(&latin).is_ok());
    let utf16: Vec<u8> =
        format!("\u{feff}{GOOD}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let reported = read(&utf16).unwrap_err().problems[0].to_string();
    assert!(reported.ends_with("is UTF-16; save it as UTF-8"), "{reported}");
    // Of repeated names the last counts, as in Go's decoder.
    let twice = GOOD.replacen('{', "{\"APIUser\": \"first\",", 1);
    let user = |text: &str| load(text, &[]).unwrap().settings.callers.credentials.unwrap().user;
    assert_eq!(user(&twice), "admin");
    // And `null` leaves what was there.
    let null_last = GOOD.trim_end().strip_suffix('}').unwrap().to_owned() + ",\"APIUser\":null}";
    assert_eq!(user(&null_last), "admin");
}

#[test]
fn a_broker_without_a_port_gets_zookeepers() {
    let brokers = load(GOOD, &[("ZKBroker", "zk1,[::1],zk2:2182")]).unwrap().settings.writer;
    assert_eq!(brokers.zookeeper.brokers, ["zk1:2181", "[::1]:2181", "zk2:2182"]);
}
