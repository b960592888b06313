//! A jobmaker's ack: the JSON in a sub-pool's `ack` znode (contract, section 3).

use serde_json::{Map, Value};

use crate::{domain::Coinbase, go_json::without_half_pairs};

/// A jobmaker's answer to a request that it read, from this daemon or another writer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ack {
    /// The jobmaker's coinbase since then; `None` if it refused the request.
    pub(crate) new: Option<Coinbase>,
    pub(crate) old: Coinbase,
    pub(crate) err_msg: String,
    /// The sub-pool's name as the jobmaker reports it.
    pub(crate) subpool_name: String,
    /// The jobmaker's host name; empty if not reported.
    pub(crate) host: String,
    /// The reported host as JSON, to recognize the jobmaker.
    pub(crate) origin: String,
    /// The ack's creation time, to the second; empty if not reported.
    pub(crate) created_at: String,
}

impl Ack {
    /// Parses an ack; `None` without its mandatory fields: `success`, `old`, and `new` if successful.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let ack: Map<String, Value> = serde_json::from_slice(&without_half_pairs(json)).ok()?;
        let text = |field: &str| ack.get(field).and_then(Value::as_str).unwrap_or_default();
        let success = ack.get("success")?.as_bool()?;
        let host = ack.get("host");
        let hostname = host.and_then(|host| host.get("hostname")?.as_str());
        Some(Self {
            new: if success { Some(coinbase(ack.get("new")?)?) } else { None },
            old: coinbase(ack.get("old")?)?,
            err_msg: text("err_msg").to_owned(),
            subpool_name: text("subpool_name").to_owned(),
            host: hostname.unwrap_or_default().to_owned(),
            origin: host.map(Value::to_string).unwrap_or_default(),
            created_at: text("created_at").to_owned(),
        })
    }

    /// Whether two acks have the same result, apart from the coinbase before.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.new == other.new && self.err_msg == other.err_msg
    }

    /// Whether this ack is certainly no repetition of `before`, the previous ack: it differs, or it is of another
    /// second and its `old` is the coinbase that `before` left.
    pub(crate) fn is_of_another_read(&self, before: &Self) -> bool {
        let says_otherwise = !self.says_the_same(before) || self.old != before.old;
        says_otherwise || (self.created_at != before.created_at && self.old == *before.held())
    }

    /// The jobmaker's coinbase when it wrote the ack.
    pub(crate) fn held(&self) -> &Coinbase {
        self.new.as_ref().unwrap_or(&self.old)
    }

    /// Whether the jobmaker holds the requested coinbase, up to two harmless changes: it cuts a text that is too long,
    /// and reports so; and it writes bech32 addresses in lower case.
    pub(crate) fn grants(&self, asked: &Coinbase) -> bool {
        self.grants_text(asked) && is_same_address(&self.held().payout_addr, &asked.payout_addr)
    }

    /// Whether the jobmaker holds the requested text, maybe cut.
    pub(crate) fn grants_text(&self, asked: &Coinbase) -> bool {
        self.new.as_ref().is_some_and(|new| {
            let (new, asked) = (&new.coinbase_info, &asked.coinbase_info);
            let cut = || format!("coinbase info truncated to {} bytes", new.len());
            new == asked || (asked.starts_with(&**new) && self.err_msg == cut())
        })
    }

    /// Whether the request znode was empty, which the jobmaker reports as a failure.
    pub(crate) fn is_empty_request(&self) -> bool {
        self.new.is_none() && self.err_msg == "empty request"
    }
}

fn coinbase(value: &Value) -> Option<Coinbase> {
    let text = |field: &str| Some(value.get(field)?.as_str()?.to_owned());
    Some(Coinbase { coinbase_info: text("coinbase_info")?, payout_addr: text("payout_addr")? })
}

