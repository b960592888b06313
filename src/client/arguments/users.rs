//! Arguments about users, and about the person and the reason behind a change.

use clap::{Args, Subcommand};

use super::OutputArguments;

/// Roles by their names.
const ROLES: [&str; 4] = ["viewer", "switcher", "payout", "admin"];

#[derive(Args, Debug, PartialEq, Eq)]
pub struct UserArguments {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum UserCommand {
    /// Print an entry with the argon2id hash of a password
    ///
    /// Asks for the password twice, or reads the first line of standard input if that is no terminal. Without --name, the
    /// entry has the hash alone. `htpasswd -nB NAME` makes hashes that UsersFile takes, too.
    Hash(HashArguments),
    /// Print a new token, once, and an entry with its digest
    Token(TokenArguments),
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct HashArguments {
    /// Name of the user
    #[arg(long, value_name = "NAME", requires = "roles")]
    pub name: Option<String>,
    /// Roles of the user
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', value_parser = ROLES, requires = "name")]
    pub roles: Vec<String>,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct TokenArguments {
    /// Name of the user, which the records of its changes have
    pub name: String,
    /// Roles of the user
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', value_parser = ROLES, required = true)]
    pub roles: Vec<String>,
    #[command(flatten)]
    pub output: OutputArguments,
}

impl UserCommand {
    pub fn output(&self) -> &OutputArguments {
        match self {
            Self::Hash(it) => &it.output,
            Self::Token(it) => &it.output,
        }
    }
}

/// Person and reason behind a change, for the daemon's records.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeArguments {
    /// Reason, for the history; cut after 200 bytes
    #[arg(long, value_name = "TEXT", value_parser = header_text)]
    pub comment: Option<String>,
    #[command(flatten)]
    pub person: PersonArguments,
}

/// Person for whom a command acts.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonArguments {
    /// Person for whom the change is made, for the history; cut after 64 bytes
    #[arg(long, value_name = "PERSON", value_parser = header_text)]
    pub on_behalf_of: Option<String>,
}

/// A text that a header can carry.
fn header_text(text: &str) -> Result<String, &'static str> {
    match text.contains(|c: char| c.is_ascii_control()) {
        true => Err("contains a control character, which a header cannot carry"),
        false => Ok(text.to_owned()),
    }
}
