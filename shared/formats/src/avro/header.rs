//! The header in front of an object's blocks: magic, schema, codec, sync marker (Apache Avro specification, "Object
//! Container Files").
//!
//! # The schema
//!
//! A key, a header's value and a payload have three states ([`sluice_transfer::Value`]), Avro has two of them: bytes
//! and null. The third could be a further branch of the union, or a field of its own. It is a field, `key_null`,
//! `value_null` and `payload_null`, because a union of null and one other type is what every reader understands as
//! "bytes or nothing", while several query engines make a struct of columns out of three branches, and others
//! refuse them.
//!
//! Avro's null without the flag is *absent*, with the flag an explicit *null*, for two reasons. Absent is what most
//! stores say of a missing key, so the flag is false nearly everywhere. And whoever writes such files without
//! thinking of the flag, which defaults to false, means "nothing here" by null. Bytes with the flag set are
//! damage.
//!
//! **Invariant.** The same object has the same header, byte for byte: it is put together from constants in a fixed
//! order. A library takes the metadata from a hash map, whose order differs from one process to the next.

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use sluice_transfer::{Compression, UnpackError, known_as};

use super::codec::{Codec, codec_name};
use super::varint::{Fault, Reader, put_size};
use crate::ObjectSeed;

/// The schema of every object, as it stands in the header. Part of the encoder's version.
pub const AVRO_SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Event","namespace":"sluice","#,
    r#""doc":"One event of a stream, with nothing lost. A file holds events of one shard, in the shard's order.","#,
    r#""fields":["#,
    r#"{"name":"sequence","type":"string","#,
    r#""doc":"The number that the source gave to the event within its shard: decimal digits, growing."},"#,
    r#"{"name":"time","type":{"type":"long","logicalType":"timestamp-micros"},"#,
    r#""doc":"When, as the source says."},"#,
    r#"{"name":"key","type":["null","bytes"],"doc":"The key that places the event.","default":null},"#,
    r#"{"name":"key_null","type":"boolean","#,
    r#""doc":"True if the source holds a null key; false if it holds bytes, or no key at all.","default":false},"#,
    r#"{"name":"headers","type":{"type":"array","items":{"type":"record","name":"Header","#,
    r#""doc":"A named value beside the payload. Names may repeat.","fields":["#,
    r#"{"name":"name","type":"string","doc":"The name."},"#,
    r#"{"name":"value","type":["null","bytes"],"doc":"The value.","default":null},"#,
    r#"{"name":"value_null","type":"boolean","#,
    r#""doc":"True if the source holds a null value; false if it holds bytes, or no value at all.","#,
    r#""default":false}]}},"doc":"In the source's order.","default":[]},"#,
    r#"{"name":"payload","type":["null","bytes"],"doc":"What the event carries.","default":null},"#,
    r#"{"name":"payload_null","type":"boolean","#,
    r#""doc":"True if the source holds a null payload, such as a tombstone; false if it holds bytes, or none at all.","#,
    r#""default":false}]}"#,
);

/// Bytes that are asked for first. Ours has less than 2 KiB.
pub(crate) const HEAD_BYTES: usize = 64 << 10;
/// Bytes within which a file's header must end: it holds the schema, and those of large models have hundreds of KB.
pub(crate) const LARGEST_HEAD: usize = 4 << 20;

const MAGIC: &[u8] = b"Obj\x01";
const SCHEMA_KEY: &[u8] = b"avro.schema";
const CODEC_KEY: &[u8] = b"avro.codec";

/// Stands behind the header and behind every block.
pub(crate) type Marker = [u8; 16];

