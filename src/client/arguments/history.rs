//! Arguments of searches in the history, and of undos.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ApiArguments, OutputArguments, PersonArguments};
use crate::client::when::When;

#[derive(Args, Debug, PartialEq, Eq)]
pub struct HistoryArguments {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    #[command(flatten)]
    pub search: SearchArguments,
    #[command(flatten)]
    pub api: ApiArguments,
}

/// Rows of the history.
#[derive(Args, Debug, Default, PartialEq, Eq)]
pub struct SearchArguments {
    /// Changes of this sub-account
    #[arg(value_name = "SUB-ACCOUNT")]
    pub sub_account: Option<String>,
    /// Changes of this sub-pool
    #[arg(long, value_name = "NAME")]
    pub sub_pool: Option<String>,
    /// Switches from or to this coin, and updates of its sub-pools
    #[arg(long)]
    pub coin: Option<String>,
    /// Changes by this user
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Changes of this request (X-Request-Id)
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    /// Changes at this time or later
    #[arg(long, value_name = "TIME")]
    pub from: Option<When>,
    /// Changes before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<When>,
    /// Rows to print, the newest [default: 100]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// One row for each request that has such a change, with the counts of all its entries
    #[arg(long)]
    pub requests: bool,
    /// Print the newest row last, then new rows as they come, until the command is interrupted
    #[arg(long, conflicts_with_all = ["to", "csv"])]
    pub follow: bool,
    /// Print CSV with a header row
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum HistoryCommand {
    /// Check the chain over the changes of coinbase texts and payout addresses, in the file itself
    ///
    /// Works while a daemon runs, and on a copy of the file. Prints the number of records and the newest link, the head.
    /// Exit status 1, with the first fault, if a record was edited, removed, inserted or moved; with a head that was noted
    /// elsewhere, also if the end was cut off.
    Verify(HistoryVerifyArguments),
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct HistoryVerifyArguments {
    /// Head that was noted elsewhere: `chain_head` of a log line or of /status
    #[arg(long, value_name = "HEX")]
    pub head: Option<String>,
    /// The history's file [default: HistoryFile of the environment or the configuration]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Key of the chain [default: HistoryKeyFile of the environment or the configuration, else the file with .key
    /// appended]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct UndoArguments {
    /// Request to take back, as `history` shows it (X-Request-Id)
    pub request: String,
    /// Show the entries that would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete znodes that the request created
    #[arg(long)]
    pub delete_created: bool,
    /// Reason, for the history
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    #[command(flatten)]
    pub person: PersonArguments,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Show all entries, not only the first 20
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub api: ApiArguments,
}
