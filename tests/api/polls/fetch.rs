//! The fetch: deadlines, sizes, redirects, credentials, TLS, and error texts.

use std::time::Duration;

use upstream_sim::{Reply, Upstream};

use super::{assert_line, now, polling, polls, upstream, url};
use crate::support::daemon::{Builder, Daemon};
use crate::support::{eventually, free_port, seconds, zookeeper::ZooKeeper};

const ENTRY: &str = r#""user":"btc","#;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
    {\"err_no\":0,\"data\":{\"user_coin\":{";

/// Polls that fail with these causes, one after the other, and then one that succeeds.
pub async fn fail(builder: Builder, upstream: &Upstream, replies: Vec<(Reply, &[&str])>) -> Daemon {
    let (replies, causes): (Vec<_>, Vec<_>) = replies.into_iter().unzip();
    for reply in replies {
        upstream.next(reply);
    }
    upstream.next(Reply::map(&[("alice", "bcc")], 1_700_000_000));
    let daemon = builder.start().await;
    let polls = polls(&daemon, causes.len() + 1).await;
    for (poll, cause) in polls.iter().zip(&causes) {
        assert_line(poll, &["WARN poll", "outcome: failed", "next_last_date: 0"]);
        assert_line(poll, cause);
    }
    assert_line(&polls[causes.len()], &["outcome: complete", "written: 1"]);
    daemon
}

/// Peak memory of the daemon, in megabytes.
fn peak_mb(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[tokio::test]
async fn a_hung_upstream_costs_one_deadline_and_never_two_fetches_at_a_time() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let builder = polling(zookeeper, &upstream).set("CronFetchTimeoutSeconds", 1);
    let dripping = Reply::default().drip(HEAD, Duration::from_millis(100));
    let dripping_body = Reply::raw(HEAD).drip(ENTRY.repeat(100), Duration::from_millis(100));
    let replies: Vec<(Reply, &[&str])> = vec![
        (Reply::silence(), &["no answer from", "within 1 s (CronFetchTimeoutSeconds)"]),
        (Reply::raw("HTTP/1.1 200 OK\r\n").hang(), &["no answer from"]),
        (dripping, &["no answer from"]),
        (Reply::raw(HEAD).hang(), &["not read within 1 s", "after 33 bytes"]),
        (dripping_body, &["not read within 1 s"]),
        (
            Reply::raw("HTTP/1.1 500 Oh\r\nContent-Length: 90\r\n\r\nhalf").hang(),
            &["status 500", "'half'"],
        ),
    ];
    let count = replies.len();
    fail(builder, &upstream, replies).await;
    let requests = eventually("the end of all fetches but one", seconds(10), || async {
        let requests = upstream.requests();
        let all = requests.len() > count && requests[..count].iter().all(|one| one.ended.is_some());
        all.then_some(requests)
    })
    .await;
    for pair in requests[..=count].windows(2) {
        let ended = pair[0].ended.expect("all have ended");
        // The end is seen when the client's hang-up arrives; two at a time would overlap for a second.
        assert!(pair[1].at + Duration::from_millis(700) > ended, "{pair:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_differs_from_a_bad_answer() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let closed = format!("http://127.0.0.1:{}/", free_port());
    let builder = polling(zookeeper, &upstream).set("UserCoinMapURL", closed.clone());
    let daemon = builder.start().await;
    assert_line(&polls(&daemon, 1).await[0], &["cannot connect to", &closed, "refused"]);

    let builder = polling(zookeeper, &upstream);
    let good = r#"{"err_no":0,"data":{"user_coin":{"a":"btc"},"now_date":9}}"#;
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{good}");
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"err\r\nzz\r\n";
    let page = format!("<h1>\u{1b}[31mOops\r\n{}", "x".repeat(500));
    let shown = format!("begins '<h1>\\u{{1b}}[31mOops\\r\\n{}', seconds", "x".repeat(185));
    let packed = Reply::with_head("200 OK", "Content-Encoding: br\r\n", "x");
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Long: y\r\n".repeat(100_000));
    let html: &[&str] = &["status 500", "content type 'text/html; charset=utf-8'", &shown];
    let replies: Vec<(Reply, &[&str])> = vec![
        (Reply::raw(""), &["the request to", "failed"]),
        (Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"), &["the request to", "failed"]),
        (Reply::raw(head), &["the request to", "failed"]),
        (Reply::raw(cut), &["broke off after 58 bytes"]),
        (Reply::raw(chunk), &["broke off after 5 bytes"]),
        (Reply::status(500, "Oops", "text/html; charset=utf-8", page), html),
        (Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"), &["status 204"]),
        (Reply::raw("HTTP/1.1 304 Not Modified\r\n\r\n"), &["status 304"]),
        (Reply::with_head("206 Partial Content", "", good), &["status 206"]),
        (packed, &["packed as 'br'", "status 200", "begins 'x'"]),
        (Reply::with_head("502 Bad Gateway", "Content-Encoding: br\r\n", "x"), &["status 502"]),
        (Reply::with_head("200 OK", "Content-Encoding: gzip\r\n", good), &["cannot be read"]),
    ];
    let daemon = fail(builder, &upstream, replies).await;
    assert!(!daemon.log().iter().any(|line| line.contains('\u{1b}')));
}

#[tokio::test]
async fn an_answer_may_have_a_length_chunks_gzip_or_end_with_the_connection() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let body = |coin: &str| {
        format!(r#"{{"err_no":0,"data":{{"user_coin":{{"alice":"{coin}"}},"now_date":9}}}}"#)
    };
    let (first, second) = (body("bcc"), body("btc"));
    upstream.next(Reply::raw(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{first}")));
    let (head, tail) = second.split_at(30);
    upstream.next(Reply::raw(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n",
        tail.len()
    )));
    upstream.next(Reply::gzip(&first));
    upstream.next(Reply::raw(format!("HTTP/1.0 200 OK\r\n\r\n{second}")));
    let daemon = polling(zookeeper, &upstream).start().await;
    for poll in polls(&daemon, 4).await {
        assert_line(&poll, &["outcome: complete", "entries: 1", "written: 1"]);
    }
    assert_eq!(upstream.requests()[0].header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_held() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let limit: &[&str] = &["larger than 20971520 bytes unpacked (CronBodyLimitBytes)"];
    let megabyte = ENTRY.repeat((1 << 20) / ENTRY.len());
    let of = |byte: &str| byte.repeat(1 << 20);
    // A gigabyte each: blanks, packed blanks, one string, brackets.
    let replies: Vec<(Reply, &[&str])> = vec![
        (Reply::raw(HEAD).repeat(of(" "), 1024), limit),
        (Reply::bomb(1024), limit),
        (Reply::raw(HEAD).send("\"").repeat(of("x"), 1024), &["longer than 65536 bytes"]),
        (Reply::raw(HEAD).send("\"a\":").repeat(of("["), 1024), &["10000 levels deep"]),
        (
            Reply::raw(HEAD).send("\"a\":[0").repeat(of(",0"), 512),
            &["a value in it is far too long"],
        ),
    ];
    let builder = polling(zookeeper, &upstream).set("CronBodyLimitBytes", 20 << 20);
    let daemon = fail(builder, &upstream, replies).await;
    assert!(peak_mb(&daemon) < 60, "{} MB", peak_mb(&daemon));
    drop(daemon);

    // Entries are held, as far as the limit lets them in.
    let endless = Reply::raw(HEAD).repeat(megabyte, 1024);
    let builder = polling(zookeeper, &upstream).set("CronBodyLimitBytes", 20 << 20);
    let daemon = fail(builder, &upstream, vec![(endless, limit)]).await;
    assert!(peak_mb(&daemon) < 100, "{} MB", peak_mb(&daemon));
}

#[tokio::test]
async fn redirects_are_followed_over_http() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let secret = url(&upstream).replace("http://", "http://user:p%40ss@") + "?token=s3cret";
    let builder = polling(zookeeper, &upstream).set("UserCoinMapURL", secret);
    let long = format!("/moved?a='{}'", "b".repeat(1000));
    for location in [&long, "further", &url(&upstream)] {
        upstream.next(Reply::redirect(location));
    }
    upstream.next(Reply::map(&[("alice", "btc")], 0));
    let mut replies: Vec<(Reply, &[&str])> = vec![
        (Reply::redirect("ftp://127.0.0.1/"), &["redirects to ftp://127.0.0.1/, which is neither"]),
        (Reply::redirect("http://[/"), &["redirects to no URL"]),
        (Reply::redirect("/\u{e9}"), &["redirects to nowhere: its Location is not in ASCII"]),
        (Reply::redirect(""), &["not a success: status 302"]),
    ];
    for _ in 0..5 {
        upstream.next(Reply::redirect("/loop"));
    }
    // The sixth redirect is the error.
    replies.insert(0, (Reply::redirect("/loop"), &["once more after 5 redirects"]));
    let followed = 4;
    let (script, causes): (Vec<_>, Vec<_>) = replies.into_iter().unzip();
    for reply in script {
        upstream.next(reply);
    }
    let daemon = builder.start().await;
    let polls = polls(&daemon, causes.len() + 1).await;
    assert_line(&polls[0], &["outcome: complete", "written: 1"]);
    for (poll, cause) in polls[1..].iter().zip(causes) {
        assert_line(poll, cause);
    }
    let requests = upstream.requests();
    assert_eq!(requests[0].target, "/usercoin.php?token=s3cret&last_date=0");
    let targets: Vec<_> = requests[1..followed].iter().map(|it| it.target.as_str()).collect();
    assert_eq!(targets, [&long.replace('\'', "%27"), "/further", "/usercoin.php"]);
    for request in &requests {
        assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwQHNz"));
    }
    let log = daemon.log().join("\n");
    assert!(!log.contains("s3cret") && !log.contains("p@ss") && !log.contains("p%40ss"), "{log}");
}

/// Another port may be another program, another host a stranger's. So may be what they redirect to.
#[tokio::test]
async fn a_redirect_to_another_port_or_host_gets_no_credentials() {
    let zookeeper = ZooKeeper::shared().await;
    for host in ["127.0.0.1", "localhost"] {
        let (upstream, elsewhere) = (upstream().await, upstream().await);
        let there = format!("http://{host}:{}/u?x=1", elsewhere.address().port());
        let secret = url(&upstream).replace("http://", "http://user:p%40ss@") + "?token=s3cret";
        upstream.next(Reply::redirect(&there));
        elsewhere.next(Reply::map(&[("alice", "btc")], 0));
        upstream.next(Reply::redirect_with(307, &there));
        elsewhere.next(Reply::redirect_with(308, "/denied"));
        elsewhere.next(Reply::status(401, "Unauthorized", "text/plain", "x"));
        upstream.next(Reply::redirect(&there));
        elsewhere.next(Reply::redirect(&(url(&upstream) + "?back")));
        upstream.next(Reply::map(&[("alice", "btc")], 0));
        let builder = polling(zookeeper, &upstream).set("UserCoinMapURL", secret);
        let daemon = builder.start().await;
        let polls = polls(&daemon, 3).await;
        assert_line(&polls[0], &["outcome: complete", "written: 1"]);
        assert_line(&polls[1], &["/denied, which gets no user and password, is not a success"]);
        assert_line(&polls[2], &["outcome: complete"]);
        let requests = elsewhere.requests();
        let targets: Vec<_> = requests.iter().map(|it| it.target.as_str()).collect();
        assert_eq!(targets[..4], ["/u?x=1", "/u?x=1", "/denied", "/u?x=1"]);
        assert!(requests.iter().all(|it| it.header("authorization").is_none()));
        let firsts = upstream.requests();
        let is_back = |target: &str| target.ends_with("?back");
        assert!(firsts.iter().any(|it| is_back(&it.target)));
        for request in firsts {
            let sent = request.header("authorization");
            assert_eq!(sent.is_none(), is_back(&request.target), "{}", request.target);
        }
    }
}

#[tokio::test]
async fn a_secure_upstream_has_to_be_trusted() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start_tls(|_| Reply::map(&[("alice", "btc")], now())).await.unwrap();
    let at = |host: &str| format!("https://{host}:{}/u", upstream.address().port());
    let builder = polling(zookeeper, &upstream).set("UserCoinMapURL", at("localhost"));
    let trusted = builder.folder().join("ca.pem");
    std::fs::write(&trusted, upstream.certificate().unwrap()).unwrap();
    let trusting = builder.clone().environment("SSL_CERT_FILE", trusted.to_str().unwrap());

    let daemon = builder.start().await;
    assert_line(
        &polls(&daemon, 1).await[0],
        &["cannot connect to https://localhost", "certificate"],
    );
    drop(daemon);
    assert!(upstream.requests().is_empty());

    let daemon = trusting.start().await;
    assert_line(&polls(&daemon, 1).await[0], &["outcome: complete", "written: 1"]);
    drop(daemon);

    // Another name than the certificate's, and a server that does not speak TLS at all.
    let daemon = trusting.clone().set("UserCoinMapURL", at("127.0.0.1")).start().await;
    assert_line(&polls(&daemon, 1).await[0], &["cannot connect to", "certificate"]);
    let plain = super::upstream().await;
    let wrong = url(&plain).replace("http:", "https:");
    let impatient = trusting.set("UserCoinMapURL", wrong).set("CronFetchTimeoutSeconds", 1);
    let daemon = impatient.start().await;
    assert_line(&polls(&daemon, 1).await[0], &["no connection to https://127.0.0.1", "within 1 s"]);
}

#[tokio::test]
async fn a_slow_fetch_delays_the_next_and_is_not_made_up_for() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let body = r#"{"err_no":0,"data":{"user_coin":{},"now_date":9}}"#;
    upstream.next(Reply::raw("HTTP/1.1 200 OK\r\n\r\n").drip(body, Duration::from_millis(60)));
    let daemon = polling(zookeeper, &upstream).start().await;
    polls(&daemon, 3).await;
    let requests = upstream.requests();
    let ended = requests[0].ended.unwrap();
    assert!(requests[1].at >= ended, "{requests:?}");
    // The third could begin at once if the second were late by the first one's length.
    let pause = requests[2].at.duration_since(requests[1].at);
    assert!(pause > Duration::from_millis(500), "{pause:?} {requests:?}");
}
