//! What a client of the API takes from the configuration. It needs no more of it to be there or to be right: a
//! machine that only sends switches knows no ZooKeeper.

use std::{ffi::OsString, path::Path};

use super::{Problem, found::Value, keys, load};

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
    let value = |name: &str| raw.values.get(name).map(|found| &found.value);
    let text = |name: &str| match value(name)? {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let admin_listen = match value(ADMIN_LISTEN_ADDR) {
        None | Some(Value::Null) => {
            keys::find(ADMIN_LISTEN_ADDR).and_then(|key| key.default).map(str::to_owned)
        }
        Some(_) => text(ADMIN_LISTEN_ADDR),
    };
    let coin = |item: &Value| match item {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let coins = match value("AvailableCoins") {
        Some(Value::List(coins)) => coins.iter().filter_map(coin).collect(),
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
