//! The held switches that this daemon knows, in JSON.

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::{HeldSwitch, ListHeld, WriteFailure, rfc_3339_millis};

use super::{
    Admin,
    answer::{PageError, json_page},
    status::seconds_ago,
};

/// Held switches in an answer.
const SHOWN: usize = 100;

/// A held switch in JSON.
#[derive(Serialize)]
pub struct HeldEntry {
    coin: String,
    /// RFC 3339, in UTC, with milliseconds.
    due: String,
    /// 0 until the due time.
    overdue_seconds: u64,
    source: &'static str,
}

impl From<HeldSwitch> for HeldEntry {
    fn from(HeldSwitch { coin, due, source }: HeldSwitch) -> Self {
        Self {
            coin: coin.to_string(),
            due: rfc_3339_millis(due),
            overdue_seconds: seconds_ago(due / 1_000),
            source: source.label(),
        }
    }
}

#[derive(Serialize)]
struct HeldAnswer {
    /// Number of all that this daemon knows.
    known: usize,
    /// Whether this daemon carries them out.
    is_carrier: bool,
    /// The next to be due.
    switches: Vec<NamedSwitch>,
}

#[derive(Serialize)]
struct NamedSwitch {
    sub_account: String,
    /// Absent until the intent was read.
    #[serde(flatten)]
    switch: Option<HeldEntry>,
}

/// `GET /held-switches`: the next to be due. Needs no session with ZooKeeper.
pub async fn held(admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let held = admin.views.held.send(ListHeld { limit: SHOWN }).await;
    let held = held.map_err(|_| PageError::NotRead(WriteFailure::ShuttingDown))?;
    let switches = held.next.into_iter().map(|(sub_account, switch)| NamedSwitch {
        sub_account,
        switch: switch.map(HeldEntry::from),
    });
    let body =
        HeldAnswer { known: held.known, is_carrier: held.is_carrier, switches: switches.collect() };
    Ok(json_page(&body))
}
