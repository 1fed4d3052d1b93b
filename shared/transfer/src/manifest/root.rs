//! Checks of an export's root that need no other document.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExportManifest, ManifestError};
use crate::limits::{GAPS, SHARDS};
use crate::{Counts, ShardId};

impl ExportManifest {
    /// Its shards are as many as a transfer has, each is there once, comes after its parents, and together they are
    /// what the root says. Whether their objects are there is for [`super::Tiles`].
    pub fn check(&self) -> Result<(), ManifestError> {
        let wrong = |why: String| Err(ManifestError::Root(why));
        if self.shards.len() > SHARDS {
            return wrong(format!("it has {} shards; at most {SHARDS} are in one transfer", self.shards.len()));
        }
        if self.shards.is_empty() {
            return wrong("it lists no shards, and every export has some".to_owned());
        }
        let (mut names, mut counts, mut objects) = (BTreeSet::new(), Counts::default(), 0_u64);
        for shard in &self.shards {
            let name = &shard.shard;
            if !names.insert(name) {
                return wrong(format!("the shard {name} is listed twice"));
            }
            if shard.gaps.len() > GAPS {
                return wrong(format!("shard {name}: {} gaps; at most {GAPS} are recorded", shard.gaps.len()));
            }
            match (counts.checked_add(shard.counts), objects.checked_add(shard.objects)) {
                (Some(more), Some(listed)) => (counts, objects) = (more, listed),
                _ => return wrong(format!("shard {name}: its sums are past all numbers")),
            }
        }
        if (counts, objects) != (self.counts, self.objects) {
            return wrong(format!(
                "its shards have {} events of {} bytes in {objects} objects together, it says {} of {} in {}",
                counts.events, counts.bytes, self.counts.events, self.counts.bytes, self.objects
            ));
        }
        match self.in_a_circle() {
            Some(shard) => wrong(format!("shard {shard} continues itself, by its parents")),
            None => Ok(()),
        }
    }

    /// A shard that comes back to itself by way of parents. Those that are not listed were not exported.
    fn in_a_circle(&self) -> Option<&ShardId> {
        let mut waits: BTreeMap<&ShardId, usize> = self.shards.iter().map(|shard| (&shard.shard, 0)).collect();
        let mut children: BTreeMap<&ShardId, Vec<&ShardId>> = BTreeMap::new();
        for shard in &self.shards {
            for parent in shard.parents.iter().filter(|parent| names(&waits, parent)) {
                children.entry(parent).or_default().push(&shard.shard);
            }
        }
        for child in children.values().flatten() {
            *waits.entry(child).or_default() += 1;
        }
        // Whoever waits for nobody goes, and those who wait for it wait for one less (Kahn 1962).
        let mut free: Vec<&ShardId> = waits.iter().filter(|(_, count)| **count == 0).map(|(shard, _)| *shard).collect();
        while let Some(shard) = free.pop() {
            waits.remove(shard);
            for child in children.remove(shard).into_iter().flatten() {
                let count = waits.entry(child).or_default();
                *count -= 1;
                if *count == 0 {
                    free.push(child);
                }
            }
        }
        waits.into_keys().next()
    }
}

fn names(of: &BTreeMap<&ShardId, usize>, shard: &ShardId) -> bool {
    of.contains_key(shard)
}
