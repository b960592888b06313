//! The list API: the user lists, under every path that is not the switcher's (user-list contract, section 4).
//!
//! The middleware asks it first: a request that it answers needs no credentials of the API, and reaches no endpoint.
//! Reasons: docs/develop/decisions/0030-list-api.md.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BodySize, MessageBody},
    dev::ServiceRequest,
    http::{
        Method,
        header::{
            ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
            ContentType, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, VARY,
        },
    },
    web::{Bytes, Payload},
};
use slog::{Logger, warn};
use switcher_actors::{ListAnswer, ListDocument, Listings, Shown};

use super::{
    answer::ApiError,
    form::{Parameters, media_type, unescape},
    routes::{Endpoint, TABLE},
};
use crate::http::{
    LoadedConfig, Public, RequestConfig,
    body::{self, BodyLimits},
    client,
    error::shortened,
    source,
};

/// Beginnings of the switcher's paths, in lower case. A mistyped path must not read as success: an answer of the list
/// has `err_no` 0.
const SWITCHERS: [&str; 2] = ["switch", "subpool"];

/// Largest form of a list's parameters, in bytes: it is read without credentials.
const FORM_LIMIT: usize = 4096;

const URLENCODED: &str = "application/x-www-form-urlencoded";

const MULTIPART: &str = "multipart/form-data";

/// Paths that are logged one by one.
const PATHS_LOGGED: usize = 100;

/// Bytes of a document that the HTTP library gets at a time: it copies them, and a slow client must not hold a copy of
/// the whole document.
const PIECE: usize = 32 * 1024;

/// Serves the lists at one listener. Clones share the state.
#[derive(Clone)]
pub struct ListApi {
    listings: Listings,
    /// Paths that were logged.
    paths: Arc<Mutex<BTreeSet<String>>>,
    log: Logger,
}

impl ListApi {
    pub fn new(listings: Listings, log: &Logger) -> Self {
        Self { listings, paths: Arc::default(), log: log.clone() }
    }

    /// Answers a request for a list, or for a path that could be a mistyped switch; `None` for all others, which need the
    /// credentials of the API.
    pub fn answer(&self, request: &ServiceRequest, config: &RequestConfig) -> Option<Public> {
        if self.listings.is_empty() || is_endpoint(request.path()) {
            return None;
        }
        let has_access = has_access(request.headers(), config);
        if is_switchers(request.path()) || !(has_access || config.list_auth.is_some()) {
            return Some(Public::Answer(ApiError::PathUnknown.error_response()));
        }
        let (method, is_root) = (request.method(), request.path() == "/");
        if !has_access || !(is_root || [Method::GET, Method::HEAD].contains(method)) {
            return None;
        }
        request.extensions_mut().insert(Endpoint::UserList);
        if has_form(request.request()) {
            request.extensions_mut().insert(self.clone());
            return Some(Public::Endpoint);
        }
        let answer = self.list(request.request(), config, Bytes::new());
        Some(Public::Answer(answer.unwrap_or_else(|error| error.error_response())))
    }

    /// The list that query and form name. As in the Go daemon, an urlencoded form precedes the query, a multipart form
    /// follows it.
    fn list(
        &self,
        request: &HttpRequest,
        config: &RequestConfig,
        form: Bytes,
    ) -> Result<HttpResponse, ApiError> {
        let client = client(request, &config.trusted_proxies);
        let networks = &config.list_networks;
        let is_allowed = || networks.iter().any(|it| client.is_some_and(|ip| it.contains(ip)));
        if !networks.is_empty() && !is_allowed() {
            return Err(ApiError::ListForbidden);
        }
        self.log_path(request);
        // sserver appends `?last_id=N` to whatever its URL is.
        let query = request.query_string().replace('?', "&");
        let content_type = content_type(request);
        let is_multipart = media_type(content_type) == MULTIPART;
        let mut parameters = Parameters::new(["coin", "last_id"]);
        if !is_multipart {
            parameters.add_urlencoded(&form);
        }
        parameters.add_urlencoded(query.as_bytes());
        if is_multipart {
            parameters.add_multipart(content_type, form.clone());
        }
        let [coin, last_id] = parameters.first();
        // As in the Go daemon, NUL ends a coin.
        let coin = coin.split('\0').next().filter(|coin| !coin.is_empty());
        match self.listings.answer(coin, parse_last_id(last_id)) {
            ListAnswer::NotReady => Err(ApiError::ListNotReady),
            ListAnswer::List(document) => Ok(respond(document, request.headers())),
        }
    }

