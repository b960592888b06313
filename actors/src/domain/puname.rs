//! Sub-accounts' names.

use std::{fmt, sync::Arc};

use thiserror::Error;

use super::{Shown, component_fault};

/// Stratum servers read no longer names (contract, section 2, error 102).
const MAX_PUNAME_BYTES: usize = 200;

/// A sub-account's name: one component of a znode's path, 1 to 200 bytes.
///
/// Cloning is cheap; clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Puname(Arc<str>);

/// Why a text is no sub-account's name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PunameError {
    /// The name is empty.
    #[error("is empty")]
    Empty,
    /// ZooKeeper or stratum servers would refuse the name, for this reason.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Puname {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, PunameError> {
        check(name)?;
        Ok(Self::valid(name))
    }

    /// A name that [`check`] has passed.
    pub(super) fn valid(name: &str) -> Self {
        Self(name.into())
    }

    /// Checks a name in lower case, for pools whose stratum servers compare lower-case names.
    ///
    /// Each character is mapped alone, as by the previous daemon, so that znodes keep their paths: a final `Σ`
    /// becomes `σ`, never `ς`, and `İ` becomes a plain `i`.
    pub fn parse_lower_case(name: &str) -> Result<Self, PunameError> {
        let lower: String = lower_case(name).collect();
        Self::parse(&lower)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for the log: names may contain blanks, commas and invisible characters.
    pub fn shown(&self) -> Shown<'_> {
        Shown(&self.0)
    }
}

pub(super) fn check(name: &str) -> Result<(), PunameError> {
    if name.is_empty() {
        return Err(PunameError::Empty);
    }
    if name.len() > MAX_PUNAME_BYTES {
        return Err(PunameError::Invalid("is longer than 200 bytes"));
    }
    component_fault(name).map_or(Ok(()), |fault| Err(PunameError::Invalid(fault)))
}

/// A name's characters in lower case, by the rule of [`Puname::parse_lower_case`].
pub(crate) fn lower_case(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter_map(|c| c.to_lowercase().next())
}

impl fmt::Display for Puname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(name: &str) -> String {
        Puname::parse_lower_case(name).expect("valid").as_str().to_owned()
    }

    #[test]
    fn two_hundred_bytes_are_the_limit() {
        assert!(Puname::parse(&"x".repeat(200)).is_ok());
        assert!(matches!(Puname::parse(&"x".repeat(201)), Err(PunameError::Invalid(_))));
    }

    #[test]
    fn lower_case_maps_each_character_alone() {
        assert_eq!(lower("NewUser"), "newuser");
        assert_eq!(lower("ÄÖÜ"), "äöü");
        assert_eq!(lower("\u{1e9e}"), "ß");
        assert_eq!(lower("ΟΔΟΣ"), "οδοσ");
        assert_eq!(lower("\u{130}"), "i");
    }

    #[test]
    fn the_limit_counts_the_bytes_that_are_written() {
        // U+023A takes two bytes, its lower case three.
        let name = "\u{23a}".repeat(100);
        assert!(Puname::parse(&name).is_ok());
        assert!(Puname::parse_lower_case(&name).is_err());
    }

    #[test]
    fn an_empty_name_is_told_from_an_invalid_one() {
        assert_eq!(Puname::parse(""), Err(PunameError::Empty));
        assert!(matches!(Puname::parse("a/b"), Err(PunameError::Invalid(_))));
    }
}
