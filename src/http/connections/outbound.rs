//! Answers that the socket has not taken yet: sent together where possible, with the time of sending noted.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::web::Buf;
use tokio::{io::AsyncWrite, time::Instant};

use super::{
    connection::{HttpConnection, Inner, Phase},
    tls_stream::Stream,
};

/// Bytes of answers that are collected while pipelined requests are under way, to be sent together.
const COLLECTED: usize = 16 * 1024;

impl Inner {
    /// Has `send` write to the stream, and notes when the client takes nothing.
    fn poll_sending<T>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let sent = send(Pin::new(&mut self.stream), cx);
        if sent.is_pending() {
            if self.stream.take_has_sent() || self.stuck_since.is_none() {
                self.stuck_since = Some(Instant::now());
            }
            // Sets the alarm.
            if self.is_cut(cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if self.stuck_since.take().is_some() {
            // Resumes reading.
            cx.waker().wake_by_ref();
        }
        sent
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_sending(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    /// Sends the collected answers, and what TLS holds.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            let mut outbound = mem::take(&mut self.outbound);
            let sent = self.poll_send(cx, &outbound);
            if let Poll::Ready(Ok(count)) = sent {
                outbound.advance(count);
            }
            if !outbound.is_empty() {
                self.outbound = outbound;
            }
            ready!(sent)?;
        }
        match self.stream.is_tls() {
            true => self.poll_sending(cx, |stream, cx| stream.poll_flush(cx)),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_last = self.phase != Phase::Made || self.closes || self.inbound.len() == 0;
        if is_last || self.outbound.len() > COLLECTED / 2 {
            ready!(self.poll_push(cx))?;
        }
        if self.phase == Phase::Made {
            self.phase = if self.closes { Phase::Over } else { Phase::Waiting(Instant::now()) };
            if self.closes || self.inbound.len() > 0 {
                // The library does not read again by itself.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        // The answer to another request will follow.
        if inner.inbound.len() > 0 && inner.outbound.len() + bytes.len() <= COLLECTED {
            inner.outbound.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(inner.poll_push(cx))?;
        inner.poll_send(cx, bytes)
    }

    /// The library calls this whenever it has nothing more to write for now.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_sending(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}
