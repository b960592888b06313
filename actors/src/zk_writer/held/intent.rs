//! The data of an intent znode, and its place in ZooKeeper's order of writes.

use serde_json::{Value, json};

use crate::{
    domain::{Coin, Coins, RequestId, Source},
    zk::Zxid,
};

/// A held switch, as its znode has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) coin: Coin,
    /// Milliseconds since 1970.
    pub(crate) due: u64,
    pub(crate) source: Source,
    /// Of a poll's switch: the zxid of the poll's mark. The map is at least that new.
    pub(crate) mark: Option<Zxid>,
}

impl Intent {
    /// Parses a znode's data. Empty data is no intent.
    pub(crate) fn parse(data: &[u8]) -> Result<Option<Self>, String> {
        if data.is_empty() {
            return Ok(None);
        }
        let value: Value = serde_json::from_slice(data).map_err(|error| error.to_string())?;
        let coin = value["coin"].as_str().ok_or("it has no coin")?;
        let coin = Coins::new(&[coin]).map_err(|error| format!("its list of one coin {error}"))?;
        let coin = coin.iter().next().cloned().ok_or("it has no coin")?;
        let due = value["due"].as_u64().ok_or("it has no due time")?;
        let mark = match &value["mark"] {
            Value::Null => None,
            mark => Some(Zxid::from_i64(mark.as_i64().ok_or("its mark is no number")?)),
        };
        let request = value["request"].as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
        let request = RequestId(request.unwrap_or_default());
        let source = match mark {
            Some(_) => Source::poll(request),
            None => Source::api(None, request),
        };
        Ok(Some(Self { coin, due, source, mark }))
    }

    /// The znode's data.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let (source, request) = (self.source.label(), self.source.request.to_string());
        let mut value = json!({
            "coin": self.coin.as_str(), "due": self.due, "source": source, "request": request
        });
        if let Some(mark) = self.mark {
            value["mark"] = mark.to_i64().into();
        }
        value.to_string().into_bytes()
    }

    /// Whether the sub-account's znode, last written at `znode`, was not written after this intent, which was set at
    /// `set`. A poll's intent counts as old as its mark: what callers wrote since is newer than the map. An intent
    /// without a znode stays valid.
    pub(crate) fn is_last(&self, set: Zxid, znode: Option<Zxid>) -> bool {
        znode.is_none_or(|znode| znode <= self.position(set))
    }

    /// Place in ZooKeeper's order.
    pub(crate) fn position(&self, set: Zxid) -> Zxid {
        self.mark.unwrap_or(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn intent(mark: Option<i64>) -> Intent {
        let coin = Coins::new(&["bcc"]).unwrap().get("bcc").unwrap().clone();
        let source = match mark {
            Some(_) => Source::poll(RequestId(2)),
            None => Source::api(None, RequestId(0x1f)),
        };
        Intent { coin, due: 17, source, mark: mark.map(Zxid::from_i64) }
    }

    #[test]
    fn an_intent_survives_its_znode() {
        for intent in [intent(None), intent(Some(i64::MAX))] {
            assert_eq!(Intent::parse(&intent.to_json()), Ok(Some(intent)));
        }
        assert_eq!(Intent::parse(b""), Ok(None));
    }

    #[test]
    fn foreign_data_is_an_error_and_no_intent() {
        for data in [
            "x",
            "[]",
            "1",
            "null",
            r#"{"coin":"bcc"}"#,
            r#"{"due":1}"#,
            r#"{"coin":"","due":1}"#,
            r#"{"coin":"bcc","due":-1}"#,
            r#"{"coin":"bcc","due":1,"mark":"x"}"#,
        ] {
            assert!(Intent::parse(data.as_bytes()).is_err(), "{data}");
        }
    }

    #[test]
    fn the_later_of_intent_and_znode_counts() {
        let [set, before, after] = [10, 9, 11].map(Zxid::from_i64);
        assert!(intent(None).is_last(set, Some(before)) && intent(None).is_last(set, None));
        assert!(!intent(None).is_last(set, Some(after)));
        assert!(intent(Some(5)).is_last(set, Some(Zxid::from_i64(5))));
        assert!(!intent(Some(5)).is_last(set, Some(Zxid::from_i64(6))), "newer than the map");
    }
}
