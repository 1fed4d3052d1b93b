//! A whole export in a bucket, with a manifest that somebody else wrote, and an import of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_operations::{
    Engine, Finish, Settings, Settled, SliceOrder, SliceOutcome, export_slice, finish, import_slice, plan, settle,
};
use sluice_ports::{Capabilities, NewEvent, StreamAdmin, StreamReader, append_once};
use sluice_transfer::manifest::{Document, ExportManifest, ManifestObject, Segment, SegmentChain};
use sluice_transfer::record::Proof;
use sluice_transfer::{
    Budget, Counts, ExportRequest, Format, ImportRequest, ObjectKeys, Position, Request, ShardId, State, Timestamp,
    TransferId, sha256_hex,
};

use crate::documents::sealed;

const SHARDS: u32 = 2;
const EVENTS: u64 = 6;
const ROOT: &str = "export/manifest.json";

fn engine(source: MemoryStream, target: MemoryStream, bucket: MemoryBucket) -> Engine {
    Engine {
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        places: Arc::new(MemoryPlaces { source, target, bucket, work: MemoryBucket::new() }),
        clock: Arc::new(MemoryClock::stepping()),
        settings: Settings { wind_down_millis: 0, ..Settings::default() },
    }
}

fn order(engine: &Engine, id: &TransferId, slice: u32) -> SliceOrder {
    let deadline = engine.clock.now().plus_millis(1_000_000_000);
    let budget = Budget { events: None, bytes: None, deadline };
    SliceOrder { id: id.clone(), lane: Vec::new(), slice: format!("slice-{slice}"), budget, proof: Proof::SoleOwner }
}

fn shard(number: u32) -> ShardId {
    number.to_string().parse().expect("a plain name")
}

/// The objects of an export, manifest and all, in that format; the same each time.
pub(crate) fn exported(format: Format) -> &'static BTreeMap<String, Bytes> {
    static KEPT: [OnceLock<BTreeMap<String, Bytes>>; 3] = [const { OnceLock::new() }; 3];
    let place = match format {
        Format::Avro => 0,
        Format::Raw => 1,
        Format::Jsonl => 2,
    };
    KEPT[place].get_or_init(|| export(format))
}

fn export(format: Format) -> BTreeMap<String, Bytes> {
    // A block of Avro ends at the first event past 64 KiB, and objects end with a block.
    let size = if format == Format::Avro { 33_000 } else { 100 };
    let source = MemoryStream::new();
    now(source.create(SHARDS)).expect("a stream");
    for number in 0..SHARDS {
        let event = |n: u64| NewEvent {
            time: Timestamp::from_millis(0),
            key: sluice_transfer::Value::Absent,
            headers: Vec::new(),
            payload: vec![b'0' + n.to_le_bytes()[0]; size].into(),
        };
        let events: Vec<NewEvent> = (0..EVENTS).map(|n| event(n + u64::from(number))).collect();
        now(append_once(&source, &shard(number), None, &Position::Beginning, &events)).expect("room");
    }
    let bucket = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
    let engine = engine(source, MemoryStream::new(), bucket.clone());
    let request = Request::Export(ExportRequest {
        format: Some(format),
        object_size: Some(250),
        part_size: Some(250),
        ..ExportRequest::new(
            "memory:source".parse().expect("a stream's name"),
            "memory:archive".parse().expect("a bucket's name"),
        )
    });
    let id: TransferId = "export".parse().expect("a plain name");
    now(plan(&engine, &id, &request, "fuzz")).expect("a plan");
    let order = order(&engine, &id, 0);
    assert_eq!(now(export_slice(&engine, &order)).expect("a slice"), SliceOutcome::Done);
    assert_eq!(now(settle(&engine, &order, None)).expect("a settlement"), Settled::Finish);
    assert_eq!(now(finish(&engine, &order)).expect("an end"), Finish::Ended);
    bucket.read_all()
}

/// The root's body on the first line, those of segments on the others, in their order; all of them are sealed, and the
/// chains of digests are right. The objects are those of [`exported`].
pub fn folder(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (root, segments) = text.split_once('\n').unwrap_or((text, ""));
    let (format, files) = forged(root, segments);
    let mut archive = exported(format).clone();
    archive.retain(|key, _| key.contains("/data/"));
    archive.extend(files);
    let bucket = MemoryBucket::new();
    for (key, bytes) in &archive {
        bucket.put_foreign(key, bytes.clone());
    }
    let target = MemoryStream::new();
    let done = import(&engine(MemoryStream::new(), target.clone(), bucket.clone()), &target, format);
    assert!(bucket.read_all() == archive, "the archive is not what it was");
    let manifest = ExportManifest::from_bytes(&archive[ROOT]);
    if done {
        let manifest = manifest.expect("what was imported has a manifest");
        let said: u128 = manifest.shards.iter().map(|shard| u128::from(shard.counts.bytes)).sum();
        assert_eq!(u128::from(arrived(&target).bytes), said, "other bytes arrived than the manifest says");
    }
}

