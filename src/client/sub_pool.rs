//! `get-coinbase` and `update-coinbase`: what a sub-pool's jobmaker holds, and a change of it that was shown first.

use std::time::Duration;

use serde_json::{Value, json};
use switcher_actors::Shown;

use super::{
    answer::{Answer, Held},
    api::Api,
    arguments::{GetCoinbaseArguments, SubPoolArguments, UpdateCoinbaseArguments},
    caller::Caller,
    report::{Failure, Kind, Report},
    terminal,
};

/// `get-coinbase COIN POOL`.
pub async fn get_coinbase(
    arguments: &GetCoinbaseArguments,
    caller: &Caller,
) -> Result<Report, Failure> {
    let api = Api::new(caller, Duration::from_secs(arguments.api.timeout));
    let told = ask(&api, &arguments.sub_pool).await?;
    told.note(arguments.api.output.json);
    let Told { held, complaint } = told;
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
    caller: &Caller,
) -> Result<Report, Failure> {
    let UpdateCoinbaseArguments { sub_pool, payout_addr, coinbase_info, yes, api } = arguments;
    let quiet = api.output.json;
    let api = Api::new(caller, Duration::from_secs(api.timeout));
    let told = ask(&api, sub_pool).await?;
    told.note(quiet);
    let shown = told.held;
    let wanted = Held { coinbase_info: coinbase_info.clone(), payout_addr: payout_addr.clone() };
    if !yes {
        let question = format!("{}\nChange it?", change(sub_pool, &shown, &wanted).join("\n"));
        if !terminal::confirm(&question)? {
            let text = format!("update of {}: not confirmed, nothing was changed", name(sub_pool));
            return Err(Failure::new(Kind::NotConfirmed, text));
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
    report.field("wanted", json_of(&wanted));
    let Answer { old, new, .. } = answer.clone();
    if let Some(old) = &old {
        report.field("old", json_of(old));
        if *old != shown {
            terminal::note(quiet, "somebody else has changed the sub-pool since it was shown");
        }
    }
    match (answer.into_failure(&what), old, new) {
        (Some(failure), ..) => report.fail(failure),
        (None, Some(old), Some(new)) => {
            report.field("new", json_of(&new));
            if new != wanted {
                terminal::note(quiet, "the jobmaker holds it in its own spelling, or cut");
            }
            for line in change(sub_pool, &old, &new) {
                report.line(line);
            }
        }
        (None, ..) => {
            let text = format!("{what}: done, but the answer does not say what is held now");
            report.fail(Failure::new(Kind::Protocol, text));
        }
    }
    Ok(report)
}

/// What a jobmaker holds.
struct Told {
    held: Held,
    /// Its own words, if it refuses the request that lies in its znode, as after an update that it refused. What
    /// it holds it tells all the same.
    complaint: Option<String>,
}

impl Told {
    fn note(&self, quiet: bool) {
        if let Some(complaint) = &self.complaint {
            terminal::note(
                quiet,
                &format!(
                    "the jobmaker refuses the last request that was sent to it: {}",
                    Shown(complaint)
                ),
            );
        }
    }
}

async fn ask(api: &Api, sub_pool: &SubPoolArguments) -> Result<Told, Failure> {
    let what = format!("question about {}", name(sub_pool));
    let body = json!({"coin": sub_pool.coin, "subpool_name": sub_pool.pool});
    let answer = api.post("/subpool/get-coinbase", body.to_string().into_bytes()).await;
    let mut answer = answer.map_err(|error| error.of_question(&what))?;
    if let Some(held) = answer.old.take() {
        let complaint = (!answer.success).then_some(answer.err_msg);
        return Ok(Told { held, complaint });
    }
    Err(answer.into_failure(&what).unwrap_or_else(|| {
        Failure::new(Kind::Protocol, format!("{what}: the answer does not say what is held"))
    }))
}

fn about(sub_pool: &SubPoolArguments) -> Report {
    let mut report = Report::default();
    report.field("coin", sub_pool.coin.as_str());
    report.field("subpool_name", sub_pool.pool.as_str());
    report
}

fn name(sub_pool: &SubPoolArguments) -> String {
    format!("{}/{}", Shown(&sub_pool.coin), Shown(&sub_pool.pool))
}

/// Old and new under each other, where two addresses are compared with the eye.
fn change(sub_pool: &SubPoolArguments, old: &Held, new: &Held) -> Vec<String> {
    vec![
        format!("{}:", name(sub_pool)),
        format!("  payout_addr    old  {}", Shown(&old.payout_addr)),
        format!("                 new  {}", Shown(&new.payout_addr)),
        format!("  coinbase_info  old  {}", Shown(&old.coinbase_info)),
        format!("                 new  {}", Shown(&new.coinbase_info)),
    ]
}

fn json_of(held: &Held) -> Value {
    json!({"coinbase_info": held.coinbase_info, "payout_addr": held.payout_addr})
}
