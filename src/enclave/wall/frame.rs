//! Owns the shape of what passes the wall: a length, a number, a head in JSON, and a body of raw bytes. Knows no message.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// The longest frame, in bytes, without its length.
pub(super) const FRAME_LEN_MAX: usize = 1024 * 1024;
/// The call's number and the head's length.
const FRONT_LEN: usize = 12;

/// What one side sent: wiped when dropped.
pub(super) struct Frame {
    /// Which call it belongs to.
    pub(super) id: u64,
    bytes: Zeroizing<Vec<u8>>,
    head_len: usize,
}

impl Frame {
    /// The head, read; an unknown message or an unknown field is refused.
    pub(super) fn head<T: DeserializeOwned>(&self) -> io::Result<T> {
        let head = self.bytes.get(FRONT_LEN..FRONT_LEN + self.head_len).unwrap_or_default();
        // The reader's own words may quote what came.
        serde_json::from_slice(head).map_err(|_| bad("a message that is not known"))
    }

    /// The raw bytes behind the head.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(FRONT_LEN + self.head_len..).unwrap_or_default()
    }
}

/// Lays a frame out, its length first. The buffer is made once and never grows, so that no copy stays behind.
pub(super) fn lay_out<T: Serialize>(id: u64, head: &T, body: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let head = serde_json::to_vec(head).map_err(|_| bad("a message that cannot be written"))?;
    let len = FRONT_LEN + head.len() + body.len();
    if len > FRAME_LEN_MAX {
        return Err(bad("a message above the bound"));
    }
    let number = |len: usize| u32::try_from(len).map_err(|_| bad("a message above the bound"));
    let mut out = Zeroizing::new(Vec::with_capacity(4 + len));
    out.extend_from_slice(&number(len)?.to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&number(head.len())?.to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    Ok(out)
}

/// Reads the next frame; none when the other side has closed the line.
pub(super) async fn read(line: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut len = [0; 4];
    if line.read(len.get_mut(..1).unwrap_or_default()).await? == 0 {
        return Ok(None);
    }
    line.read_exact(len.get_mut(1..).unwrap_or_default()).await?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if !(FRONT_LEN..=FRAME_LEN_MAX).contains(&len) {
        return Err(bad("a frame of an impossible length"));
    }
    let mut bytes = Zeroizing::new(vec![0; len]);
    line.read_exact(&mut bytes).await?;
    let (Some(id), Some(head)) = (bytes.first_chunk::<8>(), bytes.get(8..FRONT_LEN)) else {
        return Err(bad("a frame without a front"));
    };
    let head = <[u8; 4]>::try_from(head).map(u32::from_be_bytes).unwrap_or(u32::MAX);
    let (id, head_len) = (u64::from_be_bytes(*id), usize::try_from(head).unwrap_or(usize::MAX));
    if head_len > len - FRONT_LEN {
        return Err(bad("a head longer than its frame"));
    }
    Ok(Some(Frame { id, bytes, head_len }))
}

/// Something that no honest side sends.
pub(super) fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
