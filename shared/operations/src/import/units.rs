//! Bytes of a source as events: pieces that are cut, units that a decoder takes apart.

use bytes::Bytes;
use sluice_formats::Inflater;
use sluice_transfer::{Cutter, Decoded, Decoder, Place, UnpackError, Unpacked, Value};

/// Cuts the next piece of what was fed that completes an event. Each ends where the next one begins.
pub(super) fn cut(inflater: &mut Inflater, cutter: &mut Cutter) -> Result<Vec<Decoded>, UnpackError> {
    let mut events = Vec::new();
    while let Some(piece) = inflater.piece()? {
        // Bytes of the piece in front of the current event's end; held bytes belong to an earlier piece.
        let (mut end, mut held) = (0, cutter.held());
        let mut payloads = Vec::new();
        cutter.feed(piece.bytes.clone(), &mut payloads);
        for payload in payloads {
            end += payload.len() - std::mem::take(&mut held);
            events.push(raw_event(payload, piece.place(end)));
        }
        if !events.is_empty() {
            break;
        }
    }
    Ok(events)
}

pub(super) fn raw_event(payload: Bytes, after: Place) -> Decoded {
    Decoded {
        sequence: None,
        time: None,
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::Bytes(payload),
        after,
    }
}

/// Events that were fed whole, up to this number of events or bytes; and where reading can go on, if the
/// decoder says so. What stands in front of an error comes first; the decoder answers it again.
pub(super) fn take_apart(
    decoder: &mut dyn Decoder,
    most: usize,
    most_bytes: usize,
) -> Result<(Vec<Decoded>, Option<Place>), UnpackError> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while events.len() < most && bytes < most_bytes {
        match decoder.step() {
            Ok(Unpacked::Event(event)) => {
                bytes += event.payload.len() + event.key.len();
                events.push(event);
            }
            Ok(Unpacked::Passed(place)) => return Ok((events, Some(place))),
            Err(error) if events.is_empty() => return Err(error),
            Ok(Unpacked::Hungry) | Err(_) => break,
        }
    }
    Ok((events, None))
}
