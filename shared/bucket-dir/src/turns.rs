//! The order in which parts are written.

use std::array;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sluice_transfer::UploadId;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Held while a part is written.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Lets the parts of an upload be written in the order in which this process began to send them: each then lengthens the
/// file, where one that comes late would first have to look whether it overwrites another. Uploads of other names wait
/// for each other only where they share a queue.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<[Arc<Mutex<()>>; 16]>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(array::from_fn(|_| Arc::default())))
    }
}

impl Turns {
    /// Waits for those who came before.
    pub(crate) async fn wait(&self, upload: &UploadId) -> Turn {
        let mut hasher = DefaultHasher::new();
        upload.0.hash(&mut hasher);
        let queue = usize::try_from(hasher.finish() % self.0.len() as u64).unwrap_or_default();
        // tokio's lock is given in the order of the calls.
        Arc::clone(&self.0[queue]).lock_owned().await
    }
}
