//! A way between two that can be broken: cut, closed, slow, silent in one direction or both, or cut at a request
//! of a chosen kind, just before or just after the server gets it.
//!
//! A silent way loses nothing, like TCP: bytes sent meanwhile arrive when it opens again, even from a client
//! that has given up since. That is how old writes come late.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::frames::{Op, Piece, read_piece};

/// State of a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Nothing goes to the server.
    pub requests_held: bool,
    /// Nothing comes from the server.
    pub answers_held: bool,
    /// No new connection; existing ones stay.
    pub closed: bool,
    /// Additional delay of every piece.
    pub delay: Duration,
}

impl Way {
    pub const SILENT: Self =
        Self { requests_held: true, answers_held: true, closed: false, delay: Duration::ZERO };
    pub const CLOSED: Self =
        Self { requests_held: false, answers_held: false, closed: true, delay: Duration::ZERO };
}

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The server never gets the request.
    BeforeRequest,
    /// The server gets half of the request.
    MidRequest,
    /// The server has done the request, and its answer is lost.
    BeforeAnswer,
    /// Half of the answer arrives.
    MidAnswer,
}

/// Cuts the connection at the next request of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    pub op: Op,
    pub moment: Moment,
}

/// Listens on a port of its own and passes connections on to a server.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: String,
    framed: bool,
    way: watch::Sender<Way>,
    /// Counts the cuts: each ends the connections that there are.
    cuts: watch::Sender<u64>,
    trap: Mutex<Option<Trap>>,
    sprung: AtomicUsize,
    connections: AtomicUsize,
}

/// The request whose answer is to be cut, and the place of the cut.
type Caught = Mutex<Option<(i32, Moment)>>;

