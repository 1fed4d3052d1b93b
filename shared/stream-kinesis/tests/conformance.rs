//! The adapter against the port's suite, on a Kinesis in process whose time is tokio's, paused.
#![cfg(test)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sluice_fake_kinesis::{Behind, Faults, Kinesis};
use sluice_ports::StreamStore;

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
