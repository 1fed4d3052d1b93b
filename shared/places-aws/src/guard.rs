//! A bucket, of which only the keys on a list are touched.
//!
//! Here lives the check of each request to a bucket, where the work is done. **Invariant.** No request leaves for a key
//! or a prefix that is not on the list, and none that makes anything from a bucket that was opened to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer, PutAnswer, Result,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, UploadId};

use crate::rules::{Access, Rules};

/// The bucket behind its list.
pub(crate) struct Guarded<B> {
    /// The bucket itself.
    pub(crate) bucket: B,
    /// The lists.
    pub(crate) rules: Arc<Rules>,
    /// What stands in front of a key in its ARN.
    pub(crate) folder: String,
    /// The list that counts: of objects to read, or of objects to write, which may also be read back.
    pub(crate) access: Access,
}

impl<B> Guarded<B> {
    /// The same list in front of another bucket.
    pub(crate) fn over<S>(self, bucket: S) -> Guarded<S> {
        let Self { rules, folder, access, .. } = self;
        Guarded { bucket, rules, folder, access }
    }

    fn arn(&self, key: &str) -> String {
        format!("{}{key}", self.folder)
    }

    /// `Denied` if an object, or what lies below a prefix, may not be read.
    fn check_read(&self, key: &str) -> Result<()> {
        self.rules.check(self.access, &self.arn(key))
    }

    /// `Denied` if an object may not be made.
    fn check_write(&self, key: &str) -> Result<()> {
        let arn = self.arn(key);
        if self.access == Access::WriteObjects {
            self.rules.check(Access::WriteObjects, &arn)
        } else {
            // Also where the list would allow it: nothing writes to what it was told to read.
            Err(Access::WriteObjects.refuse(&arn))
        }
    }

    /// `Denied` if neither an object of this name nor anything in a folder of this name is on the list.
    pub(crate) fn check_place(&self, path: &str) -> Result<()> {
        if self.is_folder_alone(path) { Ok(()) } else { self.check_read(path) }
    }

    /// True if the folder of this name is on the list, and an object of this name is not.
    fn is_folder_alone(&self, path: &str) -> bool {
        let allows = |key: &str| self.rules.allows(self.access, &self.arn(key));
        !path.is_empty() && !path.ends_with('/') && !allows(path) && allows(&format!("{path}/"))
    }
}

#[async_trait]
impl<B: BucketStore> BucketStore for Guarded<B> {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.bucket.capabilities().await
    }

    /// A name whose folder alone is on the list has no object that may be seen. To ask would be refused by IAM.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        if self.is_folder_alone(key) {
            return Ok(None);
        }
        self.check_read(key)?;
        self.bucket.head(key).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.check_read(key)?;
        self.bucket.get(key, pin, offset, len).await
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.check_write(key)?;
        self.bucket.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.check_write(key)?;
        self.bucket.create_upload(key, metadata).await
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        self.check_write(key)?;
        self.bucket.upload_part(key, upload, number, offset, bytes, checksum).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.check_write(key)?;
        self.bucket.list_parts(key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.check_write(key)?;
        self.bucket.complete(key, upload, parts, checksum).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.check_write(key)?;
        self.bucket.abort(key, upload).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.check_read(prefix)?;
        self.bucket.list(prefix, after, limit).await
    }

    async fn left_out(&self, prefix: &str) -> Result<LeftOut> {
        self.check_read(prefix)?;
        self.bucket.left_out(prefix).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.check_write(prefix)?;
        self.bucket.list_uploads(prefix).await
    }
}

#[cfg(test)]
mod tests {
    use sluice_memory::{MemoryBucket, now};
    use sluice_ports::ErrorKind;

    use super::*;
    use crate::rules::tests::rules;

    fn guarded(access: Access) -> Guarded<MemoryBucket> {
        let (bucket, folder) = (MemoryBucket::default(), "arn:aws:s3:::archive/".to_owned());
        for key in ["in/a", "in", "out/a"] {
            bucket.put_foreign(key, "x");
        }
        Guarded { bucket, rules: Arc::new(rules()), folder, access }
    }

