//! Address and credentials of a call: from flags, else from the environment, else from the configuration file, which is
//! read only if the flags are incomplete.

use std::{env, fs::File, io::Read, path::Path, sync::Arc};

use switcher_actors::{Shown, TlsClient};

use super::{
    arguments::{ApiArguments, Secret, ServerAddress},
    report::{CommandFailure, FailureKind},
    tls::{Trust, tls},
};
use crate::config::{self, Access};

/// Address and credentials of a call.
#[derive(Debug)]
pub struct ApiAccess {
    pub server: ServerAddress,
    /// `None` without TLS.
    pub tls: Option<Arc<TlsClient>>,
    pub credentials: ApiCredentials,
    /// Coins of the daemon's configuration; empty if that is not known here.
    pub coins: Vec<String>,
}

/// Credentials of a call.
#[derive(Clone, Debug)]
pub enum ApiCredentials {
    Password { user: String, password: Secret },
    Token(Secret),
}

/// Listener of the daemon, by the key of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Api,
    Admin,
}

impl Listener {
    fn key(self) -> &'static str {
        match self {
            Self::Api => "ListenAddr",
            Self::Admin => "AdminListenAddr",
        }
    }
}

impl ApiAccess {
    /// Completes `arguments` from the environment and `file`.
    pub fn find(
        arguments: &ApiArguments,
        listener: Listener,
        file: Option<&Path>,
    ) -> Result<Self, CommandFailure> {
        let token = match &arguments.token_file {
            Some(file) => Some(read_secret(file, "token")?),
            None => None,
        };
        let password = match &arguments.password_file {
            Some(file) => Some(read_secret(file, "password")?),
            None => arguments.password.clone(),
        };
        let has_credentials = token.is_some() || (arguments.user.is_some() && password.is_some());
        let is_complete = arguments.server.is_some() && has_credentials;
        let access = if is_complete { Access::default() } else { configured(file)? };
        let missing = |kind: FailureKind, what, flag, key| {
            let file = file.map_or("there is no configuration file".to_owned(), |file| {
                format!("read {}", Shown(&file.to_string_lossy()))
            });
            kind.failure(format!(
                "no {what}: give --{flag}, or set {key} in the environment or in a configuration file (--config FILE; \
                 {file})"
            ))
        };
        let key = listener.key();
        let no_server =
            || missing(FailureKind::Configuration, "address of the daemon", "server", key);
        let no_credential = |what, flag, key| missing(FailureKind::Credentials, what, flag, key);
        let (server, trust, coins) = match &arguments.server {
            Some(server) => (server.clone(), Trust::System, Vec::new()),
            None => {
                let (listen, certificate) = match listener {
                    Listener::Api => (access.listen, &access.api_certificate),
                    Listener::Admin => (access.admin_listen, &access.admin_certificate),
                };
                let listen = listen.ok_or_else(no_server)?;
                let server = ServerAddress::of_listener(&listen, certificate.is_some());
                let server = server.ok_or_else(|| {
                    let listen = Shown(&listen);
                    FailureKind::Configuration.failure(format!(
                        "{key} is {listen}, which cannot be called: give --server HOST:PORT"
                    ))
                })?;
                let trust = certificate.as_deref().map_or(Trust::System, Trust::Own);
                (server, trust, access.coins)
            }
        };
        let tls = tls(&arguments.tls, &server, trust)?.map(Arc::new);
        if let Some(token) = token {
            return Ok(Self { server, tls, credentials: ApiCredentials::Token(token), coins });
        }
        let user = arguments.user.clone().or(access.user);
        let user =
            user.ok_or_else(|| no_credential("user name", "user or --token-file", "APIUser"))?;
        let password = password.or(access.password.map(Secret));
        let password =
            password.ok_or_else(|| no_credential("password", "password-file", "APIPassword"))?;
        Ok(Self { server, tls, credentials: ApiCredentials::Password { user, password }, coins })
    }
}

/// Reads the keys for clients.
pub fn configured(file: Option<&Path>) -> Result<Access, CommandFailure> {
    config::access(file, |name| env::var_os(name)).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        FailureKind::Configuration.failure(problems.join("; "))
    })
}

/// Longest file of a password or a token that is read, in bytes.
const SECRET_BYTES: u64 = 64 << 10;

/// Reads a password or a token, the first line of a file.
fn read_secret(file: &Path, what: &str) -> Result<Secret, CommandFailure> {
    let failed = |fault: String| {
        let file = file.to_string_lossy();
        FailureKind::NoInput.failure(format!("{what} file {}: {fault}", Shown(&file)))
    };
    let mut text = String::new();
    let opened = File::open(file).map(|file| file.take(SECRET_BYTES));
    let read = opened.and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|error| failed(error.to_string()))?;
    // Some editors save a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(failed(format!("its first line is empty, expected the {what}")));
    }
    Ok(Secret(line.to_owned()))
}
