//! `health`: asks the daemon on this machine whether it is alive, or ready, for containers and scripts.

use std::{path::Path, time::Duration};

use super::{
    api::{CallError, get_page},
    arguments::{HealthArguments, ServerAddress},
    caller::configured,
    report::{Failure, Kind, Report},
};

/// Asks the admin listener that the environment or `file` tells of.
///
/// That nobody answers, or answers otherwise, is what was looked for, and no failure.
pub async fn health(arguments: &HealthArguments, file: Option<&Path>) -> Result<Report, Failure> {
    let server = server(file)?;
    let (path, good) = if arguments.ready { ("/readyz", "ready") } else { ("/healthz", "ok") };
    let mut report = Report::default();
    let missing = match get_page(&server, path, Duration::from_secs(arguments.timeout)).await {
        Ok((200, text)) if text.trim_end() == good => Vec::new(),
        Ok((503, text)) if text.starts_with("not ready\n") => {
            text.lines().skip(1).map(str::to_owned).collect()
        }
        Ok((status, _)) => vec![format!(
            "what answers at {} has no admin pages (status {status} to {path}); does another program \
             listen there, or the API? Look at AdminListenAddr",
            server.as_str()
        )],
        Err(CallError::NotSent { server, cause }) => {
            vec![format!(
                "cannot connect to {server}: {cause}; is the daemon running, with its admin pages?"
            )]
        }
        Err(error) => vec![error.to_string()],
    };
    if missing.is_empty() {
        report.line(good);
    } else {
        report.amiss();
    }
    for what in &missing {
        report.line(what.as_str());
    }
    report.field("server", server.as_str());
    report.field("path", path);
    report.field("missing", missing);
    Ok(report)
}

fn server(file: Option<&Path>) -> Result<ServerAddress, Failure> {
    let failed = |text: String| Failure::new(Kind::Configuration, text);
    let listen = configured(file)?.admin_listen.ok_or_else(|| {
        failed("AdminListenAddr is empty, so nobody can be asked: give it an address".to_owned())
    })?;
    ServerAddress::of_listener(&listen).ok_or_else(|| {
        failed(format!("AdminListenAddr is {listen:?}, which cannot be called: give it a port"))
    })
}
