//! Lines of text, each a payload as it stands, without its newline.

use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Compression, Decoded, Value};

use crate::lines::{Line, LineDecoder, LineFault, LineFormat};

pub(super) struct WholeLines;

pub(super) fn decoder(compression: Compression) -> LineDecoder<WholeLines> {
    LineDecoder::of(WholeLines, compression)
}

impl LineFormat for WholeLines {
    fn event(&self, line: &Line) -> Result<Option<Decoded>, LineFault> {
        if line.bytes.len() > EVENT_BYTES {
            return Err(LineFault::TooLarge("a line has more than 32 MiB"));
        }
        let payload = Value::Bytes(line.bytes.clone());
        Ok(Some(Decoded {
            sequence: None,
            time: None,
            key: Value::Absent,
            headers: Vec::new(),
            payload,
            after: line.after,
        }))
    }

    fn may_end_open(&self) -> bool {
        true
    }
}
