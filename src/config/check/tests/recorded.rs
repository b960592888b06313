//! Configurations recorded with the Go daemon and its Docker image, in tests/golden/user_lists.json.

use serde_json::{Map, Value};

use super::*;

fn recorded(section: &str) -> Vec<Value> {
    let text = include_str!("../../../../tests/golden/user_lists.json");
    let golden: Value = serde_json::from_str(text).unwrap();
    golden[section].as_array().unwrap().clone()
}

/// Whether this daemon takes a configuration that the other one takes or not.
fn is_taken(case: &Value, by_the_other: bool) -> bool {
    case["ours"].as_str().map_or(by_the_other, |ours| ours != "refused")
}

#[test]
fn recorded_environments_give_recorded_configurations() {
    for case in recorded("docker") {
        let name = &case["name"];
        let environment = case["environment"].as_object().unwrap();
        let find = |name: &str| {
            // The other daemon takes empty ones, which let every request in.
            let credentials = ["APIUser", "APIPassword"].contains(&name).then_some("chosen");
            let found = environment.get(name).and_then(Value::as_str).or(credentials);
            found.map(OsString::from)
        };
        let checked = config::load(None, find);
        let other = &case["recorded"];
        assert_eq!(checked.is_ok(), is_taken(&case, other.is_object()), "{name}: {checked:?}");
        let (Ok(Checked { settings, .. }), Some(other)) = (checked, other.as_object()) else {
            continue;
        };
        let lists = settings.user_lists.iter().flat_map(|it| &it.lists);
        let lists: Map<_, _> =
            lists.map(|(coin, url)| (coin.to_string(), url.to_string().into())).collect();
        let expected = other["UserListAPI"].as_object().cloned().unwrap_or_default();
        assert_eq!(lists, expected, "{name}");
        if let Some(found) = &settings.user_lists {
            assert_eq!(other["IntervalSeconds"], found.interval.as_secs(), "{name}");
            let index = found.index.as_ref().map_or("", |dir| dir.as_str());
            assert_eq!(other["ZKUserCaseInsensitiveIndex"], index, "{name}");
        }
        assert_eq!(other["EnableAPIServer"], settings.api.is_some(), "{name}");
        assert_eq!(other["EnableUserAutoReg"], settings.registration.is_some(), "{name}");
        if let Some(found) = settings.registration {
            let api = &other["UserAutoRegAPI"];
            assert_eq!(api["IntervalSeconds"], found.wait.as_secs(), "{name}");
            let coin = found.default_coin.as_ref().map(|coin| coin.as_str());
            assert_eq!(api["DefaultCoin"].as_str(), coin, "{name}");
            let texts = api["PostData"].as_object().unwrap().iter();
            let texts = texts.map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned()));
            assert_eq!(found.post_data, texts.collect(), "{name}");
        }
    }
}

#[test]
fn recorded_files_are_taken_or_refused() {
    for case in recorded("start") {
        let lists = r#"{"UserListAPI": {"btc": "http://127.0.0.1:1/btc"}, "IntervalSeconds": 1,"#;
        let good = GOOD.replacen('{', lists, 1);
        let mut file: Map<String, Value> = serde_json::from_str(&good).unwrap();
        file.extend(case["config"].as_object().cloned().into_iter().flatten());
        for name in case["config_without"].as_array().into_iter().flatten() {
            file.remove(name.as_str().unwrap());
        }
        let checked = load(&Value::Object(file).to_string(), &[]);
        let is_taken = is_taken(&case, case["recorded"] == "runs on");
        assert_eq!(checked.is_ok(), is_taken, "{}: {checked:?}", case["name"]);
    }
}
