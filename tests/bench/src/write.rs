//! The disk: the same bytes, one file after the other, each synced before the next begins.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::measure::{Job, tell};
use crate::{Load, Result};

pub(crate) fn run(load: Load, folder: &Path, object: usize, part: usize, sync_parts: bool) -> Result<()> {
    let joined = load.joined();
    let job = Job::begin();
    for (number, bytes) in joined.chunks(object.max(1)).enumerate() {
        let mut file = File::create_new(folder.join(number.to_string()))?;
        for part in bytes.chunks(part.max(1)) {
            file.write_all(part)?;
            if sync_parts {
                file.sync_data()?;
            }
        }
        file.sync_all()?;
    }
    // The entries too: a file that is not found after a crash was not written.
    File::open(folder)?.sync_all()?;
    let took = job.end();
    for (number, _) in joined.chunks(object.max(1)).enumerate() {
        fs::remove_file(folder.join(number.to_string()))?;
    }
    tell(joined.len(), took, &[])
}
