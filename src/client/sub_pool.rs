//! `get-coinbase` and `update-coinbase`: reads the values of a sub-pool's jobmaker, and changes them after showing old
//! and new.

use std::time::Duration;

use serde_json::json;
use switcher_actors::{Coinbase, Shown};

use super::{
    access::ApiAccess,
    answer::DaemonAnswer,
    api::Api,
    arguments::{GetCoinbaseArguments, SubPoolArguments, UpdateCoinbaseArguments},
    report::{CommandFailure, CommandReport, CommandResult, FailureKind},
    terminal,
};

/// `get-coinbase COIN POOL`.
pub async fn get_coinbase(arguments: &GetCoinbaseArguments, access: &ApiAccess) -> CommandResult {
    let api = Api::new(access, Duration::from_secs(arguments.api.timeout));
    let JobmakerState { held, complaint } =
        ask(&api, &arguments.sub_pool, arguments.api.output.json).await?;
    let mut report = about(&arguments.sub_pool);
    report.line(format!("{}:", name(&arguments.sub_pool)));
    report.line(format!("  payout_addr    {}", Shown(&held.payout_addr)));
    report.line(format!("  coinbase_info  {}", Shown(&held.coinbase_info)));
    report.field("payout_addr", held.payout_addr);
    report.field("coinbase_info", held.coinbase_info);
    report.field("complaint", complaint);
    Ok(report)
}

/// `update-coinbase COIN POOL`.
pub async fn update_coinbase(
    arguments: &UpdateCoinbaseArguments,
    access: &ApiAccess,
) -> CommandResult {
    let UpdateCoinbaseArguments {
        sub_pool,
        payout_addr,
        coinbase_info,
        yes,
        change: recorded,
        api,
    } = arguments;
    let quiet = api.output.json;
    let api = Api::new(access, Duration::from_secs(api.timeout)).about(recorded);
    let shown = ask(&api, sub_pool, quiet).await?.held;
    let wanted =
        Coinbase { coinbase_info: coinbase_info.clone(), payout_addr: payout_addr.clone() };
    if !yes {
        let question = format!("{}\nChange it?", change(sub_pool, &shown, &wanted).join("\n"));
        if !terminal::confirm(&question)? {
            let text = format!("update of {}: not confirmed, nothing was changed", name(sub_pool));
            return Err(FailureKind::NotConfirmed.failure(text));
        }
    }
    let what = format!("update of {}", name(sub_pool));
    let body = json!({
        "coin": sub_pool.coin,
        "subpool_name": sub_pool.pool,
        "payout_addr": wanted.payout_addr,
        "coinbase_info": wanted.coinbase_info,
    });
    let answer = api.post("/subpool/update-coinbase", body.to_string().into_bytes()).await;
    let answer = answer.map_err(|error| error.of_change(&what))?;
    let mut report = about(sub_pool);
    report.field("wanted", json!(wanted));
    let DaemonAnswer { old, new, .. } = answer.clone();
    if let Some(old) = &old {
        report.field("old", json!(old));
        if *old != shown {
            terminal::note(quiet, "another request has changed the sub-pool since it was shown");
        }
    }
    match (answer.into_failure(&what), old, new) {
        (Some(failure), ..) => report.fail(failure),
        (None, Some(old), Some(new)) => {
            report.field("new", json!(new));
            if new != wanted {
                terminal::note(quiet, "the jobmaker holds them in its own spelling, or cut");
            }
            for line in change(sub_pool, &old, &new) {
                report.line(line);
            }
        }
        (None, ..) => {
            let text = format!("{what}: done, but the answer lacks the new values");
            report.fail(FailureKind::Protocol.failure(text));
        }
    }
    Ok(report)
}

/// A jobmaker's state.
struct JobmakerState {
    held: Coinbase,
    /// The jobmaker's error, if it refuses the request in its znode, as after an update that it refused.
    complaint: Option<String>,
}

async fn ask(
    api: &Api,
    sub_pool: &SubPoolArguments,
    quiet: bool,
) -> Result<JobmakerState, CommandFailure> {
    let what = format!("question about {}", name(sub_pool));
    let body = json!({"coin": sub_pool.coin, "subpool_name": sub_pool.pool});
    let answer = api.post("/subpool/get-coinbase", body.to_string().into_bytes()).await;
    let mut answer = answer.map_err(|error| error.of_question(&what))?;
    let Some(held) = answer.old.take() else {
        let no_values = format!("{what}: the answer lacks the jobmaker's values");
        let failure = answer.into_failure(&what);
        return Err(failure.unwrap_or_else(|| FailureKind::Protocol.failure(no_values)));
    };
    let complaint = (!answer.success).then_some(answer.err_msg);
    if let Some(complaint) = &complaint {
        let note =
            format!("the jobmaker refuses the last request sent to it: {}", Shown(complaint));
        terminal::note(quiet, &note);
    }
    Ok(JobmakerState { held, complaint })
}

fn about(sub_pool: &SubPoolArguments) -> CommandReport {
    let mut report = CommandReport::default();
    report.field("coin", sub_pool.coin.as_str());
    report.field("subpool_name", sub_pool.pool.as_str());
    report
}

fn name(sub_pool: &SubPoolArguments) -> String {
    format!("{}/{}", Shown(&sub_pool.coin), Shown(&sub_pool.pool))
}

/// Old and new values below each other, to compare by eye.
fn change(sub_pool: &SubPoolArguments, old: &Coinbase, new: &Coinbase) -> Vec<String> {
    vec![
        format!("{}:", name(sub_pool)),
        format!("  payout_addr    old  {}", Shown(&old.payout_addr)),
        format!("                 new  {}", Shown(&new.payout_addr)),
        format!("  coinbase_info  old  {}", Shown(&old.coinbase_info)),
        format!("                 new  {}", Shown(&new.coinbase_info)),
    ]
}
