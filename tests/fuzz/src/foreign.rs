//! Files that others wrote: lines, and records of which some fields are read. The first byte says which.

use sluice_formats::foreign_decoder;
use sluice_transfer::{Compression, FieldNames, ForeignFiles, SourceFormat, recognise};

use crate::events::read_everyhow;

fn fields() -> FieldNames {
    let name = |name: &str| Some(name.to_owned());
    FieldNames { payload: name("p"), key: name("m.k"), time: name("m.t") }
}

/// Lines, lines of JSON, or Avro of any schema.
pub fn foreign(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let (format, fields) = match kind % 3 {
        0 => (SourceFormat::Lines, FieldNames::default()),
        1 => (SourceFormat::Jsonl, fields()),
        _ => (SourceFormat::Avro, fields()),
    };
    let files = ForeignFiles { format, inflate: format != SourceFormat::Avro, fields };
    let compression = if files.inflate { recognise(file) } else { Compression::Plain };
    let new = || foreign_decoder(&files, compression).expect("it has one");
    read_everyhow(&new, file, compression.is_plain());
}

/// A file of a schema and one block.
fn avro(fields: &str, count: u8, data: &[u8]) -> Vec<u8> {
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let len = u16::try_from(schema.len()).expect("a short one") * 2;
    let mut file = b"\x02Obj\x01\x02\x16avro.schema".to_vec();
    // In two bytes of seven bits, low ones first.
    file.extend_from_slice(&[(len & 0x7f | 0x80).to_le_bytes()[0], (len >> 7).to_le_bytes()[0]]);
    file.extend_from_slice(schema.as_bytes());
    file.extend_from_slice(&[0; 17]);
    file.extend_from_slice(&[count * 2, u8::try_from(data.len()).expect("a short one") * 2]);
    file.extend_from_slice(data);
    file.extend_from_slice(&[0; 16]);
    file
}

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let meta = r#"{"name":"m","type":["null",{"type":"record","name":"M","fields":[
        {"name":"k","type":["null","string"]},{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"up","type":["null","M"]}]}]}"#;
    let payload = r#"{"name":"p","type":["null","bytes","double",{"type":"enum","name":"E","symbols":["A"]}]}"#;
    let list = r#"{"name":"l","type":{"type":"array","items":{"type":"map","values":"null"}}}"#;
    let own = r#"{"name":"m","type":"R"},{"name":"p","type":"bytes"}"#;
    [
        ("lines", b"\0one\n\ntwo\r\nthree".to_vec()),
        ("lines-without-end", [&b"\0"[..], &[b'x'; 300]].concat()),
        ("json", b"\x01{\"p\":{\"a\":[1]},\"m\":{\"k\":\"\\u00e4\",\"t\":1.7e9}}\n\n{\"m\":{\"k\":7,\"t\":\"2026-01-01T00:00:00Z\"}}".to_vec()),
        ("json-deep", [&b"\x01{\"p\":"[..], &[b'['; 3_000]].concat()),
        ("json-twice", b"\x01{\"p\":1,\"p\":null,\"m\":{\"m\":{},\"k\":[],\"k\":{}}}\n".to_vec()),
        ("avro", avro(&format!("{meta},{list},{payload}"), 1, &[2, 2, 2, b'k', 2, 0, 0, 2, 4, 2, b'a', 2, b'b', 0, 0, 2, 2, b'p'])),
        ("avro-null", avro(&format!("{meta},{payload}"), 1, &[0, 0])),
        ("avro-within-itself", avro(own, 1, &[0; 9])),
        ("avro-items-of-nothing", avro(&format!("{meta},{list},{payload}"), 1, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0])),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}
