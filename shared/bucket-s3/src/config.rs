//! Settings that the adapter's promises rest on.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

/// For a connection, with its handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// For a request that carries nothing large, with its answer.
const SHORT: Duration = Duration::from_mins(1);
/// For a request that carries a part, or makes an object of many: S3 may take minutes for that (Amazon S3 API
/// reference, `CompleteMultipartUpload`). A part of 8 MiB so arrives at 30 KB/s,
/// alone.
const LONG: Duration = Duration::from_mins(5);
/// Bodies, of requests or answers, that stand still for so long are given up.
const STALLED: Duration = Duration::from_secs(20);

/// The settings that [`S3Bucket`](crate::S3Bucket) needs on a client. With `path_style` the bucket's name stands in
/// the path and not in the host's name, which most services at an endpoint of one's own want.
///
/// - Checksums are ours; the SDK computes none where none is required, and compares none that comes with an answer.
///   What is read is compared by the engine, against what was sealed.
/// - No tries but one: the engine tries again, and looks before it does.
/// - No call hangs: connecting, a try, and a body that stands still are bounded. What calls are bounded by together is
///   the slice's deadline.
#[must_use]
pub fn configure(builder: Builder, path_style: bool) -> Builder {
    builder
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        // Clients keep connections apart by these two, so that all calls have the same. The second counts from a
        // request's first byte to its answer's, so it must leave time for a part.
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .read_timeout(LONG)
                .operation_attempt_timeout(SHORT)
                .build(),
        )
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED).build())
        .force_path_style(path_style)
}

/// For a single call that may take long.
pub(crate) fn patient() -> Builder {
    Builder::new().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(LONG).build())
}
