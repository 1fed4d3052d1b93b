//! The requests, without an answer yet. All that goes to S3 is put together here.
//!
//! **Invariant.** Every request names the bucket and who must own it; what makes an object is conditional.

use std::collections::HashMap;

use aws_sdk_s3::client::customize::CustomizableOperation;
use aws_sdk_s3::operation::abort_multipart_upload::builders::AbortMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::complete_multipart_upload::{CompleteMultipartUploadError, CompleteMultipartUploadOutput};
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;
use aws_sdk_s3::operation::list_multipart_uploads::builders::ListMultipartUploadsFluentBuilder;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::list_parts::builders::ListPartsFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder;
use aws_sdk_s3::operation::upload_part::{UploadPartError, UploadPartOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, EncodingType,
    ServerSideEncryption, StorageClass,
};
use bytes::Bytes;
use sluice_ports::Result;
use sluice_transfer::Checksum;
use sluice_transfer::record::PartEntry;

use crate::config::patient;
use crate::{S3Bucket, wire};

/// What takes long is given more time, and its payload is not signed.
type Put = CustomizableOperation<PutObjectOutput, PutObjectError, PutObjectFluentBuilder>;
type UploadPart = CustomizableOperation<UploadPartOutput, UploadPartError, UploadPartFluentBuilder>;
type Complete = CustomizableOperation<
    CompleteMultipartUploadOutput,
    CompleteMultipartUploadError,
    CompleteMultipartUploadFluentBuilder,
>;

/// On condition that there is no object.
const NOTHING_THERE: &str = "*";

impl S3Bucket {
    fn bucket(&self) -> &str {
        &self.inner.bucket
    }

    fn owner(&self) -> Option<String> {
        self.inner.settings.owner.clone()
    }

    /// The key that new objects are encrypted with, and what that is called.
    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.inner.settings.kms_key.clone();
        (key.is_some().then_some(ServerSideEncryption::AwsKms), key)
    }

    fn storage_class(&self) -> Option<StorageClass> {
        self.inner.settings.storage_class.as_deref().map(StorageClass::from)
    }

    pub(crate) fn head_request(&self, key: &str) -> HeadObjectFluentBuilder {
        let request = self.inner.client.head_object().bucket(self.bucket()).key(key);
        request.checksum_mode(ChecksumMode::Enabled).set_expected_bucket_owner(self.owner())
    }

    /// The bytes from `first` to `last`, which is one of them.
    pub(crate) fn get_request(&self, key: &str, pin: Option<&str>, first: u64, last: u64) -> GetObjectFluentBuilder {
        let request = self.inner.client.get_object().bucket(self.bucket()).key(key);
        let request = request.set_if_match(pin.map(wire::quoted)).range(format!("bytes={first}-{last}"));
        request.set_expected_bucket_owner(self.owner())
    }

    pub(crate) fn put_request(
        &self,
        key: &str,
        bytes: Bytes,
        checksum: Checksum,
        metadata: HashMap<String, String>,
    ) -> Put {
        let (encryption, kms_key) = self.encryption();
        let request = self.inner.client.put_object().bucket(self.bucket()).key(key).if_none_match(NOTHING_THERE);
        let request = request.checksum_crc64_nvme(wire::crc(checksum)).body(ByteStream::from(bytes));
        let request = request.set_metadata(Some(metadata)).set_storage_class(self.storage_class());
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(kms_key);
        let request = request.set_expected_bucket_owner(self.owner());
        request.customize().disable_payload_signing().config_override(patient())
    }

    pub(crate) fn create_request(
        &self,
        key: &str,
        metadata: HashMap<String, String>,
    ) -> CreateMultipartUploadFluentBuilder {
        let (encryption, kms_key) = self.encryption();
        let request = self.inner.client.create_multipart_upload().bucket(self.bucket()).key(key);
        let request = request.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
        let request = request.set_metadata(Some(metadata)).set_storage_class(self.storage_class());
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(kms_key);
        request.set_expected_bucket_owner(self.owner())
    }

    pub(crate) fn part_request(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
        checksum: Checksum,
    ) -> UploadPart {
        let request = self.inner.client.upload_part().bucket(self.bucket()).key(key).upload_id(upload);
        let request = request.part_number(number).checksum_crc64_nvme(wire::crc(checksum));
        let request = request.body(ByteStream::from(bytes)).set_expected_bucket_owner(self.owner());
        request.customize().disable_payload_signing().config_override(patient())
    }

    pub(crate) fn list_parts_request(
        &self,
        key: &str,
        upload: &str,
        behind: Option<String>,
        limit: i32,
    ) -> ListPartsFluentBuilder {
        let request = self.inner.client.list_parts().bucket(self.bucket()).key(key).upload_id(upload);
        request.set_part_number_marker(behind).max_parts(limit).set_expected_bucket_owner(self.owner())
    }

    /// `whole` is the object's own checksum, where the service compares it.
    pub(crate) fn complete_request(
        &self,
        key: &str,
        upload: &str,
        parts: &[PartEntry],
        whole: Option<Checksum>,
    ) -> Result<Complete> {
        let mut ledger = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(parts) {
            let entry = CompletedPart::builder().part_number(wire::number(key, number)?);
            let entry = entry.e_tag(wire::quoted(&part.etag)).checksum_crc64_nvme(wire::crc(part.checksum));
            ledger = ledger.parts(entry.build());
        }
        let len = whole.map(|whole| i64::try_from(whole.len).map_err(|_| wire::invalid(format!("{key} is too large"))));
        let request = self.inner.client.complete_multipart_upload().bucket(self.bucket()).key(key).upload_id(upload);
        let request = request.multipart_upload(ledger.build()).if_none_match(NOTHING_THERE);
        let request = request.set_checksum_type(whole.map(|_| ChecksumType::FullObject));
        let request = request.set_checksum_crc64_nvme(whole.map(wire::crc)).set_mpu_object_size(len.transpose()?);
        Ok(request.set_expected_bucket_owner(self.owner()).customize().config_override(patient()))
    }

    pub(crate) fn abort_request(&self, key: &str, upload: &str) -> AbortMultipartUploadFluentBuilder {
        let request = self.inner.client.abort_multipart_upload().bucket(self.bucket()).key(key).upload_id(upload);
        request.set_expected_bucket_owner(self.owner())
    }

    pub(crate) fn list_request(&self, prefix: &str, after: Option<&str>, limit: i32) -> ListObjectsV2FluentBuilder {
        let request = self.inner.client.list_objects_v2().bucket(self.bucket()).prefix(prefix).max_keys(limit);
        let request = request.encoding_type(EncodingType::Url);
        request.set_start_after(after.map(str::to_owned)).set_expected_bucket_owner(self.owner())
    }

    pub(crate) fn list_uploads_request(
        &self,
        prefix: &str,
        behind: Option<(String, Option<String>)>,
    ) -> ListMultipartUploadsFluentBuilder {
        let (key, upload) = behind.map_or((None, None), |(key, upload)| (Some(key), upload));
        let request = self.inner.client.list_multipart_uploads().bucket(self.bucket()).prefix(prefix);
        request.set_key_marker(key).set_upload_id_marker(upload).set_expected_bucket_owner(self.owner())
    }
}
