//! `POST /undo`: takes a request back (trust contract, section 2).
//!
//! ```text
//! request ─▶ history: its entries ─▶ plan ─▶ PutBack ─▶ ZkWriter ─▶ results
//!                                      └───▶ get, update ─▶ jobmaker ─▶ result
//! ```
//!
//! * `request`: the body; `error`: refusals;
//! * `plan`: whether a recorded switch is put back; no clock, no network;
//! * `switches`: undoes switches, slice by slice; `update`: undoes a coinbase update;
//! * `results`: the answer.

mod error;
mod plan;
mod request;
mod results;
mod switches;
mod update;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    rt,
    web::{Data, Payload},
};
use slog::info;
use switcher_actors::{Origin, Source, SourceKind};
use switcher_history::{Kind, RequestRow};

use super::{Admin, answer::PageError, history::Searches};
use crate::{
    http::{
        Actor, LoadedConfig, RequestConfig,
        body::{self},
        error::RequestError,
        source,
    },
    users::Role,
};
use request::UndoRequest;
use results::Results;

pub use error::UndoError;

/// Methods of the page.
const METHODS: &[Method] = &[Method::POST];

/// `POST /undo`.
pub async fn undo(
    request: HttpRequest,
    actor: Actor,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    admin: Data<Admin>,
) -> Result<HttpResponse, UndoError> {
    let body = body::read(&request, payload, config.body_limits).await?;
    let wanted = UndoRequest::parse(&body)?;
    let mut origin = Origin::clone(&source(&request));
    origin.kind = SourceKind::Undo;
    origin.comment = wanted.comment.clone().or(origin.comment);
    origin.undo_of = Some(wanted.request);
    let undo = Undo { admin, config, actor, source: Source::new(origin), wanted };
    // In a task of its own: if the client disconnects, the undo must not end half done.
    rt::spawn(undo.run()).await.unwrap_or(Err(UndoError::Ended))
}

/// Any other method.
pub async fn not_allowed() -> Result<HttpResponse, RequestError> {
    Err(RequestError::MethodNotAllowed(METHODS))
}

/// The role that changes of this kind need; `None` if they cannot be undone.
fn role(kind: Kind) -> Option<Role> {
    match kind {
        Kind::Switch => Some(Role::Switcher),
        Kind::Update => Some(Role::Payout),
        _ => None,
    }
}

/// An undo under way.
struct Undo {
    admin: Data<Admin>,
    config: Arc<RequestConfig>,
    actor: Actor,
    /// Origin of the undo.
    source: Source,
    wanted: UndoRequest,
}

impl Undo {
    async fn run(self) -> Result<HttpResponse, UndoError> {
        let searches = self.admin.searches.as_ref().ok_or(PageError::NoHistory)?;
        let history = &self.admin.views.history;
        let writes = !self.wanted.dry_run;
        let _turn = if writes { Some(self.admin.undo_turn.lock().await) } else { None };
        if writes {
            history.admits().map_err(UndoError::NotAdmitted)?;
        }
        let undone = self.find(searches).await?;
        let kind = undone.kind;
        if writes && let Some(role) = role(kind) {
            self.actor.may(role).map_err(RequestError::from)?;
        }
        let mut results = Results::default();
        let done = match kind {
            Kind::Switch => self.switches(searches, &undone, &mut results).await,
            Kind::Update => self.update(searches, &mut results).await,
            kind => return Err(UndoError::Kind { request: self.wanted.request, kind }),
        };
        let recorded = if writes { history.synced().await } else { Ok(()) };
        info!(self.admin.log, "undo"; &self.source, "undo_of" => %self.wanted.request,
            "dry_run" => self.wanted.dry_run, "outcomes" => results.counts(),
            "cause" => done.as_ref().err().map(ToString::to_string));
        match done {
            Err(error) if results.may_have_written() => {
                Err(UndoError::Unfinished { by: self.source.request, cause: error.to_string() })
            }
            Err(error) => Err(error),
            Ok(()) => Ok(results.answer(self.source.request, recorded)),
        }
    }

    /// The request to undo.
    async fn find(&self, searches: &Searches) -> Result<RequestRow, UndoError> {
        let request = self.wanted.request;
        let found = searches.search(move |reader| reader.request(request.0)).await?;
        let waits = || self.admin.metrics.history().is_some_and(|it| it.is_failing);
        let undone = found.ok_or_else(|| match waits() {
            true => UndoError::NotYet(request),
            false => UndoError::NotFound(request),
        })?;
        match undone.undone_by {
            Some(by) if !self.wanted.dry_run => Err(UndoError::Undone { request, by }),
            _ => Ok(undone),
        }
    }
}
