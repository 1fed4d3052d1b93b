//! .

/// .
#[derive(Debug, Default)]
pub struct MemoryStream;
