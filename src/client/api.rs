//! Calls of the daemon's API.

use std::time::Duration;

use switcher_actors::{HttpRequest, Shown, clip};
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
    server: String,
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
            server: access.server.as_str().to_owned(),
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
        CallError::NotTheDaemon { server: self.server.clone(), description }
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
        let (host, headers) = (self.server.as_str(), headers.as_slice());
        let request = HttpRequest { method, host, target, credentials, headers, body: json };
        let page = call(request, self.timeout, most).await?;
        if page.status == 401 {
            return Err(self.unauthorized());
        }
        Ok(page)
    }

    fn unauthorized(&self) -> CallError {
        let server = self.server.clone();
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
    path: &str,
    limit: Duration,
) -> Result<(u16, String), CallError> {
    let server = server.as_str();
    let request = HttpRequest {
        method: "GET",
        host: server,
        target: path,
        credentials: None,
        headers: &[],
        body: Vec::new(),
    };
    let call = call(request, limit, ANSWER_LIMIT);
    let page = timeout(limit, call).await.unwrap_or_else(|_| {
        Err(CallError::NoAnswer { server: server.to_owned(), cause: late(limit) })
    })?;
    Ok((page.status, String::from_utf8_lossy(&page.body).into_owned()))
}

/// Sends a request over a connection of its own, and reads the answer whole, at most `most` bytes. Connection and answer
/// have a timeout each.
async fn call(request: HttpRequest<'_>, limit: Duration, most: usize) -> Result<Page, CallError> {
    let server = request.host.to_owned();
    let connect_limit = CONNECT_TIMEOUT.min(limit);
    let stream = match timeout(connect_limit, TcpStream::connect(&server)).await {
        Ok(stream) => stream.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not within {} s", connect_limit.as_secs())),
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(cause) => return Err(CallError::NotSent { server, cause }),
    };
    let exchange = async {
        let answer = request.send(stream).await?;
        let (status, next_cursor) = (answer.status, answer.header("x-next-cursor"));
        Ok(match status {
            // The status is all that counts.
            401 => Page { status, body: Vec::new(), next_cursor: None },
            _ => Page { status, body: answer.body(most).await?, next_cursor },
        })
    };
    let answered = timeout(limit, exchange).await.unwrap_or_else(|_| Err(late(limit)));
    answered.map_err(|cause| CallError::NoAnswer { server, cause })
}

fn late(limit: Duration) -> String {
    format!("not within {} s (--timeout)", limit.as_secs())
}
