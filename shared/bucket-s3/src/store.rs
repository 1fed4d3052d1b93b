//! The port: requests are sent, and answers read.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_parts::ListPartsOutput;
use aws_sdk_s3::types::{ChecksumType, EncodingType, Part};
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Error, ErrorKind, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer,
    PutAnswer, Result,
};
use sluice_transfer::limits::{LARGEST_OBJECT, PARTS_PER_OBJECT, S3_SMALLEST_PART};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, Timestamp, UploadId};

use crate::fault::{ABORT, COMPLETE, CREATE, Call, GET, HEAD, LIST, PART, PARTS, PUT, Refusal, UPLOADS, refusal};
use crate::probe::NO_DATA;
use crate::{S3Bucket, wire};

/// Entries in one answer of a listing, at most (Amazon S3 API reference, `ListObjectsV2`, `ListParts`).
const PAGE: i32 = 1_000;
/// How often an upload is aborted until no part of it is left: those in flight can bring it back (Amazon S3 API
/// reference, `AbortMultipartUpload`).
const ABORTS: usize = 5;

impl S3Bucket {
    /// Begins an upload. Answers its name, and whether the service will know the checksum of the whole.
    pub(crate) async fn begin(&self, key: &str, metadata: &Metadata) -> Result<(UploadId, bool)> {
        let begun = self.create_request(key, wire::headers(key, metadata)?).send().await;
        let begun = begun.map_err(|error| self.fault(CREATE, key, error))?;
        let full_object = begun.checksum_type() == Some(&ChecksumType::FullObject);
        let id = begun.upload_id.map(UploadId).filter(|id| wire::upload(id).is_some());
        let id = id.ok_or_else(|| self.garbled(CREATE, key, "the answer names no upload"))?;
        Ok((id, full_object))
    }

    /// Stores a part.
    pub(crate) async fn send_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        let number = wire::number(key, number)?;
        wire::as_long(key, &bytes, checksum)?;
        let Some(id) = wire::upload(upload) else { return Ok(PartAnswer::NoSuchUpload) };
        match self.part_request(key, id, number, bytes, checksum).send().await {
            Ok(stored) => Ok(PartAnswer::Stored { etag: self.etag(PART, key, stored.e_tag())? }),
            Err(error) if refusal(&error) == Some(Refusal::NoSuchUpload) => Ok(PartAnswer::NoSuchUpload),
            Err(error) => Err(self.fault(PART, key, error)),
        }
    }

    /// Aborts an upload until nothing is left of it.
    pub(crate) async fn give_up(&self, key: &str, upload: &UploadId) -> Result<()> {
        let Some(id) = wire::upload(upload) else { return Ok(()) };
        for _ in 0..ABORTS {
            match self.abort_request(key, id).send().await {
                Ok(_) => {}
                Err(error) if refusal(&error) == Some(Refusal::NoSuchUpload) => return Ok(()),
                Err(error) => return Err(self.fault(ABORT, key, error)),
            }
            if self.parts(key, id, None, 1).await?.is_none() {
                return Ok(());
            }
        }
        Err(self.garbled(ABORT, key, "parts in flight keep bringing it back"))
    }

    fn etag(&self, call: Call, key: &str, etag: Option<&str>) -> Result<String> {
        let etag = etag.map(wire::etag).filter(|etag| wire::is_name(etag));
        etag.ok_or_else(|| self.garbled(call, key, "the answer has no etag, or one that is too long"))
    }

    /// A page of parts; none if the upload is gone.
    async fn parts(
        &self,
        key: &str,
        upload: &str,
        behind: Option<String>,
        limit: i32,
    ) -> Result<Option<ListPartsOutput>> {
        match self.list_parts_request(key, upload, behind, limit).send().await {
            Ok(page) => Ok(Some(page)),
            Err(error) if refusal(&error) == Some(Refusal::NoSuchUpload) => Ok(None),
            Err(error) => Err(self.fault(PARTS, key, error)),
        }
    }

    fn described(&self, key: &str, found: HeadObjectOutput) -> Result<ObjectInfo> {
        let etag = self.etag(HEAD, key, found.e_tag())?;
        // Some proxies lose it, and an object of no known size is not an empty one.
        let size = wire::size(found.content_length());
        let size = size.ok_or_else(|| self.garbled(HEAD, key, "the answer has no length"))?;
        let whole = found.checksum_type().is_none_or(|kind| *kind == ChecksumType::FullObject);
        let checksum = found.checksum_crc64_nvme().filter(|_| whole).and_then(|crc| wire::checksum(crc, size));
        let metadata = found.metadata.unwrap_or_default();
        let metadata = metadata.into_iter().map(|(name, value)| (name, wire::unescaped(&value))).collect();
        Ok(ObjectInfo { size, etag, metadata, checksum })
    }

    /// The body of an answer to a request for these bytes.
    async fn body(&self, key: &str, answer: GetObjectOutput, first: u64, last: u64) -> Result<Bytes> {
        let announced = wire::size(answer.content_length());
        let ranged = answer.content_range().is_some_and(|range| range.starts_with(&format!("bytes {first}-")));
        let all = first == 0 && answer.content_range().is_none();
        // Also so that no more is held in memory than was asked for.
        let fits = announced.is_some_and(|len| len <= (last - first).saturating_add(1));
        if !(ranged || all) || !fits {
            return Err(wire::invalid(format!(
                "GetObject of '{key}' in the bucket {}: the service answered other bytes than those from {first} to {last}",
                self.inner.bucket
            )));
        }
        let cut = |why: &str| self.garbled(GET, key, &format!("the answer broke off: {why}"));
        let bytes = answer.body.collect().await.map_err(|error| cut(&error.to_string()))?.into_bytes();
        if announced != Some(bytes.len() as u64) {
            return Err(cut("it is shorter than announced"));
        }
        Ok(bytes)
    }
}