/// Bech32 has one case only: an address with both cases is of another kind.
fn is_same_address(new: &str, asked: &str) -> bool {
    new == asked
        || (!asked.contains(|c: char| c.is_ascii_lowercase()) && new == asked.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coinbase(info: &str, address: &str) -> Coinbase {
        Coinbase { coinbase_info: info.to_owned(), payout_addr: address.to_owned() }
    }

    fn granted(info: &str, address: &str, err_msg: &str) -> Ack {
        Ack {
            new: Some(coinbase(info, address)),
            old: coinbase("", ""),
            err_msg: err_msg.to_owned(),
            subpool_name: String::new(),
            host: String::new(),
            origin: String::new(),
            created_at: String::new(),
        }
    }

    #[test]
    fn an_ack_has_success_and_old_and_with_success_new() {
        let old = r#""old":{"coinbase_info":"o","payout_addr":"p"}"#;
        let new = r#""new":{"coinbase_info":"n","payout_addr":"q"}"#;
        let parse = |json: String| Ack::parse(json.as_bytes());

        let refused = parse(format!(r#"{{"success":false,{old},"x":[]}}"#)).unwrap();
        assert_eq!((refused.new.as_ref(), refused.held()), (None, &coinbase("o", "p")));
        let full = format!(
            r#"{{"success":true,{old},{new},"err_msg":"success","subpool_name":"pool3","host":{{"hostname":"vm","ip":[]}}}}"#
        );
        let full = parse(full).unwrap();
        assert_eq!(full.held(), &coinbase("n", "q"));
        assert_eq!((&*full.err_msg, &*full.subpool_name, &*full.host), ("success", "pool3", "vm"));

        let half = r#""old":{"coinbase_info":"o"}"#;
        for bad in [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"success":false}"#.to_owned(),
            format!("{{{old}}}"),
            format!(r#"{{"success":1,{old}}}"#),
            format!(r#"{{"success":true,{old}}}"#),
            format!(r#"{{"success":false,{half}}}"#),
            format!(r#"{{"success":false,{old}"#),
        ] {
            assert_eq!(parse(bad.clone()), None, "{bad}");
        }
        assert_eq!(Ack::parse(b"{\"success\":false,\xff}"), None);
    }

    #[test]
    fn half_a_surrogate_pair_is_read_as_a_replacement() {
        let json = br#"{"success":false,"\udc00":0,"err_msg":"a\\ud800\ud83d\ude00",
            "old":{"coinbase_info":"\uD800x","payout_addr":"p\udfff\ud83d"}}"#;
        let ack = Ack::parse(json).unwrap();
        assert_eq!(ack.old, coinbase("\u{fffd}x", "p\u{fffd}\u{fffd}"));
        assert_eq!(ack.err_msg, "a\\ud800\u{1f600}");
    }

    #[test]
    fn only_documented_changes_count_as_granted() {
        let cut = "coinbase info truncated to 2 bytes";
        let grants = |ack: Ack, info, address| ack.grants(&coinbase(info, address));
        assert!(grants(granted("abc", "A1", "success"), "abc", "A1"));
        assert!(grants(granted("ab", "A1", cut), "abc", "A1"));
        assert!(grants(granted("abc", "bc1q", "success"), "abc", "BC1Q"));

        assert!(!grants(granted("ab", "A1", "success"), "abc", "A1"), "not reported as cut");
        assert!(!grants(granted("ab", "A1", cut), "acc", "A1"), "cut of another text");
        assert!(!grants(granted("abc", "bc1q", "success"), "abc", "Bc1Q"), "not bech32");
        assert!(!grants(granted("abc", "BC1Q", "success"), "abc", "bc1q"));
        let refused = Ack { new: None, ..granted("abc", "A1", "success") };
        assert!(!grants(refused, "abc", "A1"));
    }

    #[test]
    fn an_ack_is_of_another_read_if_it_differs_or_is_of_another_second() {
        let of = |old: &str, new: &str, second: &str| Ack {
            old: coinbase("x", old),
            created_at: second.to_owned(),
            ..granted("x", new, "success")
        };
        let first = of("A", "B", "1");
        assert!(!first.is_of_another_read(&first));
        assert!(!of("A", "B", "2").is_of_another_read(&first), "it held B by then");
        assert!(of("B", "B", "1").is_of_another_read(&first));
        assert!(of("A", "C", "1").is_of_another_read(&first));
        assert!(!of("B", "B", "1").is_of_another_read(&of("B", "B", "1")));
        assert!(of("B", "B", "2").is_of_another_read(&of("B", "B", "1")));
        let refused = |second: &str| Ack { new: None, ..of("B", "", second) };
        assert!(refused("1").is_of_another_read(&first));
        assert!(!refused("1").is_of_another_read(&refused("1")));
        assert!(refused("2").is_of_another_read(&refused("1")));
    }
}
