//! Faults in the files, as `check` and the start report them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{patient, trusting, try_switch};
use crate::support::certificates::{self, Authority, Draft, Identity, LOCAL, VERSIONS};
use crate::support::client::Answer;
use crate::support::daemon::Builder;
use crate::support::{unique, write_private};

const BAD_CONFIGURATION: i32 = 78;

const CERTIFICATE: &str = "TLSCertificateFile";
const KEY: &str = "TLSPrivateKeyFile";
const CLIENT_CA: &str = "TLSClientCAFile";

/// The configuration with a file of this text.
fn file(builder: &Builder, key: &str, text: &str) -> Builder {
    let file = write_private(&builder.folder().join(unique(key)).with_extension("pem"), text);
    builder.clone().set(key, file.to_str().unwrap())
}

async fn assert_refused(builder: &Builder, parts: &[&str]) {
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{parts:?}: {finished:?}");
    finished.assert_stderr_names(parts);
    let problems = finished.stderr.lines().skip(1).filter(|line| !line.starts_with("warning: "));
    assert_eq!(problems.count(), 1, "one problem: {finished:?}");
}

#[tokio::test]
async fn keys_that_do_not_go_together_are_refused() {
    let authority = Authority::new("root");
    let good = patient(&authority).await;
    assert_eq!(good.check().await.code, Some(0));
    let ca = file(&good, CLIENT_CA, authority.pem());
    assert_eq!(ca.check().await.code, Some(0));
    for (builder, parts) in [
        (good.clone().set(KEY, ""), [KEY, "is empty, but TLSCertificateFile is set"]),
        (
            good.clone().set(CERTIFICATE, ""),
            [CERTIFICATE, "is empty, but TLSPrivateKeyFile is set"],
        ),
        (
            ca.clone().set(CERTIFICATE, "").set(KEY, ""),
            [CERTIFICATE, "is empty, but TLSClientCAFile is set"],
        ),
        (
            good.clone().set("TLSListeners", json!(["api", "lists"])),
            ["TLSListeners", r#"contains "lists", expected api or admin"#],
        ),
        (
            good.clone().set("TLSListeners", json!([])),
            ["TLSListeners", "is empty, expected api, admin or both"],
        ),
    ] {
        assert_refused(&builder, &parts).await;
    }
    let without = good.without(CERTIFICATE).without(KEY).set("TLSListeners", json!([]));
    assert_eq!(without.check().await.code, Some(0), "nothing is on");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_their_fault() {
    let authority = Authority::new("root");
    let good = patient(&authority).await;
    let (server, other) = (authority.server(), authority.server());
    let damaged = server.pem().replacen('M', "*", 1);
    let chain = format!("{}{}", authority.pem(), server.pem());
    let of_server = file(&good, KEY, &server.key_pem());
    let certificate = |text: &str| file(&good, CERTIFICATE, text);
    let key = |text: &str| file(&good, KEY, text);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    for (builder, parts) in [
        (certificate("nothing"), [CERTIFICATE, "which has no certificate in PEM"]),
        (certificate(&server.key_pem()), [CERTIFICATE, "which has no certificate in PEM"]),
        (certificate("0\u{81}00000"), [CERTIFICATE, "which has no certificate in PEM"]),
        (certificate(&damaged), [CERTIFICATE, "whose certificate number 1 is damaged"]),
        (
            file(&of_server, CERTIFICATE, &chain),
            [
                CERTIFICATE,
                "whose first certificate is not that of the key in TLSPrivateKeyFile, but number 2 is",
            ],
        ),
        (key("nothing"), [KEY, "which has no private key in PEM"]),
        (key(server.pem()), [KEY, "which has no private key in PEM"]),
        (key(encrypted), [KEY, "whose key is encrypted, and the daemon has no passphrase"]),
        (key(legacy), [KEY, "whose key is encrypted, and the daemon has no passphrase"]),
        (
            key(&other.key_pem()),
            [KEY, "whose key does not belong to the first certificate of TLSCertificateFile"],
        ),
        (
            key("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
            [KEY, "whose key cannot be used"],
        ),
        (file(&good, CLIENT_CA, "nothing"), [CLIENT_CA, "which has no certificate in PEM"]),
        (
            file(
                &good,
                CLIENT_CA,
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            ),
            [CLIENT_CA, "whose certificate number 1 cannot be used"],
        ),
        (
            good.clone().set(KEY, "/nowhere/key.pem"),
            [KEY, r#"is "/nowhere/key.pem", which cannot be read"#],
        ),
        (good.clone().set(CERTIFICATE, "/dev/null"), [CERTIFICATE, "it is no regular file"]),
    ] {
        assert_refused(&builder, &parts).await;
    }
    let version_1 = Identity::version_1().unwrap();
    assert_refused(&certificate(version_1.pem()), &[CERTIFICATE, "cannot be used"]).await;
}

#[tokio::test]
async fn a_key_that_everybody_may_read_is_refused_and_one_of_a_group_is_not() {
    let authority = Authority::new("root");
    let good = patient(&authority).await;
    let key = good.folder().join("server.key");
    let allow = |mode| fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
    allow(0o644);
    let parts = [KEY, "which every user of this machine may use (mode 644): run chmod o= on it"];
    assert_refused(&good, &parts).await;
    allow(0o640);
    assert_eq!(good.check().await.code, Some(0));
}

#[tokio::test]
async fn all_files_are_looked_at_together() {
    let good = patient(&Authority::new("root")).await.set("HistoryFile", "/etc");
    let bad = file(&file(&file(&good, CERTIFICATE, "a"), KEY, "b"), CLIENT_CA, "c");
    for finished in [bad.check().await, bad.refuse_to_start().await] {
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{finished:?}");
        finished.assert_stderr_names(&[CERTIFICATE, KEY, CLIENT_CA, "HistoryFile: "]);
    }
}

/// Warnings of `check`.
async fn warnings(builder: &Builder) -> Vec<String> {
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let about = finished.stdout.lines().filter(|line| line.starts_with("warning: TLS"));
    about.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_certificate_near_its_end_or_beyond_is_a_warning_and_serves() {
    let authority = Authority::new("root");
    let base = patient(&authority).await;
    let issued = |draft: Draft| super::with(base.clone(), &authority.issue(draft));
    for (draft, parts) in [
        (Draft::new(&LOCAL), None),
        (Draft::new(&LOCAL).for_days(15), None),
        (Draft::new(&LOCAL).for_days(13), Some(["CN=localhost", "expires in 12 days, on 20"])),
        (Draft::new(&LOCAL).for_days(1), Some(["CN=localhost", "expires in 0 days"])),
        (Draft::new(&LOCAL).expired(), Some(["CN=localhost", "has expired on 2001-02-03"])),
        (Draft::new(&LOCAL).early(), Some(["CN=localhost", "is not valid before 2999-02-03"])),
        (Draft::new(&["a\nb\u{1b}"]).expired(), Some([r"a\nb\u{1b}", "has expired"])),
    ] {
        let found = warnings(&issued(draft)).await;
        let Some(parts) = parts else {
            assert!(found.is_empty(), "{found:?}");
            continue;
        };
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(parts.iter().all(|part| found.contains(part)), "no {parts:?} in {found}");
    }
    // Each certificate of the chain counts.
    let server = authority.server();
    let old = Draft::new(&["old root"]).authority().expired().self_signed().unwrap();
    let chain = super::with(base.clone(), &server);
    let chain = file(&chain, CERTIFICATE, &format!("{}{}", server.pem(), old.pem()));
    assert!(warnings(&chain).await[0].contains("CN=old root"));

    let daemon = issued(Draft::new(&LOCAL).expired()).start().await;
    daemon.wait_for_log(&["configuration: TLSCertificateFile", "has expired"]).await;
    let error = try_switch(&daemon, &trusting(&authority)).await.unwrap_err();
    assert!(error.contains("xpired"), "{error}");
}

#[tokio::test]
async fn keys_of_other_kinds_serve() {
    // Key and certificate in one file each, as `openssl req -x509 -addext basicConstraints=critical,CA:FALSE` makes it.
    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/tls/fixtures");
    let good = patient(&Authority::new("root")).await;
    for name in ["rsa-pkcs1", "p384-sec1", "ed25519"] {
        let pem = Path::new(FIXTURES).join(name).with_extension("pem");
        let text = fs::read_to_string(&pem).unwrap();
        let builder = file(&file(&good, CERTIFICATE, &text), KEY, &text);
        let daemon = builder.start().await;
        let client = certificates::trusting(&text, &VERSIONS, None);
        let answer = try_switch(&daemon, &client).await.unwrap().answer();
        assert_eq!(answer, Answer::success(), "{name}");
    }
}
