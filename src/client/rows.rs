//! Rows of the history and of an undo's results, as lines of text.
//!
//! The rows stay JSON: the command must print a newer daemon's rows, too.

use serde_json::{Value, map::Map};
use switcher_actors::Shown;

/// One row.
pub struct Row<'a>(pub &'a Map<String, Value>);

impl<'a> Row<'a> {
    /// Text of a field; `None` if the field is absent or no text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn count(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    fn shown(&self, name: &str) -> String {
        self.text(name).map_or("-".to_owned(), |text| Shown(text).to_string())
    }

    /// Sub-account, or coin and name of a sub-pool.
    pub fn name(&self) -> Option<String> {
        if let Some(name) = self.text("sub_account") {
            return Some(Shown(name).to_string());
        }
        let name = self.text("sub_pool")?;
        Some(format!("{}/{}", self.shown("coin"), Shown(name)))
    }

    /// Old and new value; of a coinbase, one pair for the address and one for the text.
    pub fn change(&self, old: &str, new: &str) -> String {
        let (old, new) = (self.0.get(old), self.0.get(new));
        if [old, new].iter().flatten().any(|value| value.is_object()) {
            let parts = ["payout_addr", "coinbase_info"].map(|part| {
                let of = |value: Option<&Value>| value_text(value.and_then(|it| it.get(part)));
                format!("{part} {} -> {}", of(old), of(new))
            });
            return parts.join(", ");
        }
        format!("{} -> {}", value_text(old), value_text(new))
    }

    /// Beginning of each row: time, source, request, client.
    fn head(&self) -> String {
        let [time, source, request, client] =
            ["time", "source", "request", "client"].map(|name| self.shown(name));
        format!("{time}  {source:12}  {request:16}  {client:15}")
    }

    /// End of each row: users, undo, reason.
    fn tail(&self) -> String {
        let parts = [
            ("actor", "by "),
            ("on_behalf_of", "on behalf of "),
            ("undo_of", "undo of "),
            ("undone_by", "undone by "),
            ("comment", "comment "),
        ];
        let parts = parts
            .iter()
            .filter_map(|(name, word)| Some(format!("; {word}{}", Shown(self.text(name)?))));
        parts.collect()
    }

    /// Keys of a reload.
    fn keys(&self) -> String {
        let keys = self.0.get("keys").and_then(Value::as_array).into_iter().flatten();
        let keys: Vec<_> = keys.filter_map(Value::as_str).map(|it| Shown(it).to_string()).collect();
        if keys.is_empty() { String::new() } else { format!(": {}", keys.join(" ")) }
    }

    /// A change of the history.
    pub fn change_line(&self) -> String {
        let what = match self.name() {
            Some(name) => format!("{name}: {}", self.change("old", "new")),
            None => self.shown("kind") + &self.keys(),
        };
        let mut line = format!("{}  {what}  {}", self.head(), self.shown("outcome"));
        let due = self.0.get("due").filter(|due| !due.is_null());
        for (word, text) in [
            (": ", self.text("cause").map(|text| Shown(text).to_string())),
            (", due ", due.map(|due| value_text(Some(due)))),
            (", superseded by ", self.text("superseded_by").map(|text| Shown(text).to_string())),
        ] {
            line.extend(text.map(|text| format!("{word}{text}")));
        }
        line + &self.tail()
    }

    /// A request of the history.
    pub fn request_line(&self) -> String {
        let counts = |names: &[&str]| {
            let counts = names.iter().map(|name| (self.count(name), *name));
            let counts = counts.filter(|(count, _)| *count > 0);
            counts.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>()
        };
        let mut parts = counts(&["applied", "not_applied", "unknown", "held", "created"]);
        if let Some(Value::Object(coins)) = self.0.get("new") {
            let coins = coins.iter().map(|(coin, count)| format!("{} {count}", Shown(coin)));
            parts.extend(
                Some(coins.collect::<Vec<_>>())
                    .filter(|it| !it.is_empty())
                    .map(|it| format!("to {}", it.join(" "))),
            );
        }
        let (kind, entries) = (self.shown("kind"), self.count("entries"));
        format!("{}  {kind} of {entries}: {}{}", self.head(), parts.join(", "), self.tail())
    }

    /// Result of an undo.
    pub fn result_line(&self) -> String {
        let (name, outcome) = (self.name().unwrap_or("-".to_owned()), self.shown("outcome"));
        let what = match self.text("outcome") {
            // The other value is not written.
            Some("left_alone") => value_text(self.0.get("now")),
            _ => self.change("now", "back_to"),
        };
        let mut line = format!("{name}: {what}  {outcome}");
        for (field, word) in [("cause", ": "), ("by", " by "), ("at", " at ")] {
            line.extend(self.text(field).map(|text| format!("{word}{}", Shown(text))));
        }
        line
    }
}

