//! What a client of the API takes from the configuration. It needs no more of it to be there or to be right: a
//! machine that only sends switches knows no ZooKeeper.

use std::{ffi::OsString, path::Path};

use config::{Value, ValueKind};

use super::{Problem, keys, load};

const ADMIN_LISTEN_ADDR: &str = "AdminListenAddr";

/// The values that were found; an empty one counts as none. Never printed.
#[derive(Default)]
pub struct Access {
    /// `ListenAddr`, where the daemon listens.
    pub listen: Option<String>,
    /// `AdminListenAddr`, given or by default; `None` if the admin listener is off.
    pub admin_listen: Option<String>,
    /// `APIUser`.
    pub user: Option<String>,
    /// `APIPassword`.
    pub password: Option<String>,
    /// `AvailableCoins`; empty if it is not there.
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
    let text = |name: &str| match &raw.values.get(name)?.kind {
        ValueKind::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let is_given = |value: &Value| value.kind != ValueKind::Nil;
    let admin_listen = match raw.values.get(ADMIN_LISTEN_ADDR) {
        Some(value) if is_given(value) => text(ADMIN_LISTEN_ADDR),
        _ => keys::find(ADMIN_LISTEN_ADDR).and_then(|key| key.default).map(str::to_owned),
    };
    let coins = match raw.values.get("AvailableCoins").map(|value| &value.kind) {
        Some(ValueKind::Array(coins)) => coins.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Ok(Access {
        listen: text("ListenAddr"),
        admin_listen,
        user: text("APIUser"),
        password: text("APIPassword"),
        coins,
    })
}
