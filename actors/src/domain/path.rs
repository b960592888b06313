//! Znode paths, and the rules for their components.
//!
//! Sources: the ZooKeeper programmer's guide ("The ZooKeeper Data Model") and the server's own check, which also
//! refuses characters above U+FFFF. The check is ours because the client crate accepts a trailing `/..` or `/.`, and
//! the server at best refuses a bad character.

use std::fmt;

use thiserror::Error;

use super::Quoted;

/// Why `name` is no single component of a znode's path; `None` if it is valid.
///
/// Refused: the empty name, `.` and `..`, a `/`, control characters (U+0000-1F, U+007F-9F), the private use area
/// (U+E000-F8FF), the specials (U+FFF0-FFFF) and characters above U+FFFF.
pub(crate) fn component_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => return Some("is empty"),
        "." | ".." => return Some("is a relative path"),
        // Nearly all names: no need to decode characters.
        name if name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'/') => {
            return None;
        }
        _ => {}
    }
    name.chars().find_map(|c| match c {
        '/' => Some("contains a slash"),
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Some("contains a control character"),
        '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' => {
            Some("contains a character that ZooKeeper refuses")
        }
        '\u{10000}'.. => Some("contains a character outside the basic multilingual plane"),
        _ => None,
    })
}

/// Longer paths would not fit 500 times into one transaction: ZooKeeper drops the connection at a megabyte.
const MAX_DIR_BYTES: usize = 1000;

/// A directory of znodes: absolute, valid components, one final slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZnodeDir(String);

/// Why a text is no [`ZnodeDir`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ZnodeDirError {
    /// The first character is not a slash.
    #[error("does not begin with a slash")]
    Relative,
    /// Longer than 1000 bytes.
    #[error("is longer than 1000 bytes")]
    TooLong,
    /// A component is no valid name of a znode.
    #[error("has a directory name that {fault}: {}", Quoted(component))]
    Component {
        /// The component at fault.
        component: String,
        /// The fault.
        fault: &'static str,
    },
}

impl ZnodeDir {
    /// Parses a path; the final slash may be missing (contract, section 1).
    pub fn parse(text: &str) -> Result<Self, ZnodeDirError> {
        let inner = text.strip_prefix('/').ok_or(ZnodeDirError::Relative)?;
        if text.len() > MAX_DIR_BYTES {
            return Err(ZnodeDirError::TooLong);
        }
        if inner.is_empty() {
            return Ok(Self("/".to_owned()));
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        for component in inner.split('/') {
            if let Some(fault) = component_fault(component) {
                return Err(ZnodeDirError::Component { component: component.to_owned(), fault });
            }
        }
        Ok(Self(format!("/{inner}/")))
    }

    /// The path with its final slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the directory's own znode: without the final slash; `/` for the root.
    pub fn node(&self) -> &str {
        match self.0.trim_end_matches('/') {
            "" => "/",
            node => node,
        }
    }

    /// The parent directory; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.node().rsplit_once('/').filter(|_| self.0 != "/")?;
        Some(Self(format!("{parent}/")))
    }

    /// The directory with `suffix` appended to this one's name: `/a/b/` and `_held` give `/a/b_held/`.
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self([self.as_str().trim_end_matches('/'), suffix, "/"].concat())
    }

    /// Whether `other` is this directory or below.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The directory of this name below. `name` must be a valid component.
    pub fn subdirectory(&self, name: &str) -> Self {
        Self(format!("{}{name}/", self.0))
    }

    /// The path of a child. `name` must be a valid component.
    pub fn child(&self, name: &str) -> String {
        [&self.0, name].concat()
    }
}

impl fmt::Display for ZnodeDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gets_its_final_slash_once() {
        for text in ["/a/b", "/a/b/"] {
            let dir = ZnodeDir::parse(text).expect("valid");
            assert_eq!((dir.as_str(), dir.node()), ("/a/b/", "/a/b"));
            assert_eq!(dir.child("alice"), "/a/b/alice");
        }
        let root = ZnodeDir::parse("/").expect("valid");
        assert_eq!((root.as_str(), root.node()), ("/", "/"));
    }

    #[test]
    fn a_directory_has_a_parent_and_contents() {
        let dir = |text: &str| ZnodeDir::parse(text).expect("valid");
        assert_eq!(dir("/a/b").parent(), Some(dir("/a")));
        assert_eq!(dir("/a").parent(), Some(dir("/")));
        assert_eq!(dir("/").parent(), None);
        assert!(dir("/a").contains(&dir("/a/b")) && dir("/a").contains(&dir("/a/")));
        assert!(!dir("/a/b").contains(&dir("/a")) && !dir("/a").contains(&dir("/ab")));
    }

    #[test]
    fn a_directory_that_is_no_absolute_path_is_refused() {
        assert_eq!(ZnodeDir::parse("a/b"), Err(ZnodeDirError::Relative));
        assert_eq!(ZnodeDir::parse(""), Err(ZnodeDirError::Relative));
        let long = format!("/{}", "x".repeat(1000));
        assert_eq!(ZnodeDir::parse(&long), Err(ZnodeDirError::TooLong));
        assert!(ZnodeDir::parse(&long[..1000]).is_ok());
        for text in ["/a//b", "/a/../b", "/a/./", "//", "/a\u{7}"] {
            assert!(
                matches!(ZnodeDir::parse(text), Err(ZnodeDirError::Component { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_component_is_refused_where_the_server_refuses_it() {
        for good in ["alice", "a b", "用户", "\u{a0}", "...", "\u{d7ff}", "\u{f900}", "\u{ffef}"]
        {
            assert_eq!(component_fault(good), None, "{good:?}");
        }
        let bad = [
            "",
            ".",
            "..",
            "a/b",
            "a\u{0}b",
            "\u{1f}",
            "\u{7f}",
            "\u{85}",
            "\u{9f}",
            "\u{e000}",
            "\u{f8ff}",
            "\u{fff0}",
            "\u{ffff}",
            "\u{1f419}",
        ];
        for name in bad {
            assert!(component_fault(name).is_some(), "{name:?}");
        }
    }
}
