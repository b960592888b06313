//! The client: commands of the same program that call a daemon, or read its dependencies.
//!
//! * `arguments`: the commands and their flags;
//! * `access`, `tls`, `api`, `answer`: address and credentials; certificates; the HTTP request; the effect that an answer
//!   proves;
//! * `switch`, `batch` with `batch_input`, `batch_file` and `resume_file`: switches;
//! * `history` with `when` and `rows`: searches and verifies the history; `undo`: takes a request back;
//! * `sub_pool`: a sub-pool's coinbase text and payout address;
//! * `znodes`, `status`, `verify`: coins in ZooKeeper, without the daemon;
//! * `user`: entries for `UsersFile`; `whoami`: the user behind the credentials;
//! * `health`: whether the daemon on this machine is alive, or ready;
//! * `doctor`: every dependency of the daemon, with remedies;
//! * `terminal`: notes and questions during a command;
//! * `report`: the result as text or JSON, and the exit statuses.
//!
//! A command returns a [`CommandReport`] or a [`CommandFailure`] and prints nothing of its result itself, so that each
//! has both forms and one exit status.

mod access;
mod answer;
mod api;
mod arguments;
mod batch;
mod batch_file;
mod batch_input;
mod doctor;
mod health;
mod history;
mod report;
mod resume_file;
mod rows;
mod status;
mod sub_pool;
mod switch;
mod terminal;
mod tls;
mod undo;
mod user;
mod verify;
mod when;
mod whoami;
mod znodes;

use std::{env, ffi::OsString, io, path::Path, process::ExitCode};

use switcher_actors::{Shown, ZkTls};
use tokio::{runtime, task::LocalSet};

use access::{ApiAccess, Listener};
pub use arguments::ClientCommand;
pub use report::EXIT_STATUSES;
use report::{CommandFailure, CommandReport, CommandResult, FailureKind, show};

use crate::config::{self, Checked, Rejected, Settings};

/// Runs a command to its end; `file` is the configuration file, if there is one.
pub fn run(command: &ClientCommand, file: Option<&Path>) -> ExitCode {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, act(command, file)),
        Err(error) => {
            Err(FailureKind::Internal.failure(format!("cannot start the runtime: {error}")))
        }
    };
    let report = result.unwrap_or_else(CommandReport::from);
    let (name, output) = command.output();
    show(report, name, output.json, io::stdout().lock(), io::stderr().lock())
}

async fn act(command: &ClientCommand, file: Option<&Path>) -> CommandResult {
    let access = |arguments| ApiAccess::find(arguments, Listener::Api, file);
    match command {
        ClientCommand::Switch(it) => switch::switch(it, &access(&it.api)?).await,
        ClientCommand::Batch(it) => batch::batch(it, &access(&it.api)?).await,
        ClientCommand::GetCoinbase(it) => sub_pool::get_coinbase(it, &access(&it.api)?).await,
        ClientCommand::UpdateCoinbase(it) => sub_pool::update_coinbase(it, &access(&it.api)?).await,
        ClientCommand::Status(it) => {
            let (settings, tls) = settings(file, |name| env::var_os(name))?;
            status::status(&it.sub_accounts, &settings, tls).await
        }
        ClientCommand::Verify(_) => {
            // The comparison needs the map's URL, but no polls.
            let polling = |name: &str| match name {
                "EnableCronJob" => Some("true".into()),
                name => env::var_os(name),
            };
            let (settings, tls) = settings(file, polling).or_else(|failure| {
                // Without a map there are still lists to compare.
                let settings = settings(file, |name| env::var_os(name));
                settings.ok().filter(|it| it.0.user_lists.is_some()).ok_or(failure)
            })?;
            verify::verify(&settings, tls).await
        }
        ClientCommand::History(it) => history::history(it, file).await,
        ClientCommand::Undo(it) => {
            undo::undo(it, &ApiAccess::find(&it.api, Listener::Admin, file)?).await
        }
        ClientCommand::Whoami(it) => {
            whoami::whoami(it, &ApiAccess::find(&it.api, Listener::Admin, file)?).await
        }
        ClientCommand::User(it) => user::user(&it.command),
        ClientCommand::Health(it) => health::health(it, file).await,
        ClientCommand::Doctor(it) => Ok(doctor::doctor(it, file).await),
    }
}

/// The settings, and the certificates for ZooKeeper.
fn settings(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(Settings, Option<ZkTls>), CommandFailure> {
    let loaded = config::load(file, environment).and_then(Checked::read_zookeeper_files);
    let (checked, tls) = loaded.map_err(|Rejected { problems, .. }| {
        let file = file.map_or("no file".to_owned(), |it| Shown(&it.to_string_lossy()).to_string());
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let text =
            format!("invalid configuration ({file} and environment): {}", problems.join("; "));
        FailureKind::Configuration.failure(text)
    })?;
    Ok((checked.settings, tls))
}