    /// Warns once of each path but `/`: it may be a mistyped one. Any client can cause this, so their number is
    /// limited.
    fn log_path(&self, request: &HttpRequest) {
        if request.path() == "/" {
            return;
        }
        let path = shortened(request.path());
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() > PATHS_LOGGED || paths.contains(&path) {
            return;
        }
        let source = source(request);
        if paths.len() == PATHS_LOGGED {
            warn!(self.log, "user lists are read under many paths; no more of them are logged"; source);
        } else {
            warn!(self.log, "user list read under a path that is not /"; source,
                "path" => %Shown(&path));
        }
        paths.insert(path);
    }
}

/// A request for a list whose parameters are in a form.
pub async fn list_of_form(
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    // The list API puts itself into the requests that it admits.
    let lists = request.extensions().get::<ListApi>().cloned().ok_or(ApiError::PathUnknown)?;
    let LoadedConfig(config) =
        LoadedConfig::extract(&request).await.map_err(|_| ApiError::PathUnknown)?;
    let limits = BodyLimits { size: FORM_LIMIT, ..config.body_limits };
    let form = body::read(&request, payload, limits).await?;
    lists.list(&request, &config, form)
}

/// Whether the body is a form that Go's `ParseForm` reads.
fn has_form(request: &HttpRequest) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(request.method())
        && [URLENCODED, MULTIPART].contains(&&*media_type(content_type(request)))
}

