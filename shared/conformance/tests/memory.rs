//! The in-memory stores keep every promise of their ports.
#![cfg(test)]

use std::sync::Arc;

use sluice_conformance::{bucket, checkpoint, stream, sweep};
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryStream};
use sluice_ports::{BucketStore, Capabilities, CheckpointStore, StreamStore};

#[tokio::test]
async fn a_stream() {
    stream::run(|_| async { Arc::new(MemoryStream::new()) as Arc<dyn StreamStore> }).await;
}

#[tokio::test]
async fn a_stream_that_appends_by_key() {
    stream::run(|_| async { Arc::new(MemoryStream::by_key()) as Arc<dyn StreamStore> }).await;
}

#[tokio::test]
async fn a_stream_whose_keys_lead_to_shards() {
    stream::run(|_| async { Arc::new(MemoryStream::by_key().hashed()) as Arc<dyn StreamStore> }).await;
}

#[tokio::test]
async fn a_bucket() {
    bucket::run(|| async { Arc::new(MemoryBucket::new()) as Arc<dyn BucketStore> }).await;
}

#[tokio::test]
async fn a_bucket_with_fresh_etags_and_large_parts() {
    bucket::run(|| async {
        let abilities = Capabilities { create_only: true, smallest_part: 64, attests_content: false };
        Arc::new(MemoryBucket::with(abilities).with_fresh_etags()) as Arc<dyn BucketStore>
    })
    .await;
}

#[tokio::test]
async fn checkpoints() {
    checkpoint::run(|| async { Arc::new(MemoryCheckpoints::new()) as Arc<dyn CheckpointStore> }).await;
    sweep::run(|| async { Arc::new(MemoryCheckpoints::new()) }).await;
}