/// An object's sync marker: the first bytes of a SHA-256 over what identifies it. Lengths stand in front, so that
/// no two identities are hashed alike.
pub(crate) fn marker(identity: &ObjectSeed, object: u64) -> Marker {
    let mut hash = Sha256::new();
    let object = object.to_le_bytes();
    let parts: [&[u8]; 4] = [
        identity.transfer.as_str().as_bytes(),
        identity.destination.as_str().as_bytes(),
        identity.shard.as_str().as_bytes(),
        &object,
    ];
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut marker = Marker::default();
    marker.copy_from_slice(&hash.finalize()[..16]);
    marker
}

/// Writes the header of an object.
pub(crate) fn put_header(out: &mut Vec<u8>, marker: &Marker, compression: Compression) {
    let metadata = [(SCHEMA_KEY, AVRO_SCHEMA.as_bytes()), (CODEC_KEY, codec_name(compression).as_bytes())];
    out.extend_from_slice(MAGIC);
    put_size(out, metadata.len());
    for (key, value) in metadata {
        put_size(out, key.len());
        out.extend_from_slice(key);
        put_size(out, value.len());
        out.extend_from_slice(value);
    }
    put_size(out, 0);
    out.extend_from_slice(marker);
}

/// What a file's header tells.
pub(crate) struct FileHeader<'a> {
    pub(crate) schema: &'a [u8],
    pub(crate) marker: Marker,
    pub(crate) codec: Codec,
    /// Where the first block begins.
    pub(crate) first: u64,
}

/// Bytes that a header needs, of which these are the first.
pub(crate) fn wanted(bytes: &[u8]) -> u64 {
    let is_open = bytes.starts_with(MAGIC) && matches!(read_metadata(bytes), Err(Fault::Short));
    let wanted = if is_open { bytes.len().saturating_mul(4).clamp(HEAD_BYTES, LARGEST_HEAD) } else { bytes.len() };
    wanted as u64
}

/// Reads a header from a file's first [`wanted`] bytes, or from all of a shorter file.
pub(crate) fn read_header(bytes: &[u8]) -> Result<FileHeader<'_>, UnpackError> {
    let damaged = |why: String| UnpackError::Damaged { offset: 0, why };
    if !bytes.starts_with(MAGIC) {
        return Err(match known_as(bytes) {
            Some(name) => UnpackError::Unsupported {
                why: format!(
                    "it is {name}, not an Avro object container file: unpack or convert it, or say another format \
                     (Avro's files compress themselves, block by block)"
                ),
            },
            None => damaged("it is not an Avro object container file".to_owned()),
        });
    }
    let head = &bytes[..bytes.len().min(LARGEST_HEAD)];
    let found = read_metadata(head).map_err(|fault| match fault {
        Fault::Short if head.len() < LARGEST_HEAD => UnpackError::Damaged {
            offset: head.len() as u64,
            why: format!("the file ends at byte {}, inside its header", head.len()),
        },
        Fault::Short => UnpackError::TooLarge { offset: 0, why: "the file's header has more than 4 MiB".to_owned() },
        Fault::Damaged(why) => damaged(format!("the file's header is broken: {why}")),
        Fault::TooLarge(why) => UnpackError::TooLarge { offset: 0, why: why.to_owned() },
        Fault::Unsupported(why) => UnpackError::Unsupported { why: why.to_owned() },
    })?;
    let codec = match found.codec {
        None => Codec::Ours(Compression::Plain),
        Some(name) => Codec::named(name).ok_or_else(|| UnpackError::Unsupported {
            why: format!(
                "its codec is '{}'; read are {}: write it anew with one of these (`avro-tools recodec`)",
                shown(name),
                Codec::names()
            ),
        })?,
    };
    let schema = found.schema.ok_or_else(|| damaged("its header holds no schema".to_owned()))?;
    Ok(FileHeader { schema, marker: found.marker, codec, first: found.end })
}

struct Metadata<'a> {
    schema: Option<&'a [u8]>,
    codec: Option<&'a [u8]>,
    marker: Marker,
    end: u64,
}

