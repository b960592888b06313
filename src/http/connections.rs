//! What a connection is allowed beside one request after the other: how long it may take to the next one and to
//! take an answer, and how much it may send ahead.
//!
//! The HTTP library leaves all of it open. It has a deadline for the head of a connection's first request and for
//! an idle connection, but once a single byte of a second head has arrived neither of them runs; and it goes
//! on reading a chunked body that we have refused for as long as one comes. And it reads up to 128 KiB while a
//! request is under way and makes requests of all of it at once, of which each takes kilobytes: a client that
//! sends without waiting for answers would have thousands of them held. So the library reads and writes
//! through a [`Connection`], which ends when the next request is overdue, or the client takes no answer, and
//! holds back what is sent ahead.

use std::{
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Bytes that are read of a connection at a time, and beyond a request that is under way: some tens of
/// requests, and more than any of them but a batch has.
const AHEAD: usize = 8 * 1024;

/// What a client has to read a connection's last answer in, and what came before it, while it may still be sending.
const AFTER_LAST_ANSWER: Duration = Duration::from_secs(1);

/// Descriptors that connections must not take: for new sessions with ZooKeeper, pulls and the log.
const RESERVED: usize = 64;

/// Descriptors of an HTTP worker's own: its event loop and what wakes it.
pub const OF_A_WORKER: usize = 8;

/// Connections that may be open at once, as the operating system's limit of open files has it, if other listeners
/// keep so many descriptors. More wait until others have ended: strangers who hold connections must not keep us
/// from ZooKeeper.
pub fn most_at_once(workers: usize, others: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED + others + workers.saturating_mul(OF_A_WORKER)).max(1)
}

/// What all connections have in common. Clones share the count.
#[derive(Clone)]
pub struct Connections {
    patience: Duration,
    cut: Arc<AtomicUsize>,
}

impl Connections {
    /// None yet. `patience` is what a connection may take from one answer to the next request, and to take anything
    /// of what was written.
    pub fn new(patience: Duration) -> Self {
        Self { patience, cut: Arc::default() }
    }

    /// A new one.
    pub fn open(&self, stream: TcpStream) -> Connection {
        let note = Note {
            common: self.clone(),
            phase: Cell::new(Phase::First),
            ahead: Cell::new(0),
            waiting: RefCell::default(),
        };
        Connection {
            stream,
            note: Tracked(Rc::new(note)),
            alarm: None,
            stuck_since: None,
            is_cut: false,
            lingering: None,
        }
    }

    /// How many were ended since the last call because no request came, or no answer was taken.
    pub fn take_cut(&self) -> usize {
        self.cut.swap(0, Ordering::Relaxed)
    }
}

/// Where a connection is.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Before its first request: the library watches that.
    First,
    /// A request's head has arrived whole, and its answer is not made, or goes on.
    UnderWay,
    /// The same, and the body is being read.
    Body,
    /// After an answer; the next request has to begin by then.
    Between(Instant),
}

struct Note {
    common: Connections,
    phase: Cell<Phase>,
    /// Bytes read since the library last looked at all that it had.
    ahead: Cell<usize>,
    /// Whom to wake at the end of each request, since there is more behind it: held back here, or in the
    /// library's buffer, which it does not look into by itself after a queue of requests.
    waiting: RefCell<Option<Waker>>,
}

impl Note {
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if phase != Phase::UnderWay
            && let Some(waker) = &*self.waiting.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// There is more than the requests that the library knows of.
    fn has_more(&self, cx: &Context<'_>) {
        self.waiting.borrow_mut().get_or_insert_with(|| cx.waker().clone());
    }
}

/// One connection's note, for its requests to say where they are.
#[derive(Clone)]
pub struct Tracked(Rc<Note>);

impl Tracked {
    /// A request's head has arrived whole.
    pub fn request_began(&self) {
        self.0.enter(Phase::UnderWay);
    }

    /// Its body is wanted.
    pub fn body_began(&self) {
        self.0.enter(Phase::Body);
    }

    /// Its body has been read, or is not wanted any more.
    pub fn body_ended(&self) {
        // What came with the body is not held against what comes behind it.
        self.0.ahead.set(0);
        self.0.enter(Phase::UnderWay);
    }