/// The documents, and which format they say.
fn forged(root: &str, segments: &str) -> (Format, BTreeMap<String, Bytes>) {
    let (mut lines, mut files, mut format) = (segments.lines(), BTreeMap::new(), Format::Avro);
    let mut body = root.to_owned();
    if let Ok(mut parsed) = serde_json::from_str::<Value>(root) {
        format = match parsed["format"].as_str() {
            Some("raw") => Format::Raw,
            Some("jsonl") => Format::Jsonl,
            _ => Format::Avro,
        };
        for listed in parsed.get_mut("shards").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(Ok(shard)) = listed["shard"].as_str().map(str::parse::<ShardId>) else { continue };
            let count = listed["segments"]["count"].as_u64().unwrap_or(0);
            let mut chain = SegmentChain::default();
            for number in 1..=u32::try_from(count).unwrap_or(u32::MAX) {
                let Some(line) = lines.next() else { break };
                let bytes = sealed(Segment::<ManifestObject>::KIND, line);
                chain.push(&sha256_hex(&bytes));
                files.insert(format!("export/{}", ObjectKeys::segment(&shard, number)), bytes.into());
            }
            if let Some(digest) = listed.get_mut("segments").and_then(|segments| segments.get_mut("digest")) {
                *digest = chain.digest.into();
            }
        }
        body = parsed.to_string();
    }
    files.insert(ROOT.to_owned(), sealed(ExportManifest::KIND, &body).into());
    (format, files)
}

/// Whether everything arrived. What is refused before it begins leaves nothing.
fn import(engine: &Engine, target: &MemoryStream, format: Format) -> bool {
    let request = Request::Import(ImportRequest {
        event_size: (format == Format::Raw).then_some(100),
        ..ImportRequest::new(
            "memory:archive".parse().expect("a bucket's name"),
            "memory:target".parse().expect("a stream's name"),
        )
    });
    let id: TransferId = "import".parse().expect("a plain name");
    if let Err(error) = now(plan(engine, &id, &request, "fuzz")) {
        assert!(!error.message.is_empty() && error.message.len() < 4_000, "an error of {} bytes", error.message.len());
        assert_eq!(arrived(target), Counts::default(), "it was refused, and something was written");
        return false;
    }
    for slice in 0..10 {
        let order = order(engine, &id, slice);
        match now(import_slice(engine, &order)) {
            Ok(SliceOutcome::Done) => {}
            Ok(SliceOutcome::Failed(failure)) => {
                assert!(!failure.message.is_empty() && failure.message.len() < 4_000, "a failure that says too much");
                return false;
            }
            Ok(_) => continue,
            Err(error) => {
                assert!(!error.message.is_empty() && error.message.len() < 4_000, "an error that says too much");
                return false;
            }
        }
        if now(settle(engine, &order, None)) != Ok(Settled::Finish) || now(finish(engine, &order)) != Ok(Finish::Ended)
        {
            return false;
        }
        let transfer = now(engine.checkpoints.transfer(&id)).expect("a table in memory").expect("it was planned");
        return [State::Completed, State::CompletedWithGaps].contains(&transfer.state);
    }
    panic!("an import of a few KiB takes more than ten slices");
}

fn arrived(target: &MemoryStream) -> Counts {
    let Ok(info) = now(target.describe()) else { return Counts::default() };
    let events = info.shards.iter().flat_map(|shard| target.events(&shard.shard));
    events.map(|event| Counts::new(1, event.payload.len() as u64)).sum()
}

/// Seeds of [`folder`]: the manifest of [`exported`], as it is.
pub(crate) fn manifest_of(format: Format) -> (Value, Vec<Value>) {
    let files = exported(format);
    let body = |bytes: &Bytes| {
        let document: Value = serde_json::from_slice(bytes).expect("a document of ours");
        document["body"].clone()
    };
    let segments = files.iter().filter(|(key, _)| key.contains("/manifest/")).map(|(_, bytes)| body(bytes));
    (body(&files[ROOT]), segments.collect())
}
