//! Creates that replace nothing, for first coins and for held switches of sub-accounts without a znode.

use super::write::{Policy, Target};
use crate::{
    domain::SwitchOutcome,
    zk::{Condition, Overwrite, Revision},
};

/// Condition of a create that replaces nothing. The outcome of an entry whose znode exists is `Unchanged`.
#[derive(Clone, Copy, Debug)]
pub(super) struct IfAbsent;

impl Condition for IfAbsent {
    fn version(self) -> Option<i32> {
        None
    }
}

impl Policy for IfAbsent {
    const GIVEN_UP: &'static str = "its directory keeps coming and going";

    fn correct(exists: bool) -> Result<Target<Self>, SwitchOutcome> {
        if exists { Err(SwitchOutcome::Unchanged) } else { Ok(Target::Missing) }
    }

    fn overwrite(self, _: &str, _: Revision) -> Option<Overwrite> {
        None
    }
}
