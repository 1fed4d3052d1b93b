//! Imports in the rhythm of their source: some schedules ask for it, and no event may arrive before it is due.

use std::collections::BTreeMap;

use sluice_memory::MemoryStream;
use sluice_ports::NewEvent;
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{Anchor, Encoding, Format, Schedule, ShardId, Tempo, Timestamp};

use crate::random::Random;
use crate::scheduler::Violation;

/// A slice waits for so long within itself, in milliseconds: some gaps are longer, others not.
pub(crate) const LULL_MILLIS: u64 = 100;

/// The paces that are asked for. Events are 7 ms apart at the source, so gaps last up to a third of a second.
const PACES: [&str; 4] = ["original", "0.5x", "0.05x", "0.02x"];

/// The pace of a schedule, where objects hold times; drawn apart, so that schedules of before stay what they were.
pub(crate) fn draw(seed: u64, encoding: Encoding) -> Option<Tempo> {
    let mut apart = Random::new(seed ^ 0x7e3b_0b7e);
    let pace = PACES[apart.size(0, PACES.len() - 1)].parse().expect("a pace");
    (encoding.format != Format::Raw && apart.chance(250)).then_some(pace)
}

/// Holds an import to its rhythm.
#[derive(Default)]
pub(crate) struct Rhythm {
    /// When writing began at first. Rests put it off, and a slice that was left behind need not know of them.
    began: Option<Anchor>,
}

impl Rhythm {
    /// No shard of the target holds more events than are due.
    pub(crate) fn step(
        &mut self,
        transfer: &TransferRecord,
        target: &MemoryStream,
        expected: &BTreeMap<ShardId, Vec<NewEvent>>,
        now: Timestamp,
    ) -> Result<(), Violation> {
        let Some(rhythm) = transfer.rhythm() else { return Ok(()) };
        if let Some(anchor) = transfer.anchor {
            self.began.get_or_insert(Anchor { held: None, ..anchor });
        }
        for (shard, events) in expected {
            let there = target.events(shard).len();
            let is_due =
                |event: &&NewEvent| self.began.is_some_and(|anchor| Schedule { rhythm, anchor }.due(event.time) <= now);
            let due = events.iter().filter(is_due).count();
            if there > due {
                return Err(format!("shard {shard} of the target holds {there} events, and {due} are due"));
            }
        }
        Ok(())
    }
}
