//! The rules for a valid switch, from callers and from the upstream's map alike.

use super::{Coins, Puname, PunameError};

/// The configured rules for a pair of texts, sub-account and coin, to be a valid switch.
#[derive(Clone, Debug)]
pub struct SwitchRules {
    /// `AvailableCoins`: the coins that may be switched to.
    pub coins: Coins,
    /// `StratumServerCaseInsensitive`: whether sub-accounts' names are written in lower case.
    pub lower_case: bool,
}

impl SwitchRules {
    /// The sub-account of this name, as its znode is named.
    pub fn puname(&self, name: &str) -> Result<Puname, PunameError> {
        if self.lower_case { Puname::parse_lower_case(name) } else { Puname::parse(name) }
    }
}
