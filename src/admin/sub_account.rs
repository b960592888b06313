//! A sub-account: its coin, index entry and held switch, read from ZooKeeper, and the lists that have it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::{
    ListedAs, LookUp, LookUpReply, Puname, Switches, WriteFailure, ZnodeDir, rfc_3339,
};
use tokio::sync::oneshot;

use super::{
    Admin,
    answer::{PageError, json_page},
    held::HeldEntry,
};
use crate::{
    api::{Parameters, dry_run},
    http::LoadedConfig,
};

#[derive(Serialize)]
struct SubAccountAnswer<'a> {
    /// Name of the znode, in lower case with `StratumServerCaseInsensitive`.
    sub_account: &'a str,
    /// Data of the znode, cut after 64 bytes; `null` if there is no znode.
    coin: Option<&'a str>,
    /// `null` if no switch is held.
    held: Option<HeldEntry>,
    /// The lists that have it; absent without lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    lists: Option<Vec<InList>>,
    /// Absent without an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    index_entry: Option<IndexEntry<'a>>,
    /// Why a part could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

#[derive(Serialize)]
struct InList {
    coin: String,
    /// First sight in this list. RFC 3339, in UTC.
    since: String,
    /// The first few.
    puids: Vec<Numbered>,
}

#[derive(Serialize)]
struct Numbered {
    puid: u32,
    /// As the list spells it.
    name: String,
}

#[derive(Serialize)]
struct IndexEntry<'a> {
    path: &'a str,
    /// Cut after 64 bytes; `null` if there is no entry.
    name: Option<&'a str>,
}

impl From<ListedAs> for InList {
    fn from(ListedAs { coin, since, puids }: ListedAs) -> Self {
        let puids = puids.into_iter().map(|(puid, name)| Numbered { puid, name });
        Self { coin: coin.to_string(), since: rfc_3339(since), puids: puids.collect() }
    }
}

/// `GET /sub-account?puname=NAME`. The coin comes from a dry run without a coin: its read follows a sync with the leader.
pub async fn sub_account(
    request: HttpRequest,
    LoadedConfig(config): LoadedConfig,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let mut parameters = Parameters::new(["puname"]);
    parameters.add_urlencoded(request.query_string().as_bytes());
    let [name] = parameters.first();
    let puname = config.switch_rules.puname(name).map_err(PageError::Puname)?;
    let reply = dry_run(&admin.views.dry_runs, Arc::new(Switches::of_name(&puname))).await;
    reply.outcome.map_err(PageError::NotRead)?;
    let result = reply.results.as_ref().and_then(|results| results.get(0));
    let coin = result.and_then(|result| result.old.text());
    let path = admin.static_info.index.as_ref().and_then(|index| index_path(index, &puname));
    let LookUpReply { index_entry, held } = look_up(&admin, &puname, path.clone()).await?;
    let index_fault = index_entry.as_ref().err().map(|cause| format!("index entry: {cause}"));
    let held_fault = held.as_ref().err().map(|cause| format!("held switch: {cause}"));
    let entry = index_entry.ok();
    let entry = entry.as_ref().and_then(|entry| entry.text());
    let lists =
        || admin.views.listings.look_up(puname.as_str()).into_iter().map(InList::from).collect();
    let body = SubAccountAnswer {
        sub_account: puname.as_str(),
        coin: coin.as_deref(),
        held: held.ok().flatten().map(HeldEntry::from),
        lists: (!admin.views.listings.is_empty()).then(lists),
        index_entry: path
            .as_deref()
            .filter(|_| index_fault.is_none())
            .map(|path| IndexEntry { path, name: entry.as_deref() }),
        faults: index_fault.into_iter().chain(held_fault).collect(),
    };
    Ok(json_page(&body))
}

/// `None` for a name without a lower case, which never has an entry.
fn index_path(index: &ZnodeDir, puname: &Puname) -> Option<String> {
    Puname::parse_lower_case(puname.as_str()).ok().map(|name| index.child(name.as_str()))
}

async fn look_up(
    admin: &Admin,
    puname: &Puname,
    index_entry: Option<String>,
) -> Result<LookUpReply, PageError> {
    let not_read = |cause| PageError::NotRead(WriteFailure::NotRead(cause));
    let ended = || PageError::NotRead(WriteFailure::ShuttingDown);
    let (reply, found) = oneshot::channel();
    let message = LookUp { puname: puname.clone(), index_entry, reply };
    admin.views.look_up.send(message).await.map_err(|_| ended())?;
    found.await.map_err(|_| ended())?.map_err(not_read)
}