    /// Whether a call is refused, by what the parameter's list says.
    fn is_refused<T>(call: impl Future<Output = Result<T>>, parameter: &str) -> bool {
        now(call).is_err_and(|error| error.kind() == ErrorKind::Denied && error.to_string().contains(parameter))
    }

    #[test]
    fn what_was_opened_to_read_is_read_where_the_list_says_and_never_written() {
        let bucket = guarded(Access::ReadObjects);
        assert_eq!(now(bucket.get("in/a", None, 0, 1)).unwrap(), "x");
        assert!(now(bucket.head("in/a")).unwrap().is_some());
        assert_eq!(now(bucket.list("in/", None, 9)).unwrap().len(), 1);
        assert!(now(bucket.left_out("in/")).is_ok());
        let to_read = "ReadObjects";
        assert!(is_refused(bucket.get("out/a", None, 0, 1), to_read));
        assert!(is_refused(bucket.head("out/a"), to_read));
        for prefix in ["out/", "", "i"] {
            assert!(is_refused(bucket.list(prefix, None, 9), to_read), "{prefix}");
            assert!(is_refused(bucket.left_out(prefix), to_read), "{prefix}");
        }
        for key in ["in/b", "out/b"] {
            assert_writes_refused(&bucket, key);
        }
    }

    #[test]
    fn what_was_opened_to_write_is_written_and_read_back_where_the_list_says() {
        let bucket = guarded(Access::WriteObjects);
        let sum = Checksum::of(b"y");
        let put = now(bucket.put("out/b", Bytes::from_static(b"y"), sum, &Metadata::default())).unwrap();
        assert!(matches!(put, PutAnswer::Stored { .. }));
        assert_eq!(now(bucket.get("out/b", None, 0, 1)).unwrap(), "y");
        let upload = now(bucket.create_upload("out/c", &Metadata::default())).unwrap();
        assert_eq!(now(bucket.list_uploads("out/")).unwrap().len(), 1);
        now(bucket.upload_part("out/c", &upload, 1, 0, Bytes::from_static(b"y"), sum)).unwrap();
        assert_eq!(now(bucket.list_parts("out/c", &upload)).unwrap().unwrap().len(), 1);
        now(bucket.abort("out/c", &upload)).unwrap();
        assert!(is_refused(bucket.get("in/a", None, 0, 1), "WriteObjects"));
        assert!(is_refused(bucket.list("in/", None, 9), "WriteObjects"));
        assert_writes_refused(&bucket, "in/b");
    }

    fn assert_writes_refused(bucket: &Guarded<MemoryBucket>, key: &str) {
        let (none, sum, upload) = (Metadata::default(), Checksum::of(b"y"), UploadId("1".to_owned()));
        let bytes = || Bytes::from_static(b"y");
        let parameter = "WriteObjects";
        assert!(is_refused(bucket.put(key, bytes(), sum, &none), parameter), "{key}");
        assert!(is_refused(bucket.create_upload(key, &none), parameter), "{key}");
        assert!(is_refused(bucket.upload_part(key, &upload, 1, 0, bytes(), sum), parameter), "{key}");
        assert!(is_refused(bucket.list_parts(key, &upload), parameter), "{key}");
        assert!(is_refused(bucket.complete(key, &upload, &[], sum), parameter), "{key}");
        assert!(is_refused(bucket.abort(key, &upload), parameter), "{key}");
        assert!(is_refused(bucket.list_uploads(key), parameter), "{key}");
        assert!(now(bucket.bucket.head(key)).unwrap().is_none(), "{key}");
    }

    #[test]
    fn a_folder_that_is_on_the_list_hides_an_object_of_its_name() {
        let bucket = guarded(Access::ReadObjects);
        assert!(now(bucket.head("in")).unwrap().is_none(), "the object `in` is there, but not on the list");
        assert!(is_refused(bucket.get("in", None, 0, 1), "ReadObjects"));
        for (path, allowed) in [("in", true), ("in/", true), ("in/a", true), ("", false), ("out", false), ("i", false)]
        {
            assert_eq!(bucket.check_place(path).is_ok(), allowed, "{path}");
        }
    }
}
