//! Guesses whether sub-accounts without a cached state have znodes.

/// New sub-accounts in a row before the next ones are expected to be new, too.
const ROW: usize = 16;

/// Counts sub-accounts without a cached state that had no znode, in a row. After [`ROW`] of them, as when a pool adds
/// many, the next are created without a read. One that exists ends the row: a wrong guess costs a failed transaction,
/// which ZooKeeper syncs to its disk.
#[derive(Debug, Default)]
pub(crate) struct Newcomers {
    row: usize,
}

impl Newcomers {
    pub(crate) fn are_expected(&self) -> bool {
        self.row >= ROW
    }

    /// Takes in whether a sub-account had no znode.
    pub(crate) fn note(&mut self, was_new: bool) {
        self.row = if was_new { self.row.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_expected_after_a_row_of_them_until_one_is_none() {
        let mut newcomers = Newcomers::default();
        for _ in 0..ROW {
            assert!(!newcomers.are_expected());
            newcomers.note(true);
        }
        assert!(newcomers.are_expected());
        newcomers.note(true);
        assert!(newcomers.are_expected());
        newcomers.note(false);
        assert!(!newcomers.are_expected());
    }
}
