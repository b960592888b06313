//! The keys that client commands read without the rest of the configuration. No other key needs to be set or valid: a
//! machine that only sends switches knows no ZooKeeper.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Problem,
    history::usual_key_file,
    load,
    value::{as_text, as_texts},
};

/// Values of the file and the environment; an empty text counts as absent. Never printed.
#[derive(Default)]
pub struct Access {
    /// `ListenAddr`.
    pub listen: Option<String>,
    /// `AdminListenAddr`, set or by default; `None` if the admin listener is off.
    pub admin_listen: Option<String>,
    /// `TLSCertificateFile`, if the API's listener has TLS.
    pub api_certificate: Option<PathBuf>,
    /// The same of the admin listener.
    pub admin_certificate: Option<PathBuf>,
    /// `APIUser`.
    pub user: Option<String>,
    /// `APIPassword`.
    pub password: Option<String>,
    /// `AvailableCoins`; empty if absent.
    pub coins: Vec<String>,
    /// `HistoryFile`.
    pub history_file: Option<PathBuf>,
    /// `HistoryKeyFile`, or its default; `None` without both keys.
    pub history_key_file: Option<PathBuf>,
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
    let history_file = text("HistoryFile").map(PathBuf::from);
    let history_key_file = text("HistoryKeyFile").map(PathBuf::from);
    let listeners = raw.values.get("TLSListeners").and_then(as_texts).unwrap_or_default();
    let certificate = |listener: &str| {
        let file = text("TLSCertificateFile").map(PathBuf::from);
        file.filter(|_| listeners.iter().any(|it| it == listener))
    };
    Ok(Access {
        api_certificate: certificate("api"),
        admin_certificate: certificate("admin"),
        listen: text("ListenAddr"),
        admin_listen: text("AdminListenAddr"),
        user: text("APIUser"),
        password: text("APIPassword"),
        history_key_file: history_key_file.or(history_file.as_deref().map(usual_key_file)),
        history_file,
        coins: raw.values.get("AvailableCoins").and_then(as_texts).unwrap_or_default(),
    })
}
