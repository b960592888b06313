//! Rows as CSV (RFC 4180) for spreadsheets: a header row, CRLF. An absent value and `null` are empty fields; a value with
//! parts, such as a coinbase, is JSON.
//!
//! Names of sub-accounts come from outside, and a spreadsheet computes a field that looks like a formula. So a field that
//! begins with `=`, `+`, `-` or `@`, also in full width, or with an apostrophe, gets an apostrophe in front. Invisible
//! characters are written as `\u{…}`, so that each row is one line. Programs use JSON, which has the values as they are.

use csv::{Terminator, WriterBuilder};
use serde::Serialize;
use serde_json::Value;
use switcher_actors::{escape_json, is_invisible, push_escaped};

/// Columns of changes.
pub const CHANGE: &[&str] = &[
    "number",
    "time",
    "kind",
    "request",
    "source",
    "actor",
    "on_behalf_of",
    "client",
    "comment",
    "undo_of",
    "sub_account",
    "coin",
    "sub_pool",
    "old",
    "new",
    "superseded_by",
    "due",
    "outcome",
    "cause",
    "keys",
];

/// Columns of requests.
pub const REQUEST: &[&str] = &[
    "number",
    "time",
    "kind",
    "request",
    "source",
    "actor",
    "on_behalf_of",
    "client",
    "comment",
    "undo_of",
    "undone_by",
    "entries",
    "applied",
    "not_applied",
    "unknown",
    "held",
    "created",
    "new",
];

/// A table of the rows. `columns` are names of their fields in JSON.
pub fn table(columns: &[&str], rows: &[impl Serialize]) -> String {
    let mut table = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    // Writing to a Vec and serializing maps with text keys cannot fail.
    let _ = table.write_record(columns);
    for row in rows {
        let row = serde_json::to_value(row).unwrap_or_default();
        let _ = table.write_record(columns.iter().map(|column| field(&row[*column])));
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        value => escape_json(&value.to_string()).into_owned(),
    }
}

/// A text that no spreadsheet takes for a formula.
fn plain(text: &str) -> String {
    let mut field = String::with_capacity(text.len());
    if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\'']) {
        field.push('\'');
    }
    push_escaped(&mut field, text, is_invisible, |field, c| field.extend(c.escape_unicode()));
    field
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_never_a_formula_and_a_row_is_one_line() {
        for (text, field) in [
            ("alice", "alice"),
            ("=1+1", "'=1+1"),
            ("+a", "'+a"),
            ("-a", "'-a"),
            ("@a", "'@a"),
            ("＝a", "'＝a"),
            ("'=a", "''=a"),
            ("a=b", "a=b"),
            ("\t=1", "\\u{9}=1"),
            ("a\r\n=1", "a\\u{d}\\u{a}=1"),
            ("a\u{202e}b用 c", "a\\u{202e}b用 c"),
        ] {
            assert_eq!(plain(text), field);
        }
    }

    #[test]
    fn fields_are_quoted_where_needed_and_absent_ones_are_empty() {
        let rows = [
            json!({"number": 7, "old": null, "new": "a,\"b\""}),
            json!({"number": 8, "old": {"info": "-\u{202e}"}, "new": {"btc": 2}}),
        ];
        let text = table(&["number", "old", "new", "cause"], &rows);
        let lines = [
            "number,old,new,cause",
            "7,,\"a,\"\"b\"\"\",",
            "8,\"{\"\"info\"\":\"\"-\\u202e\"\"}\",\"{\"\"btc\"\":2}\",",
            "",
        ];
        assert_eq!(text, lines.join("\r\n"));
        assert_eq!(table(&["number", "new"], &[(); 0]), "number,new\r\n");
    }
}
