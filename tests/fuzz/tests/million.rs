//! Manifests of a million entries, with something wrong in them: refused by name, in bounded memory, and nothing is
//! written. No bucket holds them: what is asked for is made on the spot.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryStream, now};
use sluice_operations::{Code, Engine, OperationError, Planned, Settings, plan};
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Error, ErrorKind, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer,
    Places, PutAnswer, Result, StreamReader, StreamStore,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{BucketUri, Checksum, ImportRequest, Request, StreamUri, UploadId, sha256_hex};

const MILLION: u64 = 1_000_000;
/// Entries of a segment: of some 40 MB.
const AT_ONCE: u64 = 200_000;
/// What the process may hold at its peak: a document of 64 MiB, what it becomes, and as much again.
const LARGEST_MEMORY_KIB: u64 = 400 << 10;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Hole,
    Overlap,
    Climbs,
    Absolute,
    PastAllNumbers,
    Cycle,
    EmptySegments,
    Shards,
    MoreShardsThanFit,
    Gaps,
}

/// An export of so many objects, of which that at `bad` is wrong.
#[derive(Clone, Copy, Debug)]
struct Forged {
    wrong: Wrong,
    objects: u64,
    bad: u64,
}

fn sealed(kind: &str, body: &str) -> Bytes {
    let sha256 = sha256_hex(body.as_bytes());
    format!("{{\"sluice\":\"{kind}\",\"version\":1,\"sha256\":\"{sha256}\",\"body\":{body}}}\n").into()
}

impl Forged {
    fn segments(self) -> u64 {
        if self.wrong == Wrong::EmptySegments { MILLION } else { self.objects.div_ceil(AT_ONCE) }
    }

    fn root(self) -> Bytes {
        let mut digest = String::new();
        if self.wrong == Wrong::Nothing {
            for number in 1..=self.segments() {
                digest = sha256_hex(format!("{digest}{}", sha256_hex(&self.segment(number))).as_bytes());
            }
        }
        let objects = self.objects;
        let shard = |name: u64, gaps: &str| {
            format!(
                "{{\"shard\":\"{name}\",\"from\":\"after:0\",\"until\":\"after:{objects}\",\"objects\":{objects},\
                 \"counts\":{{\"events\":{objects},\"bytes\":{objects}}},\"gaps\":[{gaps}],\"parents\":[],\
                 \"segments\":{{\"count\":{},\"digest\":\"{digest}\"}}}}",
                self.segments()
            )
        };
        let shards = match self.wrong {
            Wrong::Shards => (0..300_000).map(|name| shard(name, "")).collect::<Vec<_>>().join(","),
            Wrong::MoreShardsThanFit => (0..MILLION).map(|name| shard(name, "")).collect::<Vec<_>>().join(","),
            Wrong::Gaps => {
                let gap = "{\"from\":\"after:1\",\"until\":\"after:2\"},".repeat(1_000_000);
                shard(0, gap.trim_end_matches(','))
            }
            _ => shard(0, ""),
        };
        let body = format!(
            "{{\"transfer\":\"export\",\"stream\":\"memory:source\",\"format\":\"avro\",\"encoder\":1,\
             \"state\":\"COMPLETED\",\"created\":0,\"counts\":{{\"events\":{objects},\"bytes\":{objects}}},\
             \"objects\":{objects},\"shards\":[{shards}],\"previous\":null}}"
        );
        sealed("export-manifest", &body)
    }

    fn segment(self, number: u64) -> Bytes {
        let mut entries = String::new();
        let number = if self.wrong == Wrong::Cycle { 1 } else { number };
        let first = if self.wrong == Wrong::EmptySegments { self.objects } else { (number - 1) * AT_ONCE };
        for n in first..(first + AT_ONCE).min(self.objects) {
            let bad = n == self.bad;
            let from = match self.wrong {
                Wrong::Hole if bad => n + 1,
                Wrong::Overlap if bad => n - 1,
                _ => n,
            };
            let folder = match self.wrong {
                Wrong::Climbs if bad => "data/../../..",
                Wrong::Absolute if bad => "/data",
                _ => "data",
            };
            let events = if self.wrong == Wrong::PastAllNumbers && bad { u64::MAX } else { 1 };
            let comma = if entries.is_empty() { "" } else { "," };
            let until = n + 1;
            write!(
                entries,
                "{comma}{{\"key\":\"{folder}/{n}\",\"number\":{n},\"incarnation\":0,\"from\":\"after:{from}\",\
                 \"until\":\"after:{until}\",\"checksum\":\"0000000000000000-9\",\"etag\":\"e\",\
                 \"counts\":{{\"events\":{events},\"bytes\":1}}}}"
            )
            .unwrap();
        }
        let body = format!("{{\"transfer\":\"export\",\"shard\":\"0\",\"number\":{number},\"entries\":[{entries}]}}");
        sealed("export-segment", &body)
    }
}

/// Makes documents as they are asked for, and remembers the last one. What is put is forgotten, but for the root of the
/// list of sources, which planning reads again.
struct Endless {
    forged: Forged,
    last: Mutex<(String, Bytes)>,
    put: Mutex<u64>,
    roots: MemoryBucket,
}

impl Endless {
    fn new(forged: Forged) -> Self {
        Self { forged, last: Mutex::default(), put: Mutex::default(), roots: MemoryBucket::new() }
    }

