//! A list of objects that an import takes, in their order. Its maker need not know what is in them.

use serde::{Deserialize, Serialize};

use super::{Document, ManifestError};
use crate::limits::LISTED_OBJECTS;
use crate::{BucketUri, Timestamp, check_readable};

/// Objects of one bucket, in the order in which they are imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList {
    /// The bucket.
    pub bucket: BucketUri,
    /// True if these are objects that somebody else may replace or delete: one that is not as it was is passed over, and
    /// the import says so. Otherwise it is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_change: bool,
    /// The objects.
    pub objects: Vec<ListedObject>,
}

/// An object in a list, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedObject {
    /// Whole key in the bucket.
    pub key: String,
    /// Its etag, without quotes: an object of another one is not this one. None for whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Bytes; none where not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The number of its version. It serves to know the object again; what is read is the one that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The place of the event that told of it among those of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// The time of that event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl Document for ObjectList {
    const KIND: &'static str = "object-list";
}

impl ObjectList {
    /// Refuses a list that says nothing, too much, or what cannot be asked for.
    pub fn check(&self) -> Result<(), ManifestError> {
        let refused = |why: String| Err(ManifestError::Root(why));
        match self.objects.len() {
            0 => return refused("it names no object".to_owned()),
            count if count > LISTED_OBJECTS => {
                return refused(format!("it names {count} objects; at most {LISTED_OBJECTS} are imported together"));
            }
            _ => {}
        }
        for object in &self.objects {
            check_readable(&object.key).map_err(|error| ManifestError::Root(error.to_string()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_checked() {
        let object = |key: &str| ListedObject {
            key: key.to_owned(),
            etag: None,
            size: None,
            version: None,
            sequencer: None,
            time: None,
        };
        let list = |objects| ObjectList { bucket: "s3://b".parse().unwrap(), may_change: false, objects };
        assert_eq!(list(vec![object("a"), object("a")]).check(), Ok(()));
        for (wrong, why) in [
            (list(vec![]), "no object"),
            (list(vec![object("a/../b")]), "climbs"),
            (list(vec![object("a"); LISTED_OBJECTS + 1]), "10001 objects"),
        ] {
            assert!(wrong.check().unwrap_err().to_string().contains(why), "{why}");
        }
    }
}
