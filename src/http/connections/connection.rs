//! One connection: it collects a request's head itself, hands the library one request at a time, and enforces
//! deadlines that start when an answer has been sent.
//!
//! ```text
//! Waiting ── head is whole ──▶ UnderWay ── body dropped ──▶ Made ── flushed ──▶ Waiting, or Over after the last answer
//! ```

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    mem::{self, MaybeUninit},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use actix_web::web::BytesMut;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    ConnectionHandle, Connections,
    head::{Framing, Head},
    inbound::Inbound,
    tls_stream::Stream,
};
use crate::http::error::RequestError;

/// Bytes that are read at a time, and that are held while a request is under way: some tens of requests.
pub(super) const AHEAD: usize = 8 * 1024;

/// Bytes of answers that the kernel keeps unsent, beyond those on their way; it wakes the daemon when half of them were
/// taken. By default it keeps megabytes: a client that reads slowly would look like one that does not read.
const UNSENT: u32 = 16 * 1024;

/// The interim answer to `Expect: 100-continue` (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// Waits for a head. The instant: opening, or end of the last answer.
    Waiting(Instant),
    /// The library has a head, and the answer is not made yet.
    UnderWay,
    /// The library has all of the answer.
    Made,
    /// The last answer was sent.
    Over,
}

/// A connection of the HTTP library. Clones are the same connection.
#[derive(Clone)]
pub struct HttpConnection(pub(super) Rc<RefCell<Inner>>);

pub(super) struct Inner {
    pub(super) stream: Stream,
    common: Connections,
    pub(super) phase: Phase,
    is_first: bool,
    /// A head or a body was refused, so the client may send on after the answer.
    pub(super) was_refused: bool,
    pub(super) inbound: Inbound,
    /// Memory that an unfinished head holds, as counted in `common`.
    held: usize,
    /// Whether the answer under way is the last.
    pub(super) closes: bool,
    /// The answer to a refused head or body.
    pub(super) refusal: Option<RequestError>,
    pub(super) wants_body: bool,
    /// The unsent rest of [`CONTINUE`], which precedes the body.
    interim: &'static [u8],
    /// Collected answers. Empty, it holds no memory.
    pub(super) outbound: BytesMut,
    /// Timer for the next deadline. It is reset only when it fires early, so most requests leave it alone.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Start of the time in which the client has accepted no bytes.
    pub(super) stuck_since: Option<Instant>,
    pub(super) is_cut: bool,
    reader: Option<Waker>,
}

impl Connections {
    /// A connection that was opened at that time.
    pub fn open(&self, stream: Stream, opened: Instant) -> HttpConnection {
        // The connection works without it, too.
        let _ = SockRef::from(stream.tcp()).set_tcp_notsent_lowat(UNSENT);
        HttpConnection(Rc::new(RefCell::new(Inner {
            stream,
            common: self.clone(),
            phase: Phase::Waiting(opened),
            is_first: true,
            was_refused: false,
            inbound: Inbound::default(),
            held: 0,
            closes: false,
            refusal: None,
            wants_body: false,
            interim: b"",
            outbound: BytesMut::new(),
            alarm: None,
            stuck_since: None,
            is_cut: false,
            reader: None,
        })))
    }
}

impl HttpConnection {
    pub fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Rc::clone(&self.0))
    }

    /// Waits until the library can read a request, or the stand-in for a refused one. False if the client has gone or
    /// has sent nothing in time.
    pub async fn first_head(&self) -> bool {
        poll_fn(|cx| self.0.borrow_mut().poll_head(cx)).await.unwrap_or(false)
    }

    /// Gives the library a stand-in for the first request, to be answered with `error`.
    pub fn refuse(&self, error: RequestError) {
        self.0.borrow_mut().refuse(error);
    }
}

impl Inner {
    /// Makes the library read again.
    pub(super) fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn note_reader(&mut self, cx: &Context<'_>) {
        self.reader.get_or_insert_with(|| cx.waker().clone());
    }

    /// The next deadline.
    fn due(&self) -> Option<Instant> {
        let deadlines = &self.common.deadlines;
        let untaken = self.stuck_since.map(|since| since + deadlines.patience);
        let Phase::Waiting(since) = self.phase else { return untaken };
        let next = since + self.time_for_head();
        Some(untaken.map_or(next, |untaken| untaken.min(next)))
    }

    fn time_for_head(&self) -> Duration {
        let deadlines = &self.common.deadlines;
        match (self.is_first, self.inbound.len()) {
            (true, _) => deadlines.first_head,
            (false, 0) => deadlines.idle,
            (false, _) => deadlines.patience,
        }
    }

