//! .

/// .
#[derive(Debug, Default)]
pub struct MemoryCheckpoints;
