//! Calls of the daemon's API. The only file of this crate that names the HTTP client.
//!
//! Each call has a connection of its own: the daemon closes idle ones, and of a request that is sent just then
//! nobody knows whether it was read.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::handshake,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use switcher_actors::Shown;
use thiserror::Error;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{answer::Answer, arguments::ServerAddress, caller::Caller};

/// Whose requests these are.
const AGENT: &str = concat!("switcher-api-server/", env!("CARGO_PKG_VERSION"));

/// The daemon's own answers are far smaller.
const ANSWER_LIMIT: usize = 1 << 20;

/// For a connection, unless the whole call may take less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// As many characters of an answer are shown that is not the daemon's.
const SHOWN_CHARS: usize = 200;

/// A daemon that can be called.
pub struct Api {
    server: String,
    /// Fit for a terminal.
    user: String,
    authorization: String,
    patience: Duration,
}

/// Why there is no answer of the daemon's.
#[derive(Debug, Error)]
pub enum CallError {
    /// The request was not sent.
    #[error(
        "cannot connect to {server}: {cause}; is the daemon running there? --server chooses another"
    )]
    NotSent {
        /// The daemon's address.
        server: String,
        /// What the operating system says.
        cause: String,
    },
    /// The request was sent, or at least a part of it, and then nothing came.
    #[error("{server} was sent the request and gave no answer: {cause}")]
    NoAnswer {
        /// The daemon's address.
        server: String,
        /// What happened instead.
        cause: String,
    },
    /// The daemon does not know us.
    #[error(
        "{server} refuses user {user} with this password (status 401); look at APIUser and \
         APIPassword of the configuration that the daemon runs with"
    )]
    Unauthorized {
        /// The daemon's address.
        server: String,
        /// The name that was sent.
        user: String,
    },
    /// Something answered, but not as the daemon does.
    #[error("what answers at {server} is not this daemon: {description}; --server chooses another")]
    NotTheDaemon {
        /// The address.
        server: String,
        /// What came.
        description: String,
    },
}

impl Api {
    /// A daemon as the caller finds it, whose answers may each take so long.
    pub fn new(caller: &Caller, patience: Duration) -> Self {
        let credentials = STANDARD.encode(format!("{}:{}", caller.user, caller.password.0));
        Self {
            server: caller.server.as_str().to_owned(),
            user: Shown(&caller.user).to_string(),
            authorization: format!("Basic {credentials}"),
            patience,
        }
    }

    /// Sends JSON to one of the API's paths and reads the answer.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Answer, CallError> {
        let not_sent = |cause: String| CallError::NotSent { server: self.server.clone(), cause };
        let request = Request::post(path)
            .header(HOST, &self.server)
            .header(USER_AGENT, AGENT)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| not_sent(error.to_string()))?;
        let (status, body) = call(&self.server, request, self.patience).await?;
        self.read(status, &body)
    }

    fn read(&self, status: StatusCode, body: &Bytes) -> Result<Answer, CallError> {
        let server = self.server.clone();
        if status == StatusCode::UNAUTHORIZED {
            return Err(CallError::Unauthorized { server, user: self.user.clone() });
        }
        // The daemon tells of a success with status 200 only.
        let answer = Answer::read(body).filter(|it| !it.success || status == StatusCode::OK);
        answer.ok_or_else(|| {
            let head: String = String::from_utf8_lossy(body).chars().take(SHOWN_CHARS).collect();
            let description = format!("status {}, and begins {}", status.as_u16(), Shown(&head));
            CallError::NotTheDaemon { server, description }
        })
    }
}

/// Asks for one of the admin pages that need no credentials, and reads its status and text. All of it may take so
/// long.
pub async fn look(
    server: &ServerAddress,
    path: &str,
    patience: Duration,
) -> Result<(u16, String), CallError> {
    let server = server.as_str();
    let not_sent = |cause: String| CallError::NotSent { server: server.to_owned(), cause };
    let request = Request::get(path)
        .header(HOST, server)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Full::default())
        .map_err(|error| not_sent(error.to_string()))?;
    let no_answer =
        |_| Err(CallError::NoAnswer { server: server.to_owned(), cause: late(patience) });
    let answered = timeout(patience, call(server, request, patience)).await;
    let (status, body) = answered.unwrap_or_else(no_answer)?;
    Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

/// Sends a request over a connection of its own, and reads the answer whole.
async fn call(
    server: &str,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<(StatusCode, Bytes), CallError> {
    let not_sent = |cause: String| CallError::NotSent { server: server.to_owned(), cause };
    let no_answer = |cause: String| CallError::NoAnswer { server: server.to_owned(), cause };
    let connect_patience = CONNECT_PATIENCE.min(patience);
    let stream = match timeout(connect_patience, TcpStream::connect(server)).await {
        Ok(stream) => stream.map_err(|error| not_sent(error.to_string()))?,
        Err(_) => {
            return Err(not_sent(format!("not within {} s", connect_patience.as_secs())));
        }
    };
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(told(&error)))?;
    let mut driving = JoinSet::new();
    // How it ends is seen by whoever waits for the answer.
    driving.spawn(async { drop(connection.await) });
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = match status {
            // Says all by itself.
            StatusCode::UNAUTHORIZED => Bytes::new(),
            _ => Limited::new(response.into_body(), ANSWER_LIMIT).collect().await?.to_bytes(),
        };
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
    };
    match timeout(patience, exchange).await {
        Ok(answered) => answered.map_err(|error| no_answer(told(&*error))),
        Err(_) => Err(no_answer(late(patience))),
    }
}

fn late(patience: Duration) -> String {
    format!("not within {} s (--timeout)", patience.as_secs())
}

/// An error's text with those of its causes, which the client's own leaves out.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", told(source)),
        None => error.to_string(),
    }
}
