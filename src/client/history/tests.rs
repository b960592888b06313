//! Pages of the daemon, literally.

use serde_json::json;

use super::*;
use crate::client::{
    access::{ApiAccess, ApiCredentials},
    arguments::Secret,
};

fn search(format: Format, arguments: &SearchArguments) -> Search {
    let access = ApiAccess {
        server: "127.0.0.1:1".parse().unwrap(),
        tls: None,
        credentials: ApiCredentials::Token(Secret("t".to_owned())),
        coins: Vec::new(),
    };
    Search {
        api: Api::new(&access, Duration::from_secs(1)),
        page: "/history",
        filters: filters(arguments, SystemTime::UNIX_EPOCH + Duration::from_secs(7_200)),
        format,
        limit: 100,
        is_followed: false,
    }
}

fn read(format: Format, body: &str, next_cursor: Option<&str>) -> Option<RowsPage> {
    let next_cursor = next_cursor.map(str::to_owned);
    RowsPage::read(&Page { status: 200, body: body.into(), next_cursor }, format)
}

fn printed(page: &RowsPage, format: Format, is_first: bool) -> String {
    let mut output = Vec::new();
    page.print(format, is_first, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

#[test]
fn filters_become_an_encoded_query() {
    let arguments = SearchArguments {
        sub_account: Some("a&b=c d/用".to_owned()),
        request: Some("00a1".to_owned()),
        from: "1h".parse().ok(),
        to: "2026-11-28T10:00:00+08:00".parse().ok(),
        ..SearchArguments::default()
    };
    assert_eq!(
        search(Format::ChangeLines, &arguments).target("newest", None, 100),
        "/history?order=newest&limit=100&sub_account=a%26b%3Dc%20d%2F%E7%94%A8&request=00a1\
         &from=1970-01-01T01%3A00%3A00.000Z&to=2026-11-28T10%3A00%3A00%2B08%3A00"
    );
    let all = SearchArguments::default();
    assert_eq!(
        search(Format::Csv, &all).target("oldest", Some("7"), 1000),
        "/history?order=oldest&limit=1000&format=csv&cursor=7"
    );
}

#[test]
fn a_page_has_rows_and_a_cursor() {
    let row =
        r#"{"number":7,"time":"T","zz":1.50,"sub_account":"a\u001b","old":null,"new":"btc\u009b"}"#;
    for (next, cursor) in [("null", None), ("7", Some("7")), ("\"c-7\"", Some("c-7"))] {
        for name in ["changes", "requests"] {
            let body = format!(r#"{{"{name}":[{row}],"next":{next}}}"#);
            let page = read(Format::Json, &body, None).unwrap();
            assert_eq!((page.count(), page.next.as_deref()), (1, cursor));
            // The daemon's fields in their order, and no letter that moves a cursor.
            assert_eq!(printed(&page, Format::Json, true), format!("{row}\n"));
            let number = last_number(&page.rows).unwrap();
            assert_eq!(number.as_deref(), Some("7"));
        }
    }
    let page = read(Format::ChangeLines, &format!(r#"{{"changes":[{row}],"next":null}}"#), None);
    let line = printed(&page.unwrap(), Format::ChangeLines, true);
    assert!(line.ends_with("\"a\\u{1b}\": no znode -> \"btc\\u{9b}\"  -\n"), "{line}");
    for bad in ["", "<html>", "{}", r#"{"changes":[]}"#, r#"{"changes":{},"next":null}"#] {
        assert!(read(Format::Json, bad, None).is_none(), "{bad}");
    }
    let page = read(Format::Json, r#"{"requests":[{"request":"7"}],"next":null}"#, None).unwrap();
    let failure = last_number(&page.rows).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Protocol);
    assert_eq!(last_number(&[]).unwrap(), None);
}

#[test]
fn pages_of_csv_are_one_table() {
    let text = "number,time,comment\r\n7,T,\"two\nlines\"\r\n6,T,\r\n";
    let page = read(Format::Csv, text, Some("6")).unwrap();
    assert_eq!((page.count(), page.next.as_deref()), (2, Some("6")));
    assert_eq!(printed(&page, Format::Csv, true), text);
    assert_eq!(printed(&page, Format::Csv, false), "7,T,\"two\nlines\"\r\n6,T,\r\n");
    let empty = read(Format::Csv, "number,time\r\n", None).unwrap();
    assert_eq!((empty.count(), empty.next.as_deref()), (0, None));
    assert_eq!(printed(&empty, Format::Csv, false), "");
    assert!(read(Format::Csv, "<html>", None).is_none());
}

#[test]
fn a_request_and_a_change_differ_as_lines() {
    let body = json!({"requests": [{"request": "7", "kind": "switch", "entries": 2, "applied": 2}], "next": null});
    let page = read(Format::RequestLines, &body.to_string(), None).unwrap();
    let line = printed(&page, Format::RequestLines, true);
    assert!(line.ends_with("switch of 2: 2 applied\n"), "{line}");
}

#[test]
fn a_closed_pipe_ends_without_a_failure_and_a_full_disk_with_one() {
    struct Broken(io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let page = read(Format::Json, r#"{"changes":[{}],"next":null}"#, None).unwrap();
    let printed = |kind| page.print(Format::Json, true, &mut Broken(kind)).unwrap_err();
    assert!(matches!(printed(io::ErrorKind::BrokenPipe), Stop::Closed));
    let Stop::Failed(failure) = printed(io::ErrorKind::StorageFull) else { panic!("closed") };
    assert_eq!(failure.kind, FailureKind::NoOutput);
}
