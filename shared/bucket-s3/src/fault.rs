//! The SDK's errors as answers of the port, or as its kinds.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use sluice_ports::{Error, ErrorKind};
use sluice_transfer::limits::excerpt;

use crate::S3Bucket;

/// The header in which S3 tells where a bucket is.
pub(crate) const REGION: &str = "x-amz-bucket-region";

/// One of S3's operations, and what IAM calls the right to it (Service Authorization Reference, "Actions, resources,
/// and condition keys for Amazon S3").
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub name: &'static str,
    pub action: &'static str,
    /// Whether something may have happened though nobody heard of it.
    pub writes: bool,
}

const fn call(name: &'static str, action: &'static str, writes: bool) -> Call {
    Call { name, action, writes }
}

pub(crate) const HEAD: Call = call("HeadObject", "s3:GetObject", false);
pub(crate) const GET: Call = call("GetObject", "s3:GetObject", false);
pub(crate) const PUT: Call = call("PutObject", "s3:PutObject", true);
pub(crate) const CREATE: Call = call("CreateMultipartUpload", "s3:PutObject", true);
pub(crate) const PART: Call = call("UploadPart", "s3:PutObject", true);
pub(crate) const PARTS: Call = call("ListParts", "s3:ListMultipartUploadParts", false);
pub(crate) const COMPLETE: Call = call("CompleteMultipartUpload", "s3:PutObject", true);
pub(crate) const ABORT: Call = call("AbortMultipartUpload", "s3:AbortMultipartUpload", true);
pub(crate) const LIST: Call = call("ListObjectsV2", "s3:ListBucket", false);
pub(crate) const UPLOADS: Call = call("ListMultipartUploads", "s3:ListBucketMultipartUploads", false);

/// Refusals that some operation answers instead of failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The condition does not hold: there is an object, or another one.
    Condition,
    /// Somebody else wrote the same key meanwhile.
    Conflict,
    NoSuchObject,
    NoSuchUpload,
    /// A part is not the one that the ledger names, or all of them are not the object.
    Parts,
    /// The range begins behind the end.
    Range,
    /// The service does not know what was asked for.
    NotImplemented,
}

/// What was refused, if that is an answer. The code counts before the status: an answer of status 200 can carry an
/// error (Amazon S3 API reference, `CompleteMultipartUpload`), and one without a body has no code.
pub(crate) fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Refusal> {
    let SdkError::ServiceError(service) = error else { return None };
    Some(match (service.err().code(), service.raw().status().as_u16()) {
        (Some("PreconditionFailed"), _) | (None, 412) => Refusal::Condition,
        (Some("ConditionalRequestConflict"), _) => Refusal::Conflict,
        (Some("NoSuchKey" | "NotFound"), _) | (None, 404) => Refusal::NoSuchObject,
        (Some("NoSuchUpload"), _) => Refusal::NoSuchUpload,
        (Some("InvalidPart" | "InvalidPartOrder" | "BadDigest"), _) => Refusal::Parts,
        (Some("InvalidRange"), _) | (None, 416) => Refusal::Range,
        (Some("NotImplemented"), _) | (None, 501) => Refusal::NotImplemented,
        _ => return None,
    })
}

impl S3Bucket {
    /// A call failed. `about` is the key or the prefix.
    pub(crate) fn fault<E>(&self, call: Call, about: &str, error: SdkError<E>) -> Error
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let kind = kind(&error, call);
        let hint = self.hint(kind, &error, call);
        let what = format!("{} of '{}' in the bucket {}{hint}", call.name, about.escape_debug(), self.inner.bucket);
        Error::with(kind, what, Cause::of(error))
    }

    /// An answer that lacks what it must have, or that broke off: whether it happened is not known.
    pub(crate) fn garbled(&self, call: Call, about: &str, why: &str) -> Error {
        let bucket = &self.inner.bucket;
        Error::new(
            unanswered(call),
            format!("{} of '{}' in the bucket {bucket}: {why}", call.name, about.escape_debug()),
        )
    }

    /// What a person can do about it.
    fn hint<E: ProvideErrorMetadata>(&self, kind: ErrorKind, error: &SdkError<E>, call: Call) -> String {
        let region = error.raw_response().and_then(|raw| raw.headers().get(REGION));
        match (error.code(), error.raw_response().map(|raw| raw.status().as_u16()), region) {
            (Some("NoSuchBucket"), _, _) => " (there is no such bucket)".to_owned(),
            (Some("InvalidObjectState"), _, _) => " (the object is archived: restore it first)".to_owned(),
            (Some("RequestTimeTooSkewed"), _, _) => " (this machine's clock is wrong)".to_owned(),
            (Some("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed"), _, Some(region))
            | (None, Some(301 | 307 | 400), Some(region)) => {
                format!(" (the bucket is in the region {}: set that)", excerpt(region))
            }
            (Some("PermanentRedirect"), _, None) => " (the bucket is in another region)".to_owned(),
            (_, Some(_), _) if kind == ErrorKind::Denied => self.missing_right(call),
            (_, None, _) if matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)) => {
                self.no_answer()
            }
            _ => String::new(),
        }
    }

    /// Where an endpoint of one's own is configured, it is the first thing to look at.
    fn no_answer(&self) -> String {
        let endpoint = self.inner.settings.endpoint.as_ref();
        endpoint.map_or_else(String::new, |endpoint| {
            format!(
                " (does the service at {} run? AWS_ENDPOINT_URL or the profile names it)",
                excerpt(endpoint.escape_debug())
            )
        })
    }

    fn missing_right(&self, call: Call) -> String {
        let besides = match call.action {
            "s3:GetObject" => ", and s3:ListBucket, without which what is not there is answered like this",
            "s3:PutObject" if self.inner.settings.kms_key.is_some() => {
                ", and kms:GenerateDataKey and kms:Decrypt on the key"
            }
            _ => "",
        };
        let owner = self.inner.settings.owner.as_ref().map_or_else(String::new, |owner| {
            format!(" The bucket may also belong to another account than {owner}, which was expected.")
        });
        format!(" (is {} granted on it{besides}?{owner})", call.action)
    }
}