/// A row's value: absent if not known, null without a znode.
fn value_text(value: Option<&Value>) -> String {
    match value {
        None => "?".to_owned(),
        Some(Value::Null) => "no znode".to_owned(),
        Some(Value::String(text)) => Shown(text).to_string(),
        Some(Value::Object(parts)) => {
            let parts = parts
                .iter()
                .map(|(name, part)| format!("{} {}", Shown(name), value_text(Some(part))));
            parts.collect::<Vec<_>>().join(", ")
        }
        Some(other) => Shown(&other.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(row: Value, of: impl Fn(&Row<'_>) -> String) -> String {
        of(&Row(row.as_object().unwrap()))
    }

    #[test]
    fn a_change_is_a_line() {
        let row = |more: Value| {
            let mut row = json!({"number": 7, "time": "2026-11-28T10:00:00.000Z", "kind": "switch",
                "request": "00a1b2c3d4e5f607", "source": "api", "client": "10.0.0.1", "sub_account": "alice",
                "coin": "bcc", "old": "btc", "new": "bcc", "outcome": "applied"});
            for (name, value) in more.as_object().unwrap() {
                row[name] = value.clone();
            }
            line(row, |row| row.change_line())
        };
        let head = "2026-11-28T10:00:00.000Z  api           00a1b2c3d4e5f607  10.0.0.1       ";
        assert_eq!(row(json!({})), format!("{head}  alice: btc -> bcc  applied"));
        for (more, end) in [
            (json!({"old": null}), "alice: no znode -> bcc  applied"),
            (json!({"new": null, "sub_account": "a b"}), "\"a b\": btc -> no znode  applied"),
            (
                json!({"outcome": "held", "due": "2026-11-28T10:00:15.000Z", "superseded_by": "ltc"}),
                "alice: btc -> bcc  held, due 2026-11-28T10:00:15.000Z, superseded by ltc",
            ),
            (
                json!({"outcome": "not_applied", "cause": "no session", "actor": "wang", "on_behalf_of": "li",
                    "comment": "\u{1b}[2J", "undo_of": "1"}),
                "alice: btc -> bcc  not_applied: \"no session\"; by wang; on behalf of li; undo of 1; comment \
                 \"\\u{1b}[2J\"",
            ),
        ] {
            assert_eq!(row(more), format!("{head}  {end}"));
        }
        let update = json!({"time": "T", "kind": "update", "request": "1", "source": "console", "coin": "btc",
            "sub_pool": "pool3", "new": {"coinbase_info": "tiger", "payout_addr": "1New"}, "outcome": "unknown",
            "old": {"coinbase_info": "", "payout_addr": "1Old"}});
        assert_eq!(
            line(update, |row| row.change_line()),
            "T  console       1                 -                btc/pool3: payout_addr 1Old -> 1New, coinbase_info \
             \"\" -> tiger  unknown"
        );
        let update =
            json!({"time": "T", "coin": "btc", "sub_pool": "p", "new": {"payout_addr": "1"}});
        let told = line(update, |row| row.change_line());
        assert!(told.ends_with("btc/p: payout_addr ? -> 1, coinbase_info ? -> ?  -"), "{told}");
        let reload = json!({"time": "T", "kind": "reload", "outcome": "applied",
            "keys": ["LogLevel", "a b"]});
        let told = line(reload, |row| row.change_line());
        assert_eq!(
            told,
            "T  -             -                 -                reload: LogLevel \"a b\"  applied"
        );
    }

    #[test]
    fn a_request_is_a_line_with_its_counts() {
        let request = json!({"request": "00a1b2c3d4e5f607", "time": "2026-11-28T10:00:00.000Z", "kind": "switch",
            "source": "poll", "entries": 20, "applied": 17, "not_applied": 2, "unknown": 1, "created": 4,
            "new": {"bcc": 12, "l t": 8}, "undone_by": "99"});
        assert_eq!(
            line(request, |row| row.request_line()),
            "2026-11-28T10:00:00.000Z  poll          00a1b2c3d4e5f607  -                switch of 20: 17 applied, \
             2 not_applied, 1 unknown, 4 created, to bcc 12 \"l t\" 8; undone by 99"
        );
    }

    #[test]
    fn a_result_of_an_undo_is_a_line() {
        for (row, expected) in [
            (
                json!({"sub_account": "alice", "now": "bcc", "back_to": "btc", "outcome": "restored"}),
                "alice: bcc -> btc  restored",
            ),
            (
                json!({"sub_account": "new", "now": "bcc", "back_to": null, "outcome": "would_delete"}),
                "new: bcc -> no znode  would_delete",
            ),
            (
                json!({"sub_account": "bob", "now": "ltc", "back_to": "btc", "outcome": "left_alone",
                    "cause": "switched since", "by": "11", "at": "2026-11-28T10:00:00.000Z"}),
                "bob: ltc  left_alone: \"switched since\" by 11 at 2026-11-28T10:00:00.000Z",
            ),
            (
                json!({"coin": "btc", "sub_pool": "p", "outcome": "not_applied", "cause": "no jobmaker",
                    "now": {"payout_addr": "1", "coinbase_info": "x"}, "back_to": {"payout_addr": "2", "coinbase_info": "x"}}),
                "btc/p: payout_addr 1 -> 2, coinbase_info x -> x  not_applied: \"no jobmaker\"",
            ),
        ] {
            assert_eq!(line(row, |row| row.result_line()), expected);
        }
    }
}