    /// Its answer goes on: after it was made, before each part.
    pub fn part_begins(&self) {
        self.0.enter(Phase::UnderWay);
    }

    /// Its answer is made; `closes` says whether it is the connection's last.
    pub fn request_ended(&self, closes: bool) {
        let patience = if closes { AFTER_LAST_ANSWER } else { self.0.common.patience };
        self.0.enter(Phase::Between(Instant::now() + patience));
    }
}

/// What the library reads and writes.
pub struct Connection {
    stream: TcpStream,
    note: Tracked,
    /// Set when there is something to be cut for, and again only when it has rung too early: most requests do not
    /// touch it.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since when the client has not taken what was written.
    stuck_since: Option<Instant>,
    is_cut: bool,
    /// The end of our patience with a client that sends on after the last answer.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// For its requests.
    pub fn tracked(&self) -> Tracked {
        self.note.clone()
    }

    /// Our own address in it; `None` if the connection is gone already.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|local| local.ip())
    }

    /// When it is to be cut, as it looks now.
    fn due(&self) -> Option<Instant> {
        let note = &self.note.0;
        let untaken = self.stuck_since.map(|since| since + note.common.patience);
        match note.phase.get() {
            Phase::Between(due) => Some(untaken.map_or(due, |untaken| untaken.min(due))),
            Phase::First | Phase::UnderWay | Phase::Body => untaken,
        }
    }

    /// Whether it is overdue, from then on for good; if not, `cx` is woken when it is.
    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_cut {
            return true;
        }
        let Some(due) = self.due() else { return false };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= due {
                self.is_cut = true;
                self.note.0.common.cut.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            alarm.as_mut().reset(due);
        }
        false
    }

    /// Whether our patience with a client that sends on has ended.
    fn lingered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lingering.as_mut().map_or(Poll::Ready(()), |end| end.as_mut().poll(cx)).map(Ok)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_cut(cx) {
            // As if the client had ended it.
            return Poll::Ready(Ok(()));
        }
        if this.stuck_since.is_some() {
            // Writing wakes the task.
            return Poll::Pending;
        }
        let note = &this.note.0;
        let holds_back = note.phase.get() == Phase::UnderWay;
        if !holds_back {
            // Behind this, the library looks at all that it has.
            note.waiting.take();
        }
        let left = AHEAD.saturating_sub(note.ahead.get());
        if left == 0 {
            if holds_back {
                note.has_more(cx);
            } else {
                // First it makes requests of that, then it comes back.
                note.ahead.set(0);
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let mut part = (&mut this.stream).take(left as u64);
        let read = Pin::new(&mut part).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            note.ahead.set(note.ahead.get() + count);
            if holds_back {
                note.has_more(cx);
            }
        } else if !holds_back {
            note.ahead.set(0);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if written.is_pending() {
            this.stuck_since.get_or_insert_with(Instant::now);
            // Sets the alarm.
            if this.is_cut(cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if this.stuck_since.take().is_some() {
            // Reading was put off.
            cx.waker().wake_by_ref();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends our side, and reads on for a moment if the client has sent more than was read: closing the socket
    /// on that would reset the connection, and with it answers that are still on their way.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        const READS: usize = 16;
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if this.is_cut {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..READS {
            let mut scrap = [0; 4 * 1024];
            let mut scrap = ReadBuf::new(&mut scrap);
            match Pin::new(&mut this.stream).poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(())) if !scrap.filled().is_empty() => {
                    this.lingering.get_or_insert_with(|| Box::pin(sleep(AFTER_LAST_ANSWER)));
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                // Nobody to wait for has sent anything.
                Poll::Pending if this.lingering.is_none() => return Poll::Ready(Ok(())),
                Poll::Pending => return this.lingered(cx),
            }
        }
        cx.waker().wake_by_ref();
        this.lingered(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use actix_web::rt::net::TcpListener;
    use tokio::{io::AsyncWriteExt, net::TcpSocket, time};

    use super::*;

    /// A connection to be served, and its client.
    async fn connected(connections: &Connections) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("a connection");
        let (served, _) = listener.accept().await.expect("a client");
        (connections.open(served), client)
    }

    fn patient() -> Connections {
        Connections::new(Duration::from_secs(60))
    }

    /// Reads for as long as something comes within a moment.
    async fn read_all(connection: &mut Connection) -> usize {
        let (mut total, mut buffer) = (0, vec![0; 64 * 1024]);
        loop {
            let moment = sleep(Duration::from_millis(200));
            let read = connection.read(&mut buffer);
            tokio::select! {
                read = read => total += read.expect("a read"),
                () = moment => return total,
            }
        }
    }

    #[actix_web::test]
    async fn no_more_than_so_much_is_read_beyond_a_request_under_way() {
        let (mut served, mut client) = connected(&patient()).await;
        client.write_all(&[b'x'; 10 * AHEAD]).await.expect("sent");
        let tracked = served.tracked();
        assert_eq!(served.read(&mut [0; 100]).await.expect("a read"), 100);
        tracked.request_began();
        assert_eq!(read_all(&mut served).await, AHEAD - 100);
        // The next one was read with it.
        tracked.request_ended(false);
        tracked.request_began();
        assert_eq!(read_all(&mut served).await, 0);
        let (reading, ()) = tokio::join!(read_all(&mut served), async {
            sleep(Duration::from_millis(50)).await;
            tracked.request_ended(false);
        });
        assert_eq!(reading, 9 * AHEAD, "the end of the last one wakes the reader");
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[actix_web::test]
    async fn each_end_of_a_request_wakes_the_reader_while_there_is_more_behind_it() {
        let (mut served, mut client) = connected(&patient()).await;
        let tracked = served.tracked();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let woken = || count.0.swap(0, Ordering::Relaxed);
        tracked.request_began();
        tracked.request_ended(false);
        assert_eq!(woken(), 0, "there is nothing");

        tracked.request_began();
        client.write_all(b"more").await.expect("sent");
        served.stream.readable().await.expect("ready");
        let mut buffer = [0; 100];
        let mut buffer = ReadBuf::new(&mut buffer);
        assert!(Pin::new(&mut served).poll_read(&mut cx, &mut buffer).is_ready());
        for _ in 0..3 {
            tracked.request_ended(false);
            assert!(woken() > 0);
            tracked.request_began();
        }
        tracked.request_ended(false);
        assert!(Pin::new(&mut served).poll_read(&mut cx, &mut buffer).is_pending());
        let _ = woken();
        tracked.request_began();
        tracked.request_ended(false);
        assert_eq!(woken(), 0, "the library has looked at it");
    }

    #[actix_web::test]
    async fn a_client_that_reads_again_is_read_again() {
        let (mut served, mut client) = connected(&patient()).await;
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let mut written = 0;
        while let Poll::Ready(more) = Pin::new(&mut served).poll_write(&mut cx, &[b'x'; 64 * 1024])
        {
            written += more.expect("a write");
        }
        client.write_all(b"request").await.expect("sent");
        let mut sink = vec![0; written];
        client.read_exact(&mut sink).await.expect("all of it");
        served.stream.writable().await.expect("room");
        count.0.store(0, Ordering::Relaxed);
        assert!(Pin::new(&mut served).poll_write(&mut cx, b"x").is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(read_all(&mut served).await, b"request".len());
    }

    #[actix_web::test]
    async fn who_takes_no_answer_is_cut_whatever_is_under_way() {
        let connections = patient();
        let (mut served, _client) = connected(&connections).await;
        time::pause();
        served.tracked().request_began();
        let endless = async { while served.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
        let is_cut = time::timeout(Duration::from_secs(61), endless).await.is_ok();
        assert!(is_cut);
        assert_eq!(connections.take_cut(), 1);
    }

    /// Who closes a socket with bytes that were not read resets it, and what the client has not taken is lost.
    #[actix_web::test]
    async fn answers_reach_who_has_sent_on_when_the_connection_ends() {
        const ANSWERS: usize = 20_000;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let narrow = TcpSocket::new_v4().expect("a socket");
        narrow.set_recv_buffer_size(1024).expect("a narrow one");
        let mut client = narrow.connect(address).await.expect("a connection");
        let (served, _) = listener.accept().await.expect("a client");
        let mut served = patient().open(served);
        client.write_all(&[b'x'; 4 * AHEAD]).await.expect("sent");
        let ending = async {
            served.write_all(&[b'y'; ANSWERS]).await.expect("sent");
            served.shutdown().await.expect("an end");
            drop(served);
        };
        let reading = async {
            sleep(Duration::from_millis(100)).await;
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).await.expect("an orderly end");
            assert_eq!(answers.len(), ANSWERS);
            drop(client);
        };
        tokio::join!(ending, reading);
    }

    #[actix_web::test]
    async fn a_body_is_read_whole_but_not_what_comes_behind_it() {
        let (mut served, mut client) = connected(&patient()).await;
        client.write_all(&[b'x'; 10 * AHEAD]).await.expect("sent");
        let tracked = served.tracked();
        tracked.request_began();
        tracked.body_began();
        let mut body = vec![0; 4 * AHEAD];
        served.read_exact(&mut body).await.expect("a body");
        tracked.body_ended();
        assert_eq!(read_all(&mut served).await, AHEAD);
    }

    #[actix_web::test]
    async fn nothing_is_read_of_who_does_not_read() {
        let (mut served, mut client) = connected(&patient()).await;
        client.write_all(b"request").await.expect("sent");
        let mut answers = Box::pin(async {
            loop {
                served.write_all(&[b'x'; 64 * 1024]).await.expect("sent");
            }
        });
        tokio::select! {
            () = &mut answers => {}
            () = sleep(Duration::from_millis(200)) => {}
        }
        drop(answers);
        assert_eq!(read_all(&mut served).await, 0);
        let client_reads = async {
            let mut sink = vec![0; 64 * 1024];
            while client.read(&mut sink).await.is_ok_and(|read| read > 0) {}
        };
        let served_writes = async {
            served.write_all(b"last").await.expect("sent");
            assert_eq!(read_all(&mut served).await, b"request".len());
            drop(served);
        };
        tokio::join!(client_reads, served_writes);
    }

    /// Whether a connection that says nothing is cut within so many seconds.
    async fn is_cut_within(served: &mut Connection, seconds: u64) -> bool {
        let mut byte = [0];
        tokio::select! {
            read = served.read(&mut byte) => read.is_ok_and(|read| read == 0),
            () = sleep(Duration::from_secs(seconds)) => false,
        }
    }

    #[actix_web::test]
    async fn who_is_overdue_is_cut_and_counted_once() {
        let connections = patient();
        let (mut served, _client) = connected(&connections).await;
        time::pause();
        let tracked = served.tracked();
        assert!(!is_cut_within(&mut served, 600).await, "the first head is the library's to watch");
        tracked.request_began();
        assert!(!is_cut_within(&mut served, 600).await, "a request is under way");
        tracked.request_ended(false);
        assert!(!is_cut_within(&mut served, 59).await);
        assert!(is_cut_within(&mut served, 2).await);
        assert!(is_cut_within(&mut served, 0).await);
        assert!(served.write(b"x").await.is_err());
        assert_eq!((connections.take_cut(), connections.take_cut()), (1, 0));
    }

    #[actix_web::test]
    async fn an_answer_that_goes_on_is_not_overdue_until_nobody_takes_it() {
        let (mut served, mut client) = connected(&patient()).await;
        client.write_all(&[b'x'; 10 * AHEAD]).await.expect("sent");
        let tracked = served.tracked();
        tracked.request_began();
        tracked.request_ended(false);
        tracked.part_begins();
        assert_eq!(read_all(&mut served).await, AHEAD);
        time::pause();
        assert!(!is_cut_within(&mut served, 600).await);
        let endless = async { while served.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
        assert!(time::timeout(Duration::from_secs(61), endless).await.is_ok());
    }

    #[actix_web::test]
    async fn each_answer_puts_the_cut_off_and_a_refusal_brings_it_near() {
        let (mut served, _client) = connected(&patient()).await;
        time::pause();
        let tracked = served.tracked();
        for _ in 0..4 {
            tracked.request_began();
            tracked.request_ended(false);
            assert!(!is_cut_within(&mut served, 40).await);
        }
        tracked.request_ended(true);
        assert!(is_cut_within(&mut served, 2).await);
    }
}
