//! JSON Lines: one JSON object a line, in UTF-8, each with a newline behind it.
//!
//! ```json
//! {"shard":"0","sequence":"42","time":"2026-11-22T08:00:00.000001Z","key":"eu","headers":[],"payload":{"total":7}}
//! ```
//!
//! - `shard`, `sequence`, `time` (RFC 3339; microseconds with `us` behind them where the year has more than four
//!   digits): where and when the source has the event.
//! - `key`, and each header's `value`: as text where the bytes are UTF-8, else `keyBase64` and `valueBase64`
//!   (RFC 4648, section 4).
//! - `payload`: the payload's own bytes, in place, where they are JSON that every reader takes (RFC 8259; no line
//!   breaks, nothing around it); else `payloadBase64`.
//! - A field that is not there means that the source has none, `null` that it has an explicit null, empty text that
//!   it has no bytes. A payload whose bytes are the text `null` is in base64.
//! - `misfit`, last: only of an event that the target of an import cannot hold ([`misfit_line`]). It says where the event
//!   stood and what is in the way. Readers pass over it.
//!
//! - `encode`: events into lines.
//! - `decode`: lines into events.
//! - `embed`: which payloads stand in place.

mod decode;
mod embed;
mod encode;

pub(crate) use decode::JsonlDecoder;
pub use encode::{JsonlEncoder, misfit_line};
