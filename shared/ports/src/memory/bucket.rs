//! .

/// .
#[derive(Debug, Default)]
pub struct MemoryBucket;
