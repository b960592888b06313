//! As much of ZooKeeper's protocol as it takes to choose a request, let it pass, and hold its answer back.
//!
//! Every message is a frame: a length of four bytes, then so many bytes. The first frame in each direction opens
//! the session. After that a request begins with its number and its operation, and an answer with the
//! number of its request. A four-letter word (`srvr`) comes instead of a first frame and has no length.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Larger than any frame of ours; a four-letter word, read as a length, is larger still.
const FRAME_LIMIT: u32 = 64 * 1024 * 1024;

/// A kind of request (`ZooDefs.OpCode` in ZooKeeper's source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opens a session or comes back into one.
    Connect,
    Create,
    /// Removes a request for registration, or a held switch that does not count any more.
    Delete,
    Exists,
    GetData,
    SetData,
    /// A transaction: writes a chunk of switches or a part of a user-coin map.
    Multi,
    /// Many reads at once: how the znodes of a chunk or a part are looked at.
    MultiRead,
    CloseSession,
    Other(i32),
}

impl Op {
    fn of(code: i32) -> Self {
        match code {
            1 | 15 | 19 | 21 => Self::Create,
            2 => Self::Delete,
            3 => Self::Exists,
            4 => Self::GetData,
            5 => Self::SetData,
            14 => Self::Multi,
            22 => Self::MultiRead,
            -11 => Self::CloseSession,
            other => Self::Other(other),
        }
    }
}

/// Something that was read from a connection, to be passed on whole.
#[derive(Debug)]
pub enum Piece {
    /// A message with its length.
    Frame(Vec<u8>),
    /// Bytes of a stream that has no frames.
    Bytes(Vec<u8>),
}

impl Piece {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) | Self::Bytes(bytes) => bytes,
        }
    }

    /// The number that a request and its answer share.
    pub fn xid(&self) -> Option<i32> {
        self.word(0)
    }

    /// The operation; `is_first` for the first request on its connection.
    pub fn op(&self, is_first: bool) -> Option<Op> {
        match self {
            Self::Bytes(_) => None,
            Self::Frame(_) if is_first => Some(Op::Connect),
            Self::Frame(_) => self.word(1).map(Op::of),
        }
    }

    fn word(&self, index: usize) -> Option<i32> {
        let Self::Frame(bytes) = self else { return None };
        let start = 4 + index * 4;
        bytes.get(start..start + 4)?.try_into().ok().map(i32::from_be_bytes)
    }
}

/// Reads the next piece; `None` at the end. `framed` says whether frames are to be expected, and is cleared
/// when it turns out that they are not.
pub async fn read_piece<R: AsyncRead + Unpin>(
    from: &mut R,
    framed: &mut bool,
) -> io::Result<Option<Piece>> {
    if !*framed {
        let mut bytes = vec![0; 64 * 1024];
        let count = from.read(&mut bytes).await?;
        bytes.truncate(count);
        return Ok((count > 0).then_some(Piece::Bytes(bytes)));
    }
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let size = u32::from_be_bytes(length);
    if size > FRAME_LIMIT {
        *framed = false;
        return Ok(Some(Piece::Bytes(length.to_vec())));
    }
    let mut frame = length.to_vec();
    frame.resize(4 + size as usize, 0);
    from.read_exact(&mut frame[4..]).await?;
    Ok(Some(Piece::Frame(frame)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_told_by_number_and_operation() {
        let mut wire: Vec<u8> = Vec::new();
        for body in
            [&[0; 28][..], &[0, 0, 0, 7, 0, 0, 0, 14, 9], &[255, 255, 255, 254, 0, 0, 0, 11]]
        {
            wire.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            wire.extend(body);
        }
        let (mut from, mut framed) = (&wire[..], true);
        let mut ops = Vec::new();
        while let Some(piece) = read_piece(&mut from, &mut framed).await.unwrap() {
            ops.push((piece.xid().unwrap(), piece.op(ops.is_empty()).unwrap()));
        }
        assert_eq!(ops, [(0, Op::Connect), (7, Op::Multi), (-2, Op::Other(11))]);
    }

    #[tokio::test]
    async fn four_letter_words_pass_as_they_are() {
        let (mut from, mut framed) = (&b"srvr and more"[..], true);
        let mut passed = Vec::new();
        while let Some(piece) = read_piece(&mut from, &mut framed).await.unwrap() {
            assert_eq!(piece.op(true), None);
            passed.extend_from_slice(piece.bytes());
        }
        assert_eq!(passed, b"srvr and more");
    }
}
