//! Interpretation of the bytes in a request node.

use serde_json::Value;

use crate::address;

/// A jobmaker reads no more of a request node.
const READ_AT_MOST: usize = 8192;

/// Coinbase of a sub-pool's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coinbase {
    /// Bytes, not text: the cut may have gone through a character.
    pub(crate) info: Vec<u8>,
    pub(crate) address: String,
}

impl Coinbase {
    pub(crate) fn new(info: &str, address: &str) -> Self {
        Self { info: info.as_bytes().to_vec(), address: address.to_owned() }
    }
}

/// The jobmaker's reaction to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Logs an exception, and neither applies nor acks.
    Nothing,
    /// Keeps the current value and acks a failure with this reason.
    Refuse(&'static str),
    /// Holds this from now on and acks it with this message.
    Apply(Coinbase, String),
}

/// Decides about a node's data; `coinbase_max` is the length in bytes that coinbase texts are cut at.
pub(crate) fn judge(data: &[u8], coinbase_max: usize) -> Action {
    let data = &data[..data.len().min(READ_AT_MOST)];
    if data.is_empty() {
        return Action::Refuse("empty request");
    }
    let Ok(request) = serde_json::from_slice::<Value>(data) else {
        return Action::Nothing;
    };
    // A value other than an object has no fields.
    let text = |name| request.get(name).and_then(Value::as_str);
    let (Some(info), Some(address)) = (text("coinbase_info"), text("payout_addr")) else {
        return Action::Refuse("field missing or wrong field type");
    };
    let Some(address) = address::spelled(address) else {
        return Action::Refuse("invalid payout address");
    };
    let kept = &info.as_bytes()[..info.len().min(coinbase_max)];
    let message = if kept.len() < info.len() {
        format!("coinbase info truncated to {coinbase_max} bytes")
    } else {
        "success".to_owned()
    };
    Action::Apply(Coinbase { info: kept.to_vec(), address }, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Action, Coinbase, judge};

    const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";

    fn asked(info: &str) -> Action {
        judge(json!({"coinbase_info": info, "payout_addr": ADDRESS}).to_string().as_bytes(), 30)
    }

    fn applied(info: &[u8], message: &str) -> Action {
        let coinbase = Coinbase { info: info.to_vec(), address: ADDRESS.to_owned() };
        Action::Apply(coinbase, message.to_owned())
    }

    #[test]
    fn a_good_request_is_applied_with_its_address_spelled_anew() {
        assert_eq!(asked("tiger"), applied(b"tiger", "success"));
        assert_eq!(asked(""), applied(b"", "success"));
        let upper =
            r#"{"coinbase_info":"t","payout_addr":"BC1QJL8UWEZZLECH723LPNYUZA0H2CDKVXVH54V3DN"}"#;
        let Action::Apply(coinbase, _) = judge(upper.as_bytes(), 30) else { panic!("not applied") };
        assert_eq!(coinbase.address, "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn");
    }

    #[test]
    fn an_empty_node_is_an_empty_request() {
        assert_eq!(judge(b"", 30), Action::Refuse("empty request"));
    }

    #[test]
    fn what_is_no_json_is_neither_applied_nor_acked() {
        for data in [&b"garbage"[..], b"{", b" ", b"\xff", br#"{"a":1}x"#, br#""\ud800""#] {
            assert_eq!(judge(data, 30), Action::Nothing, "{data:?}");
        }
    }

    #[test]
    fn both_fields_must_be_there_and_strings() {
        let refused = Action::Refuse("field missing or wrong field type");
        for data in [
            "null",
            "[]",
            "5",
            r#""coinbase_info""#,
            "{}",
            r#"{"coinbase_info":"t"}"#,
            r#"{"payout_addr":"34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4"}"#,
            r#"{"coinbase_info":5,"payout_addr":"34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4"}"#,
            r#"{"coinbase_info":"t","payout_addr":null}"#,
            r#"{"Coinbase_Info":"t","payout_addr":"34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4"}"#,
        ] {
            assert_eq!(judge(data.as_bytes(), 30), refused, "{data}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused() {
        let request = br#"{"coinbase_info":"t","payout_addr":"x"}"#;
        assert_eq!(judge(request, 30), Action::Refuse("invalid payout address"));
    }

    #[test]
    fn coinbase_text_is_cut_at_bytes_even_within_a_character() {
        let (exact, longer) = ("a".repeat(30), "a".repeat(31));
        let cut = "coinbase info truncated to 30 bytes";
        assert_eq!(asked(&exact), applied(exact.as_bytes(), "success"));
        assert_eq!(asked(&longer), applied(exact.as_bytes(), cut));
        let across = format!("{}矿池", "a".repeat(26));
        assert_eq!(asked(&across), applied(&across.as_bytes()[..30], cut));
    }

    #[test]
    fn bytes_beyond_8192_are_not_read() {
        let request = json!({"coinbase_info": "t", "payout_addr": ADDRESS}).to_string();
        let padded = |length: usize| request.clone() + &" ".repeat(length - request.len());
        assert_eq!(judge(padded(8192).as_bytes(), 30), applied(b"t", "success"));
        assert_eq!(judge((padded(8192) + "garbage").as_bytes(), 30), applied(b"t", "success"));
        let long = json!({"coinbase_info": "t".repeat(8192), "payout_addr": ADDRESS}).to_string();
        assert_eq!(judge(long.as_bytes(), 30), Action::Nothing);
    }
}