fn unanswered(call: Call) -> ErrorKind {
    if call.writes { ErrorKind::Indeterminate } else { ErrorKind::Unavailable }
}

fn kind<E: ProvideErrorMetadata>(error: &SdkError<E>, call: Call) -> ErrorKind {
    let unanswered = unanswered(call);
    match error {
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().and_then(|error| kind_of_unsent(error)).unwrap_or(unanswered)
        }
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            error.code().and_then(kind_of_code).or_else(|| kind_of_status(status)).unwrap_or(unanswered)
        }
        _ => unanswered,
    }
}

/// The kind of an error that kept a request from being sent; none if it may have been.
fn kind_of_unsent(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    causes(error).find_map(|cause| {
        if let Some(credentials) = cause.downcast_ref::<CredentialsError>() {
            return Some(match credentials {
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                    ErrorKind::Denied
                }
                _ => ErrorKind::Unavailable,
            });
        }
        let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
        cause.downcast_ref::<std::io::Error>().is_some_and(refused).then_some(ErrorKind::Unavailable)
    })
}

/// The kind that a code stands for (Amazon S3 API reference, "Error responses"); none for those that leave open what
/// happened, and for those whose status says it.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ServiceUnavailable" | "TooManyRequests" => ErrorKind::Throttled,
        // The request did not arrive whole, or somebody else was at it.
        "IncompleteBody" | "OperationAborted" | "ConditionalRequestConflict" => ErrorKind::Unavailable,
        "AccessDenied"
        | "ExpiredToken"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "TokenRefreshRequired" => ErrorKind::Denied,
        "NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" | "NotFound" => ErrorKind::NotFound,
        // Of services that are not Amazon's.
        "QuotaExceeded" | "XMinioStorageFull" => ErrorKind::Full,
        "BadDigest" | "EntityTooLarge" | "EntityTooSmall" | "InvalidArgument" | "InvalidObjectState"
        | "InvalidRequest" | "NotImplemented" | "PermanentRedirect" | "PreconditionFailed" | "TemporaryRedirect" => {
            ErrorKind::Invalid
        }
        code if THROTTLING_ERRORS.contains(&code) => ErrorKind::Throttled,
        // S3 did not get the whole request in time.
        code if TRANSIENT_ERRORS.contains(&code) => ErrorKind::Unavailable,
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        408 => ErrorKind::Unavailable,
        429 | 503 => ErrorKind::Throttled,
        507 => ErrorKind::Full,
        300..=499 | 501 => ErrorKind::Invalid,
        _ => return None,
    })
}

/// An error and what lies behind it.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// What S3 said, or why it could not be heard: each of the SDK's errors tells its own layer only.
#[derive(Debug)]
struct Cause {
    text: String,
    source: BoxError,
}

impl Cause {
    fn of<E>(error: SdkError<E>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let mut text = match &error {
            SdkError::ServiceError(service) => {
                let status = format!("status {}", service.raw().status().as_u16());
                let code = service.err().code().unwrap_or(&status);
                let code = excerpt(code);
                match service.err().message() {
                    Some(message) => format!("{code}: {}", excerpt(message)),
                    None => code,
                }
            }
            other => causes(other).map(ToString::to_string).collect::<Vec<_>>().join(": "),
        };
        if let Some(id) = error.raw_response().and_then(RequestId::request_id) {
            text = format!("{text} (request {})", excerpt(id));
        }
        Self { text, source: error.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdk_tries_again_is_trouble() {
        for code in THROTTLING_ERRORS {
            assert_eq!(kind_of_code(code), Some(ErrorKind::Throttled), "{code}");
        }
        for code in TRANSIENT_ERRORS {
            assert_eq!(kind_of_code(code), Some(ErrorKind::Unavailable), "{code}");
        }
    }
}
