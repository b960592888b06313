//! What a jobmaker says: the JSON that it writes to a sub-pool's `ack` znode (contract, section 3).

use serde_json::{Map, Value};

use crate::domain::Coinbase;

/// A jobmaker's answer to what it read, whoever wrote that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ack {
    /// What the jobmaker holds since then; `None` if it refused what it read.
    pub(crate) new: Option<Coinbase>,
    /// What it held before.
    pub(crate) old: Coinbase,
    /// Its own words.
    pub(crate) err_msg: String,
    /// The sub-pool by the jobmaker's own account.
    pub(crate) subpool_name: String,
    /// The jobmaker's host name; empty if it does not tell.
    pub(crate) host: String,
    /// All that it tells of its host, to know it again.
    pub(crate) origin: String,
    /// When the jobmaker made the ack, to the second; empty if it does not tell.
    pub(crate) created_at: String,
}

impl Ack {
    /// Reads an ack; `None` if it does not say what every ack must: `success` and `old`, and `new` with
    /// a success.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let ack: Map<String, Value> = serde_json::from_slice(json).ok()?;
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

    /// Whether two acks tell the same of what was requested, whatever was held before.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.new == other.new && self.err_msg == other.err_msg
    }

    /// Whether this ack cannot be a repetition of `before`, the ack that was seen before it: it says something
    /// else; or it is of another second, and the jobmaker held the value of `before` when it made it.
    pub(crate) fn is_of_another_read(&self, before: &Self) -> bool {
        let says_otherwise = !self.says_the_same(before) || self.old != before.old;
        says_otherwise || (self.created_at != before.created_at && self.old == *before.held())
    }

    /// What the jobmaker held as it wrote the ack.
    pub(crate) fn held(&self) -> &Coinbase {
        self.new.as_ref().unwrap_or(&self.old)
    }

    /// Whether the jobmaker holds what `asked` asks for, up to the two changes that are known to be
    /// harmless: it cuts a text that is too long for it, and says so; and it spells bech32 addresses
    /// in lower case.
    pub(crate) fn grants(&self, asked: &Coinbase) -> bool {
        self.grants_text(asked) && is_same_address(&self.held().payout_addr, &asked.payout_addr)
    }

    /// Whether the jobmaker holds the text that is asked for, maybe cut.
    pub(crate) fn grants_text(&self, asked: &Coinbase) -> bool {
        self.new.as_ref().is_some_and(|new| {
            let (new, asked) = (&new.coinbase_info, &asked.coinbase_info);
            let cut = || format!("coinbase info truncated to {} bytes", new.len());
            new == asked || (asked.starts_with(&**new) && self.err_msg == cut())
        })
    }

    /// Whether nothing was requested of the jobmaker yet, which it reports as a failure.
    pub(crate) fn is_empty_request(&self) -> bool {
        self.new.is_none() && self.err_msg == "empty request"
    }
}

fn coinbase(value: &Value) -> Option<Coinbase> {
    let text = |field: &str| Some(value.get(field)?.as_str()?.to_owned());
    Some(Coinbase { coinbase_info: text("coinbase_info")?, payout_addr: text("payout_addr")? })
}

/// Bech32 is written in one case only, so a text of both cases is another kind of address.
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
    fn an_ack_says_success_and_old_and_with_success_new() {
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
    fn only_documented_changes_count_as_what_was_asked() {
        let cut = "coinbase info truncated to 2 bytes";
        let grants = |ack: Ack, info, address| ack.grants(&coinbase(info, address));
        assert!(grants(granted("abc", "A1", "success"), "abc", "A1"));
        assert!(grants(granted("ab", "A1", cut), "abc", "A1"));
        assert!(grants(granted("abc", "bc1q", "success"), "abc", "BC1Q"));

        assert!(!grants(granted("ab", "A1", "success"), "abc", "A1"), "not said to be cut");
        assert!(!grants(granted("ab", "A1", cut), "acc", "A1"), "cut of another text");
        assert!(!grants(granted("abc", "bc1q", "success"), "abc", "Bc1Q"), "not bech32");
        assert!(!grants(granted("abc", "BC1Q", "success"), "abc", "bc1q"));
        let refused = Ack { new: None, ..granted("abc", "A1", "success") };
        assert!(!grants(refused, "abc", "A1"));
    }

    #[test]
    fn an_ack_is_of_another_read_if_it_says_something_else_or_is_of_another_second() {
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
