//! Records as items and back.
//!
//! **Invariant.** An item of a newer version is never read as if it were known, and one that does not parse is never
//! taken for a missing one.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::limits::excerpt;
use sluice_transfer::record::RECORD_VERSION;
use sluice_transfer::{StreamUri, TransferId};

use crate::key::{Key, PARTITION, SORT};

/// Attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Says what an item is; records have a `kind` of their own.
pub(crate) const KIND: &str = "item";
const VERSION: &str = "version";

/// The import that holds a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriterRecord {
    /// Version of this record's shape.
    pub(crate) version: u32,
    /// The stream.
    pub(crate) stream: StreamUri,
    /// The import.
    pub(crate) writer: TransferId,
}

/// The attributes that name an item.
pub(crate) fn key_of(key: Key<'_>) -> Item {
    let parts = [(PARTITION, key.partition()), (SORT, key.sort())];
    parts.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect()
}

/// A record as an item.
pub(crate) fn to_item<T: Serialize>(key: Key<'_>, record: &T) -> Result<Item> {
    let mut item: Item = serde_dynamo::to_item(record)
        .map_err(|error| Error::with(ErrorKind::Invalid, format!("{key} cannot be written"), error))?;
    item.extend(key_of(key));
    item.insert(KIND.to_owned(), AttributeValue::S(key.kind().to_owned()));
    Ok(item)
}

/// An item as a record.
pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T> {
    let part = |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("?".to_owned(), excerpt);
    let name = format!("{} {}", part(PARTITION), part(SORT));
    let version = item.get(VERSION).and_then(|value| value.as_n().ok()).and_then(|number| number.parse::<u32>().ok());
    match version {
        Some(version) if version > RECORD_VERSION => {
            let what = format!(
                "{name} has version {version}, and this Sluice reads up to {RECORD_VERSION}: go on with the newer one \
                 that wrote it"
            );
            Err(Error::new(ErrorKind::Newer, what))
        }
        Some(_) if !item.values().all(is_known) => {
            Err(Error::new(ErrorKind::Corrupt, format!("{name} has a value of a type that is not known here")))
        }
        Some(_) => serde_dynamo::from_item(item)
            .map_err(|error| Error::with(ErrorKind::Corrupt, format!("{name} is not a record"), error)),
        None => Err(Error::new(ErrorKind::Corrupt, format!("{name} has no version, so it is not a record of Sluice"))),
    }
}

/// Whether the SDK knows the types of a value and of all in it: what reads items panics at others.
fn is_known(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::L(values) => values.iter().all(is_known),
        AttributeValue::M(fields) => fields.values().all(is_known),
        other => !other.is_unknown(),
    }
}

#[cfg(test)]
mod tests;
