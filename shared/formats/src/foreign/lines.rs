//! Lines of text, each a payload as it stands, without its end.

use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Compression, Decoded, Value};

use crate::lines::{Line, LineDecoder, LineFault, LineFormat, Read};

pub(super) struct WholeLines;

pub(super) fn decoder(compression: Compression) -> LineDecoder<WholeLines> {
    LineDecoder::of(WholeLines, compression)
}

impl LineFormat for WholeLines {
    fn read(&self, line: &Line) -> Result<Read, LineFault> {
        if line.bytes.len() > EVENT_BYTES {
            return Err(LineFault::TooLarge("a line has more than 32 MiB"));
        }
        let event = Decoded {
            sequence: None,
            time: None,
            key: Value::Absent,
            headers: Vec::new(),
            payload: Value::Bytes(line.bytes.clone()),
            after: line.after,
        };
        Ok(Read::whole(event, line))
    }

    fn may_end_open(&self) -> bool {
        true
    }
}
