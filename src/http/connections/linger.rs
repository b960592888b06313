//! The end of a connection: a moment for the client to read its last answer.

use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::sleep,
};

use super::{
    connection::{AHEAD, HttpConnection, Inner, Phase},
    inbound::Inbound,
};

/// Time for a client to read a connection's last answer while it may still be sending.
const AFTER_LAST_ANSWER: Duration = Duration::from_secs(1);

impl HttpConnection {
    /// After the last answer, discards for a moment further bytes of the client. Closing the socket with unread bytes
    /// would reset the connection, and with it answers that are still on their way.
    pub async fn linger(&self) {
        if !self.0.borrow_mut().needs_linger() {
            return;
        }
        let end = poll_fn(|cx| self.0.borrow_mut().poll_discard(cx));
        tokio::select! {
            () = end => {}
            () = sleep(AFTER_LAST_ANSWER) => {}
        }
    }
}

/// Both read the socket itself: TLS has ended.
impl Inner {
    fn needs_linger(&mut self) -> bool {
        let mut byte = [0];
        self.phase == Phase::Over
            && !self.is_cut
            && (self.was_refused
                || self.inbound.len() > 0
                || self.inbound.has_body()
                || self.stream.tcp().try_read(&mut byte).is_ok_and(|count| count > 0))
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        const READS: usize = 16;
        self.inbound = Inbound::default();
        let mut space = [MaybeUninit::uninit(); AHEAD];
        for _ in 0..READS {
            let mut scrap = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(self.stream.tcp_mut()).poll_read(cx, &mut scrap)) {
                Ok(()) if !scrap.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
