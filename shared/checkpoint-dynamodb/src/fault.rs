//! The SDK's errors as the port's kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_dynamodb::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use sluice_ports::{Error, ErrorKind};
use sluice_transfer::limits::excerpt;

use crate::item::Item;

/// Watches the tries of one write: whether any ended without word of what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tries {
    unanswered: Arc<AtomicBool>,
}

impl Intercept for Tries {
    fn name(&self) -> &'static str {
        "Tries"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let failed = matches!(context.output_or_error(), Some(Err(_)));
        let refused = context.response().is_some_and(|response| response.status().is_client_error());
        if failed && !refused {
            self.unanswered.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A read failed.
pub(crate) fn reading<E>(error: SdkError<E>, what: String) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    with_source(kind(&error, ErrorKind::Unavailable), what, error)
}

/// A write failed, after these tries.
pub(crate) fn writing<E>(error: SdkError<E>, what: String, tries: &Tries) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let last = kind(&error, ErrorKind::Indeterminate);
    with_source(settled(last, tries), what, error)
}

/// What the last try says holds for all only if each of them was answered.
pub(crate) fn settled(last: ErrorKind, tries: &Tries) -> ErrorKind {
    if tries.unanswered.load(Ordering::Relaxed) { ErrorKind::Indeterminate } else { last }
}

/// Where a query goes on; an error if that is where it was, since it would never end.
pub(crate) fn further(
    before: Option<&Item>,
    next: Option<Item>,
    what: impl FnOnce() -> String,
) -> Result<Option<Item>, Error> {
    if next.is_some() && next.as_ref() == before {
        return Err(Error::new(ErrorKind::Corrupt, format!("{}: the answer does not go on", what())));
    }
    Ok(next)
}

fn with_source<E>(kind: ErrorKind, what: String, error: SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let message = error.message().map(str::to_owned);
    // The SDK's own text ("service error") says less than its cause's.
    let source = error.into_source().unwrap_or_else(Into::into);
    // Of an error that it has no type for, the cause tells the code alone.
    let what = match message {
        Some(message) if !source.to_string().contains(&message) => format!("{what}: {}", excerpt(message)),
        _ => what,
    };
    Error::with(kind, what, source)
}

/// `unanswered` is the kind of an error that leaves open what happened.
fn kind<E: ProvideErrorMetadata>(error: &SdkError<E>, unanswered: ErrorKind) -> ErrorKind {
    match error {
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        SdkError::ServiceError(service) => of_answer(service.err().code(), service.raw().status().as_u16(), unanswered),
        _ => unanswered,
    }
}

/// The kind of an error that the service answered with a status.
fn of_answer(code: Option<&str>, status: u16, unanswered: ErrorKind) -> ErrorKind {
    if code.is_some_and(|code| TRANSIENT_ERRORS.contains(&code)) {
        return unanswered;
    }
    let other = match status {
        429 => ErrorKind::Throttled,
        // 408: the request did not arrive in time, as far as that was seen.
        400..=499 if status != 408 => ErrorKind::Invalid,
        _ => unanswered,
    };
    code.and_then(kind_of_code).unwrap_or(other)
}

/// The kind that a name of `DynamoDB`'s stands for; none for those that leave open what happened.
pub(crate) fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ThrottlingError"
        | "ProvisionedThroughputExceeded"
        | "ReplicatedWriteConflictException"
        | "TransactionConflictException"
        | "TransactionConflict" => ErrorKind::Throttled,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => ErrorKind::Denied,
        "ItemCollectionSizeLimitExceededException" | "ItemCollectionSizeLimitExceeded" => ErrorKind::Full,
        // An earlier try of the same transaction is still under way.
        "TransactionInProgressException" => ErrorKind::Indeterminate,
        "ValidationException"
        | "ValidationError"
        | "SerializationException"
        | "UnknownOperationException"
        | "IdempotentParameterMismatchException" => ErrorKind::Invalid,
        code if THROTTLING_ERRORS.contains(&code) => ErrorKind::Throttled,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdk_tries_again_is_trouble() {
        let unanswered = ErrorKind::Indeterminate;
        for code in THROTTLING_ERRORS {
            // The same transaction is still under way: it may yet be written.
            let kind = if *code == "TransactionInProgressException" { unanswered } else { ErrorKind::Throttled };
            assert_eq!(of_answer(Some(code), 400, unanswered), kind, "{code}");
        }
        for code in TRANSIENT_ERRORS {
            assert_eq!(of_answer(Some(code), 400, unanswered), unanswered, "{code}");
        }
        assert_eq!(of_answer(None, 429, unanswered), ErrorKind::Throttled);
        assert_eq!(of_answer(Some("SomethingNew"), 400, unanswered), ErrorKind::Invalid);
        assert_eq!(of_answer(Some("SomethingNew"), 500, unanswered), unanswered);
    }
}
