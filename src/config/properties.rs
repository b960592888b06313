//! Properties of any configuration, for property tests and fuzz targets. Each function panics where its property does
//! not hold.

use std::ffi::OsString;

use arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

use super::{
    Checked, Rejected, Snapshot,
    check::check,
    keys::{KEYS, KeyKind},
    load::load_text,
    value::FALSE,
};

/// Checks any text as the configuration file, with an empty environment.
///
/// Another secret in the same place must not change any message.
pub fn configuration(text: &str) {
    let messages = judge(text, |_| None);
    let Ok(Value::Object(mut file)) = serde_json::from_str(text) else {
        assert!(messages.is_err(), "no object, but taken: {text}");
        return;
    };
    let messages = judge(&json!(file).to_string(), |_| None);
    let is_secret = |name: &str| {
        let secrets = [
            "APIPassword",
            "MetricsPassword",
            "UserListPassword",
            "UserAutoRegAPI_Password",
            "ZKDigestCredentials",
        ];
        secrets.iter().any(|key| key.eq_ignore_ascii_case(name))
    };
    // Messages report whether secrets are equal, and quotes, blanks and invisible characters in them: those stay.
    let other = |c: char| match char::from_u32(u32::from(c) ^ 1) {
        Some(other) if c.is_ascii_alphanumeric() && other.is_ascii_alphanumeric() => other,
        _ => c,
    };
    for value in file.iter_mut().filter(|(name, _)| is_secret(name)).map(|(_, value)| value) {
        if let Some(secret) = value.as_str() {
            *value = json!(secret.chars().map(other).collect::<String>());
        }
    }
    assert_eq!(judge(&json!(file).to_string(), |_| None), messages, "a message shows a secret");
}

/// Checks a good configuration with one key drawn from `choices`, in the file or in the environment.
///
/// The environment wins over the file; a value is taken or refused by the limits of its key; a refusal names
/// the key and no secret.
pub fn environment(choices: &[u8]) {
    let mut choices = Unstructured::new(choices);
    check_overridden(&mut choices).expect("a choice can always be made");
}

const SECRET: &str = "t0p-s3cr3t";

fn check_overridden(choices: &mut Unstructured<'_>) -> Result<()> {
    let mut file = json!({
        "EnableAPIServer": true, "APIUser": "admin", "APIPassword": SECRET,
        "MetricsUser": "prometheus", "MetricsPassword": format!("looks-only-{SECRET}"),
        "UserListUser": "sserver", "UserListPassword": format!("lists-only-{SECRET}"),
        "ListenAddr": "127.0.0.1:8082", "AvailableCoins": ["btc"], "ZKBroker": ["127.0.0.1:2181"],
        "ZKSwitcherWatchDir": "/switcher", "ZKAutoRegWatchDir": "/requests", "EnableCronJob": true,
        "UserAutoRegAPI_URL": "http://127.0.0.1/register", "UserAutoRegAPI_DefaultCoin": "btc",
        "UserCoinMapURL": format!("http://pool:a@{SECRET}@127.0.0.1/map?token={SECRET}"),
        "ZKDigestCredentials": format!("switcher:{SECRET}"),
        "TLSCertificateFile": "/certificate", "TLSPrivateKeyFile": "/key", "ZKTLSCAFile": "/ca",
        "ZKTLSCertificateFile": "/certificate", "ZKTLSPrivateKeyFile": "/key",
    });
    let key = choices.choose(KEYS)?;
    let texts = [
        "",
        "0",
        "1",
        "true",
        "FALSE ",
        "-1",
        "3600",
        "3601",
        "18446744073709551616",
        "1e3",
        "6.0e1",
        "0.5",
        "\"a\"",
        "a\r",
        "/",
        "/a//b",
        "a",
        "a:1",
        ":1",
        "a:b@c",
        "x,y",
        ",",
        "\u{1b}[2J",
        "a\nb",
        "/a\u{9b}",
        "用户",
        "[::1]:80",
        "http://a@b@c/?d@e",
        "https:///x",
    ];
    let text = if choices.ratio(1, 4)? { choices.arbitrary()? } else { *choices.choose(&texts)? };
    let is_in_environment = choices.ratio(1, 2)?;
    if is_in_environment && key.is_docker_rules && ["", "0"].contains(&text.trim()) {
        return Ok(());
    }
    let below = choices.choose(&[json!("below"), json!(7), json!(null), json!([{}])])?.clone();
    if is_in_environment {
        file[key.name] = below;
    } else {
        file[key.name] = json!(text);
    }
    let name = if choices.ratio(1, 4)? { key.name.to_lowercase() } else { key.name.to_owned() };
    let file = file.to_string().replace(&format!("\"{}\"", key.name), &format!("\"{name}\""));
    let messages =
        judge(&file, |name| (is_in_environment && name == key.name).then(|| OsString::from(text)));
    // In the file the text is no flag, number or list, whatever it says.
    let is_of_its_kind = match key.kind {
        KeyKind::Flag if is_in_environment => {
            let text = text.trim().to_ascii_lowercase();
            ["true", "1"].contains(&text.as_str()) || FALSE.contains(&text.as_str())
        }
        KeyKind::Number { min, max } if is_in_environment => {
            let is_whole = |number: f64| number.fract() == 0.0;
            let is_within = |number: f64| min as f64 <= number && number <= max as f64;
            let text = text.trim();
            let number = text.parse::<i64>().map(|number| number as f64).ok();
            let number = number.or_else(|| serde_json::from_str(text).ok());
            number.is_some_and(|number| is_whole(number) && is_within(number))
        }
        KeyKind::Flag | KeyKind::Number { .. } | KeyKind::Urls | KeyKind::SecretTexts => false,
        KeyKind::List => is_in_environment,
        KeyKind::Text | KeyKind::Url | KeyKind::Secret => true,
    };
    match &messages {
        Ok(lines) => {
            assert!(is_of_its_kind, "{} = {text:?} was taken", key.name);
            let origin = if is_in_environment { "(environment variable " } else { "(file)" };
            let line = lines.iter().find(|line| line.starts_with(&format!("{} = ", key.name)));
            assert!(line.is_some_and(|line| line.contains(origin)), "{} in {lines:?}", key.name);
        }
        Err(lines) => {
            let names_it = lines.iter().any(|line| line.starts_with(&format!("{}: ", key.name)));
            assert!(names_it, "{} = {text:?} was refused: {lines:?}", key.name);
            let is_simple = matches!(key.kind, KeyKind::Flag | KeyKind::Number { .. });
            assert!(!(is_simple && is_of_its_kind) || key.name == "EnableAPIServer", "{lines:?}");
        }
    }
    let shows = |secret| {
        messages.as_ref().unwrap_or_else(|lines| lines).iter().any(|line| line.contains(secret))
    };
    assert!(text.contains(SECRET) || !shows(SECRET), "{messages:?}");
    Ok(())
}