/// A trap has cut the connection.
struct Sprung;

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl Proxy {
    /// A way to a ZooKeeper server.
    pub async fn to_zookeeper(server: String) -> Self {
        Self::start(server, true).await
    }

    /// A way to any server; it has no traps.
    pub async fn to(server: String) -> Self {
        Self::start(server, false).await
    }

    async fn start(server: String, framed: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            framed,
            way: watch::Sender::new(Way::default()),
            cuts: watch::Sender::new(0),
            trap: Mutex::new(None),
            sprung: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(client));
            }
        });
        Self { address, shared, task }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Sets the state from now on.
    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
    }

    /// Ends all connections; bytes in transit are lost.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Sets a trap, or takes it away.
    pub fn set_trap(&self, trap: Option<Trap>) {
        *self.shared.trap.lock().unwrap() = trap;
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many traps have sprung.
    pub fn sprung(&self) -> usize {
        self.shared.sprung.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        if self.way.borrow().closed {
            reset(&client);
            return;
        }
        let mut cuts = self.cuts.subscribe();
        let Ok(mut server) = TcpStream::connect(&self.server).await else {
            reset(&client);
            return;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let caught = Mutex::new(None);
        let passing = async {
            let requests = self.pass(from_client, to_server, Direction::Requests, &caught);
            let answers = self.pass(from_server, to_client, Direction::Answers, &caught);
            tokio::try_join!(requests, answers).is_err()
        };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let is_cut = tokio::select! {
            is_cut = passing => is_cut,
            _ = cuts.changed() => true,
        };
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if is_cut {
            reset(&client);
            reset(&server);
        }
    }

    /// Takes in whatever comes and passes it on when the way is open, until there is no more. An end on one
    /// side is passed on; the other ends by itself.
    async fn pass(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        direction: Direction,
        caught: &Caught,
    ) -> Result<(), Sprung> {
        let (sender, mut pieces) = mpsc::unbounded_channel();
        let mut framed = self.framed;
        let reading = async move {
            // A reset is an end, too: earlier bytes are in transit.
            while let Ok(Some(piece)) = read_piece(&mut from, &mut framed).await {
                let _ = sender.send((self.due(), Some(piece)));
            }
            let _ = sender.send((self.due(), None));
            Ok(())
        };
        let writing = async {
            let mut is_first = true;
            while let Some((due, piece)) = pieces.recv().await {
                // A timer takes a millisecond at least.
                if due > Instant::now() {
                    tokio::time::sleep_until(due).await;
                }
                self.wait_until_open(direction).await;
                let Some(piece) = piece else { break };
                let cut_at = match direction {
                    Direction::Requests => self.spring(&piece, is_first, caught),
                    Direction::Answers => answers(&piece, is_first, caught),
                };
                is_first = false;
                let bytes = piece.bytes();
                let written = to.write_all(&bytes[..cut_at.unwrap_or(bytes.len())]).await;
                if cut_at.is_some() {
                    self.sprung.fetch_add(1, Ordering::Relaxed);
                    return Err(Sprung);
                }
                if written.is_err() {
                    return Ok(());
                }
            }
            let _ = to.shutdown().await;
            Ok(())
        };
        tokio::try_join!(reading, writing).map(|((), ())| ())
    }

    /// When a piece that arrives now may go on. Each piece is delayed by itself, not after the one before.
    fn due(&self) -> Instant {
        Instant::now() + self.way.borrow().delay
    }

    async fn wait_until_open(&self, direction: Direction) {
        let mut ways = self.way.subscribe();
        // It fails only if the proxy has gone.
        let _ = ways.wait_for(|way| !direction.is_held(way)).await;
    }

    /// How many bytes of a request go through before the cut, if it is caught by the trap.
    fn spring(&self, piece: &Piece, is_first: bool, caught: &Caught) -> Option<usize> {
        let op = piece.op(is_first)?;
        let trap = self.trap.lock().unwrap().take_if(|trap| trap.op == op)?;
        match trap.moment {
            Moment::BeforeRequest => Some(0),
            Moment::MidRequest => Some(piece.bytes().len() / 2),
            Moment::BeforeAnswer | Moment::MidAnswer => {
                let xid = if op == Op::Connect { CONNECT_XID } else { piece.xid()? };
                *caught.lock().unwrap() = Some((xid, trap.moment));
                None
            }
        }
    }
}

/// Stands for the number that a connection's first request does not have.
const CONNECT_XID: i32 = i32::MIN;

/// How many bytes of an answer go through before the cut, if its request was caught.
fn answers(piece: &Piece, is_first: bool, caught: &Caught) -> Option<usize> {
    let xid = if is_first { CONNECT_XID } else { piece.xid()? };
    let (caught, moment) = (*caught.lock().unwrap())?;
    (caught == xid).then(|| match moment {
        Moment::MidAnswer => piece.bytes().len() / 2,
        _ => 0,
    })
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Requests,
    Answers,
}

impl Direction {
    fn is_held(self, way: &Way) -> bool {
        match self {
            Self::Requests => way.requests_held,
            Self::Answers => way.answers_held,
        }
    }
}

/// Has the connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const FIRST: &[u8] = &[0, 0, 0, 4, 1, 1, 1, 1];
    /// A transaction with the number 7.
    const REQUEST: &[u8] = &[0, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0, 14, 5];
    const ANSWER: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 7];

    struct Ends {
        proxy: Proxy,
        client: TcpStream,
        server: TcpStream,
    }

    /// A connection after its first frames.
    async fn ends() -> Ends {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to_zookeeper(listener.local_addr().unwrap().to_string()).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(FIRST).await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(FIRST).await.unwrap();
        client.read_exact(&mut [0; 8]).await.unwrap();
        Ends { proxy, client, server }
    }

    #[tokio::test]
    async fn what_a_silent_way_holds_arrives_later_though_the_client_has_gone() {
        let Ends { proxy, mut client, mut server } = ends().await;
        proxy.set(Way::SILENT);
        client.write_all(REQUEST).await.unwrap();
        drop(client);
        let mut arrived = Vec::new();
        let early = tokio::time::timeout(Duration::from_millis(200), server.read_buf(&mut arrived));
        assert!(early.await.is_err(), "{arrived:?}");
        proxy.set(Way::default());
        server.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(arrived, REQUEST);
    }

    #[tokio::test]
    async fn each_piece_is_late_by_the_delay_and_no_more() {
        const DELAY: Duration = Duration::from_millis(500);
        const PIECES: u32 = 20;
        let Ends { proxy, mut client, mut server } = ends().await;
        proxy.set(Way { delay: DELAY, ..Way::default() });
        let sent = Instant::now();
        client.write_all(&REQUEST.repeat(PIECES as usize)).await.unwrap();
        drop(client);
        let mut first = vec![0; REQUEST.len()];
        server.read_exact(&mut first).await.unwrap();
        assert!(sent.elapsed() >= DELAY, "{:?}", sent.elapsed());
        let mut others = Vec::new();
        server.read_to_end(&mut others).await.unwrap();
        assert_eq!([first, others].concat(), REQUEST.repeat(PIECES as usize));
        // One after the other they would have taken ten seconds.
        assert!(sent.elapsed() < DELAY * PIECES / 2, "{:?}", sent.elapsed());
    }

    #[tokio::test]
    async fn a_trap_cuts_where_it_is_told() {
        for (moment, arriving, returning) in [
            (Moment::BeforeRequest, 0, 0),
            (Moment::MidRequest, REQUEST.len() / 2, 0),
            (Moment::BeforeAnswer, REQUEST.len(), 0),
            (Moment::MidAnswer, REQUEST.len(), ANSWER.len() / 2),
        ] {
            let Ends { proxy, mut client, mut server } = ends().await;
            proxy.set_trap(Some(Trap { op: Op::Multi, moment }));
            client.write_all(REQUEST).await.unwrap();
            let (mut arrived, mut returned) = (vec![0; arriving], Vec::new());
            server.read_exact(&mut arrived).await.unwrap();
            let _ = server.write_all(ANSWER).await;
            let mut byte = [0];
            while client.read(&mut byte).await.is_ok_and(|count| count > 0) {
                returned.push(byte[0]);
            }
            // A reset may overtake earlier bytes.
            assert!(returned.len() <= returning, "{moment:?}: {returned:?}");
            assert_eq!(proxy.sprung(), 1, "{moment:?}");
        }
    }
}
