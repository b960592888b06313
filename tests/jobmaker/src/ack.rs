//! Answers of a jobmaker.

use std::str;

use serde::Serialize;

use crate::request::{Action, Coinbase};

/// The fields in the order of the wire, which is that of the alphabet.
#[derive(Serialize)]
struct Ack<'a> {
    created_at: &'a str,
    err_msg: &'a str,
    host: &'a Host,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Shown<'a>>,
    old: Shown<'a>,
    subpool_name: &'a str,
    success: bool,
}

/// Name of the host in acks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    hostname: String,
    ip: [&'static str; 1],
}

impl Host {
    /// `hostname` takes the place of this host's.
    pub(crate) fn new(hostname: Option<&str>) -> Self {
        let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { hostname: hostname.map_or_else(own, str::to_owned), ip: ["127.0.0.1"] }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    coinbase_info: &'a str,
    payout_addr: &'a str,
}

impl<'a> Shown<'a> {
    fn of(coinbase: &'a Coinbase) -> Option<Self> {
        let coinbase_info = str::from_utf8(&coinbase.info).ok()?;
        Some(Self { coinbase_info, payout_addr: &coinbase.address })
    }
}

/// The ack of an action by a sub-pool that held `old` before it. `None` where a jobmaker writes none:
/// it did nothing, or a text that it would have to show is no UTF-8.
pub(crate) fn ack_of(
    action: &Action,
    created_at: &str,
    host: &Host,
    subpool_name: &str,
    old: &Coinbase,
) -> Option<Vec<u8>> {
    let (err_msg, new) = match action {
        Action::Nothing => return None,
        Action::Refuse(reason) => (*reason, None),
        Action::Apply(coinbase, message) => (message.as_str(), Some(Shown::of(coinbase)?)),
    };
    let (success, old) = (new.is_some(), Shown::of(old)?);
    serde_json::to_vec(&Ack { created_at, err_msg, host, new, old, subpool_name, success }).ok()
}

#[cfg(test)]
mod tests {
    use super::{Host, ack_of};
    use crate::request::{Action, Coinbase};

    const CUT: &[u8] = b"\xe7\x9f";

    fn ack(action: &Action, old: &Coinbase) -> Option<String> {
        let host = Host::new(Some("vm"));
        let bytes = ack_of(action, "2026-11-22 16:37:09", &host, "pool3", old)?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_success_shows_both_values() {
        let action = Action::Apply(Coinbase::new("矿池", "b"), "success".to_owned());
        assert_eq!(
            ack(&action, &Coinbase::new("tigerxx", "a")).unwrap(),
            r#"{"created_at":"2026-11-22 16:37:09","err_msg":"success","host":{"hostname":"vm","ip":["127.0.0.1"]},"new":{"coinbase_info":"矿池","payout_addr":"b"},"old":{"coinbase_info":"tigerxx","payout_addr":"a"},"subpool_name":"pool3","success":true}"#
        );
    }

    #[test]
    fn a_failure_shows_only_the_value_held() {
        assert_eq!(
            ack(&Action::Refuse("empty request"), &Coinbase::new("tigerxx", "a")).unwrap(),
            r#"{"created_at":"2026-11-22 16:37:09","err_msg":"empty request","host":{"hostname":"vm","ip":["127.0.0.1"]},"old":{"coinbase_info":"tigerxx","payout_addr":"a"},"subpool_name":"pool3","success":false}"#
        );
    }

    #[test]
    fn nothing_done_is_not_acked() {
        assert_eq!(ack(&Action::Nothing, &Coinbase::new("tigerxx", "a")), None);
    }

    #[test]
    fn a_text_cut_within_a_character_is_never_shown() {
        let cut = Coinbase { info: CUT.to_vec(), address: "b".to_owned() };
        let whole = Coinbase::new("tigerxx", "a");
        let apply = |coinbase: &Coinbase| Action::Apply(coinbase.clone(), "success".to_owned());
        assert_eq!(ack(&apply(&cut), &whole), None);
        assert_eq!(ack(&apply(&whole), &cut), None, "it cannot show what it held either");
        assert_eq!(ack(&Action::Refuse("empty request"), &cut), None);
    }
}