    /// Whether a deadline was missed; if not, `cx` is woken at the next one.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.due() else { return false };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= due {
                return true;
            }
            alarm.as_mut().reset(due);
        }
        false
    }

    /// Whether a deadline has passed; it stays true.
    pub(super) fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_cut && self.is_overdue(cx) {
            self.is_cut = true;
            self.common.count_cut();
        }
        self.is_cut
    }

    /// Reads from the socket into `inbound`. Ready with the number of bytes; 0 at the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); AHEAD];
        let mut received = ReadBuf::uninit(&mut space[..most.min(AHEAD)]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut received))?;
        self.inbound.receive(received.filled());
        Poll::Ready(Ok(received.filled().len()))
    }

    /// Waits until a request can be handed over. False at the end of the connection.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.inbound.has_head() {
                return Poll::Ready(Ok(true));
            }
            if self.inbound.len() > 0 && self.find_request() {
                continue;
            }
            match self.poll_receive(cx, AHEAD) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if !self.holds_its_share() {
                        self.refuse(RequestError::HeadsTooMany);
                        continue;
                    }
                    if !self.is_cut(cx) {
                        return Poll::Pending;
                    }
                    if self.inbound.len() == 0 {
                        return Poll::Ready(Ok(false));
                    }
                    // The answer is sent under a deadline of its own.
                    self.is_cut = false;
                    let time = self.time_for_head().as_secs();
                    self.refuse(RequestError::HeadTooSlow(time));
                }
            }
        }
    }

    /// Looks for a request in the received bytes; true if there is one, or a refusal in its place.
    fn find_request(&mut self) -> bool {
        match self.inbound.next_request() {
            Ok(Some(head)) => self.begin(head),
            Ok(None) if self.holds_its_share() => return false,
            Ok(None) => self.refuse(RequestError::HeadsTooMany),
            Err(error) => self.refuse(error),
        }
        true
    }

    /// Counts the memory of an unfinished head; false if that is more than its share. TLS may hold all bytes that came
    /// before the first request; only clients with credentials send another.
    fn holds_its_share(&mut self) -> bool {
        let in_tls = if self.is_first { self.stream.received() } else { 0 };
        self.hold(self.inbound.capacity().max(in_tls))
    }

    fn hold(&mut self, now: usize) -> bool {
        let before = mem::replace(&mut self.held, now);
        before == now || self.common.hold(before, now)
    }

    fn begin(&mut self, head: Head) {
        self.hold(0);
        self.phase = Phase::UnderWay;
        self.is_first = false;
        self.closes = !head.keeps_alive;
        self.wants_body = false;
        self.interim = if head.expects_continue { CONTINUE } else { b"" };
    }

    /// Gives the library a stand-in for the received bytes, to be answered with `error`. It is the last request.
    fn refuse(&mut self, error: RequestError) {
        self.inbound.refuse();
        self.was_refused = true;
        self.refusal = Some(error);
        let framing = Framing::Length(0);
        self.begin(Head { framing, keeps_alive: false, expects_continue: false });
    }

    /// While a request is under way: notices a disconnect, and reads a little ahead. A body that arrived before the
    /// disconnect is handed over first.
    fn poll_watch(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.note_reader(cx);
        while self.inbound.len() < AHEAD {
            let room = AHEAD - self.inbound.len();
            if ready!(self.poll_receive(cx, room))? == 0 {
                let has_more = self.inbound.has_body() && self.inbound.len() > 0;
                return match self.phase == Phase::UnderWay && has_more {
                    true => self.poll_body(cx, into),
                    false => Poll::Ready(Ok(())),
                };
            }
        }
        Poll::Pending
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_interim(cx))?;
        let before = into.filled().len();
        loop {
            let direct = self.inbound.direct();
            if direct > 0 {
                let mut part = (&mut self.stream).take(direct);
                ready!(Pin::new(&mut part).poll_read(cx, into))?;
                self.inbound.passed((into.filled().len() - before) as u64);
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = self.inbound.take_body(into) {
                self.was_refused = true;
                self.refusal = Some(error);
                self.wants_body = false;
                // The request takes the refusal when it reads on, in this same poll of its task.
                return Poll::Pending;
            }
            if into.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(cx, AHEAD))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Sends `100 Continue` behind earlier answers, unless the client has begun to send the body already.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.len() == CONTINUE.len() && self.inbound.len() > 0 {
            self.interim = b"";
        }
        ready!(self.poll_push(cx))?;
        while !self.interim.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, self.interim))?;
            self.interim = &self.interim[count..];
        }
        self.poll_push(cx)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Phase::Waiting(_) = self.phase
            && !ready!(self.poll_head(cx))?
        {
            return Poll::Ready(Ok(()));
        }
        match self.phase {
            // As if the client had ended it.
            Phase::Over => Poll::Ready(Ok(())),
            _ if self.inbound.has_head() => {
                self.inbound.take_head(into);
                Poll::Ready(Ok(()))
            }
            Phase::UnderWay if self.wants_body && self.inbound.has_body() => {
                self.poll_body(cx, into)
            }
            _ => self.poll_watch(cx, into),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.hold(0);
    }
}

impl AsyncRead for HttpConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let waits = matches!(inner.phase, Phase::Waiting(_));
        // An overdue head gets an answer.
        if inner.is_cut || !waits && inner.is_cut(cx) {
            // As if the client had ended it.
            return Poll::Ready(Ok(()));
        }
        if inner.stuck_since.is_some() {
            // A write wakes the task.
            return Poll::Pending;
        }
        inner.poll_next(cx, buffer)
    }
}
