//! `health`: checks that the daemon on this machine is alive, or ready, for containers and scripts.

use std::{path::Path, time::Duration};

use super::{
    access::configured,
    api::{CallError, get_page},
    arguments::{HealthArguments, ServerAddress},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    tls::{Trust, tls},
};

/// Gets the health page of the admin listener that the environment or `file` configures.
///
/// A daemon that does not answer is a result of the check, not a failure of the command.
pub async fn health(arguments: &HealthArguments, file: Option<&Path>) -> CommandResult {
    let server = server(file)?;
    let tls = tls(&arguments.tls, &server, Trust::Anyone)?;
    let limit = Duration::from_secs(arguments.timeout);
    let (path, good) = if arguments.ready { ("/readyz", "ready") } else { ("/healthz", "ok") };
    let mut report = CommandReport::default();
    let missing = match get_page(&server, tls.as_ref(), path, limit).await {
        Ok((200, text)) if text.trim_end() == good => Vec::new(),
        Ok((503, text)) if text.starts_with("not ready\n") => {
            text.lines().skip(1).map(str::to_owned).collect()
        }
        Ok((status, _)) => vec![format!(
            "the program at {} has no admin pages (status {status} for {path}); is it another program, or the API? \
             Check AdminListenAddr",
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
        report.found_something();
    }
    for what in &missing {
        report.line(what.as_str());
    }
    report.field("server", server.as_str());
    report.field("path", path);
    report.field("missing", missing);
    Ok(report)
}

fn server(file: Option<&Path>) -> Result<ServerAddress, CommandFailure> {
    let failed = |fault: &str| {
        let text = format!("AdminListenAddr is {fault}: set it to an address with a port");
        FailureKind::Configuration.failure(text)
    };
    let access = configured(file)?;
    let listen = access.admin_listen.ok_or_else(|| failed("empty"))?;
    ServerAddress::of_listener(&listen, access.admin_certificate.is_some())
        .ok_or_else(|| failed(&format!("{listen:?}")))
}
