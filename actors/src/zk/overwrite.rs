//! Conditional writes that replaced a znode which was created again after the read.

use std::fmt;

use super::Revision;

/// Conditional write that replaced another znode than the one that was read: the znode was deleted and created again in
/// between, and had the same version. ZooKeeper cannot prevent it, since it compares the version alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overwrite {
    pub(crate) path: String,
    read: Revision,
    written: Revision,
}

impl Overwrite {
    /// Compares the state that was read with the state that the write made.
    pub(crate) fn detect(path: &str, read: Revision, written: Revision) -> Option<Self> {
        (!written.follows(read)).then(|| Self { path: path.to_owned(), read, written })
    }
}

impl fmt::Display for Overwrite {
    /// The cause, without the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, written, .. } = self;
        write!(
            f,
            "the znode was deleted and created again between the read ({read}) and the write ({written}); \
             newer data was replaced and has to be written again"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_state_of_the_same_znode_is_no_overwrite() {
        let detect = |znode, version| {
            Overwrite::detect("/a", Revision::test(1, 0), Revision::test(znode, version))
        };
        assert_eq!(detect(1, 1), None);
        assert_eq!(
            detect(2, 1).unwrap().to_string(),
            "the znode was deleted and created again between the read (version 0 of the znode created by 0x1) and \
             the write (version 1 of the znode created by 0x2); newer data was replaced and has to be written again"
        );
        assert!(detect(2, 0).is_some() && detect(1, 2).is_some());
    }
}
