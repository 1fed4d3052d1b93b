//! Memory: every byte is moved once, as whoever packs events into parts cannot avoid.

use std::hint::black_box;

use crate::measure::{Job, tell};
use crate::{Load, Result};

/// What a part holds.
const PART: usize = 8 << 20;

pub(crate) fn run(load: Load) -> Result<()> {
    let joined = load.joined();
    let job = Job::begin();
    let mut part = Vec::with_capacity(PART + load.event);
    for payload in joined.chunks(load.event) {
        if part.len() >= PART {
            black_box(&part);
            part.clear();
        }
        part.extend_from_slice(payload);
    }
    black_box(part);
    tell(joined.len(), job.end(), &[])
}
