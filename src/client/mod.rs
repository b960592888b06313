//! The client: commands of the same program that call a daemon, or look at what it depends on.
//!
//! * `arguments`: the commands and their flags;
//! * `caller`, `api`, `answer`: whom to call and as whom; the HTTP request; what an answer lets us claim;
//! * `switch`, `batch` with `batch_input`, `batch_file` and `resume_file`: switches;
//! * `sub_pool`: what a sub-pool's jobmaker holds, and a change of it;
//! * `znodes`, `status`, `verify`: what ZooKeeper holds, past the daemon;
//! * `health`: whether the daemon on this machine is alive, or ready;
//! * `doctor`: all that the daemon depends on, with remedies;
//! * `terminal`: what is said and asked meanwhile;
//! * `report`: what is said at the end, as text or JSON, and the exit statuses.
//!
//! A command returns a [`Report`] or a [`Failure`] and prints nothing of its result itself, so that each has
//! both forms and one exit status.

mod answer;
mod api;
mod arguments;
mod batch;
mod batch_file;
mod batch_input;
mod caller;
mod doctor;
mod health;
mod report;
mod resume_file;
mod status;
mod sub_pool;
mod switch;
mod terminal;
mod verify;
mod znodes;

use std::{env, ffi::OsString, io, path::Path, process::ExitCode};

use switcher_actors::Shown;
use tokio::runtime;

pub use arguments::ClientCommand;
use caller::Caller;
pub use report::EXIT_STATUSES;
use report::{Failure, Kind, Report, show};

use crate::config::{self, Rejected, Settings};

/// Runs a command to its end; `file` is the configuration file, if there is one.
pub fn run(command: &ClientCommand, file: Option<&Path>) -> ExitCode {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(act(command, file)),
        Err(error) => {
            Err(Failure::new(Kind::Internal, format!("cannot wait for answers: {error}")))
        }
    };
    let report = ended.unwrap_or_else(Report::from);
    show(report, command.name(), command.wants_json(), io::stdout().lock(), io::stderr().lock())
}

async fn act(command: &ClientCommand, file: Option<&Path>) -> Result<Report, Failure> {
    match command {
        ClientCommand::Switch(arguments) => {
            switch::switch(arguments, &Caller::find(&arguments.api, file)?).await
        }
        ClientCommand::Batch(arguments) => {
            batch::batch(arguments, &Caller::find(&arguments.api, file)?).await
        }
        ClientCommand::GetCoinbase(arguments) => {
            sub_pool::get_coinbase(arguments, &Caller::find(&arguments.api, file)?).await
        }
        ClientCommand::UpdateCoinbase(arguments) => {
            sub_pool::update_coinbase(arguments, &Caller::find(&arguments.api, file)?).await
        }
        ClientCommand::Status(arguments) => {
            let settings = settings(file, |name| env::var_os(name))?;
            status::status(&arguments.sub_accounts, &settings).await
        }
        ClientCommand::Verify(_) => {
            // The map can be compared by who does not pull it, too.
            let pulling = |name: &str| match name {
                "EnableCronJob" => Some("true".into()),
                name => env::var_os(name),
            };
            let Settings { poller, writer, .. } = settings(file, pulling)?;
            let no_url = || Failure::new(Kind::Configuration, "UserCoinMapURL is missing");
            verify::verify(&poller.ok_or_else(no_url)?, &writer).await
        }
        ClientCommand::Health(arguments) => health::health(arguments, file).await,
        ClientCommand::Doctor(arguments) => Ok(doctor::doctor(arguments, file).await),
    }
}

fn settings(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Settings, Failure> {
    let checked = config::load(file, environment).map_err(|Rejected { problems, .. }| {
        let file = file.map_or("no file".to_owned(), |it| Shown(&it.to_string_lossy()).to_string());
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let text = format!("bad configuration ({file} and environment): {}", problems.join("; "));
        Failure::new(Kind::Configuration, text)
    })?;
    Ok(checked.settings)
}
