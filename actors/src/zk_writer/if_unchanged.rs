//! Writes that replace or delete only the state that was read, for polls and undos.

use super::write::{Policy, Target};
use crate::{
    domain::SwitchOutcome,
    zk::{Overwrite, Revision},
};

impl Policy for Revision {
    const GIVEN_UP: &'static str = "the watch directory keeps coming and going";

    /// Another client wrote, created or deleted the znode after the read.
    fn correct(_: bool) -> Result<Target<Self>, SwitchOutcome> {
        Err(SwitchOutcome::Skipped)
    }

    fn overwrite(self, path: &str, written: Revision) -> Option<Overwrite> {
        Overwrite::detect(path, self, written)
    }
}
