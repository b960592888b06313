//! The list API's JSON document (contract, section 4): made once a change, and shared.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

const START: &str = "{\"err_no\":0,\"err_msg\":null,\"data\":{";

const END: &str = "}}";

/// Documents below this size are not packed: they fit into one packet.
const PACKED_FROM: usize = 1024;

/// A JSON document that requests share until the list changes.
#[derive(Clone, Debug)]
pub struct ListDocument {
    /// The document: both parts, one after the other. The second is shared even by clients that ask for different parts of
    /// the list.
    pub parts: [Bytes; 2],
    /// The document, packed with gzip; `None` if it is too small for that, or not the whole list.
    pub gzip: Option<Bytes>,
    /// Strong entity tag of the unpacked document, with its quotes.
    pub etag: String,
}

/// The whole document of a list, from which shorter ones are cut.
#[derive(Debug)]
pub(super) struct Document {
    body: Bytes,
    gzip: Option<Bytes>,
    /// Each puid, and where its entry begins.
    starts: Vec<(u32, u32)>,
    change: u64,
}

impl Document {
    /// Renders entries, which come by rising puid.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = (u32, &'a str)>, change: u64) -> Self {
        let (mut text, mut starts) = (START.as_bytes().to_vec(), Vec::new());
        for (puid, name) in entries {
            if !starts.is_empty() {
                text.push(b',');
            }
            // Names of two billion puids cannot be here: the limit on an answer's size is smaller.
            starts.push((puid, u32::try_from(text.len()).unwrap_or(u32::MAX)));
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut text, name);
            let _ = write!(text, ":{puid}");
        }
        text.extend_from_slice(END.as_bytes());
        text.shrink_to_fit();
        starts.shrink_to_fit();
        let gzip = (text.len() >= PACKED_FROM).then(|| packed(&text));
        Self { body: text.into(), gzip, starts, change }
    }

    /// The document of the entries above `puid`.
    pub(super) fn after(&self, puid: u32, tag: u64) -> ListDocument {
        let first = self.starts.partition_point(|&(it, _)| it <= puid);
        let etag = format!("\"{tag:x}-{:x}-{first:x}\"", self.change);
        if first == 0 {
            let parts = [Bytes::new(), self.body.clone()];
            return ListDocument { parts, gzip: self.gzip.clone(), etag };
        }
        let end = self.body.len() - END.len();
        let rest = self.starts.get(first).map_or(end, |&(_, at)| at as usize);
        let parts = [Bytes::from_static(START.as_bytes()), self.body.slice(rest..)];
        ListDocument { parts, gzip: None, etag }
    }
}

fn packed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 2), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text);
    let mut packed = encoder.finish().unwrap_or_default();
    packed.shrink_to_fit();
    packed.into()
}