    fn document(&self, key: &str) -> Option<Bytes> {
        let mut last = self.last.lock().unwrap();
        if last.0 != key {
            let made = match key.strip_prefix("export/")? {
                "manifest.json" => self.forged.root(),
                other => {
                    let number = other.strip_prefix("manifest/shard=0/")?.strip_suffix(".json")?.parse().ok()?;
                    self.forged.segment(number)
                }
            };
            *last = (key.to_owned(), made);
        }
        Some(last.1.clone())
    }
}

fn not_asked<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Invalid, "planning an import does not do this"))
}

#[async_trait]
impl BucketStore for Endless {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.roots.capabilities().await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let size = match self.document(key) {
            Some(document) => document.len() as u64,
            None if key.starts_with("export/data/") => 9,
            None => return self.roots.head(key).await,
        };
        Ok(Some(ObjectInfo { size, etag: "e".to_owned(), checksum: None, metadata: BTreeMap::new() }))
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        let Some(document) = self.document(key) else { return self.roots.get(key, pin, offset, len).await };
        let at = |at: u64| usize::try_from(at).unwrap().min(document.len());
        Ok(document.slice(at(offset)..at(offset.saturating_add(len))))
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        *self.put.lock().unwrap() += 1;
        if key.ends_with("/list.json") {
            return self.roots.put(key, bytes, checksum, metadata).await;
        }
        Ok(PutAnswer::Stored { etag: "e".to_owned() })
    }

    async fn create_upload(&self, _: &str, _: &Metadata) -> Result<UploadId> {
        not_asked()
    }

    async fn upload_part(&self, _: &str, _: &UploadId, _: u64, _: u64, _: Bytes, _: Checksum) -> Result<PartAnswer> {
        not_asked()
    }

    async fn list_parts(&self, _: &str, _: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        not_asked()
    }

    async fn complete(&self, _: &str, _: &UploadId, _: &[PartEntry], _: Checksum) -> Result<CompleteAnswer> {
        not_asked()
    }

    async fn abort(&self, _: &str, _: &UploadId) -> Result<()> {
        not_asked()
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Listed>> {
        not_asked()
    }

    async fn list_uploads(&self, _: &str) -> Result<Vec<OpenUpload>> {
        not_asked()
    }
}

struct World {
    archive: Arc<Endless>,
    work: Arc<Endless>,
    target: MemoryStream,
}

#[async_trait]
impl Places for World {
    async fn stream(&self, _: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(Arc::new(self.target.clone()))
    }

    async fn bucket(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((self.work.clone(), String::new()))
    }

    async fn source(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((self.archive.clone(), "export/manifest.json".to_owned()))
    }

    fn work(&self) -> BucketUri {
        "memory:work".parse().unwrap()
    }
}

/// Plans an import. Nothing is written into the archive in any case, and no target is made of what is refused.
fn planned(forged: Forged) -> std::result::Result<Planned, OperationError> {
    let (archive, work) = (Arc::new(Endless::new(forged)), Arc::new(Endless::new(forged)));
    let target = MemoryStream::new();
    let engine = Engine {
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        places: Arc::new(World { archive: archive.clone(), work, target: target.clone() }),
        clock: Arc::new(MemoryClock::still()),
        settings: Settings::default(),
    };
    let request =
        Request::Import(ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap()));
    let planned = now(plan(&engine, &"import".parse().unwrap(), &request, "test"));
    assert_eq!(*archive.put.lock().unwrap(), 0, "the archive is written to");
    if planned.is_err() {
        let there = now(target.describe());
        assert_eq!(there.unwrap_err().kind(), ErrorKind::NotFound, "a target was made");
    }
    planned
}

/// The process's peak, where the system tells (Linux, proc(5)).
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// One test, so that nothing else is in the process whose memory is measured.
#[test]
fn a_million_entries_with_something_wrong_are_refused() {
    let fine = Forged { wrong: Wrong::Nothing, objects: 1_000, bad: 0 };
    assert_eq!(planned(fine).unwrap().transfer.shards.len(), 1, "what is right is taken");
    let early = 50_000;
    for (wrong, bad, said) in [
        (Wrong::Hole, MILLION - 1, "nothing covers after:999999 to after:1000000"),
        (Wrong::Overlap, early, "is covered already"),
        (Wrong::Climbs, early, "it climbs"),
        (Wrong::Absolute, early, "it is absolute"),
        (Wrong::PastAllNumbers, early, "do not add up"),
        (Wrong::Cycle, 0, "0 begins at after:0, but all up to after:200000 is covered already"),
        (Wrong::EmptySegments, 0, "chained digest differs"),
        (Wrong::Shards, 0, "300000 shards; at most 1000"),
        (Wrong::Gaps, 0, "1000000 gaps; at most 100"),
        (Wrong::MoreShardsThanFit, 0, "at most 67108864 are read"),
    ] {
        let error = planned(Forged { wrong, objects: MILLION, bad }).unwrap_err();
        println!("{wrong:?}: {}; peak {:?} MiB", error.message, peak_kib().map(|kib| kib >> 10));
        assert_eq!(error.code, Code::ManifestInvalid, "{wrong:?}: {}", error.message);
        assert!(error.message.contains(said) && error.message.len() < 500, "{wrong:?}: {}", error.message);
        // The document that is too large to be read is made whole here, so it comes last.
        if wrong != Wrong::MoreShardsThanFit {
            assert!(peak_kib().is_none_or(|kib| kib < LARGEST_MEMORY_KIB), "{wrong:?}: {:?} KiB", peak_kib());
        }
    }
}
