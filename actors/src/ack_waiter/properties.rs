//! Properties of any ack, for property tests and a fuzz target. A violated property panics.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};

use super::Ack;
use crate::{domain::Coinbase, go_json::without_half_pairs};

/// The fields of an object, the last of repeated ones.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Checks any bytes as an ack.
///
/// An ack is accepted if it has the fields of the contract (section 3), and has their values; written again it is the
/// same ack; only a success grants anything.
pub fn ack(bytes: &[u8]) {
    let read = Ack::parse(bytes);
    let fixed = without_half_pairs(bytes);
    let is_json = serde_json::from_slice::<Value>(&fixed).is_ok();
    let required = serde_json::from_slice(&fixed).ok().filter(|_| is_json).and_then(required);
    assert_eq!(read.clone().map(|ack| (ack.old, ack.new)), required);
    let Some(ack) = read else { return };
    assert_eq!(Ack::parse(&written(&ack)).map(without_origin), Some(without_origin(ack.clone())));
    assert_eq!(ack.grants(ack.held()), ack.new.is_some(), "the held coinbase is granted");
    assert!(ack.says_the_same(&ack) && (!ack.is_empty_request() || ack.new.is_none()));
    for letters in ["x", "\u{e9}"] {
        let mut asked = ack.held().clone();
        asked.payout_addr.push_str(letters);
        assert!(!ack.grants(&asked), "another address");
        let mut asked = ack.held().clone();
        asked.coinbase_info.push_str(letters);
        let said = format!("coinbase info truncated to {} bytes", ack.held().coinbase_info.len());
        assert_eq!(ack.grants(&asked), ack.new.is_some() && ack.err_msg == said, "cut unsaid");
    }
}

/// The coinbase before and, after a success, since then.
fn required(fields: Fields<'_>) -> Option<(Coinbase, Option<Coinbase>)> {
    let coinbase = |field: &str| {
        let values: Fields<'_> = serde_json::from_str(fields.get(field)?.get()).ok()?;
        let text = |field: &str| serde_json::from_str(values.get(field)?.get()).ok();
        Some(Coinbase { coinbase_info: text("coinbase_info")?, payout_addr: text("payout_addr")? })
    };
    let is_success = serde_json::from_str(fields.get("success")?.get()).ok()?;
    Some((coinbase("old")?, if is_success { Some(coinbase("new")?) } else { None }))
}

fn without_origin(ack: Ack) -> Ack {
    Ack { origin: String::new(), ..ack }
}

fn written(ack: &Ack) -> Vec<u8> {
    let mut json = json!({
        "subpool_name": ack.subpool_name, "err_msg": ack.err_msg, "success": ack.new.is_some(),
        "old": ack.old, "host": { "ip": ["127.0.0.1"], "hostname": ack.host },
        "created_at": ack.created_at,
    });
    if let Some(new) = &ack.new {
        json["new"] = json!(new);
    }
    json.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_ack_is_read_as_it_is_written_or_not_at_all(
            fields in vec(prop::sample::select(&[
                r#""success":true"#, r#""success":false"#, r#""success":1"#, r#""Success":true"#,
                r#""old":{"coinbase_info":"o","payout_addr":"P"}"#, r#""old":{"coinbase_info":"o"}"#,
                r#""old":null"#, r#""new":{"payout_addr":"BC1Q","coinbase_info":"","x":[]}"#,
                r#""new":{"coinbase_info":"\u001b[2J\n","payout_addr":"a"}"#, r#""err_msg":"success"#, "\"",
                r#""err_msg":"coinbase info truncated to 0 bytes""#, r#""err_msg":"empty request""#,
                r#""host":{"hostname":"vm","ip":{"eth0":["::1"]}}"#, r#""host":"vm""#, r#""x":1e999"#,
                r#""subpool_name":"pool3""#, r#""created_at":"\ud800""#, r#""\ud800":"\\ud800""#,
                r#""old":{"coinbase_info":"\udc00","payout_addr":"\ud83d\ude00"}"#, "}", "{",
            ][..]), 0..8),
            cut in prop_oneof![6 => Just(0_usize), 1 => 0..40_usize],
        ) {
            let text = format!("{{{}}}", fields.join(","));
            ack(&text.as_bytes()[..text.len().saturating_sub(cut)]);
        }

        #[test]
        fn bytes_of_any_kind_are_no_ack_or_one(bytes in vec(any::<u8>(), 0..64)) {
            ack(&bytes);
        }
    }
}
