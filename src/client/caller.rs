//! Where the daemon's API is and who calls it: from flags, else from the environment, else from the
//! configuration file, which is not even read if the flags say all.

use std::{env, fs, path::Path};

use switcher_actors::Shown;

use super::{
    arguments::{ApiArguments, Secret, ServerAddress},
    report::{Failure, Kind},
};
use crate::config::{self, Access};

/// All that a call needs.
#[derive(Debug)]
pub struct Caller {
    /// The daemon's address.
    pub server: ServerAddress,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// The coins that the daemon is configured with; empty if its configuration is not known here.
    pub coins: Vec<String>,
}

impl Caller {
    /// Finds what `arguments` leave open in the environment and in `file`.
    pub fn find(arguments: &ApiArguments, file: Option<&Path>) -> Result<Self, Failure> {
        let password = match &arguments.password_file {
            Some(file) => Some(read_password(file)?),
            None => arguments.password.clone(),
        };
        let is_complete =
            arguments.server.is_some() && arguments.user.is_some() && password.is_some();
        let access = if is_complete { Access::default() } else { configured(file)? };
        let missing = |kind, what, flag, key| {
            let file = file.map_or("there is no configuration file".to_owned(), |file| {
                format!("looked into {}", Shown(&file.to_string_lossy()))
            });
            let text = format!(
                "no {what}: give --{flag}, or set {key} in the environment or in a \
                configuration file (--config FILE; {file})"
            );
            Failure::new(kind, text)
        };
        let (server, coins) = match (&arguments.server, &access.listen) {
            (Some(server), _) => (server.clone(), Vec::new()),
            (None, Some(listen)) => {
                let server = ServerAddress::of_listener(listen).ok_or_else(|| {
                    let text = format!(
                        "ListenAddr is {}, which cannot be called: give --server \
                        HOST:PORT",
                        Shown(listen)
                    );
                    Failure::new(Kind::Configuration, text)
                })?;
                (server, access.coins)
            }
            (None, None) => {
                let (kind, what) = (Kind::Configuration, "address of the daemon");
                return Err(missing(kind, what, "server", "ListenAddr"));
            }
        };
        let no_credential = |what, flag, key| missing(Kind::Credentials, what, flag, key);
        let user = arguments.user.clone().or(access.user);
        let password = password.or(access.password.map(Secret));
        Ok(Self {
            server,
            coins,
            user: user.ok_or_else(|| no_credential("user name", "user", "APIUser"))?,
            password: password
                .ok_or_else(|| no_credential("password", "password-file", "APIPassword"))?,
        })
    }
}

/// What a client needs of the configuration.
pub fn configured(file: Option<&Path>) -> Result<Access, Failure> {
    config::access(file, |name| env::var_os(name)).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Kind::Configuration, problems.join("; "))
    })
}

fn read_password(file: &Path) -> Result<Secret, Failure> {
    let failed = |fault: String| {
        let file = file.to_string_lossy();
        Failure::new(Kind::NoInput, format!("password file {}: {fault}", Shown(&file)))
    };
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    // Some editors put a byte order mark before a text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(failed("its first line is empty, expected the password".to_owned()));
    }
    Ok(Secret(line.to_owned()))
}
