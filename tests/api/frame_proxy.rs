//! A proxy between the daemon and ZooKeeper that holds a request or an answer back, or replaces an answer.
//!
//! Each message is a frame: a length of four bytes, then the message. The first one in each direction opens the
//! session. A request starts with its number and its operation; an answer starts with the number, a zxid and an
//! error code. A four-letter word has no frame and passes as it is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Operations (`ZooDefs.OpCode` in ZooKeeper's source).
pub const DELETE: i32 = 2;
pub const SET_DATA: i32 = 5;
pub const SYNC: i32 = 9;
/// Longest wait for a request that a test holds back.
const PATIENCE: Duration = Duration::from_secs(60);

pub const MULTI: i32 = 14;
pub const MULTI_READ: i32 = 22;
/// Those that change znodes: create, delete, set, transactions, create with a state in the answer.
pub const WRITES: [i32; 5] = [1, DELETE, SET_DATA, MULTI, 15];

/// The answer's number, zxid and error code.
const ANSWER_HEADER: usize = 16;
/// More than any frame in the tests, and less than a four-letter word read as a length.
const FRAME_LIMIT: usize = 64 * 1024 * 1024;

type Rewrite = Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send>;

/// What happens to a request.
enum Meddling {
    Hold(Stop),
    Answer(AnswerMeddling),
}

/// What happens to a request's answer.
enum AnswerMeddling {
    Hold(Stop),
    Rewrite(Rewrite),
}

/// The proxy's side of [`Held`].
struct Stop {
    arrived: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl Stop {
    /// Waits for the release; `None` if there will be none.
    async fn wait(self) -> Option<()> {
        let _ = self.arrived.send(());
        self.released.await.ok()
    }
}

/// The next request of one of these operations that contains a text.
struct Planned {
    operations: Vec<i32>,
    text: String,
    meddling: Meddling,
}

type Plan = Arc<Mutex<Option<Planned>>>;
/// Answers to meddle with, by the number of their request.
type Answers = Arc<Mutex<HashMap<i32, AnswerMeddling>>>;

pub struct FrameProxy {
    address: SocketAddr,
    plan: Plan,
    task: JoinHandle<()>,
}

/// A request or an answer that is held back, once it has arrived.
pub struct Held {
    arrived: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    fn new() -> (Stop, Self) {
        let ((arrived_sender, arrived), (release, released)) =
            (oneshot::channel(), oneshot::channel());
        (Stop { arrived: arrived_sender, released }, Self { arrived, release })
    }

    pub async fn arrived(&mut self) {
        // A request that is sent in another form than the test expects must fail it, not hang it.
        let arrived = timeout(PATIENCE, &mut self.arrived).await;
        arrived.expect("in time").expect("a request to hold back");
    }

    pub fn release(self) {
        let _ = self.release.send(());
    }

    /// Ends the connection: what was held back never arrives.
    pub fn lose(self) {}
}

impl Drop for FrameProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FrameProxy {
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, plan) = (listener.local_addr().unwrap(), Plan::default());
        let task = tokio::spawn({
            let plan = Arc::clone(&plan);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect(&server).await.unwrap();
                    serve(client, server, &plan);
                }
            }
        });
        Self { address, plan, task }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Holds the next request of this operation back.
    pub fn hold(&self, operation: i32) -> Held {
        self.hold_request(&[operation], "")
    }

    /// Holds the next request of one of these operations back that contains a text, such as a path.
    pub fn hold_request(&self, operations: &[i32], text: &str) -> Held {
        let (stop, held) = Held::new();
        self.plan(operations, text, Meddling::Hold(stop));
        held
    }

    /// Holds the answer to such a request back: the server has carried it out.
    pub fn hold_answer(&self, operations: &[i32], text: &str) -> Held {
        let (stop, held) = Held::new();
        self.plan(operations, text, Meddling::Answer(AnswerMeddling::Hold(stop)));
        held
    }

    /// Replaces what follows the header of the next answer to this operation.
    pub fn rewrite(&self, operation: i32, by: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) {
        self.plan(&[operation], "", Meddling::Answer(AnswerMeddling::Rewrite(Box::new(by))));
    }

    /// Whether the request that was waited for has come.
    pub fn is_done(&self) -> bool {
        self.plan.lock().unwrap().is_none()
    }

    fn plan(&self, operations: &[i32], text: &str, meddling: Meddling) {
        let operations = operations.to_vec();
        let planned = Planned { operations, text: text.to_owned(), meddling };
        *self.plan.lock().unwrap() = Some(planned);
    }
}

fn serve(client: TcpStream, server: TcpStream, plan: &Plan) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (plan, meddled) = (Arc::clone(plan), Answers::default());
    tokio::spawn(requests(from_client, to_server, plan, Arc::clone(&meddled)));
    tokio::spawn(answers(from_server, to_client, meddled));
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: Plan,
    meddled: Answers,
) -> Option<()> {
    let mut is_first = true;
    while let Some(message) = read(&mut from, &mut to).await {
        if !is_first && let (Some(number), Some(operation)) = (word(&message, 0), word(&message, 4))
        {
            let is_it = |planned: &mut Planned| {
                planned.operations.contains(&operation)
                    && contains(&message, planned.text.as_bytes())
            };
            let planned = plan.lock().unwrap().take_if(is_it);
            match planned.map(|planned| planned.meddling) {
                Some(Meddling::Answer(meddling)) => {
                    meddled.lock().unwrap().insert(number, meddling);
                }
                Some(Meddling::Hold(stop)) => stop.wait().await?,
                None => {}
            }
        }
        is_first = false;
        write(&mut to, &message).await?;
    }
    None
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, meddled: Answers) -> Option<()> {
    let mut is_first = true;
    while let Some(mut message) = read(&mut from, &mut to).await {
        if !is_first && let Some(number) = word(&message, 0) {
            let meddling = meddled.lock().unwrap().remove(&number);
            match meddling {
                Some(AnswerMeddling::Rewrite(rewrite)) => {
                    let body = rewrite(&message[ANSWER_HEADER..]);
                    message.truncate(ANSWER_HEADER);
                    message.extend(body);
                }
                Some(AnswerMeddling::Hold(stop)) => stop.wait().await?,
                None => {}
            }
        }
        is_first = false;
        write(&mut to, &message).await?;
    }
    None
}

/// The next message; `None` at the end. What has no frames is passed on until then.
async fn read(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await.ok()?;
    let size = u32::from_be_bytes(length) as usize;
    if size > FRAME_LIMIT {
        to.write_all(&length).await.ok()?;
        copy(from, to).await.ok()?;
        return None;
    }
    let mut message = vec![0; size];
    from.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn write(to: &mut OwnedWriteHalf, message: &[u8]) -> Option<()> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    to.write_all(&[&length, message].concat()).await.ok()
}

fn contains(message: &[u8], text: &[u8]) -> bool {
    text.is_empty() || message.windows(text.len()).any(|window| window == text)
}

fn word(message: &[u8], start: usize) -> Option<i32> {
    message.get(start..start + 4)?.try_into().ok().map(i32::from_be_bytes)
}
