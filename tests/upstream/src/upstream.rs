//! The server: listens on loopback, notes requests, plays replies. One request a connection.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    identity::{Draft, Identity},
    reply::{Reply, Step},
};

/// Longer heads are not read.
const HEAD_LIMIT: usize = 64 * 1024;

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its head was complete.
    pub at: Instant,
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, in the order of coming.
    pub headers: Vec<(String, String)>,
    /// As long as `Content-Length` says.
    pub body: String,
    /// When the reply's end was sent or the client was gone, whichever came first.
    pub ended: Option<Instant>,
}

impl Request {
    /// The last `last_date` of the query, as it is spelt there.
    pub fn last_date(&self) -> Option<&str> {
        self.query("last_date")
    }

    /// The last value of a query parameter, as it is spelt there.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.rsplit('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

struct State {
    requests: Mutex<Vec<Request>>,
    script: Mutex<VecDeque<(&'static str, Reply)>>,
    otherwise: Mutex<Arc<Handler>>,
}

/// A server that runs until it is dropped.
pub struct Upstream {
    address: SocketAddr,
    certificate: Option<String>,
    state: Arc<State>,
    task: AbortHandle,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// Listens on a free loopback port. `otherwise` answers requests without a script.
    pub async fn start(
        otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen("127.0.0.1:0", None, otherwise).await
    }

    /// As [`start`](Self::start), with a certificate of its own for `localhost`.
    pub async fn start_tls(
        otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_tls_as(&Draft::new(&["localhost"]).self_signed()?, otherwise).await
    }

    /// As [`start`](Self::start), with this certificate.
    pub async fn start_tls_as(
        identity: &Identity,
        otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config()?));
        let mut upstream = Self::listen("127.0.0.1:0", Some(acceptor), otherwise).await?;
        upstream.certificate = Some(identity.pem().to_owned());
        Ok(upstream)
    }

    /// As [`start`](Self::start), at an address.
    pub async fn start_at(
        address: &str,
        otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(address, None, otherwise).await
    }

