//! Decides whether a recorded switch is put back.

use std::collections::HashSet;

use serde_json::Value;
use switcher_actors::{Coin, Coins, LeftState, Puname, PutBackEntry, Revision};
use switcher_history::{Old, Outcome, State, Switch};

use super::results::SWITCHED_SINCE;

pub const CREATED: &str = "created by that request";
const OLD_NOT_KNOWN: &str = "old coin not known";
const UNKNOWN: &str = "outcome was unknown";
const STATE_NOT_KNOWN: &str = "state after that request not known";

/// Plan for a recorded switch.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// The undo has no entry for it.
    Nothing,
    /// Left alone; the text is the cause.
    Leave(&'static str),
    /// Put back if its znode is as the request left it.
    PutBack(PutBackEntry),
}

/// Rules of an undo.
pub struct Rules<'a> {
    /// The configured coins.
    pub coins: &'a Coins,
    /// Whether to delete znodes that the request created.
    pub delete_created: bool,
    /// Sub-accounts with a held switch that was carried out, which is another record of the same request.
    pub carried_out: HashSet<String>,
}

impl Rules<'_> {
    pub fn plan(&self, switch: &Switch, outcome: Outcome) -> Plan {
        let is_carried_out = || self.carried_out.contains(&switch.sub_account);
        match outcome {
            Outcome::NotApplied => return Plan::Nothing,
            Outcome::Held if is_carried_out() => return Plan::Nothing,
            Outcome::Unknown => return Plan::Leave(UNKNOWN),
            Outcome::Applied | Outcome::Held => {}
        }
        if switch.superseded_by.is_some() {
            return Plan::Leave(SWITCHED_SINCE);
        }
        let back_to = match &switch.old {
            Old::Absent if self.delete_created => None,
            Old::Absent => return Plan::Leave(CREATED),
            Old::NotKnown => return Plan::Leave(OLD_NOT_KNOWN),
            Old::Value(text) => match self.coins.get(text) {
                Some(coin) => Some(coin.clone()),
                None => return Plan::Leave(OLD_NOT_KNOWN),
            },
        };
        // Until it is carried out, a held switch leaves the old coin.
        let coin = match outcome {
            Outcome::Held => back_to.clone(),
            _ => switch.new.as_deref().and_then(coin),
        };
        let left = match (coin, switch.state) {
            (None, _) if switch.new.is_none() => LeftState::Missing,
            (Some(coin), Some(State { created, version })) => {
                LeftState::Written { revision: Revision { created, version }, coin }
            }
            _ => return Plan::Leave(STATE_NOT_KNOWN),
        };
        match Puname::parse(&switch.sub_account) {
            Ok(puname) => Plan::PutBack(PutBackEntry { puname, left, back_to }),
            // A registration may have an invalid name.
            Err(_) => Plan::Leave(STATE_NOT_KNOWN),
        }
    }
}

/// A recorded coin, configured or not.
fn coin(name: &str) -> Option<Coin> {
    Coins::new(&[name]).ok()?.iter().next().cloned()
}

/// The value before a switch, in JSON; `None` if not known.
pub fn old_value(switch: &Switch) -> Option<Value> {
    match &switch.old {
        Old::NotKnown => None,
        Old::Absent => Some(Value::Null),
        Old::Value(text) => Some(text.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: Option<State> = Some(State { created: 7, version: 3 });

    fn switch(old: Old, new: Option<&str>) -> Switch {
        Switch {
            sub_account: "alice".to_owned(),
            old,
            new: new.map(str::to_owned),
            superseded_by: None,
            due: None,
            state: STATE,
        }
    }

    fn planned(switch: &Switch, outcome: Outcome, delete_created: bool) -> Plan {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        let rules = Rules { coins: &coins, delete_created, carried_out: HashSet::new() };
        rules.plan(switch, outcome)
    }

    /// Left and put back.
    fn text(plan: Plan) -> String {
        match plan {
            Plan::PutBack(PutBackEntry { left, back_to, .. }) => {
                let left = match left {
                    LeftState::Missing => "-".to_owned(),
                    LeftState::Written { revision, coin } => {
                        format!("{coin}@{}.{}", revision.created, revision.version)
                    }
                };
                format!("{left} -> {}", back_to.as_ref().map_or("-", Coin::as_str))
            }
            Plan::Leave(cause) => cause.to_owned(),
            Plan::Nothing => "nothing".to_owned(),
        }
    }

    fn value(coin: &str) -> Old {
        Old::Value(coin.to_owned())
    }

    #[test]
    fn a_switch_is_put_back_to_a_known_and_configured_coin() {
        let plan = |old, new| text(planned(&switch(old, new), Outcome::Applied, false));
        assert_eq!(plan(value("btc"), Some("bcc")), "bcc@7.3 -> btc");
        assert_eq!(plan(value("btc"), Some("gone")), "gone@7.3 -> btc", "not configured any more");
        assert_eq!(plan(value("gone"), Some("bcc")), OLD_NOT_KNOWN);
        assert_eq!(plan(Old::NotKnown, Some("bcc")), OLD_NOT_KNOWN);
        assert_eq!(plan(Old::Absent, Some("bcc")), CREATED);
        assert_eq!(plan(value("btc"), None), "- -> btc", "an undo that deleted");
        let created = switch(Old::Absent, Some("bcc"));
        assert_eq!(text(planned(&created, Outcome::Applied, true)), "bcc@7.3 -> -");
    }

    #[test]
    fn what_is_not_certain_is_left_alone() {
        let applied = switch(value("btc"), Some("bcc"));
        assert_eq!(text(planned(&applied, Outcome::Unknown, true)), UNKNOWN);
        assert_eq!(text(planned(&applied, Outcome::NotApplied, true)), "nothing");
        let stateless = Switch { state: None, ..applied.clone() };
        assert_eq!(text(planned(&stateless, Outcome::Applied, true)), STATE_NOT_KNOWN);
        let superseded = Switch { superseded_by: Some("ltc".to_owned()), ..applied };
        assert_eq!(text(planned(&superseded, Outcome::Applied, true)), SWITCHED_SINCE);
    }

    #[test]
    fn a_held_switch_left_the_old_coin_and_counts_until_it_is_carried_out() {
        let held = switch(value("btc"), Some("bcc"));
        assert_eq!(text(planned(&held, Outcome::Held, false)), "btc@7.3 -> btc");
        let coins = Coins::new(&["btc"]).unwrap();
        let carried_out = HashSet::from(["alice".to_owned()]);
        let rules = Rules { coins: &coins, delete_created: false, carried_out };
        assert_eq!(rules.plan(&held, Outcome::Held), Plan::Nothing);
        assert_eq!(text(rules.plan(&held, Outcome::Applied)), "bcc@7.3 -> btc");
    }
}