/// A part as the ledger has it; none if it has no checksum of its own.
fn entry(part: &Part) -> Option<(u64, PartEntry)> {
    let number = u64::try_from(part.part_number()?).ok().filter(|number| (1..=PARTS_PER_OBJECT).contains(number))?;
    let checksum = wire::checksum(part.checksum_crc64_nvme()?, wire::size(part.size())?)?;
    let etag = Some(wire::etag(part.e_tag()?)).filter(|etag| wire::is_name(etag))?;
    Some((number, PartEntry { etag, checksum }))
}

fn not_there(key: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{key} is not there"))
}

fn changed(key: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("{key} is not the object that it was"))
}

/// What can be said of a completion without asking: an object has parts, none but the last too small, and they are
/// the whole. Answers whether they are.
fn is_whole(key: &str, parts: &[PartEntry], whole: Checksum) -> Result<bool> {
    let Some((_, but_last)) = parts.split_last() else {
        return Err(wire::invalid(format!("{key}: an object is made of one part at least")));
    };
    if but_last.iter().any(|part| part.checksum.len < S3_SMALLEST_PART) {
        return Err(wire::invalid(format!("{key}: a part that is not the last has {S3_SMALLEST_PART} bytes at least")));
    }
    Ok(parts.iter().fold(Checksum::default(), |sum, part| sum.then(part.checksum)) == whole)
}

