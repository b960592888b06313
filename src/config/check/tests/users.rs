//! `UsersFile`, and `APIUser` next to it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use serde_json::{Value, json};

use super::*;

/// Problems and warnings of the configuration with these keys and a `UsersFile` with that text and mode.
fn found(keys: &Value, text: &[u8], mode: u32) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let mut config: Value = serde_json::from_str(GOOD).unwrap();
    config["UsersFile"] = file.to_str().unwrap().into();
    for (key, value) in keys.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
            value => config[key] = value.clone(),
        }
    }
    let checked = load_or_reject(&config.to_string(), &[]).and_then(Checked::read_files);
    let (problems, warnings) = match checked {
        Ok((checked, _)) => (Vec::new(), checked.warnings),
        Err(rejected) => (rejected.problems, rejected.warnings),
    };
    let shown = |text: &str| text.replace(file.to_str().unwrap(), "FILE");
    let problems = problems.iter().map(|it| shown(&it.to_string()));
    (problems.collect(), warnings.iter().map(|it| shown(it)).collect())
}

fn user(name: &str, roles: &[&str]) -> Value {
    let digest = format!("{:064x}", u64::from_str_radix(name, 36).unwrap());
    json!({"name": name, "token_sha256": digest, "roles": roles})
}

fn users(users: &[Value]) -> Vec<u8> {
    json!({"users": users}).to_string().into_bytes()
}

/// Keys of a configuration whose users are all in the file.
fn file_alone() -> Value {
    json!({"APIUser": null, "APIPassword": null})
}

#[test]
fn with_users_in_a_file_api_user_may_be_absent() {
    let good = users(&[user("root", &["admin"]), user("s", &["switcher"])]);
    assert_eq!(found(&file_alone(), &good, 0o600), (vec![], vec![]));
    for (keys, problem) in [
        (json!({"APIUser": null}), "APIUser: is missing"),
        (json!({"APIPassword": null}), "APIPassword: is missing"),
        (json!({"APIUser": null, "APIPassword": null, "UsersFile": ""}), "APIUser: is missing"),
        (json!({"APIRoles": []}), "APIRoles: is empty"),
        (json!({"APIRoles": ["root"]}), "APIRoles: contains \"root\""),
        (json!({"APIUser": "s"}), "UsersFile: user \"s\" has the name of APIUser"),
        (json!({"UsersFile": "/no/such/file"}), "UsersFile: is \"/no/such/file\", which cannot be"),
    ] {
        let (problems, _) = found(&keys, &good, 0o600);
        assert!(problems.iter().any(|it| it.starts_with(problem)), "{keys}: {problems:?}");
    }
}

#[test]
fn bad_files_are_problems_all_at_once() {
    let bad = users(&[user("a", &["root"]), user("b", &[]), user("b", &["viewer"])]);
    let (problems, _) = found(&file_alone(), &bad, 0o600);
    let expected = [
        "UsersFile: user \"a\" has the role \"root\"",
        "UsersFile: user \"b\" has no role",
        "UsersFile: user \"b\" is listed twice",
    ];
    for start in expected {
        assert!(problems.iter().any(|it| it.starts_with(start)), "{start}: {problems:#?}");
    }
    let (problems, _) = found(&file_alone(), b"{\"users\": \xff}", 0o600);
    assert_eq!(problems, ["UsersFile: is \"FILE\", which is no text in UTF-8"]);
}

#[test]
fn other_users_of_the_machine_should_not_read_it_and_must_not_write_it() {
    let good = users(&[user("root", &["admin"]), user("s", &["switcher"])]);
    let readable = "UsersFile is \"FILE\", which every user of this machine may read (mode 644): run chmod 640";
    for (mode, problem, warning) in [
        (0o640, None, None),
        (0o644, None, Some(readable)),
        (0o646, Some("may change (mode 646)"), None),
    ] {
        let (problems, warnings) = found(&file_alone(), &good, mode);
        assert_eq!(warnings, warning.into_iter().collect::<Vec<_>>(), "{mode:o}");
        assert_eq!(problems.len(), usize::from(problem.is_some()), "{mode:o}: {problems:?}");
        let has = problem.is_none_or(|problem| problems[0].contains(problem));
        assert!(has, "{mode:o}: {problems:?}");
    }
}

#[test]
fn doubts_name_the_remedy() {
    let sub_pools = json!({"APIUser": null, "APIPassword": null, "ZKSubPoolUpdateBaseDir": "/s/"});
    let (switcher, payout) = (user("s", &["switcher"]), user("p", &["payout", "viewer"]));
    let (viewer, admin) = (user("v", &["viewer"]), user("root", &["admin"]));
    for (keys, listed, expected) in [
        (
            json!({"APIRoles": ["switcher"]}),
            vec![payout.clone()],
            vec!["APIUser has its password in plain text in the configuration: list it"],
        ),
        (
            json!({}),
            vec![switcher.clone()],
            vec!["and the role admin, that is, every right: list it in UsersFile with only"],
        ),
        (file_alone(), vec![], vec!["UsersFile lists no users, and APIUser is not set"]),
        (
            file_alone(),
            vec![viewer.clone()],
            vec!["no user has the role switcher: sub-accounts can be changed by no one"],
        ),
        (file_alone(), vec![switcher.clone()], vec![]),
        (sub_pools.clone(), vec![switcher.clone(), payout], vec![]),
        (
            sub_pools.clone(),
            vec![switcher.clone(), admin],
            vec![
                "no user has the role payout: payout addresses can be changed only by \"root\" (role admin)",
            ],
        ),
        (
            sub_pools,
            vec![viewer],
            vec![
                "no user has the role switcher",
                "no user has the role payout: payout addresses can be changed by no one",
            ],
        ),
    ] {
        let (problems, warnings) = found(&keys, &users(&listed), 0o600);
        assert_eq!((problems, warnings.len()), (vec![], expected.len()), "{keys} {warnings:?}");
        for (part, warning) in expected.iter().zip(&warnings) {
            assert!(warning.contains(part), "{part}: {warning}");
        }
    }
    // Without the file, nothing is doubted.
    assert_eq!(load(GOOD, &[]).unwrap().read_files().unwrap().0.warnings, Vec::<String>::new());
}

#[test]
fn the_admin_pages_alone_have_users_with_a_file() {
    let keys = json!({"EnableAPIServer": false, "EnableCronJob": true, "UserCoinMapURL": "http://127.0.0.1/",
        "APIUser": null, "APIPassword": null, "AdminListenAddr": "127.0.0.1:8083"});
    let good = users(&[user("s", &["switcher"])]);
    assert_eq!(found(&keys, &good, 0o600), (vec![], vec![]));
}
