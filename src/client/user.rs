//! `user hash` and `user token`: entries for `UsersFile`.

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::{
    arguments::{HashArguments, TokenArguments, UserCommand},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    terminal,
};
use crate::users;

/// `user`.
pub fn user(command: &UserCommand) -> CommandResult {
    match command {
        UserCommand::Hash(it) => hash(it),
        UserCommand::Token(it) => token(it),
    }
}

fn hash(arguments: &HashArguments) -> CommandResult {
    let HashArguments { name, roles, output: _ } = arguments;
    let password = terminal::new_password()?;
    let hash = users::hash_password(&password, &random()?)
        .map_err(|error| FailureKind::Internal.failure(format!("cannot hash: {error}")))?;
    report(match name {
        Some(name) => checked(json!({"name": name, "password": hash, "roles": roles}))?,
        None => json!({ "password": hash }),
    })
}

fn token(arguments: &TokenArguments) -> CommandResult {
    let TokenArguments { name, roles, output: _ } = arguments;
    let (token, digest) = users::token(&random()?);
    let entry = checked(json!({"name": name, "token_sha256": digest, "roles": roles}))?;
    let mut report = CommandReport::default();
    report.line(format!("token: {token}"));
    report.field("token", token);
    with_entry(report, entry)
}

fn report(entry: Value) -> CommandResult {
    with_entry(CommandReport::default(), entry)
}

fn with_entry(mut report: CommandReport, entry: Value) -> CommandResult {
    report.line(entry.to_string());
    report.field("entry", entry);
    Ok(report)
}

/// The entry, unless the daemon would refuse it.
fn checked(entry: Value) -> Result<Value, CommandFailure> {
    let file = json!({ "users": [entry] }).to_string();
    match users::parse(&file, None) {
        Ok(_) => Ok(entry),
        Err(problems) => Err(FailureKind::Refused.failure(problems.join("; "))),
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], CommandFailure> {
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| FailureKind::Internal.failure("the system has no random numbers"))?;
    Ok(bytes)
}
