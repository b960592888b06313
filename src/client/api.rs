//! Calls of the daemon's API.

use std::{sync::Arc, time::Duration};

use switcher_actors::{HttpRequest, Shown, TlsClient, TlsStream, clip};
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

use super::{
    access::{ApiAccess, ApiCredentials},
    answer::DaemonAnswer,
    arguments::{ChangeArguments, ServerAddress},
};

/// Largest answer of the API, in bytes. The daemon's own are far smaller.
const ANSWER_LIMIT: usize = 1 << 20;

/// Largest page of the admin listener, in bytes: the results of an undo have a row for each entry of the request.
const PAGE_LIMIT: usize = 1 << 28;

/// Longest time for a connection, unless the whole call has less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters of a foreign answer that an error shows.
const SHOWN_CHARS: usize = 200;

/// Daemon to call.
pub struct Api {
    server: ServerAddress,
    tls: Option<Arc<TlsClient>>,
    credentials: ApiCredentials,
    /// Headers about a change.
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// Reason why there is no answer of the daemon.
#[derive(Debug, Error)]
pub enum CallError {
    /// The request was not sent.
    #[error(
        "cannot connect to {server}: {cause}; is the daemon running there? --server chooses another"
    )]
    NotSent { server: String, cause: String },
    /// The request was sent at least in part, without an answer.
    #[error("{server} was sent the request and gave no answer: {cause}")]
    NoAnswer { server: String, cause: String },
    /// The daemon refuses the credentials.
    #[error(
        "{server} refuses user {user} with this password (status 401); look at APIUser and \
         APIPassword of the configuration that the daemon runs with"
    )]
    Unauthorized { server: String, user: String },
    /// The daemon refuses the token.
    #[error("{server} refuses this token (status 401); look at UsersFile of the daemon")]
    TokenRefused { server: String },
    /// The answer is not one of the daemon.
    #[error("what answers at {server} is not this daemon: {description}; --server chooses another")]
    NotTheDaemon { server: String, description: String },
}

impl Api {
    /// The daemon that the access names. `timeout` is that of each call.
    pub fn new(access: &ApiAccess, timeout: Duration) -> Self {
        Self {
            server: access.server.clone(),
            tls: access.tls.clone(),
            credentials: access.credentials.clone(),
            headers: Vec::new(),
            timeout,
        }
    }

    /// Sends the person and the reason behind a change with each request.
    pub fn about(mut self, change: &ChangeArguments) -> Self {
        let ChangeArguments { comment, person } = change;
        let headers = [("x-on-behalf-of", &person.on_behalf_of), ("x-change-comment", comment)];
        self.headers =
            headers.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
        self
    }

    /// Sends JSON to one of the API's paths and reads the answer.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<DaemonAnswer, CallError> {
        let page = self.send("POST", path, json, ANSWER_LIMIT).await?;
        page.answer().ok_or_else(|| self.not_the_daemon(&page))
    }

    /// Gets a page of the admin listener.
    pub async fn get_page(&self, target: &str) -> Result<Page, CallError> {
        self.send("GET", target, Vec::new(), PAGE_LIMIT).await
    }

    /// Sends JSON to a page of the admin listener.
    pub async fn post_page(&self, path: &str, json: Vec<u8>) -> Result<Page, CallError> {
        self.send("POST", path, json, PAGE_LIMIT).await
    }

    /// The error for a `page` that is not the daemon's.
    pub fn not_the_daemon(&self, page: &Page) -> CallError {
        let text = String::from_utf8_lossy(&page.body);
        let start = Shown(clip(&text, SHOWN_CHARS).0);
        let description = format!("status {}, and begins {start}", page.status);
        CallError::NotTheDaemon { server: self.server.as_str().to_owned(), description }
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        json: Vec<u8>,
        most: usize,
    ) -> Result<Page, CallError> {
        let mut headers: Vec<_> =
            self.headers.iter().map(|(name, text)| (*name, text.as_str())).collect();
        if !json.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let bearer;
        let credentials = match &self.credentials {
            ApiCredentials::Password { user, password } => {
                Some((user.as_str(), password.0.as_str()))
            }
            ApiCredentials::Token(token) => {
                bearer = format!("Bearer {}", token.0);
                headers.push(("authorization", &bearer));
                None
            }
        };
        let (host, headers) = (self.server.host_and_port(), headers.as_slice());
        let request = HttpRequest { method, host, target, credentials, headers, body: json };
        let page = call(&self.server, self.tls.as_deref(), request, self.timeout, most).await?;
        if page.status == 401 {
            return Err(self.unauthorized());
        }
        Ok(page)
    }

    fn unauthorized(&self) -> CallError {
        let server = self.server.as_str().to_owned();
        match &self.credentials {
            ApiCredentials::Password { user, .. } => {
                CallError::Unauthorized { server, user: Shown(user).to_string() }
            }
            ApiCredentials::Token(_) => CallError::TokenRefused { server },
        }
    }
}

