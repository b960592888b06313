//! Users: entries for `UsersFile`, tokens, the person and the reason behind a change.

use serde_json::{Value, json};

use super::puppet::{Act, Puppet, SUCCESS};
use super::terminal::on_terminal;
use super::{Cli, assert_says, write};
use crate::admin::Admin;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn an_entry_has_the_hash_of_the_password() {
    let cli = Cli::new("user hash --name wang --roles switcher,payout").stdin("s3cr3t w0rd\r\nx\n");
    let finished = cli.ends_with(0).await;
    assert!(!finished.shown().contains("s3cr3t"), "{finished:?}");
    let entry: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(entry["name"], "wang");
    assert_eq!(entry["roles"], json!(["switcher", "payout"]));
    let hash = entry["password"].as_str().unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let verified = |password: &str| {
        use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
        let hash = PasswordHash::new(hash).unwrap();
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    };
    assert!(verified("s3cr3t w0rd") && !verified("s3cr3t w0rd\r"));

    let document = cli.json(0).await;
    assert_eq!(document["entry"]["name"], "wang");
    assert_ne!(document["entry"]["password"], hash, "the salt is random");
    let bare = Cli::new("user hash").stdin("a").ends_with(0).await.stdout;
    let bare: Value = serde_json::from_str(&bare).unwrap();
    assert_eq!(bare.as_object().unwrap().len(), 1, "{bare}");
    let long = "x".repeat(1025);
    for (stdin, words, code) in [
        (long.as_str(), "", 66),
        ("", "", 66),
        ("\n", "", 66),
        ("a\tb\n", "", 66),
        ("a", "--name wang", 2),
        ("a", "--roles viewer", 2),
        ("a", "--name wang --roles root", 2),
    ] {
        Cli::new("user hash").words(words).stdin(stdin).ends_with(code).await;
    }
}

#[tokio::test]
async fn a_password_is_typed_twice_and_not_shown() {
    let (code, shown) = on_terminal(&Cli::new("user hash"), "Password: ", "s3cr3t\ns3cr3t").await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Again: ") && shown.contains("$argon2id$"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    let (code, shown) = on_terminal(&Cli::new("user hash"), "Password: ", "s3cr3t\nother").await;
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("the two passwords differ"), "{shown}");
}

#[tokio::test]
async fn a_token_is_shown_once_with_an_entry_that_has_its_digest() {
    let cli = Cli::new("user token backend --roles switcher");
    let document = cli.json(0).await;
    let token = document["token"].as_str().unwrap();
    assert!(token.len() == 64 && token.bytes().all(|it| it.is_ascii_hexdigit()), "{token}");
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!({"name": "backend", "token_sha256": digest, "roles": ["switcher"]});
    assert_eq!(document["entry"], entry);
    let text = cli.ends_with(0).await.stdout;
    assert_says(&text, &["token: ", r#"{"name":"backend","#]);
    assert!(!text.contains(token), "each token is another");
    Cli::new("user token backend").ends_with(2).await;
}

const WHOAMI: &str =
    r#"{"name":"backend","roles":["switcher","payout"],"means":"token","client":"192.0.2.7"}"#;

#[tokio::test]
async fn calls_carry_the_token_the_person_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", "5ec7e7\nsecond line\n");
    let puppet = Puppet::start([Act::Answer(SUCCESS.to_owned())]).await;
    let call = |words: &str| {
        let cli = Cli::new(words).words(&format!("--server {}", puppet.address()));
        cli.words("--token-file").arg(&token)
    };
    let about = |cli: Cli| cli.words("--on-behalf-of wang --comment").arg("ticket 17: 换币");
    about(call("switch alice btc")).ends_with(0).await;
    call("switch alice btc").ends_with(0).await;
    let batch = write(folder.path(), "batch.csv", "alice,btc\n");
    about(call("batch").arg(&batch)).ends_with(0).await;
    let requests = puppet.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    for request in &requests {
        let head = request.to_lowercase();
        assert!(head.contains("\r\nauthorization: bearer 5ec7e7\r\n"), "{request}");
        assert!(!head.contains("basic"), "{request}");
    }
    for (number, request) in requests.iter().enumerate() {
        let lines = ["x-on-behalf-of: wang\r\n", "x-change-comment: ticket 17: 换币\r\n"];
        let found = lines.map(|line| request.contains(line));
        assert_eq!(found, [number != 1; 2], "{request}");
    }
    let puppet = Puppet::start([Act::Answer(WHOAMI.to_owned())]).await;
    let cli =
        Cli::new("whoami").words(&format!("--server {} --token-file {token}", puppet.address()));
    let text = cli.ends_with(0).await.stdout;
    assert_eq!(text, "backend: switcher, payout (by token, from 192.0.2.7)\n");
    assert!(puppet.requests()[0].starts_with("GET /whoami "), "{:?}", puppet.requests());
    let document = cli.json(0).await;
    assert_eq!(document["roles"], json!(["switcher", "payout"]));
}

#[tokio::test]
async fn arguments_that_contradict_each_other_or_fit_no_header_are_refused() {
    for words in ["--user u", "--password p", "--password-file f"] {
        let cli = Cli::new("switch a btc --server h:1 --token-file t").words(words);
        let finished = cli.ends_with(2).await;
        assert_says(&finished.stderr, &["cannot be used with"]);
    }
    let cli = Cli::new("switch a btc --server h:1 --comment").arg("a\nb");
    assert_says(&cli.ends_with(2).await.stderr, &["control character"]);
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path(), "token", "\n");
    let cli = Cli::new("switch a btc --server h:1 --token-file").arg(empty);
    assert_says(&cli.ends_with(66).await.stderr, &["token file", "expected the token"]);
}

#[tokio::test]
async fn a_daemon_records_the_reason_and_refuses_without_the_role() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).admin();
    let daemon = builder.start().await;
    let cli = Cli::new("switch alice btc --on-behalf-of wang --comment").arg("=换币, ticket 17");
    cli.at(&daemon).ends_with(0).await;
    let change = Admin::of(&daemon).await.recent(1).await.pop().unwrap();
    let texts = [&change["actor"], &change["on_behalf_of"], &change["comment"]];
    assert_eq!(texts, ["admin", "wang", "=换币, ticket 17"]);
    drop(daemon);

    let builder = builder.set("APIRoles", json!(["viewer"]));
    let daemon = builder.start().await;
    let finished = Cli::new("switch alice btc").at(&daemon).ends_with(65).await;
    let text = "the daemon says 403 user 'admin' may not switch sub-accounts (role switcher)";
    assert_says(&finished.stderr, &["refused, nothing was written", text]);
    let told = Cli::new("doctor").config(builder.write_config()).at(&daemon).run().await.stdout;
    assert_says(&told, &["accepts the credentials"]);
    let wrong = write(tempfile::tempdir().unwrap().keep().as_path(), "token", "00");
    let cli = Cli::new("switch alice btc").words(&format!("--server {}", daemon.base()));
    let finished = cli.words("--token-file").arg(wrong).ends_with(77).await;
    assert_says(&finished.stderr, &["refuses this token"]);
}
