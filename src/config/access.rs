//! The keys that a client of the API reads. No other key needs to be set or valid: a machine that only sends switches
//! knows no ZooKeeper.

use std::{ffi::OsString, path::Path};

use super::{
    Problem, load,
    value::{as_text, as_texts},
};

/// Values of the file and the environment; an empty text counts as absent. Never printed.
#[derive(Default)]
pub struct Access {
    /// `ListenAddr`.
    pub listen: Option<String>,
    /// `AdminListenAddr`, set or by default; `None` if the admin listener is off.
    pub admin_listen: Option<String>,
    /// `APIUser`.
    pub user: Option<String>,
    /// `APIPassword`.
    pub password: Option<String>,
    /// `AvailableCoins`; empty if absent.
    pub coins: Vec<String>,
}

/// Reads the file, if there is one, and the environment over it.
pub fn access(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Access, Vec<Problem>> {
    let raw = load::load(file, environment);
    if !raw.problems.is_empty() {
        return Err(raw.problems);
    }
    let text = |name: &str| {
        let text = as_text(raw.values.get(name)?)?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    Ok(Access {
        listen: text("ListenAddr"),
        admin_listen: text("AdminListenAddr"),
        user: text("APIUser"),
        password: text("APIPassword"),
        coins: raw.values.get("AvailableCoins").and_then(as_texts).unwrap_or_default(),
    })
}
