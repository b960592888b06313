//! The end of each entry that was to be written.

use crate::{
    domain::{SwitchOutcome, SwitchResult},
    zk::Revision,
};

/// End of one entry.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Outcome and proven previous value.
    pub(super) result: SwitchResult,
    /// State of the znode after our write, if the server returned it.
    pub(super) revision: Option<Revision>,
}

impl Written {
    /// An entry that was not written, as far as we know.
    pub(super) fn not_written(outcome: SwitchOutcome) -> Self {
        Self { result: SwitchResult::without_old(outcome), revision: None }
    }
}
