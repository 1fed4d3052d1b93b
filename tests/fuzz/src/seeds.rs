//! The made part of the corpus: what is valid, and what was made to harm.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use sluice_formats::{AVRO_SCHEMA, AvroEncoder, JsonlEncoder, ObjectSeed};
use sluice_transfer::manifest::Document;
use sluice_transfer::{
    Compression, DestinationName, Event, Format, Header, Sequence, Timestamp, UnitEncoder, Value, sha256_hex,
};

use crate::folder::manifest_of;

type Seeds = Vec<(String, Vec<u8>)>;

/// The seeds of a target, by the names of their files.
pub fn seeds(target: &str) -> Seeds {
    match target {
        "avro" => avro(),
        "jsonl" => jsonl(),
        "foreign" => crate::foreign::seeds(),
        "zstd" => zstd(),
        "gzip" => gzip(),
        "documents" => documents(),
        "tiles" => tiles(),
        "folder" => folders(),
        "records" => records(),
        "requests" => requests(),
        "texts" => texts(),
        "inputs" => crate::inputs::seeds(),
        "rows" => crate::rows::seeds(),
        "directory" => crate::directory::seeds(),
        "dynamodb" => crate::dynamodb::seeds(),
        "kinesis" => crate::kinesis::seeds(),
        "s3" => crate::s3::seeds(),
        _ => Vec::new(),
    }
}

fn seed(name: &str, bytes: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.into())
}

fn event(sequence: u64, key: Value, payload: impl Into<Value>) -> Event {
    let headers = match sequence % 3 {
        0 => Vec::new(),
        _ => vec![
            Header { name: "content-type".to_owned(), value: Value::from(b"text/plain".to_vec()) },
            Header { name: String::new(), value: Value::Null },
        ],
    };
    let time = Timestamp::from_millis(1_700_000_000_000).plus_millis(sequence);
    Event { sequence: Sequence::new(sequence), time, key, headers, payload: payload.into() }
}