#[async_trait]
impl BucketStore for S3Bucket {
    async fn capabilities(&self) -> Result<Capabilities> {
        Ok(self.features().await?.capabilities())
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        wire::readable(key)?;
        match self.head_request(key).send().await {
            Ok(found) => self.described(key, found).map(Some),
            Err(error) if refusal(&error) == Some(Refusal::NoSuchObject) => Ok(None),
            Err(error) => Err(self.fault(HEAD, key, error)),
        }
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        wire::readable(key)?;
        if len == 0 {
            // No range is empty.
            let found = self.head(key).await?.ok_or_else(|| not_there(key))?;
            return if pin.is_none_or(|pin| pin == found.etag) { Ok(Bytes::new()) } else { Err(changed(key)) };
        }
        // No object reaches further, and some services cannot count further.
        let first = offset.min(LARGEST_OBJECT);
        let last = first.saturating_add(len - 1).min(LARGEST_OBJECT);
        match self.get_request(key, pin, first, last).send().await {
            Ok(answer) => {
                // Not every service compares it.
                let etag = self.etag(GET, key, answer.e_tag())?;
                if pin.is_some_and(|pin| pin != etag) {
                    return Err(changed(key));
                }
                self.body(key, answer, first, last).await
            }
            Err(error) => match refusal(&error) {
                Some(Refusal::Range) => Ok(Bytes::new()),
                Some(Refusal::Condition) => Err(changed(key)),
                Some(Refusal::NoSuchObject) => Err(not_there(key)),
                _ => Err(self.fault(GET, key, error)),
            },
        }
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        wire::key(key)?;
        wire::as_long(key, &bytes, checksum)?;
        let metadata = wire::headers(key, metadata)?;
        match self.put_request(key, bytes, checksum, metadata).send().await {
            Ok(stored) => Ok(PutAnswer::Stored { etag: self.etag(PUT, key, stored.e_tag())? }),
            Err(error) if refusal(&error) == Some(Refusal::Condition) => Ok(PutAnswer::Exists),
            Err(error) => Err(self.fault(PUT, key, error)),
        }
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        wire::key(key)?;
        Ok(self.begin(key, metadata).await?.0)
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        _: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        wire::key(key)?;
        self.send_part(key, upload, number, bytes, checksum).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        wire::key(key)?;
        let Some(id) = wire::upload(upload) else { return Ok(None) };
        let mut parts = BTreeMap::new();
        let mut behind = 0;
        loop {
            let Some(page) = self.parts(key, id, (behind > 0).then(|| behind.to_string()), PAGE).await? else {
                return Ok(None);
            };
            parts.extend(page.parts().iter().filter_map(entry));
            if page.is_truncated() != Some(true) {
                return Ok(Some(parts));
            }
            let next = page.next_part_number_marker().and_then(|marker| marker.parse().ok());
            behind = next
                .filter(|next| *next > behind)
                .ok_or_else(|| self.garbled(PARTS, key, "the listing does not go on"))?;
        }
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        wire::key(key)?;
        let whole = is_whole(key, parts, checksum)?;
        let Some(id) = wire::upload(upload) else { return Ok(CompleteAnswer::NoSuchUpload) };
        if !whole {
            return Ok(CompleteAnswer::InvalidPart);
        }
        let compared = self.features().await?.full_object.then_some(checksum);
        match self.complete_request(key, id, parts, compared)?.send().await {
            Ok(made) => Ok(CompleteAnswer::Completed { etag: self.etag(COMPLETE, key, made.e_tag())? }),
            Err(error) => Ok(match refusal(&error) {
                Some(Refusal::Condition) => CompleteAnswer::Exists,
                Some(Refusal::NoSuchUpload) => CompleteAnswer::NoSuchUpload,
                Some(Refusal::Parts) => CompleteAnswer::InvalidPart,
                Some(Refusal::Conflict) => CompleteAnswer::Conflict,
                _ => return Err(self.fault(COMPLETE, key, error)),
            }),
        }
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        wire::key(key)?;
        self.give_up(key, upload).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut behind = after.filter(|after| !after.is_empty()).map(str::to_owned);
        while listed.len() < limit {
            let rest = i32::try_from(limit - listed.len()).unwrap_or(PAGE).min(PAGE);
            let page = self.list_request(prefix, behind.as_deref(), rest).send().await;
            let page = page.map_err(|error| self.fault(LIST, prefix, error))?;
            let (more, before) = (page.is_truncated() == Some(true), behind.clone());
            // Services that do not know of it answer keys as they are, and do not say that they are encoded.
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            for object in page.contents.unwrap_or_default() {
                let etag = self.etag(LIST, prefix, object.e_tag())?;
                let key = object.key.and_then(|key| if encoded { wire::decoded(&key) } else { Some(key) });
                let (Some(key), Some(size)) = (key, wire::size(object.size)) else {
                    return Err(self.garbled(LIST, prefix, "the listing has an object without key or size"));
                };
                if behind.as_ref().is_some_and(|behind| *behind >= key) {
                    let bucket = &self.inner.bucket;
                    return Err(wire::invalid(format!(
                        "the bucket {bucket} lists keys in another order than their bytes'"
                    )));
                }
                if !key.starts_with(prefix) {
                    return Err(self.garbled(LIST, prefix, "the listing has keys that begin otherwise"));
                }
                behind = Some(key.clone());
                if !key.starts_with(NO_DATA) && listed.len() < limit {
                    listed.push(Listed { key, size, etag });
                }
            }
            if !more {
                break;
            }
            if behind == before {
                return Err(self.garbled(LIST, prefix, "the listing does not go on"));
            }
        }
        Ok(listed)
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let mut open = Vec::new();
        let mut behind = None;
        loop {
            let page = self.list_uploads_request(prefix, behind.clone()).send().await;
            let page = page.map_err(|error| self.fault(UPLOADS, prefix, error))?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                    return Err(self.garbled(UPLOADS, prefix, "the listing has an upload without key or name"));
                };
                if key.starts_with(NO_DATA) {
                    continue;
                }
                if !key.starts_with(prefix) || !wire::is_name(id) {
                    return Err(self.garbled(UPLOADS, prefix, "the listing has others, or names that are too long"));
                }
                let begun = upload.initiated().and_then(|at| at.to_millis().ok()).map(Timestamp::from_millis);
                open.push(OpenUpload { key: key.to_owned(), id: UploadId(id.to_owned()), begun });
            }
            if page.is_truncated() != Some(true) {
                return Ok(open);
            }
            // Keys come in order; the uploads of one do so by their age.
            let next = page.next_key_marker.map(|key| (key, page.next_upload_id_marker));
            let goes_on = match (&next, &behind) {
                (Some(next), Some(behind)) => next.0 >= behind.0 && next != behind,
                (next, _) => next.is_some(),
            };
            if !goes_on {
                return Err(self.garbled(UPLOADS, prefix, "the listing does not go on"));
            }
            behind = next;
        }
    }
}