/// All messages for the operator, on success of every key; `Err` for a configuration that is refused.
///
/// No message can move a terminal's cursor.
fn judge(
    text: &str,
    environment: impl Fn(&str) -> Option<OsString>,
) -> std::result::Result<Vec<String>, Vec<String>> {
    let messages = match check(load_text(text, environment)) {
        Ok(Checked { settings, warnings, mut listing, values }) => {
            assert_eq!(listing.len(), KEYS.len());
            let (lists, registers) =
                (settings.user_lists.is_some(), settings.registration.is_some());
            let serves = settings.api.is_some() || settings.poller.is_some();
            assert!(serves || lists || registers, "there is nothing to do");
            listing.extend(warnings);
            listing.extend(changes_to(&values));
            // The settings' `Debug` form shows no secret either.
            listing.push(format!("{settings:?}"));
            Ok(listing)
        }
        Err(Rejected { problems, warnings, values }) => {
            assert!(!problems.is_empty(), "refused without a word");
            let changes = values.as_ref().map(changes_to).unwrap_or_default();
            let problems = problems.iter().map(ToString::to_string);
            Err(problems.chain(warnings).chain(changes).collect())
        }
    };
    for line in messages.as_ref().unwrap_or_else(|lines| lines) {
        assert!(!line.contains(switcher_actors::is_invisible), "{line:?}");
    }
    messages
}

/// Changes that a daemon with nothing but defaults reports for these values.
fn changes_to(snapshot: &Snapshot) -> Vec<String> {
    let Err(Rejected { values: Some(before), .. }) = check(load_text("{}", |_| None)) else {
        panic!("it can be read, and is not enough");
    };
    before.changes_to(snapshot).iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_value_is_taken_or_refused_by_its_key(choices in vec(any::<u8>(), 0..80)) {
            environment(&choices);
        }

        #[test]
        fn any_text_is_a_configuration_or_none(pieces in vec(prop::sample::select(&[
            "{", "}", "\"APIPassword\":\"s3cr3t-enough\"", "\"apipassword\":[\"s3cr3t-enough\"]", ",", "[", "]",
            "\"EnableAPIServer\":true", "\"\\u001b[2J\":1", "\"ZKBroker\":[\"\\n:1\"]", "\"ZKBrokers\":5",
            "\"UserCoinMapURL\":\"http://a:b@c@d/\\u009b\"", "null", "\"ListenAddr\":\":1\\u0007\"",
        ][..]), 0..12)) {
            configuration(&pieces.concat());
        }
    }
}