/// One of each kind of value.
fn few() -> Vec<Event> {
    vec![
        event(0, Value::Absent, Value::Absent),
        event(1, Value::Null, Value::Null),
        event(2, Value::from(b"key".to_vec()), br#"{"a":[1,2.5e3,null,"\u00e4"]}"#.to_vec()),
        event(3, Value::from(vec![0xff, 0]), vec![0, 0xff, 0x80]),
        event(4, Value::Absent, Bytes::new()),
        event(u64::MAX, Value::Absent, b"the last".to_vec()),
    ]
}

/// What compresses to next to nothing.
fn swollen() -> Vec<Event> {
    vec![event(1, Value::Absent, format!("\"{}\"", "a".repeat(3 << 20)).into_bytes())]
}

fn object(encoder: &mut dyn UnitEncoder, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(0, &mut out);
    for event in events {
        encoder.push(event, &mut out).expect("small events");
    }
    encoder.end_unit(&mut out);
    out
}

fn avro_object(compression: Compression, events: &[Event]) -> Vec<u8> {
    let seed = ObjectSeed {
        transfer: "fuzz".parse().expect("a plain name"),
        destination: DestinationName::only(),
        shard: "0".parse().expect("a plain name"),
    };
    object(&mut AvroEncoder::new(seed, compression), events)
}

fn jsonl_object(compression: Compression, events: &[Event]) -> Vec<u8> {
    object(&mut JsonlEncoder::new(&"0".parse().expect("a plain name"), compression), events)
}

fn zigzag(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

fn avro() -> Seeds {
    let marker = [7; 16];
    let mut head = b"Obj\x01\x02\x16avro.schema".to_vec();
    zigzag(&mut head, i64::try_from(AVRO_SCHEMA.len()).unwrap_or(0));
    head.extend_from_slice(AVRO_SCHEMA.as_bytes());
    head.push(0);
    head.extend_from_slice(&marker);
    let with = |bytes: &[u8]| [&head, bytes].concat();
    let block = |count: i64, data: &[u8]| {
        let mut out = head.clone();
        zigzag(&mut out, count);
        zigzag(&mut out, i64::try_from(data.len()).unwrap_or(0));
        [&out, data, &marker].concat()
    };
    let promised = |count: i64, len: i64| {
        let mut out = head.clone();
        zigzag(&mut out, count);
        zigzag(&mut out, len);
        out
    };
    let nested = |text: String| {
        let mut out = b"Obj\x01\x02\x16avro.schema".to_vec();
        zigzag(&mut out, i64::try_from(text.len()).unwrap_or(0));
        [&out, text.as_bytes(), &[0], &marker[..]].concat()
    };
    // An event whose headers are said to be 2^63 - 1.
    let mut headers = vec![0, 0, 0, 0];
    zigzag(&mut headers, i64::MAX);
    headers.extend([0, 0, 0]);
    vec![
        seed("golden", include_bytes!("../../golden/formats-v1/events.avro").to_vec()),
        seed("plain", avro_object(Compression::Plain, &few())),
        seed("zstandard", avro_object(Compression::Zstd, &few())),
        seed("deflate", avro_object(Compression::Deflate, &few())),
        seed("swollen-zstandard", avro_object(Compression::Zstd, &swollen())),
        seed("swollen-deflate", avro_object(Compression::Deflate, &swollen())),
        seed("no-blocks", with(&[])),
        seed("shortest-event", block(1, &[0; 7])),
        seed("empty-blocks", with(&[&[0, 0], &marker[..]].concat().repeat(50))),
        seed("block-of-all-memory", promised(1, i64::MAX)),
        seed("events-without-end", promised(i64::MAX, 64 << 20)),
        seed("a-negative-count", promised(-1, 100)),
        seed("headers-without-end", block(1, &headers)),
        seed("deep-schema", nested("[".repeat(9_000))),
        seed("deep-objects-in-schema", nested(r#"{"type":"#.repeat(100) + "1" + &"}".repeat(100))),
        seed("no-end-of-number", b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
    ]
}

fn jsonl() -> Seeds {
    let line =
        |fields: &str| format!("{{\"shard\":\"0\",\"sequence\":\"1\",\"time\":\"2026-01-01T00:00:00Z\"{fields}}}\n");
    let deep = "[".repeat(9_000) + &"]".repeat(9_000);
    vec![
        seed("plain", jsonl_object(Compression::Plain, &few())),
        seed("zstd", jsonl_object(Compression::Zstd, &few())),
        seed("gzip", jsonl_object(Compression::Gzip, &few())),
        seed("swollen-zstd", jsonl_object(Compression::Zstd, &swollen())),
        seed("swollen-gzip", jsonl_object(Compression::Gzip, &swollen())),
        seed("deep-payload", line(&format!(",\"payload\":{deep}"))),
        seed("deep-header", line(&format!(",\"headers\":{deep}"))),
        seed("two-payloads", line(",\"payload\":1,\"payloadBase64\":\"AA==\"")),
        seed("a-field-twice", line(",\"key\":\"a\",\"key\":\"b\"")),
        seed("unknown-field", line(",\"kay\":\"a\"")),
        seed("too-many-headers", line(&format!(",\"headers\":[{}{{}}]", "{\"name\":\"\"},".repeat(3_000)))),
        seed("no-newline", line("").trim_end()),
        seed("empty-lines", "\n\n\n"),
        seed("surrogates", line(",\"key\":\"\\ud83d\\ude00\",\"payload\":\"\\ud800\"")),
    ]
}

/// A frame of Zstandard (RFC 8878) with this window descriptor, of blocks that each make 128 KiB of one byte.
fn bomb(window: u8, blocks: usize) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
    for block in 1..=blocks {
        let head: u32 = u32::from(block == blocks) | 1 << 1 | (128 << 10) << 3;
        out.extend_from_slice(&head.to_le_bytes()[..3]);
        out.push(0);
    }
    out
}

fn zstd() -> Seeds {
    let frame = jsonl_object(Compression::Zstd, &few());
    let skipped = |len: u32| [&[0x50, 0x2a, 0x4d, 0x18][..], &len.to_le_bytes()].concat();
    vec![
        seed("one", frame.clone()),
        seed("three", frame.repeat(3)),
        seed("swollen", jsonl_object(Compression::Zstd, &swollen())),
        seed("bomb", bomb(0x38, 2_000)),
        seed("window-of-128-mib", bomb(17 << 3, 2)),
        seed("window-of-2-gib", bomb(21 << 3, 2)),
        seed("window-of-all-memory", bomb(0xff, 2)),
        seed("skipped", [&skipped(3), &b"abc"[..], &frame].concat()),
        seed("skipped-4-gib", skipped(u32::MAX)),
        seed("cut-off", frame[..frame.len() - 3].to_vec()),
        seed("content-size-of-all-memory", [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &[0xff; 8], &[1, 0, 0]].concat()),
        seed("empty-frames", [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0].repeat(100)),
        seed("nothing", []),
    ]
}

fn gzip() -> Seeds {
    let member = jsonl_object(Compression::Gzip, &few());
    let named = |flags: u8, rest: &[u8]| [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3][..], rest, &member[10..]].concat();
    vec![
        seed("one", member.clone()),
        seed("three", member.repeat(3)),
        seed("swollen", jsonl_object(Compression::Gzip, &swollen())),
        seed("named", named(8, b"events.jsonl\0")),
        seed("commented", named(0x18, b"events.jsonl\0of a stream\0")),
        seed("extra", named(4, b"\x05\0extra")),
        seed("extra-of-64-kib", named(4, b"\xff\xff")),
        seed("name-without-end", [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..], &[b'a'; 20_000]].concat()),
        seed("reserved-flags", named(0xe0, b"")),
        seed("cut-off", member[..member.len() - 3].to_vec()),
        seed("stored", [&member[..10], &[1, 0, 0, 0xff, 0xff], &[0; 8]].concat()),
        seed("no-distance", [&member[..10], &[3, 2, 0], &[0; 8]].concat()),
        seed("nothing", []),
    ]
}

fn line(value: &Json) -> String {
    value.to_string()
}

fn documents() -> Seeds {
    let (root, segments) = manifest_of(Format::Avro);
    let mut of_import = json!({"transfer": "i", "source": "dir:out", "list": "imports/i/list.json",
        "stream": "local:b", "state": "COMPLETED", "created": 1_700_000_000_000_000_u64,
        "counts": {"events": 3, "bytes": 9}, "shards": []});
    let shard = json!({"shard": "0", "source": "0", "range": {"from": "start", "until": "after:2"},
        "counts": {"events": 3, "bytes": 9}, "digest": "0000000000000000-0",
        "segments": {"count": 1, "digest": ""}, "gaps": [{"from": "after:4", "until": "after:9"}]});
    of_import["shards"] = json!([shard]);
    let entry = json!({"key": "data/a", "size": 9, "etag": "e", "checksum": "0000000000000001-9",
        "counts": {"events": 3, "bytes": 9}});
    let listed = json!({"shard": "0", "entries": 1, "bytes": 9, "gaps": [],
        "segments": [{"key": "0001/000001.json", "sha256": sha256_hex(b""), "entries": 1}]});
    let mark = json!({"source": {"entry": 0, "offset": 5, "within": 1}, "target": "after:1"});
    let part = |until: &str, len: u64| {
        json!({"checksum": format!("0123456789abcdef-{len}"), "until": until,
        "counts": {"events": 3, "bytes": len}, "times": {"min": 1, "max": 2}})
    };
    let index = json!({"transfer": "t", "shard": "0", "number": 0, "from": "start",
        "parts": [part("after:2", 9), part("after:5", 9), part("after:5+4", u64::MAX)]});
    let segment = |entries: Json| json!({"transfer": "t", "shard": "0", "number": 1, "entries": entries});
    let whole = crate::folder::exported(Format::Avro)["export/manifest.json"].to_vec();
    let text = String::from_utf8(whole.clone()).expect("JSON");
    vec![
        seed("whole-root", whole),
        seed("newer", text.replacen("\"version\":1", "\"version\":4294967295", 1)),
        seed("of-another-kind", text.replacen(sluice_transfer::manifest::ExportManifest::KIND, &"x".repeat(5_000), 1)),
        seed("root", line(&root)),
        seed("segment", line(&segments[0])),
        seed("import", line(&of_import)),
        seed("marks", line(&segment(json!([mark, mark])))),
        seed("sources", line(&json!({"transfer": "i", "source": "dir:out", "shards": [listed]}))),
        seed("index", line(&index)),
        seed("source-entries", line(&segment(json!([entry])))),
        seed("deep", format!("{{\"transfer\":{}", "[".repeat(9_000))),
        seed("deep-envelope", format!("{{\"sluice\":\"export-manifest\",\"body\":{}", "{\"a\":".repeat(2_000))),
        seed("many", format!("{{\"transfer\":\"t\",\"shard\":null,\"number\":1,\"entries\":[{}", "{},".repeat(3_000))),
    ]
}

/// A shard and its objects as [`tiles`](crate::tiles) reads them.
fn tiles() -> Seeds {
    let (root, segments) = manifest_of(Format::Raw);
    let shard = root["shards"][0].clone();
    let of_shard = segments.iter().filter(|segment| segment["shard"] == shard["shard"]);
    let objects: Vec<Json> =
        of_shard.flat_map(|segment| segment["entries"].as_array().cloned().unwrap_or_default()).collect();
    let lines =
        |shard: &Json, objects: &[Json]| std::iter::once(shard).chain(objects).map(line).collect::<Vec<_>>().join("\n");
    let changed = |change: &dyn Fn(&mut Json, &mut Vec<Json>)| {
        let (mut shard, mut objects) = (shard.clone(), objects.clone());
        change(&mut shard, &mut objects);
        lines(&shard, &objects)
    };
    vec![
        seed("whole", lines(&shard, &objects)),
        seed("hole", changed(&|_, objects| drop(objects.remove(1)))),
        seed("overlap", changed(&|_, objects| objects.insert(1, objects[0].clone()))),
        seed("backwards", changed(&|_, objects| objects.reverse())),
        seed(
            "gap",
            changed(&|shard, objects| {
                let lost = objects.remove(1)["until"].clone();
                shard["gaps"] = json!([{"from": objects[0]["until"], "until": lost}]);
                objects[1]["number"] = json!(1);
            }),
        ),
        seed(
            "gaps-that-are-none",
            changed(&|shard, _| {
                shard["gaps"] = json!([{"from": "start", "until": "start"}, {"from": "end", "until": "start"}]);
            }),
        ),
        seed(
            "a-gap-in-what-is-covered",
            changed(&|shard, _| {
                shard["gaps"] = json!([{"from": "after:1", "until": "after:2"}]);
            }),
        ),
        seed(
            "sums-past-all-numbers",
            changed(&|shard, objects| {
                for object in objects {
                    object["counts"] = json!({"events": u64::MAX, "bytes": u64::MAX});
                }
                shard["counts"] = json!({"events": u64::MAX - 2, "bytes": u64::MAX - 2});
            }),
        ),
        seed(
            "numbers-of-256-digits",
            changed(&|shard, objects| {
                let last = json!(format!("after:{}", "9".repeat(256)));
                shard["until"] = last.clone();
                if let Some(object) = objects.last_mut() {
                    object["until"] = last;
                }
            }),
        ),
    ]
}

fn folders() -> Seeds {
    let mut seeds = Vec::new();
    for (name, format) in [("avro", Format::Avro), ("raw", Format::Raw), ("jsonl", Format::Jsonl)] {
        let (root, segments) = manifest_of(format);
        let whole = |root: &Json, segments: &[Json]| {
            std::iter::once(root).chain(segments).map(line).collect::<Vec<_>>().join("\n")
        };
        seeds.push(seed(name, whole(&root, &segments)));
        let mut push = |what: &str, change: &dyn Fn(&mut Json, &mut Vec<Json>)| {
            let (mut root, mut segments) = (root.clone(), segments.clone());
            change(&mut root, &mut segments);
            seeds.push(seed(&format!("{name}-{what}"), whole(&root, &segments)));
        };
        push("climbs", &|_, segments| segments[0]["entries"][0]["key"] = json!("../../etc/passwd"));
        push("absolute", &|_, segments| segments[0]["entries"][0]["key"] = json!("/etc/passwd"));
        push("itself", &|_, segments| segments[0]["entries"][0]["key"] = json!("manifest/shard=0/000001.json"));
        push("the-root", &|_, segments| segments[0]["entries"][0]["key"] = json!("manifest.json"));
        push("a-shard-twice", &|root, segments| {
            root["shards"][1] = root["shards"][0].clone();
            segments[1] = segments[0].clone();
        });
        push("a-segment-twice", &|root, segments| {
            root["shards"][0]["segments"]["count"] = json!(2);
            segments.insert(1, segments[0].clone());
        });
        push("segments-without-end", &|root, _| root["shards"][0]["segments"]["count"] = json!(u32::MAX));
        push("its-own-parent", &|root, _| root["shards"][0]["parents"] = json!([root["shards"][0]["shard"]]));
        push("continues-itself", &|root, _| root["previous"] = json!("manifest.json"));
        push("a-shard-200-times", &|root, segments| {
            let nothing = json!({"shard": "s", "from": "start", "until": "start", "objects": 0,
                "counts": {"events": 0, "bytes": 0}, "gaps": [], "segments": {"count": 0, "digest": ""},
                "parents": []});
            root["shards"] = vec![nothing; 200].into();
            segments.clear();
        });
    }
    seeds
}

/// An item of a table as JSON: its values without the letters of their types.
fn plain(item: &Json) -> Json {
    let Some((kind, value)) = item.as_object().and_then(|item| item.iter().next()) else { return Json::Null };
    match kind.as_str() {
        "M" => fields(value),
        "L" => value.as_array().into_iter().flatten().map(plain).collect(),
        "N" => value.as_str().and_then(|number| serde_json::from_str(number).ok()).unwrap_or_default(),
        "NULL" => Json::Null,
        _ => value.clone(),
    }
}

fn fields(of: &Json) -> Json {
    let fields = of.as_object().into_iter().flatten();
    Json::Object(fields.map(|(name, value)| (name.clone(), plain(value))).collect())
}

fn records() -> Seeds {
    let kept = [
        ("transfer", include_str!("../../golden/records-v1/meta.json")),
        ("shard-of-export", include_str!("../../golden/records-v1/shard-export.json")),
        ("shard-of-import", include_str!("../../golden/records-v1/shard-import.json")),
        ("parts", include_str!("../../golden/records-v1/parts.json")),
    ];
    let record = |text: &str| line(&fields(&serde_json::from_str(text).expect("a kept item")));
    kept.into_iter().map(|(name, text)| seed(name, record(text))).collect()
}

fn requests() -> Seeds {
    let export = json!({"stream": "local:orders", "to": "dir:/archive", "format": "jsonl", "compression": "zstd",
        "from": "ago:1h", "until": "cut:0@12,1@end", "objectSize": 1024, "partSize": 1024, "rate": 1});
    let import = json!({"source": "s3://b/x/manifest.json", "stream": "kinesis:copy", "eventSize": 1,
        "pack": true, "append": true, "rate": 5});
    vec![
        seed("export", line(&export)),
        seed("import", line(&import)),
        seed("export-in-envelope", line(&json!({ "export": export }))),
        seed("import-in-envelope", line(&json!({ "import": import }))),
        seed("least", r#"{"export":{"stream":"local:a","to":"dir:b"}}"#),
        seed("deep", "{\"export\":".repeat(5_000)),
        seed("unknown-field", r#"{"stream":"local:a","to":"dir:b","too":1}"#),
    ]
}

fn texts() -> Seeds {
    let nines = "9".repeat(256);
    vec![
        seed(
            "positions",
            format!(
                "start\nend\nafter:0\nafter:12+400\nafter:00012\n0@12\ncut:0@12,shard-1@end\n0@12,1@end\nafter:{nines}\ncut:0@{nines}\n{nines}\n1{nines}\nstart+1\nend+18446744073709551615"
            ),
        ),
        seed(
            "specs",
            "earliest\nlatest\nago:1h\nago:250ms\nago:18446744073709551615w\n2026-11-22T10:00:00.000001+02:00\n-009999-01-01T00:00:00Z\n9223372036854775807us\n-9223372036854775808us\n2026-01-01T23:59:60Z",
        ),
        seed(
            "names",
            "local:orders\nkinesis://orders\nkinesis:arn:aws:kinesis:eu-west-1:123456789012:stream/orders\narn:aws:kinesis:eu-west-1:123456789012:stream/orders\ns3://archive/orders\ndir:/var/archive\nshardId-000000000001\nmain\n..\n.hidden\na/b\n",
        ),
        seed(
            "keys",
            "data/shard=0/00000000-00000000000000000005.avro\n../x\n/abs\na/../b\na//b\n./a\na\\b\n.sluice/x\na/.sluice/x\nc:\\x\na/\n~/x\na\u{0}b\n\u{2024}\u{2024}/x\n",
        ),
        seed(
            "sums",
            "0123456789abcdef-9\nsum:ffffffffffffffff-18446744073709551615\n+123456789abcdef-9\nABCDEF0123456789-+9\n",
        ),
        seed(
            "long",
            format!("{}\n{}:{}\n{}@1", "a".repeat(2_000), "x".repeat(2_000), "y".repeat(2_000), "z".repeat(2_000)),
        ),
    ]
}
