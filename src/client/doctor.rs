//! `doctor`: checks the configuration and every dependency of the daemon. Writes nothing.
//!
//! * `findings`: the results, and their report;
//! * `certificates`: days until certificates expire;
//! * `zookeeper`: brokers, session, directories; `jobmakers`: their acks; `waiting`: held switches and requests for
//!   registration that no daemon works on;
//! * `users`: users by role;
//! * `history`: the history's file and its disk;
//! * `upstream`: the user-coin map and its clock; `lists`: the user lists; `registration`: the backend that registers.

mod certificates;
mod findings;
mod history;
mod jobmakers;
mod lists;
mod registration;
mod upstream;
mod users;
mod waiting;
mod zookeeper;

use std::{env, path::Path, time::Duration};

use switcher_actors::Shown;

use self::findings::Findings;
use super::{
    access::{ApiAccess, Listener},
    api::{Api, CallError},
    arguments::{ApiArguments, DoctorArguments},
    report::CommandReport,
};
use crate::config::{self, Checked, FileContents, Rejected, Settings};

/// Checks one dependency after the other, without those that a broken one needs.
pub async fn doctor(arguments: &DoctorArguments, file: Option<&Path>) -> CommandReport {
    let mut findings = Findings::default();
    if let Some((settings, contents)) = configuration(&mut findings, file) {
        users::users(&mut findings, &settings.callers, &contents.users);
        certificates::certificates(&mut findings, &contents.certificates);
        let tls = contents.zookeeper_tls;
        zookeeper::brokers(&mut findings, &settings.writer.zookeeper.brokers, tls.as_ref()).await;
        zookeeper::session(&mut findings, &settings, tls).await;
        history::history(&mut findings, settings.history.as_ref());
        upstream::upstream(&mut findings, settings.poller.as_ref()).await;
        let lists = lists::lists(&mut findings, settings.user_lists.as_ref()).await;
        let known = arguments.registration.as_deref();
        registration::registration(&mut findings, settings.registration.as_ref(), known, &lists)
            .await;
        api(&mut findings, &settings, &arguments.api, file).await;
    }
    findings.report()
}

fn configuration(findings: &mut Findings, file: Option<&Path>) -> Option<(Settings, FileContents)> {
    const CHECK: &str = "configuration";
    const REMEDY: &str = "correct the key in the file or the environment; --help lists all keys";
    let loaded = config::load(file, |name| env::var_os(name))
        .and_then(Checked::read_files)
        .map(|(it, contents)| (it.doubt_file_mode(file), contents));
    let (valid, warnings) = match loaded {
        Ok((Checked { settings, warnings, .. }, contents)) => {
            (Some((settings, contents)), warnings)
        }
        Err(Rejected { problems, warnings, .. }) => {
            for problem in problems {
                findings.problem(CHECK, problem.to_string(), REMEDY);
            }
            (None, warnings)
        }
    };
    for warning in warnings {
        findings.warn(CHECK, warning, REMEDY);
    }
    if valid.is_some() {
        let shown = |file: &Path| Shown(&file.to_string_lossy()).to_string();
        let file = file.map_or("environment alone".to_owned(), shown);
        findings.ok(CHECK, format!("valid ({file})"));
    }
    valid
}

/// Checks that the daemon answers and accepts the credentials. The request has no sub-account, so it changes nothing.
async fn api(
    findings: &mut Findings,
    settings: &Settings,
    arguments: &ApiArguments,
    file: Option<&Path>,
) {
    const CHECK: &str = "api";
    const USERCOINS_EMPTY: i64 = 108;
    if settings.api.is_none() && arguments.server.is_none() {
        return findings.ok(CHECK, "not checked: EnableAPIServer is false");
    }
    let access = match ApiAccess::find(arguments, Listener::Api, file) {
        Ok(access) => access,
        Err(failure) => {
            let remedy = "give --user and --password-file, or --token-file, and --server; or correct the configuration";
            return findings.problem(CHECK, failure.text, remedy);
        }
    };
    let server = access.server.as_str();
    let api = Api::new(&access, Duration::from_secs(arguments.timeout));
    // A dry run, which a viewer may request.
    match api.post("/switch/multi-user?dry_run=true", br#"{"usercoins":[]}"#.to_vec()).await {
        Ok(answer) if answer.err_no == USERCOINS_EMPTY => {
            findings.ok(CHECK, format!("{server} answers, and accepts the credentials"));
        }
        Ok(answer) => findings.problem(
            CHECK,
            format!("{server} answers {} {}", answer.err_no, Shown(&answer.err_msg)),
            "check that the program there is this daemon, and its version",
        ),
        Err(error) => {
            let remedy = match error {
                CallError::NotSent { .. } => "start the daemon, or correct ListenAddr",
                CallError::NoAnswer { .. } => "read the daemon's log",
                CallError::Unauthorized { .. } | CallError::TokenRefused { .. } => {
                    "reload the daemon if its configuration has changed since its start"
                }
                CallError::NotTheDaemon { .. } => "stop the other program, or correct ListenAddr",
            };
            findings.problem(CHECK, error.to_string(), remedy);
        }
    }
}
