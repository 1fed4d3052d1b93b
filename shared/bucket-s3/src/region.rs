//! Where a bucket is, asked of S3 itself.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;

use crate::fault::REGION;

/// The longest name of a region that is taken.
const LONGEST: usize = 32;

/// The region of a bucket, as S3 tells any caller in any region; none if it does not tell. It says so with a redirect,
/// too, and to those whom it refuses (Amazon S3 API reference, `HeadBucket`). One request, which may be repeated.
pub async fn region(client: &Client, bucket: &str, owner: Option<String>) -> Option<String> {
    let told = match client.head_bucket().bucket(bucket).set_expected_bucket_owner(owner).send().await {
        Ok(there) => there.bucket_region,
        Err(SdkError::ServiceError(refused)) => refused.raw().headers().get(REGION).map(str::to_owned),
        Err(SdkError::ResponseError(refused)) => refused.raw().headers().get(REGION).map(str::to_owned),
        Err(_) => None,
    };
    told.filter(|region| is_name(region))
}

/// True if it may be part of a host's name.
fn is_name(region: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST).contains(&region.len()) && region.bytes().all(plain)
}
