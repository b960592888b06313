//! Unusual heads of answers: labels of no real encoding, many, large and folded headers, interim answers.

use upstream_sim::Reply;

use super::fetch::fail;
use super::{assert_line, polling, polls, upstream};
use crate::support::zookeeper::ZooKeeper;

const MAP: &str = r#"{"err_no":0,"data":{"user_coin":{"alice":"btc"},"now_date":9}}"#;

fn with(headers: &str) -> Reply {
    Reply::with_head("200 OK", headers, MAP)
}

/// Polls the answers one after the other; each must yield its one entry.
async fn all_complete(replies: Vec<Reply>) {
    let upstream = upstream().await;
    let count = replies.len();
    for reply in replies {
        upstream.next(reply);
    }
    let daemon = polling(ZooKeeper::shared().await, &upstream).start().await;
    for (number, poll) in polls(&daemon, count).await.iter().enumerate() {
        assert!(poll.contains("outcome: complete"), "reply {number}: {poll}");
        assert_line(poll, &["entries: 1"]);
    }
}

#[tokio::test]
async fn an_encoding_that_names_no_compression_is_plain() {
    let labels = [
        "",
        "identity",
        "none",
        "utf-8",
        "UTF-8",
        "chunked",
        ", ,",
        "identity, identity,",
        "br",
        "deflate",
        "gzip, none",
    ];
    let mut replies: Vec<_> =
        labels.iter().map(|label| with(&format!("Content-Encoding: {label}\r\n"))).collect();
    replies.push(with("Content-Encoding: identity\r\ncontent-encoding: none\r\n"));
    all_complete(replies).await;
}

#[tokio::test]
async fn gzip_is_unpacked_however_it_is_spelt() {
    let labels =
        ["gzip", "GZIP", "x-gzip", " gzip , ", "identity, gzip", "gzip\r\nContent-Encoding: gzip"];
    let replies = labels.iter().map(|label| {
        Reply::with_head("200 OK", &format!("Content-Encoding: {label}\r\n"), Reply::packed(MAP))
    });
    all_complete(replies.collect()).await;
}

#[tokio::test]
async fn heads_may_be_long_folded_and_sloppy() {
    let body = |head: &str| Reply::raw(format!("{head}{MAP}"));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    all_complete(vec![
        with(&many(101)),
        with(&many(9_000)),
        with(&"Set-Cookie: a=b\r\n".repeat(9_000)),
        with(&format!("X-Debug: {}\r\n", "y".repeat(900_000))),
        with("X-Folded: a\r\n b\r\n\tc\r\nX-Next: d\r\n"),
        with("Content-Type: application/json;\r\n  charset=utf-8\r\nContent-Encoding:\r\n gzip,\r\n none\r\n"),
        with("X-Blank : y\r\nX Blank: y\r\nContent-Type : text/html\r\n"),
        body("HTTP/1.1 200 OK\nContent-Type: application/json\nX: a\n b\n\n"),
        body("HTTP/1.1 200\r\nConnection: close\r\n\r\n"),
        body("HTTP/1.0 200 OK\r\n\r\n"),
        body(&format!("{early}HTTP/1.1 200 OK\r\n{}\r\n", many(200))),
    ])
    .await;
}

#[tokio::test]
async fn a_redirect_may_have_such_a_head_too() {
    let upstream = upstream().await;
    let headers = format!("{}X: a\r\n b\r\nLocation: /u\r\n", "X: y\r\n".repeat(200));
    upstream.next(Reply::with_head("302 Found", &headers, "x"));
    upstream.next(with(""));
    let daemon = polling(ZooKeeper::shared().await, &upstream).start().await;
    assert_line(&polls(&daemon, 1).await[0], &["outcome: complete", "entries: 1"]);
}

#[tokio::test]
async fn a_body_that_is_packed_otherwise_or_not_at_all_is_quoted() {
    let upstream = upstream().await;
    let brotli = b"\x0b\x1e\x80{\"err";
    let label = |label: &str| format!("Content-Encoding: {label}\r\n");
    let of = |name: &str, body: &[u8]| Reply::with_head("200 OK", &label(name), body);
    let gzip: &[&str] = &[
        "cannot be read: its Content-Encoding is gzip, but its body is not",
        "leave the header out",
        r#"begins '{\"err_no\":0"#,
    ];
    let refused = r#"{"err_no":7,"err_msg":"no"}"#;
    let replies: Vec<(Reply, &[&str])> = vec![
        (of("gzip", MAP.as_bytes()), gzip),
        (of("gzip", b""), &["cannot be read", "content encoding 'gzip'", "begins ''"]),
        (
            of("gzip", b"\x1f\x8b\x08\x00\0\0\0\0\0\x03\xff\xff"),
            &["cannot be read: ", "begins '\\u{1f}\\x8b"],
        ),
        (of("br", brotli), &["packed as 'br', which was not asked for", "\\x80{", "status 200"]),
        (of("zstd", b"\x28\xb5\x2f\xfd"), &["packed as 'zstd'", "(\\xb5/\\xfd"]),
        (of("deflate", b"\x78\x9c\xab"), &["packed as 'deflate'"]),
        // An error of the backend is one, whatever the label.
        (of("none", refused.as_bytes()), &["err_no 7"]),
        (of("none", b"{\"err_no\""), &["is not a user-coin map", "content encoding 'none'"]),
        (
            Reply::with_head("500 Oops", &label("gzip"), "not packed"),
            &["status 500", "begins 'not packed'"],
        ),
        (
            Reply::with_head("500 Oops", &label("gzip"), Reply::packed("packed")),
            &["status 500", "begins 'packed'"],
        ),
        (
            with(&"X: y\r\n".repeat(10_001)),
            &["message head is too large", "more than 10000 headers"],
        ),
    ];
    fail(polling(ZooKeeper::shared().await, &upstream), &upstream, replies).await;
}
