//! A server in the daemon's place with scripted answers, for rare behaviour of a daemon.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The daemon's success.
pub const SUCCESS: &str = r#"{"err_no":0,"err_msg":"","success":true}"#;

/// Reaction to a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answer this body with status 200.
    Answer(String),
    /// Answer these bytes.
    Raw(String),
    /// Do not answer, and keep the connection.
    Silence,
    /// Close the connection.
    HangUp,
    /// Create a non-empty directory, which no file can replace, at this path; then answer.
    Obstruct(PathBuf, String),
}

/// The server; it ends when it is dropped.
pub struct Puppet {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Puppet {
    /// Performs the acts in order; the last one repeatedly.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        let mut acts: VecDeque<Act> = acts.into_iter().collect();
        let task = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                noted.lock().unwrap().push(request);
                let act = if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() };
                match act.unwrap() {
                    Act::Answer(json) => answer(&mut stream, &json).await,
                    Act::Raw(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                    Act::Silence => kept.push(stream),
                    Act::HangUp => {}
                    Act::Obstruct(path, json) => {
                        let _ = std::fs::remove_file(&path);
                        std::fs::create_dir_all(path.join("x")).unwrap();
                        answer(&mut stream, &json).await;
                    }
                }
            }
        });
        Self { address, requests, task }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(stream: &mut TcpStream, json: &str) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let text = format!("{head}Content-Length: {}\r\n\r\n{json}", json.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines().map(str::to_lowercase);
            let length = lines
                .find_map(|line| Some(line.strip_prefix("content-length: ")?.parse::<usize>()));
            // A GET has none.
            if body.len() >= length.unwrap_or(Ok(0)).ok()? {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
