//! A bucket in memory.
//!
//! It keeps what S3 promises (Amazon S3 API reference: `CompleteMultipartUpload`, `UploadPart`): nothing is
//! overwritten, a part replaces an earlier one of its number, an object is made from the ledger that is given and from
//! nothing else, and an upload that was completed or aborted is gone.
//!
//! **Invariant.** Every operation is done in one critical section and awaits nothing, so that a simulation decides the
//! order of everything. Only the helpers of [`MemoryBucket`] itself change what exists: they play the foreigner.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Error, ErrorKind, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer,
    PutAnswer, Result,
};
use sluice_transfer::limits::PARTS_PER_OBJECT;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, Reason, UploadId, check_key, check_readable};

/// A bucket in memory. Clones are handles of the same bucket.
#[derive(Clone, Debug)]
pub struct MemoryBucket {
    capabilities: Capabilities,
    fresh_etags: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<UploadId, Upload>,
    left_out: LeftOut,
    /// Names given so far: uploads' and, where they are to differ, etags'.
    count: u64,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    info: ObjectInfo,
}

#[derive(Debug)]
struct Upload {
    key: String,
    metadata: Metadata,
    parts: BTreeMap<u64, Part>,
}

#[derive(Debug)]
struct Part {
    offset: u64,
    bytes: Bytes,
    entry: PartEntry,
}

impl Default for MemoryBucket {
    fn default() -> Self {
        Self::with(Capabilities { create_only: true, smallest_part: 1, attests_content: true })
    }
}

impl MemoryBucket {
    /// An empty bucket that attests its objects' content and takes parts of any size.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bucket that says this of itself. Whatever it says, it overwrites nothing.
    pub fn with(capabilities: Capabilities) -> Self {
        Self { capabilities, fresh_etags: false, state: Arc::default() }
    }

    /// The same bytes stored twice get two etags, as S3 gives them under a customer's key; else the etag depends on
    /// the bytes alone.
    #[must_use]
    pub fn with_fresh_etags(mut self) -> Self {
        self.fresh_etags = true;
        self
    }

    /// Puts a foreign object, also over an existing one.
    pub fn put_foreign(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let mut state = self.state();
        let checksum = Checksum::of(&bytes);
        let etag = self.etag(&mut state, checksum);
        let checksum = self.capabilities.attests_content.then_some(checksum);
        let info = ObjectInfo { size: bytes.len() as u64, etag, metadata: Metadata::new(), checksum };
        state.objects.insert(key.to_owned(), Object { bytes, info });
    }

    /// Changes an object's bytes and so its etag; metadata stay. Its checksum is found anew if the bucket attests
    /// content, else it stays what it was. Answers whether there is such an object.
    pub fn mutate(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state();
        let Some(mut object) = state.objects.remove(key) else { return false };
        let mut bytes = object.bytes.to_vec();
        change(&mut bytes);
        let checksum = Checksum::of(&bytes);
        object.info.etag = self.etag(&mut state, checksum);
        object.info.size = checksum.len;
        if self.capabilities.attests_content {
            object.info.checksum = Some(checksum);
        }
        object.bytes = bytes.into();
        state.objects.insert(key.to_owned(), object);
        true
    }

    /// Cuts an object off behind `len` bytes, as [`mutate`](Self::mutate) does.
    pub fn truncate(&self, key: &str, len: usize) -> bool {
        self.mutate(key, |bytes| bytes.truncate(len))
    }

    /// Puts something that is no object.
    pub fn put_no_object(&self, reason: Reason, name: &str) {
        self.state().left_out.add(reason, name);
    }

    /// Removes an object. Answers whether there was one.
    pub fn remove(&self, key: &str) -> bool {
        self.state().objects.remove(key).is_some()
    }

    /// All bytes of an object.
    pub fn read(&self, key: &str) -> Option<Bytes> {
        self.state().objects.get(key).map(|object| object.bytes.clone())
    }

    /// All objects by key.
    pub fn read_all(&self) -> BTreeMap<String, Bytes> {
        self.state().objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    /// Uploads that are neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// A panic in a helper's closure leaves the maps whole, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn etag(&self, state: &mut State, checksum: Checksum) -> String {
        if !self.fresh_etags {
            return checksum.to_string();
        }
        state.count += 1;
        format!("{checksum}-{}", state.count)
    }