    async fn listen(
        address: &str,
        tls: Option<TlsAcceptor>,
        otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            requests: Mutex::default(),
            script: Mutex::default(),
            otherwise: Mutex::new(Arc::new(otherwise)),
        });
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    // A client may go away.
                    let _ = match tls {
                        None => serve(stream, &state).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &state).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Ok(Self { address, certificate: None, state, task: task.abort_handle() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate, in PEM, of a server with TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Answers the next GET so, or the one after those that are scripted already.
    pub fn next(&self, reply: Reply) {
        locked(&self.state.script).push_back(("GET", reply));
    }

    /// The same for a POST: a pull of a list may come in between.
    pub fn next_post(&self, reply: Reply) {
        locked(&self.state.script).push_back(("POST", reply));
    }

    /// Answers so whatever is not scripted.
    pub fn otherwise(&self, otherwise: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *locked(&self.state.otherwise) = Arc::new(otherwise);
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests_from(0)
    }

    /// Requests so far, without the `first` ones.
    pub fn requests_from(&self, first: usize) -> Vec<Request> {
        locked(&self.state.requests).iter().skip(first).cloned().collect()
    }

    /// Number of requests so far.
    pub fn request_count(&self) -> usize {
        locked(&self.state.requests).len()
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<S: AsyncRead + AsyncWrite>(stream: S, state: &State) -> io::Result<()> {
    let (mut reading, mut writing) = split(stream);
    let Some(request) = read_request(&mut reading).await? else { return Ok(()) };
    let scripted = {
        let mut script = locked(&state.script);
        let place = script.iter().position(|(method, _)| *method == request.method);
        place.and_then(|place| script.remove(place))
    };
    let reply = match scripted {
        Some((_, reply)) => reply,
        None => {
            let otherwise = Arc::clone(&locked(&state.otherwise));
            otherwise(&request)
        }
    };
    let number = {
        let mut requests = locked(&state.requests);
        requests.push(request);
        requests.len() - 1
    };
    let gone = async {
        let mut rest = [0; 1024];
        while reading.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    };
    let played = tokio::select! {
        played = play(&mut writing, reply) => played,
        () = gone => Ok(()),
    };
    locked(&state.requests)[number].ended = Some(Instant::now());
    played
}

/// Reads a request with its body; `None` if the client goes away before its end.
async fn read_request(reading: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::new();
    let head_length = loop {
        if let Some(end) = bytes.windows(END.len()).position(|it| it == END) {
            break end + END.len();
        }
        if bytes.len() > HEAD_LIMIT || reading.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head_length);
    let head = String::from_utf8_lossy(&bytes);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut request = Request {
        at: Instant::now(),
        method,
        target,
        headers: headers.collect(),
        body: String::new(),
        ended: None,
    };
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    while body.len() < length.unwrap_or(0) {
        if reading.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

async fn play(writing: &mut (impl AsyncWrite + Unpin), reply: Reply) -> io::Result<()> {
    for step in reply.steps {
        match step {
            Step::Send(bytes) => writing.write_all(&bytes).await?,
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    writing.write_all(&bytes).await?;
                }
            }
            Step::Drip(bytes, pause) => {
                for byte in bytes.iter() {
                    writing.write_all(&[*byte]).await?;
                    writing.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Step::Entries { count, coin } => send_entries(writing, count, &coin).await?,
            Step::Wait(gate) => gate.pass().await,
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Hang => {
                writing.flush().await?;
                loop {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
            }
        }
    }
    writing.flush().await?;
    writing.shutdown().await
}

async fn send_entries(
    writing: &mut (impl AsyncWrite + Unpin),
    count: usize,
    coin: &str,
) -> io::Result<()> {
    let mut text = String::new();
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        text.push_str(&format!("{comma}\"user{number:07}\":\"{coin}\""));
        if text.len() > 64 * 1024 || number + 1 == count {
            writing.write_all(text.as_bytes()).await?;
            text.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;
    use crate::Gate;

    async fn get(upstream: &Upstream, target: &str) -> String {
        let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nX-Name: v\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_is_scripted_comes_first() {
        let upstream = Upstream::start(|_| Reply::json("{}")).await.unwrap();
        upstream.next(Reply::map(&[("a", "btc")], 5));
        assert!(
            get(&upstream, "/u?x=1&last_date=7")
                .await
                .ends_with(r#""now_date":5,"user_coin":{"a":"btc"}},"err_msg":"","err_no":0}"#)
        );
        assert!(get(&upstream, "/").await.ends_with("\r\n\r\n{}"));
        let requests = upstream.requests();
        assert_eq!((requests[0].last_date(), requests[0].header("x-name")), (Some("7"), Some("v")));
        assert_eq!(requests[1].last_date(), None);
    }

    #[tokio::test]
    async fn a_gate_holds_a_reply_back() {
        let upstream = Upstream::start(|_| Reply::json("{}")).await.unwrap();
        let gate = Gate::default();
        upstream.next(Reply::json("{}").behind(&gate));
        let opening = async {
            while upstream.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(upstream.requests()[0].ended.is_none());
            gate.open();
        };
        let (answer, ()) = tokio::join!(get(&upstream, "/"), opening);
        assert!(answer.ends_with("{}"));
    }

    #[tokio::test]
    async fn a_body_is_read_however_it_comes() {
        let upstream = Upstream::start(|_| Reply::json("{}")).await.unwrap();
        let head = "POST /r HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
        for parts in [vec![format!("{head}body")], vec![head.to_owned(), "bo".into(), "dy".into()]]
        {
            let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("{}"));
        }
        for request in upstream.requests() {
            assert_eq!((&*request.method, &*request.body), ("POST", "body"));
        }
    }

    #[tokio::test]
    async fn many_entries_are_json() {
        let upstream = Upstream::start(|_| Reply::many(10_000, "btc", 9)).await.unwrap();
        let answer = get(&upstream, "/").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["data"]["user_coin"].as_object().unwrap().len(), 10_000);
        assert_eq!(json["data"]["now_date"], 9);
    }
}
