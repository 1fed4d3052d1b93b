//! The SDK alone: multipart uploads from memory, part after part, with the checksums and settings that Sluice has
//! (`shared/bucket-s3/src/config.rs`, `requests.rs`).

use aws_config::BehaviorVersion;
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
}

pub(crate) fn run(load: Load, target: &Target) -> Result<()> {
    let payload = Bytes::from(load.joined());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The job begins with the client: Sluice's process makes one too.
        let job = Job::begin();
        let client = client().await;
        for (number, at) in (0..payload.len()).step_by(target.object).enumerate() {
            let object = payload.slice(at..payload.len().min(at + target.object));
            upload(&client, target, &format!("{}/{number}", target.key), &object).await?;
        }
        tell(payload.len(), job.end(), &[])
    })
}

async fn client() -> Client {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let builder = Builder::from(&config)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .force_path_style(true);
    Client::from_conf(builder.build())
}

fn crc(checksum: Checksum) -> String {
    STANDARD.encode(checksum.crc.to_be_bytes())
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