    /// The bytes that the ledger stands for; none if a part is not stored as the ledger says.
    fn join(upload: &Upload, ledger: &[PartEntry], whole: Checksum) -> Option<Bytes> {
        let mut bytes = Vec::with_capacity(usize::try_from(whole.len).unwrap_or(0));
        for (number, entry) in (1..).zip(ledger) {
            let part = upload.parts.get(&number)?;
            // S3 knows no offsets; a part that was meant for elsewhere would make another object than its writer
            // thinks, so that is told here, where the simulation sees it.
            if part.entry != *entry || part.offset != bytes.len() as u64 {
                return None;
            }
            bytes.extend_from_slice(&part.bytes);
        }
        (Checksum::of(&bytes) == whole).then(|| bytes.into())
    }
}

fn checked(key: &str) -> Result<()> {
    check_key(key).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

fn readable(key: &str) -> Result<()> {
    check_readable(key).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

fn matching(key: &str, bytes: &[u8], checksum: Checksum) -> Result<()> {
    let found = Checksum::of(bytes);
    if found == checksum {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{key}: the bytes have the checksum {found}, not {checksum}")))
}

#[async_trait]
impl BucketStore for MemoryBucket {
    async fn capabilities(&self) -> Result<Capabilities> {
        Ok(self.capabilities)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        readable(key)?;
        Ok(self.state().objects.get(key).map(|object| object.info.clone()))
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        readable(key)?;
        let state = self.state();
        let object = state.objects.get(key).ok_or_else(|| Error::new(ErrorKind::NotFound, key))?;
        if pin.is_some_and(|pin| pin != object.info.etag) {
            return Err(Error::new(ErrorKind::Changed, key));
        }
        let size = object.bytes.len();
        let from = usize::try_from(offset).unwrap_or(size).min(size);
        let until = from + usize::try_from(len).unwrap_or(size).min(size - from);
        Ok(object.bytes.slice(from..until))
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        checked(key)?;
        matching(key, &bytes, checksum)?;
        let mut state = self.state();
        if state.objects.contains_key(key) {
            return Ok(PutAnswer::Exists);
        }
        let etag = self.etag(&mut state, checksum);
        let info =
            ObjectInfo { size: checksum.len, etag: etag.clone(), metadata: metadata.clone(), checksum: Some(checksum) };
        state.objects.insert(key.to_owned(), Object { bytes, info });
        Ok(PutAnswer::Stored { etag })
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        checked(key)?;
        let mut state = self.state();
        state.count += 1;
        let id = UploadId(format!("upload-{}", state.count));
        let upload = Upload { key: key.to_owned(), metadata: metadata.clone(), parts: BTreeMap::new() };
        state.uploads.insert(id.clone(), upload);
        Ok(id)
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
        checked(key)?;
        if !(1..=PARTS_PER_OBJECT).contains(&number) {
            return Err(Error::new(ErrorKind::Invalid, format!("{key}: there is no part {number}")));
        }
        matching(key, &bytes, checksum)?;
        let mut state = self.state();
        let etag = self.etag(&mut state, checksum);
        match state.uploads.get_mut(upload) {
            Some(open) if open.key == key => {
                let entry = PartEntry { etag: etag.clone(), checksum };
                open.parts.insert(number, Part { offset, bytes, entry });
                Ok(PartAnswer::Stored { etag })
            }
            _ => Ok(PartAnswer::NoSuchUpload),
        }
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        checked(key)?;
        let state = self.state();
        let open = state.uploads.get(upload).filter(|open| open.key == key);
        Ok(open.map(|open| open.parts.iter().map(|(number, part)| (*number, part.entry.clone())).collect()))
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        checked(key)?;
        let Some((_, but_last)) = parts.split_last() else {
            return Err(Error::new(ErrorKind::Invalid, format!("{key}: an object is made of one part at least")));
        };
        let smallest = self.capabilities.smallest_part;
        if but_last.iter().any(|part| part.checksum.len < smallest) {
            let what = format!("{key}: a part that is not the last has {smallest} bytes at least");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let mut state = self.state();
        let Some(open) = state.uploads.get(upload).filter(|open| open.key == key) else {
            return Ok(CompleteAnswer::NoSuchUpload);
        };
        let Some(bytes) = Self::join(open, parts, checksum) else { return Ok(CompleteAnswer::InvalidPart) };
        if state.objects.contains_key(key) {
            return Ok(CompleteAnswer::Exists);
        }
        let metadata = state.uploads.remove(upload).map(|open| open.metadata).unwrap_or_default();
        let etag = self.etag(&mut state, checksum);
        let info = ObjectInfo { size: checksum.len, etag: etag.clone(), metadata, checksum: Some(checksum) };
        state.objects.insert(key.to_owned(), Object { bytes, info });
        Ok(CompleteAnswer::Completed { etag })
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        checked(key)?;
        let mut state = self.state();
        if state.uploads.get(upload).is_some_and(|open| open.key == key) {
            state.uploads.remove(upload);
        }
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let state = self.state();
        let found = state.objects.range::<str, _>((from, Bound::Unbounded));
        let listed = found.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        let listed = listed.map(|(key, object)| Listed {
            key: key.clone(),
            size: object.info.size,
            etag: object.info.etag.clone(),
        });
        Ok(listed.collect())
    }

    async fn left_out(&self, _prefix: &str) -> Result<LeftOut> {
        Ok(self.state().left_out.clone())
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let state = self.state();
        let open = state.uploads.iter().filter(|(_, open)| open.key.starts_with(prefix));
        Ok(open.map(|(id, open)| OpenUpload { key: open.key.clone(), id: id.clone(), begun: None }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fresh_etags_differ_for_the_same_bytes() {
        let bytes = Bytes::from_static(b"part");
        let sum = Checksum::of(&bytes);
        let mut equal = Vec::new();
        for bucket in [MemoryBucket::new(), MemoryBucket::new().with_fresh_etags()] {
            let id = bucket.create_upload("k", &Metadata::new()).await.unwrap();
            let one = bucket.upload_part("k", &id, 1, 0, bytes.clone(), sum).await.unwrap();
            let two = bucket.upload_part("k", &id, 1, 0, bytes.clone(), sum).await.unwrap();
            equal.push(one == two);
            let PartAnswer::Stored { etag } = one else { panic!("{one:?}") };
            let ledger = [PartEntry { etag, checksum: sum }];
            let done = bucket.complete("k", &id, &ledger, sum).await.unwrap();
            equal.push(done != CompleteAnswer::InvalidPart);
        }
        assert_eq!(equal, [true, true, false, false]);
    }

    #[tokio::test]
    async fn the_foreigner_can_do_anything() {
        let attesting = MemoryBucket::new();
        let silent = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
        let sum = Checksum::of(b"ours");
        for bucket in [&attesting, &silent] {
            bucket.put("k", Bytes::from_static(b"ours"), sum, &Metadata::new()).await.unwrap();
            let before = bucket.head("k").await.unwrap().unwrap();
            assert!(bucket.mutate("k", |bytes| bytes[0] = b'O'));
            let after = bucket.head("k").await.unwrap().unwrap();
            assert_ne!(before.etag, after.etag);
            let pinned = bucket.get("k", Some(&before.etag), 0, 9).await.unwrap_err();
            assert_eq!(pinned.kind(), ErrorKind::Changed);
            assert!(bucket.truncate("k", 2));
            assert_eq!(bucket.read("k").as_deref(), Some(&b"Ou"[..]));
            bucket.put_foreign("k", "theirs");
            assert_eq!(bucket.read_all(), BTreeMap::from([("k".to_owned(), Bytes::from_static(b"theirs"))]));
            assert!(bucket.remove("k") && !bucket.remove("k") && !bucket.truncate("k", 0));
        }
        attesting.put_foreign("x", "theirs");
        silent.put_foreign("x", "theirs");
        assert_eq!(attesting.head("x").await.unwrap().unwrap().checksum, Some(Checksum::of(b"theirs")));
        assert_eq!(silent.head("x").await.unwrap().unwrap().checksum, None);
        let clone = silent.clone();
        clone.create_upload("k", &Metadata::new()).await.unwrap();
        assert_eq!(silent.open_uploads(), 1);
    }
}
