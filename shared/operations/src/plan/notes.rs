//! The notes of a plan on its request: bounds that mean less than they seem to.

use serde::{Deserialize, Serialize};
use sluice_transfer::noun;

/// Sentences that are kept; a transfer of a thousand shards could have a thousand of each kind.
const KEPT: usize = 10;

/// Sentences for a person, not too many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    kept: Vec<String>,
    more: u64,
}

impl Notes {
    pub(super) fn push(&mut self, note: String) {
        if self.kept.len() < KEPT { self.kept.push(note) } else { self.more += 1 }
    }

    pub(super) fn extend(&mut self, notes: impl IntoIterator<Item = String>) {
        notes.into_iter().for_each(|note| self.push(note));
    }

    /// As a transfer's record has them.
    pub(super) fn into_vec(self) -> Vec<String> {
        let mut notes = self.kept;
        if self.more > 0 {
            notes.push(format!("{} more {} like these", self.more, noun(self.more, "note")));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_counted() {
        let mut notes = Notes::default();
        assert_eq!(notes.clone().into_vec(), [""; 0]);
        notes.extend((0..KEPT + 3).map(|n| n.to_string()));
        let notes = notes.into_vec();
        assert_eq!(notes.len(), KEPT + 1);
        assert_eq!(notes.last().unwrap(), "3 more notes like these");
    }
}
