//! The port's suite, on directories.

use std::sync::{Arc, Mutex};

use sluice_bucket_dir::DirBucket;
use sluice_ports::BucketStore;

#[tokio::test]
async fn a_directory_conforms() {
    let dirs = Mutex::new(Vec::new());
    sluice_conformance::bucket::run(|| async {
        let dir = tempfile::tempdir().unwrap();
        let bucket = DirBucket::create(dir.path().join("new/bucket")).unwrap();
        dirs.lock().unwrap().push(dir);
        Arc::new(bucket) as Arc<dyn BucketStore>
    })
    .await;
}
