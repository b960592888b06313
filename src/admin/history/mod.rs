//! Searches in the history (trust contract, section 1).
//!
//! | path | rows |
//! | --- | --- |
//! | `/history` | changes |
//! | `/history/requests` | requests that have a matching change, with the counts of all their changes |
//!
//! * `searches`: access to the history, for two searches at a time;
//! * `query`: the parameters, which both pages share;
//! * `rows`: rows in JSON; `csv`: rows as CSV.

mod csv;
mod query;
mod rows;
mod searches;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header::CACHE_CONTROL},
    web::Data,
};
use serde::Serialize;
use switcher_history::Page;
use thiserror::Error;

use super::{
    Admin,
    answer::{PageError, json_page},
};
use crate::http::error::refusal;
use query::{Cursor, Format, Query};
use rows::{ChangeEntry, RequestEntry};

pub use query::QueryError;
pub use searches::{SEARCH_DESCRIPTORS, SEARCHES, Searches};

const CSV: &str = "text/csv; charset=utf-8; header=present";

/// Error of a search, with the API's fields (trust contract, general rules).
#[derive(Debug, Error)]
#[error(transparent)]
pub struct SearchError(#[from] PageError);

impl ResponseError for SearchError {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        refusal(HttpResponse::build(status), status.as_u16(), self)
    }
}

#[derive(Serialize)]
struct ChangesAnswer<'a> {
    changes: Vec<ChangeEntry<'a>>,
    /// `null` at the end.
    next: Option<String>,
}

#[derive(Serialize)]
struct RequestsAnswer<'a> {
    requests: Vec<RequestEntry<'a>>,
    /// `null` at the end.
    next: Option<String>,
}

/// `GET /history`: changes.
pub async fn changes(
    request: HttpRequest,
    admin: Data<Admin>,
) -> Result<HttpResponse, SearchError> {
    let (searches, query) = asked(&admin, &request)?;
    let Query { filter, order, limit, after, format } = query;
    let page = searches.search(move |reader| reader.changes(&filter, order, after, limit));
    let Page { rows, next } = page.await?;
    let next = next.map(|number| Cursor::new(order, number).text());
    let changes: Vec<_> = rows.iter().map(ChangeEntry::from).collect();
    Ok(match format {
        Format::Json => json_page(&ChangesAnswer { changes, next }),
        Format::Csv => csv_page(csv::table(csv::CHANGE, &changes), next),
    })
}

/// `GET /history/requests`: requests.
pub async fn requests(
    request: HttpRequest,
    admin: Data<Admin>,
) -> Result<HttpResponse, SearchError> {
    let (searches, query) = asked(&admin, &request)?;
    let Query { filter, order, limit, after, format } = query;
    let page = searches.search(move |reader| reader.requests(&filter, order, after, limit));
    let Page { rows, next } = page.await?;
    let next = next.map(|number| Cursor::new(order, number).text());
    let requests: Vec<_> = rows.iter().map(RequestEntry::from).collect();
    Ok(match format {
        Format::Json => json_page(&RequestsAnswer { requests, next }),
        Format::Csv => csv_page(csv::table(csv::REQUEST, &requests), next),
    })
}

fn asked<'a>(admin: &'a Admin, request: &HttpRequest) -> Result<(&'a Searches, Query), PageError> {
    let searches = admin.searches.as_ref().ok_or(PageError::NoHistory)?;
    Ok((searches, Query::parse(request.query_string())?))
}

fn csv_page(body: String, next: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type(CSV).insert_header((CACHE_CONTROL, "no-store"));
    if let Some(next) = next {
        response.insert_header(("X-Next-Cursor", next));
    }
    response.body(body)
}
