//! The SDK alone: multipart uploads from memory, part after part. Either with the checksums and settings that Sluice
//! has (`shared/bucket-s3/src/config.rs`, `requests.rs`), or with no more than the endpoint needs, as whoever
//! follows its guide has it: then it makes a checksum of each part, and signs each payload.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sluice_transfer::Checksum;

use crate::measure::{Job, tell};
use crate::{Load, Result};

/// Where to, and in what pieces.
pub(crate) struct Target {
    pub bucket: String,
    pub key: String,
    pub object: usize,
    pub part: usize,
    /// Nothing is set that need not be.
    pub by_default: bool,
}

pub(crate) fn run(load: Load, target: &Target) -> Result<()> {
    let payload = Bytes::from(load.joined());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The job begins with the client: Sluice's process makes one too.
        let job = Job::begin();
        let client = client(target.by_default).await;
        for (number, at) in (0..payload.len()).step_by(target.object).enumerate() {
            let object = payload.slice(at..payload.len().min(at + target.object));
            let key = format!("{}/{number}", target.key);
            if target.by_default {
                upload_by_default(&client, target, &key, &object).await?;
            } else {
                upload(&client, target, &key, &object).await?;
            }
        }
        tell(payload.len(), job.end(), &[])
    })
}

/// What the environment says, with the connections that Sluice has.
pub(crate) async fn configuration() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await
}

async fn client(by_default: bool) -> Client {
    let config = configuration().await;
    let builder = Builder::from(&config).force_path_style(true);
    if by_default {
        return Client::from_conf(builder.build());
    }
    let builder = builder
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled());
    Client::from_conf(builder.build())
}

fn crc(checksum: Checksum) -> String {
    STANDARD.encode(checksum.crc.to_be_bytes())
}

async fn upload_by_default(client: &Client, target: &Target, key: &str, object: &Bytes) -> Result<()> {
    let begun = client.create_multipart_upload().bucket(&target.bucket).key(key);
    let id = begun.send().await?.upload_id.ok_or("the upload has no name")?;
    let mut ledger = CompletedMultipartUpload::builder();
    for (number, at) in (1..).zip((0..object.len()).step_by(target.part)) {
        let part = object.slice(at..object.len().min(at + target.part));
        let request = client.upload_part().bucket(&target.bucket).key(key).upload_id(&id).part_number(number);
        let stored = request.body(ByteStream::from(part)).send().await?;
        ledger = ledger.parts(CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag).build());
    }
    let request = client.complete_multipart_upload().bucket(&target.bucket).key(key).upload_id(&id);
    request.multipart_upload(ledger.build()).send().await?;
    Ok(())
}

async fn upload(client: &Client, target: &Target, key: &str, object: &Bytes) -> Result<()> {
    let begun = client.create_multipart_upload().bucket(&target.bucket).key(key);
    let begun = begun.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
    let id = begun.send().await?.upload_id.ok_or("the upload has no name")?;
    let (mut ledger, mut whole) = (CompletedMultipartUpload::builder(), Checksum::default());
    for (number, at) in (1..).zip((0..object.len()).step_by(target.part)) {
        let part = object.slice(at..object.len().min(at + target.part));
        let checksum = Checksum::of(&part);
        whole = whole.then(checksum);
        let request = client.upload_part().bucket(&target.bucket).key(key).upload_id(&id).part_number(number);
        let request = request.checksum_crc64_nvme(crc(checksum)).body(ByteStream::from(part));
        let stored = request.customize().disable_payload_signing().send().await?;
        let entry = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        ledger = ledger.parts(entry.checksum_crc64_nvme(crc(checksum)).build());
    }
    let request = client.complete_multipart_upload().bucket(&target.bucket).key(key).upload_id(&id);
    let request = request.multipart_upload(ledger.build()).checksum_type(ChecksumType::FullObject);
    let request = request.checksum_crc64_nvme(crc(whole)).mpu_object_size(i64::try_from(whole.len)?);
    request.if_none_match("*").send().await?;
    Ok(())
}
