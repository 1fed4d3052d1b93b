//! The adapter against the port's suite, on a Kinesis in process whose time is tokio's, paused.
#![cfg(test)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use sluice_fake_kinesis::{Behind, Faults, Kinesis};
use sluice_kit::{Layered, StreamLayer};
use sluice_ports::{Read, ReadLimit, Result, StreamReader, StreamStore};
use sluice_stream_kinesis::KinesisStream;
use sluice_transfer::{Position, ShardId};
use tokio::sync::OnceCell;

use crate::world::stream;

async fn conforms(faults: Faults) {
    let kinesis = Kinesis::new();
    kinesis.set(faults);
    let streams = AtomicU32::new(0);
    sluice_conformance::stream::run(|_| {
        let name = format!("stream-{}", streams.fetch_add(1, Ordering::Relaxed));
        std::future::ready(Arc::new(stream(&kinesis, &name)) as Arc<dyn StreamStore>)
    })
    .await;
}

/// A stream that is read as a registered consumer, once it is there.
struct Fanned {
    stream: KinesisStream,
    registered: OnceCell<()>,
}

#[async_trait]
impl StreamLayer for Fanned {
    fn inner(&self) -> &dyn StreamStore {
        &self.stream
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.registered.get_or_try_init(|| self.stream.register_reader("sluice-suite")).await?;
        self.stream.read(shard, from, limit).await
    }
}

async fn conforms_by_fanout(faults: Faults) {
    let kinesis = Kinesis::new();
    kinesis.set(faults);
    let streams = AtomicU32::new(0);
    sluice_conformance::stream::run(|_| {
        let name = format!("stream-{}", streams.fetch_add(1, Ordering::Relaxed));
        let fanned = Fanned { stream: stream(&kinesis, &name), registered: OnceCell::new() };
        std::future::ready(Arc::new(Layered(fanned)) as Arc<dyn StreamStore>)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_kinesis_without_faults_by_fanout() {
    conforms_by_fanout(Faults { latency: 10, ..Faults::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_kinesis_with_limits_and_silence_by_fanout() {
    conforms_by_fanout(Faults::real()).await;
}

#[tokio::test(start_paused = true)]
async fn a_kinesis_without_faults() {
    conforms(Faults { latency: 10, ..Faults::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_kinesis_with_limits_and_silence() {
    conforms(Faults::real()).await;
}

#[tokio::test(start_paused = true)]
async fn a_kinesis_whose_iterators_behind_the_horizon_answer_nothing() {
    conforms(Faults { behind: Behind::EmptyForEver, ..Faults::real() }).await;
}