/// A whole answer.
pub struct Page {
    pub status: u16,
    pub body: Vec<u8>,
    /// `X-Next-Cursor`: cursor of the next page of a CSV table.
    pub next_cursor: Option<String>,
}

impl Page {
    /// The page as an answer with `success`, `err_no` and `err_msg`; `None` if it is none. The daemon reports a success
    /// with status 200 only.
    pub fn answer(&self) -> Option<DaemonAnswer> {
        DaemonAnswer::read(&self.body).filter(|it| !it.success || self.status == 200)
    }
}

/// Gets an admin page that needs no credentials. `limit` is the timeout of the whole call.
pub async fn get_page(
    server: &ServerAddress,
    tls: Option<&TlsClient>,
    path: &str,
    limit: Duration,
) -> Result<(u16, String), CallError> {
    let request = HttpRequest {
        method: "GET",
        host: server.host_and_port(),
        target: path,
        credentials: None,
        headers: &[],
        body: Vec::new(),
    };
    let call = call(server, tls, request, limit, ANSWER_LIMIT);
    let page = timeout(limit, call).await.unwrap_or_else(|_| {
        Err(CallError::NoAnswer { server: server.as_str().to_owned(), cause: late(limit) })
    })?;
    Ok((page.status, String::from_utf8_lossy(&page.body).into_owned()))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// Sends a request over a connection of its own, and reads the answer whole, at most `most` bytes. Connection and answer
/// have a timeout each.
async fn call(
    server: &ServerAddress,
    tls: Option<&TlsClient>,
    request: HttpRequest<'_>,
    limit: Duration,
    most: usize,
) -> Result<Page, CallError> {
    let connect_limit = CONNECT_TIMEOUT.min(limit);
    let connecting = async {
        let stream = TcpStream::connect(server.host_and_port()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        match tls {
            None => Ok(Stream::Plain(stream)),
            // Nothing of the request goes out before the server's certificate is accepted.
            Some(tls) => match tls.connect(server.host(), stream).await {
                Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
                Err(fault) => Err(fault.to_string()),
            },
        }
    };
    let connected = timeout(connect_limit, connecting).await;
    let server = server.as_str().to_owned();
    let late_connection = |_| Err(format!("not within {} s", connect_limit.as_secs()));
    let stream = match connected.unwrap_or_else(late_connection) {
        Ok(stream) => stream,
        Err(cause) => return Err(CallError::NotSent { server, cause }),
    };
    let exchange = async {
        let answer = match stream {
            Stream::Plain(stream) => request.send(stream).await,
            Stream::Tls(stream) => request.send(stream).await,
        };
        let answer = answer.map_err(|cause| explained(cause, tls.is_some()))?;
        let (status, next_cursor) = (answer.status, answer.header("x-next-cursor"));
        Ok(match status {
            // Only the status counts.
            401 => Page { status, body: Vec::new(), next_cursor: None },
            _ => Page { status, body: answer.body(most).await?, next_cursor },
        })
    };
    let answered = timeout(limit, exchange).await.unwrap_or_else(|_| Err(late(limit)));
    answered.map_err(|cause| CallError::NoAnswer { server, cause })
}

/// Adds the remedy where the library's text has the cause.
fn explained(cause: String, has_tls: bool) -> String {
    match has_tls {
        // TLS 1.3 permits a server to refuse the client's certificate after the handshake.
        true if cause.contains("CertificateRequired") => {
            format!(
                "{cause}; the daemon demands a client certificate: give --cert-file and --key-file"
            )
        }
        false if cause.contains("invalid HTTP version") => {
            format!("{cause}; if the daemon has TLS there, give --server https://HOST:PORT")
        }
        _ => cause,
    }
}

fn late(limit: Duration) -> String {
    format!("not within {} s (--timeout)", limit.as_secs())
}
