//! Records as texts and back.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::record::RECORD_VERSION;

use crate::file::LABEL;

/// The field that every record has, in every version.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A record as JSON. `name` is what it is called in messages.
pub(crate) fn to_text<T: Serialize>(name: &str, record: &T) -> Result<String> {
    serde_json::to_string(record)
        .map_err(|error| Error::with(ErrorKind::Invalid, format!("{LABEL}: {name} cannot be written"), error))
}

/// JSON as a record.
pub(crate) fn from_text<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    let corrupt = |error| Error::with(ErrorKind::Corrupt, format!("{LABEL}: {name} is not a record"), error);
    let Versioned { version } = serde_json::from_str(text).map_err(corrupt)?;
    if version > RECORD_VERSION {
        let what = format!(
            "{LABEL}: {name} has version {version}, and this Sluice reads up to {RECORD_VERSION}: go on with the newer \
             one that wrote it"
        );
        return Err(Error::new(ErrorKind::Newer, what));
    }
    serde_json::from_str(text).map_err(corrupt)
}

/// What a write is conditional on, of the record that stands.
#[derive(Deserialize)]
pub(crate) struct Standing {
    pub(crate) revision: u64,
    /// Transfers have none.
    #[serde(default)]
    epoch: u64,
}

impl Standing {
    /// True if a record of that revision and epoch may follow.
    pub(crate) fn is_before(&self, revision: u64, epoch: u64) -> bool {
        self.revision.checked_add(1) == Some(revision) && self.epoch <= epoch
    }
}
