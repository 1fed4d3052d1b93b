//! The in-memory checkpoints keep every promise of their port.

use std::sync::Arc;

use sluice_ports::memory::MemoryCheckpoints;
use sluice_ports::{CheckpointStore, conformance};

#[tokio::test]
async fn memory_checkpoints_conform() {
    conformance::checkpoint::run(|| async { Arc::new(MemoryCheckpoints::new()) as Arc<dyn CheckpointStore> }).await;
}
