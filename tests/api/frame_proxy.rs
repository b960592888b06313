//! A proxy between the daemon and ZooKeeper that holds a request or its answer back, or replaces an answer.
//!
//! Each message is a frame: a length of four bytes, then the message. The first one in each direction opens the
//! session. A request starts with its number and its operation; an answer starts with the number, a zxid and an
//! error code. A four-letter word has no frame and passes as it is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Operations (`ZooDefs.OpCode` in ZooKeeper's source).
pub const SET_DATA: i32 = 5;
pub const SYNC: i32 = 9;
pub const MULTI: i32 = 14;
pub const MULTI_READ: i32 = 22;
/// Those that change znodes: create, delete, set, transactions, create with a state in the answer.
pub const WRITES: [i32; 5] = [1, 2, SET_DATA, MULTI, 15];

/// The answer's number, zxid and error code.
const ANSWER_HEADER: usize = 16;
/// More than any frame in the tests, and less than a four-letter word read as a length.
const FRAME_LIMIT: usize = 64 * 1024 * 1024;

type Rewrite = Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send>;

/// Which request is meddled with: the next one of these operations that contains the text.
struct Wanted {
    operations: Vec<i32>,
    text: String,
}

impl Wanted {
    fn is(&self, message: &[u8]) -> bool {
        let text = self.text.as_bytes();
        word(message, 4).is_some_and(|operation| self.operations.contains(&operation))
            && (text.is_empty() || message.windows(text.len()).any(|part| part == text))
    }
}

enum Meddling {
    HoldRequest(Gate),
    HoldAnswer(Gate),
    Rewrite(Rewrite),
}

enum AnswerMeddling {
    Hold(Gate),
    Rewrite(Rewrite),
}

/// The proxy's end of [`Held`].
struct Gate {
    arrived: oneshot::Sender<()>,
    released: oneshot::Receiver<bool>,
}

impl Gate {
    /// Waits for the release; returns whether the message is to be passed on.
    async fn pass(self) -> bool {
        let _ = self.arrived.send(());
        self.released.await.unwrap_or(true)
    }
}

type Plan = Arc<Mutex<Option<(Wanted, Meddling)>>>;
/// Answers to meddle with, by the number of their request.
type AnswerPlan = Arc<Mutex<HashMap<i32, AnswerMeddling>>>;

pub struct FrameProxy {
    address: SocketAddr,
    plan: Plan,
    task: JoinHandle<()>,
}

/// A message that is held back, once it has arrived.
pub struct Held {
    arrived: oneshot::Receiver<()>,
    release: oneshot::Sender<bool>,
}

impl Held {
    pub async fn arrived(&mut self) {
        (&mut self.arrived).await.expect("a message to hold back");
    }

    pub fn release(self) {
        let _ = self.release.send(true);
    }

    /// Loses the message, and ends its connection.
    pub fn lose(self) {
        let _ = self.release.send(false);
    }
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

    /// Holds the next request of one of these operations back that contains the text.
    pub fn hold_request(&self, operations: &[i32], text: &str) -> Held {
        let (gate, held) = gate();
        self.plan(operations, text, Meddling::HoldRequest(gate));
        held
    }

    /// Passes such a request on, and holds its answer back.
    pub fn hold_answer(&self, operations: &[i32], text: &str) -> Held {
        let (gate, held) = gate();
        self.plan(operations, text, Meddling::HoldAnswer(gate));
        held
    }

    /// Replaces what follows the header of the next answer to this operation.
    pub fn rewrite(&self, operation: i32, by: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) {
        self.plan(&[operation], "", Meddling::Rewrite(Box::new(by)));
    }

    /// Whether the request that was waited for has come.
    pub fn is_done(&self) -> bool {
        self.plan.lock().unwrap().is_none()
    }

    fn plan(&self, operations: &[i32], text: &str, meddling: Meddling) {
        let wanted = Wanted { operations: operations.to_vec(), text: text.to_owned() };
        *self.plan.lock().unwrap() = Some((wanted, meddling));
    }
}

fn gate() -> (Gate, Held) {
    let ((arrived_sender, arrived), (release, released)) = (oneshot::channel(), oneshot::channel());
    (Gate { arrived: arrived_sender, released }, Held { arrived, release })
}

fn serve(client: TcpStream, server: TcpStream, plan: &Plan) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (plan, answer_plan) = (Arc::clone(plan), AnswerPlan::default());
    tokio::spawn(requests(from_client, to_server, plan, Arc::clone(&answer_plan)));
    tokio::spawn(answers(from_server, to_client, answer_plan));
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: Plan,
    answer_plan: AnswerPlan,
) -> Option<()> {
    let mut is_first = true;
    while let Some(message) = read(&mut from, &mut to).await {
        if !is_first && let Some(number) = word(&message, 0) {
            let meddling = plan.lock().unwrap().take_if(|(wanted, _)| wanted.is(&message));
            let answer_meddling = match meddling {
                Some((_, Meddling::HoldRequest(gate))) => {
                    if !gate.pass().await {
                        return None;
                    }
                    None
                }
                Some((_, Meddling::HoldAnswer(gate))) => Some(AnswerMeddling::Hold(gate)),
                Some((_, Meddling::Rewrite(rewrite))) => Some(AnswerMeddling::Rewrite(rewrite)),
                None => None,
            };
            if let Some(meddling) = answer_meddling {
                answer_plan.lock().unwrap().insert(number, meddling);
            }
        }
        is_first = false;
        write(&mut to, &message).await?;
    }
    None
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answer_plan: AnswerPlan,
) -> Option<()> {
    let mut is_first = true;
    while let Some(mut message) = read(&mut from, &mut to).await {
        if !is_first && let Some(number) = word(&message, 0) {
            let meddling = answer_plan.lock().unwrap().remove(&number);
            let is_passed_on = match meddling {
                Some(AnswerMeddling::Rewrite(rewrite)) => {
                    let body = rewrite(&message[ANSWER_HEADER..]);
                    message.truncate(ANSWER_HEADER);
                    message.extend(body);
                    true
                }
                Some(AnswerMeddling::Hold(gate)) => gate.pass().await,
                None => true,
            };
            if !is_passed_on {
                return None;
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

fn word(message: &[u8], start: usize) -> Option<i32> {
    message.get(start..start + 4)?.try_into().ok().map(i32::from_be_bytes)
}