fn content_type(request: &HttpRequest) -> &str {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether a request has the credentials of the lists: none, unless `UserListUser` is set. A request with others is not
/// for a list.
fn has_access(headers: &HeaderMap, config: &RequestConfig) -> bool {
    let credentials = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    match &config.list_auth {
        None => credentials.is_none(),
        Some(auth) => auth.admits(credentials),
    }
}

/// Whether a path is one of the switcher's, percent-encoded or not.
fn is_endpoint(path: &str) -> bool {
    let path = unescape(path.as_bytes());
    path.is_some_and(|path| TABLE.iter().any(|row| row.paths.contains(&&*path)))
}

/// Whether a path begins like those of the switcher, in any case and spelling.
fn is_switchers(path: &str) -> bool {
    let Some(path) = unescape(path.as_bytes()) else { return true };
    let path = path.to_lowercase();
    let mut resolved = Vec::new();
    let mut first = None;
    for segment in path.split('/').filter(|segment| !["", "."].contains(segment)) {
        first.get_or_insert(segment);
        if segment == ".." {
            resolved.pop();
        } else {
            resolved.push(segment);
        }
    }
    let begins = |segment: &str| SWITCHERS.iter().any(|name| segment.starts_with(name));
    first.is_some_and(begins) || resolved.first().copied().is_some_and(begins)
}

/// The puid after which entries are wanted: 0, for all, if the text is no positive number.
fn parse_last_id(text: &str) -> u32 {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || text.starts_with('-') {
        return 0;
    }
    // No puid is above the limit.
    digits.parse().unwrap_or(u32::MAX)
}

fn respond(document: ListDocument, headers: &HeaderMap) -> HttpResponse {
    let ListDocument { parts, gzip, etag } = document;
    let packed = gzip.filter(|_| takes_gzip(headers));
    let etag = match &packed {
        Some(_) => Cow::Owned(format!("{}-gzip\"", etag.trim_end_matches('"'))),
        None => Cow::Borrowed(&etag),
    };
    let is_known = tokens(headers, &IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == *etag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, etag.as_str()))
        .insert_header((VARY, ACCEPT_ENCODING.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return response.finish();
    }
    if packed.is_some() {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    response
        .content_type(ContentType::json())
        .body(Pieces(packed.map_or(parts, |packed| [packed, Bytes::new()])))
}

/// Whether a client accepts gzip (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepts = |name: &str| {
        let mut codings = tokens(headers, &ACCEPT_ENCODING).filter_map(|coding| {
            let (coding, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").unwrap_or("1").parse::<f32>();
            coding.trim().eq_ignore_ascii_case(name).then_some(weight.is_ok_and(|it| it > 0.0))
        });
        codings.next()
    };
    accepts("gzip").or_else(|| accepts("*")).unwrap_or_default()
}

/// Items of a list in a header, which may have several lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// A body of two parts that the HTTP library gets in pieces.
struct Pieces([Bytes; 2]);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.iter().map(|part| part.len() as u64).sum())
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let part = self.0.iter_mut().find(|part| !part.is_empty());
        Poll::Ready(part.map(|part| Ok(part.split_to(part.len().min(PIECE)))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{body::to_bytes, http::header::HeaderValue};

    use super::*;

    #[test]
    fn paths_that_begin_like_the_switchers_are_never_a_list() {
        for path in [
            "/switch",
            "/SWITCH",
            "/Switch/",
            "/switch/x",
            "/switches",
            "//switch",
            "/a/../switch",
            "/./switch",
            "/switch/../a",
            "/%73witch",
            "/subpool",
            "/SubPool-x",
            "/subpool/get",
            "/%53UBPOOL",
            "/%zz",
            "/%2fswitch",
            "/switch%2fmulti-user",
        ] {
            assert!(is_switchers(path), "{path}");
        }
        for path in [
            "/",
            "",
            "/foo",
            "/api/switch",
            "/list/switch",
            "/favicon.ico",
            "/swit",
            "/userlist/btc",
        ] {
            assert!(!is_switchers(path), "{path}");
        }
    }

    #[test]
    fn a_last_id_is_a_decimal_number_or_stands_for_all() {
        for (text, after) in [
            ("5", 5),
            ("+5", 5),
            ("007", 7),
            ("", 0),
            ("0", 0),
            ("-5", 0),
            ("abc", 0),
            ("1.5", 0),
            (" 5", 0),
            ("5 ", 0),
            ("0x5", 0),
            ("1_0", 0),
            ("+", 0),
            ("+-5", 0),
            ("٣", 0),
            ("4294967295", u32::MAX),
            ("4294967299", u32::MAX),
            ("99999999999999999999999", u32::MAX),
            ("-99999999999999999999999", 0),
        ] {
            assert_eq!(parse_last_id(text), after, "{text}");
        }
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (accepted, takes) in [
            ("gzip", true),
            ("deflate, GZIP", true),
            ("gzip;q=0.5", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("*, gzip;q=0.0", false),
            ("gzip;q=x", false),
            ("br", false),
        ] {
            assert_eq!(takes_gzip(&headers(ACCEPT_ENCODING, accepted)), takes, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[actix_web::test]
    async fn a_known_document_is_not_sent_again() {
        let document = ListDocument {
            parts: [Bytes::from_static(b"a"), Bytes::from(vec![b'x'; 3 * PIECE + 1])],
            gzip: Some(Bytes::from_static(b"packed")),
            etag: "\"7\"".to_owned(),
        };
        for known in ["\"7\"", "W/\"7\"", "\"1\", \"7\"", "*"] {
            let response = respond(document.clone(), &headers(IF_NONE_MATCH, known));
            assert_eq!(response.status(), 304, "{known}");
            assert_eq!(response.headers().get(ETAG).unwrap(), "\"7\"");
        }
        for unknown in ["7", "\"1\"", "\"7-gzip\"", ""] {
            let response = respond(document.clone(), &headers(IF_NONE_MATCH, unknown));
            assert_eq!(response.status(), 200, "{unknown}");
            assert_eq!(to_bytes(response.into_body()).await.unwrap(), document.parts.concat());
        }
        let packed = respond(document, &headers(ACCEPT_ENCODING, "gzip"));
        assert_eq!(packed.headers().get(ETAG).unwrap(), "\"7-gzip\"");
        assert_eq!(to_bytes(packed.into_body()).await.unwrap(), "packed");
    }
}