/// Entries may come in any order and number, in several blocks, with or without their size.
fn read_metadata(bytes: &[u8]) -> Result<Metadata<'_>, Fault> {
    let mut reader = Reader::new(bytes, MAGIC.len());
    let mut found = Metadata { schema: None, codec: None, marker: Marker::default(), end: 0 };
    loop {
        let (count, size) = reader.items()?;
        if count == 0 {
            break;
        }
        let end = size.map(|size| reader.at() + size);
        // An entry takes two bytes at least, so a count that lies ends with the bytes.
        for _ in 0..count {
            let (key, value) = (reader.sized()?, reader.sized()?);
            let place = match key {
                SCHEMA_KEY => &mut found.schema,
                CODEC_KEY => &mut found.codec,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Fault::Damaged("the schema or the codec stands there twice"));
            }
        }
        if end.is_some_and(|end| end != reader.at()) {
            return Err(Fault::Damaged("its metadata do not have the size that they give"));
        }
    }
    let range = reader.skip(found.marker.len())?;
    found.marker.copy_from_slice(&bytes[range]);
    found.end = reader.at() as u64;
    Ok(found)
}

/// Whether events of this schema are encoded as ours are.
pub(crate) fn check_schema(schema: &[u8]) -> Result<(), String> {
    if schema == AVRO_SCHEMA.as_bytes() {
        return Ok(());
    }
    let foreign = "the file's schema is not Sluice's";
    let found: Json = serde_json::from_slice(schema).map_err(|error| format!("{foreign}: {error}"))?;
    let (found, ours) = (normal(&found, ""), serde_json::from_str(AVRO_SCHEMA).map(|ours| normal(&ours, "")));
    if ours.is_ok_and(|ours| ours == found) {
        return Ok(());
    }
    Err(match found.get("record").and_then(Json::as_str) {
        Some("sluice.Event") => format!("{foreign}: its 'sluice.Event' has other fields"),
        Some(name) => format!("{foreign}: it is '{}', not 'sluice.Event'", shown(name.as_bytes())),
        None => format!("{foreign}: it is no record"),
    })
}

/// What of a schema decides how values are encoded and what they mean: names in full, types, logical types; not
/// documentation, defaults, aliases or how it is written. (The specification's "Parsing Canonical Form" drops
/// logical types, which would take milliseconds for microseconds.) Kinds of which ours has none stay as they are,
/// and so differ. A JSON document is at most 128 levels deep, by `serde_json`'s limit.
fn normal(schema: &Json, namespace: &str) -> Json {
    let object = match schema {
        Json::String(name) => return Json::String(name.clone()),
        Json::Array(branches) => return branches.iter().map(|branch| normal(branch, namespace)).collect(),
        Json::Object(object) => object,
        other => return other.clone(),
    };
    let inner = |field: &str| normal(object.get(field).unwrap_or(&Json::Null), namespace);
    match (object.get("type").and_then(Json::as_str), object.get("logicalType")) {
        (Some("record"), _) => {
            let text = |field: &str| object.get(field).and_then(Json::as_str);
            let name = text("name").unwrap_or_default();
            let namespace = name.rsplit_once('.').map(|(space, _)| space).or(text("namespace")).unwrap_or(namespace);
            let name = name.rsplit('.').next().unwrap_or(name);
            let fields = object.get("fields").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            let field = |field: &Json| {
                let kind = field.get("type").unwrap_or(&Json::Null);
                json!([field.get("name"), normal(kind, namespace)])
            };
            let full = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
            json!({ "record": full, "fields": fields.iter().map(field).collect::<Vec<_>>() })
        }
        (Some("array"), _) => json!({ "array": inner("items") }),
        (Some("enum" | "fixed" | "map"), _) => schema.clone(),
        (_, None) => inner("type"),
        (_, Some(logical)) => json!({ "logical": logical, "type": inner("type") }),
    }
}

/// The beginning of a foreign text, fit for a message.
pub(super) fn shown(text: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(text).chars().take(60).collect();
    text.escape_debug().to_string()
}
