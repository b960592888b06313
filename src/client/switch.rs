//! `switch`, and the request that sends switches.

use std::time::Duration;

use serde_json::{Value, json};
use switcher_actors::{Puname, Shown};

use super::{
    access::ApiAccess,
    answer::DaemonAnswer,
    api::{Api, CallError},
    arguments::SwitchArguments,
    report::{CommandReport, CommandResult, FailureKind},
};

/// One switch as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSwitch {
    /// Name of the sub-account.
    pub user: String,
    /// Name of the coin.
    pub coin: String,
}

impl WantedSwitch {
    /// The first fault that needs no daemon. `coins` are the daemon's, empty if unknown.
    pub fn fault(&self, coins: &[String]) -> Option<String> {
        if let Err(error) = Puname::parse(&self.user) {
            return Some(format!("the sub-account {} {error}", Shown(&self.user)));
        }
        if self.coin.is_empty() {
            return Some(format!("sub-account {}: the coin is empty", Shown(&self.user)));
        }
        if !coins.is_empty() && !coins.contains(&self.coin) {
            let known: Vec<_> = coins.iter().map(|coin| Shown(coin).to_string()).collect();
            let (user, coin) = (Shown(&self.user), Shown(&self.coin));
            return Some(format!(
                "sub-account {user}: the coin {coin} is not in AvailableCoins ({})",
                known.join(", ")
            ));
        }
        None
    }
}

/// Sends switches in their order.
pub async fn send(api: &Api, entries: &[WantedSwitch]) -> Result<DaemonAnswer, CallError> {
    let by_coin = entries.chunk_by(|a, b| a.coin == b.coin).map(|group| {
        let users: Vec<_> = group.iter().map(|entry| entry.user.as_str()).collect();
        json!({"coin": group[0].coin, "punames": users})
    });
    let body = json!({"usercoins": by_coin.collect::<Vec<Value>>()});
    api.post("/switch/multi-user", body.to_string().into_bytes()).await
}

/// `switch USER COIN`.
pub async fn switch(arguments: &SwitchArguments, access: &ApiAccess) -> CommandResult {
    let SwitchArguments { sub_account: user, coin, change, api } = arguments;
    let entry = WantedSwitch { user: user.clone(), coin: coin.clone() };
    let what = format!("switch of {} to {}", Shown(user), Shown(coin));
    if let Some(fault) = entry.fault(&access.coins) {
        return Err(FailureKind::Refused.failure(format!("nothing was sent: {fault}")));
    }
    let api = Api::new(access, Duration::from_secs(api.timeout)).about(change);
    let answer = send(&api, &[entry]).await.map_err(|error| error.of_change(&what))?;
    let mut report = CommandReport::default();
    report.field("sub_account", user.as_str());
    report.field("coin", coin.as_str());
    match answer.into_failure(&what) {
        Some(failure) => report.fail(failure),
        None => report.line(format!("{} mines {} from now on", Shown(user), Shown(coin))),
    }
    Ok(report)
}
