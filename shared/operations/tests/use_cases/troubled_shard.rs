//! A store that is in trouble with one shard: the others are exported to their end, and only then trouble counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, Layered, OtherPlaces, Rig, shard};
use sluice_memory::{MemoryBucket, now};
use sluice_operations::{Settings, SliceOutcome, export_slice, plan};
use sluice_ports::{BucketStore, Error, ErrorKind, Metadata, NewEvent, PutAnswer, Result};
use sluice_transfer::record::ShardRecord;
use sluice_transfer::{Checksum, Compression, ExportRequest, Format, Request, Timestamp, TransferId, UploadId, Value};

const EVENTS: u64 = 40;

/// A bucket that takes nothing of shard 1 while it is in trouble.
struct Troubled {
    inner: MemoryBucket,
    trouble: Arc<AtomicBool>,
}

impl Troubled {
    fn refuse(&self, key: &str) -> Result<()> {
        if self.trouble.load(Ordering::Relaxed) && key.contains("shard=1/") {
            return Err(Error::new(ErrorKind::Unavailable, format!("{key} is out of reach")));
        }
        Ok(())
    }
}

#[async_trait]
impl BucketLayer for Troubled {
    fn inner(&self) -> &dyn BucketStore {
        &self.inner
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.refuse(key)?;
        self.inner.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.refuse(key)?;
        self.inner.create_upload(key, metadata).await
    }
}

#[test]
fn it_stops_only_itself_and_counts_once_nothing_else_moves() {
    let event = |number: u64| NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::from(vec![number.to_le_bytes()[0]; 1_000]),
    };
    let events = || (0..EVENTS).map(event).collect::<Vec<_>>();
    let settings = Settings { read_bytes: 4_000, wind_down_millis: 100, ..Settings::default() };
    let mut rig = Rig::new(settings, &[events(), events()]);
    let trouble = Arc::new(AtomicBool::new(true));
    rig.engine.places = Arc::new(OtherPlaces {
        places: rig.engine.places.clone(),
        archive: Arc::new(Layered(Troubled { inner: rig.bucket.clone(), trouble: trouble.clone() })),
        target: None,
    });
    let id: TransferId = "export".parse().unwrap();
    let request = Request::Export(ExportRequest {
        format: Some(Format::Raw),
        compression: Some(Compression::Plain),
        object_size: Some(4_000),
        part_size: Some(4_000),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    });
    now(plan(&rig.engine, &id, &request, "test")).unwrap();
    let slice = || now(export_slice(&rig.engine, &rig.order(&id, 1_000))).unwrap();
    let record = |number| -> ShardRecord { now(rig.engine.checkpoints.shard(&id, &shard(number))).unwrap().unwrap() };
    let mut outcomes = Vec::new();
    while !record(0).is_drained() {
        outcomes.push(slice());
        assert!(outcomes.len() < 100, "shard 0 does not come to its end");
    }
    assert!(outcomes.iter().all(|outcome| *outcome == SliceOutcome::More), "trouble holds shard 0 up: {outcomes:?}");
    for _ in 0..3 {
        let outcome = slice();
        assert!(matches!(outcome, SliceOutcome::Interrupted(_)), "nothing else moves: {outcome:?}");
    }
    assert_eq!((record(1).moved().events, record(1).idle_slices), (0, 0), "the shard is not stuck, its bucket is");
    trouble.store(false, Ordering::Relaxed);
    while !record(1).is_drained() {
        outcomes.push(slice());
        assert!(outcomes.len() < 200, "shard 1 does not go on");
    }
}
