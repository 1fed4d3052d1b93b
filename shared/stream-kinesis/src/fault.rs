//! The SDK's errors as the port's kinds.

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use sluice_ports::{Error, ErrorKind};
use sluice_transfer::limits::excerpt;

/// What a call was for, as messages tell it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The operation, which is also the name of the IAM action that allows it.
    pub operation: &'static str,
    /// The stream, by name or ARN.
    pub stream: &'a str,
    /// Where Kinesis is looked for, if not at Amazon's own endpoint.
    pub endpoint: Option<&'a str>,
    /// What an error means that leaves open what happened.
    pub unanswered: ErrorKind,
}

impl Call<'_> {
    /// The error of this call.
    pub(crate) fn failed<E>(self, error: SdkError<E>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let kind = kind(&error, self.unanswered);
        let advice = match &error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => self.no_answer(),
            _ => self.advice(kind, code.as_deref()),
        };
        let what = format!("{} on {}{advice}", self.operation, self.stream);
        let message = error.message().map(str::to_owned);
        // Each of the SDK's errors tells its own layer only, and of the outermost the text ("service error") says
        // least.
        let source = error.into_source().unwrap_or_else(Into::into);
        let layers = std::iter::successors(source.source(), |error| error.source());
        let below: Vec<_> = layers.map(ToString::to_string).filter(|text| !source.to_string().contains(text)).collect();
        let what = if below.is_empty() { what } else { format!("{what}: {}", excerpt(below.join(": "))) };
        let what = match message {
            Some(message) if !source.to_string().contains(&message) => format!("{what}: {}", excerpt(message)),
            _ => what,
        };
        Error::with(kind, what, source)
    }

    /// Where an endpoint of one's own is configured, it is the first thing to look at.
    fn no_answer(&self) -> String {
        self.endpoint.map_or_else(String::new, |endpoint| {
            let endpoint = excerpt(endpoint.escape_debug());
            format!(" (does the service at {endpoint} run? AWS_ENDPOINT_URL or the profile names it)")
        })
    }

    /// What a person may do about it, to be put behind what failed.
    fn advice(&self, kind: ErrorKind, code: Option<&str>) -> String {
        match (kind, code) {
            (ErrorKind::Denied, Some(code)) if code.starts_with("KMS") => {
                " (the stream's KMS key: is it enabled, and may the caller use it, kms:Decrypt to read, \
                 kms:GenerateDataKey to write?)"
                    .to_owned()
            }
            (ErrorKind::Denied, _) if self.operation == "SubscribeToShard" => {
                " (is kinesis:SubscribeToShard allowed on the stream's consumers?)".to_owned()
            }
            (ErrorKind::Denied, _) => format!(" (is kinesis:{} allowed on the stream?)", self.operation),
            (ErrorKind::NotFound, _) => " (is it in this region and account?)".to_owned(),
            _ => String::new(),
        }
    }
}

/// Whether the request was refused for what it asked for, such as a sequence number that is none.
pub(crate) fn is_refused_argument<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error, SdkError::ServiceError(_))
        && matches!(error.code(), Some("InvalidArgumentException" | "ValidationException"))
}

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
    code.and_then(of_code).unwrap_or(other)
}

/// The kind that a name of Kinesis' stands for (API reference, "Common errors" and each operation's); none for those
/// that leave open what happened, and for those that are not known.
pub(crate) fn of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "KMSThrottlingException" => ErrorKind::Throttled,
        code if THROTTLING_ERRORS.contains(&code) => ErrorKind::Throttled,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        // The stream is being made or changed.
        "ResourceInUseException" => ErrorKind::Unavailable,
        "AccessDeniedException"
        | "AccessDenied"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired" => ErrorKind::Denied,
        "InvalidArgumentException" | "ValidationException" | "ValidationError" | "SerializationException" => {
            ErrorKind::Invalid
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::error::ErrorMetadata;
    use aws_sdk_kinesis::operation::get_records::GetRecordsError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const UNANSWERED: ErrorKind = ErrorKind::Indeterminate;

    fn call(operation: &'static str) -> Call<'static> {
        Call { operation, stream: "orders", endpoint: None, unanswered: UNANSWERED }
    }

    fn answered(status: u16, code: &str) -> SdkError<GetRecordsError> {
        let error = GetRecordsError::generic(ErrorMetadata::builder().code(code).message("because").build());
        SdkError::service_error(error, HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()))
    }

    #[test]
    fn codes_say_what_to_do() {
        for (status, code, kind) in [
            (400, "ProvisionedThroughputExceededException", ErrorKind::Throttled),
            (400, "LimitExceededException", ErrorKind::Throttled),
            (400, "KMSThrottlingException", ErrorKind::Throttled),
            (400, "ResourceNotFoundException", ErrorKind::NotFound),
            (400, "ResourceInUseException", ErrorKind::Unavailable),
            (400, "AccessDeniedException", ErrorKind::Denied),
            (400, "KMSDisabledException", ErrorKind::Denied),
            (400, "ExpiredTokenException", ErrorKind::Denied),
            (400, "ValidationException", ErrorKind::Invalid),
            (400, "InvalidArgumentException", ErrorKind::Invalid),
            (400, "SomethingNewException", ErrorKind::Invalid),
            (500, "InternalFailure", UNANSWERED),
            (500, "InternalFailureException", UNANSWERED),
            (503, "ServiceUnavailable", UNANSWERED),
            (503, "ThrottlingException", ErrorKind::Throttled),
        ] {
            assert_eq!(call("GetRecords").failed(answered(status, code)).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn what_the_sdk_tries_again_is_trouble() {
        let kind = |status, code: &str| call("PutRecords").failed(answered(status, code)).kind();
        for code in THROTTLING_ERRORS {
            assert_eq!(kind(400, code), ErrorKind::Throttled, "{code}");
        }
        for code in TRANSIENT_ERRORS {
            assert_eq!(kind(400, code), UNANSWERED, "{code}");
        }
        assert_eq!((kind(429, "SomethingNew"), kind(408, "SomethingNew")), (ErrorKind::Throttled, UNANSWERED));
    }

    #[test]
    fn no_answer_leaves_it_open() {
        let io = || ConnectorError::io("reset".into());
        let errors: [SdkError<GetRecordsError>; 3] = [
            SdkError::timeout_error("late"),
            SdkError::dispatch_failure(io()),
            SdkError::response_error("cut off", HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())),
        ];
        for error in errors {
            assert_eq!(call("PutRecords").failed(error).kind(), UNANSWERED);
        }
        let error: SdkError<GetRecordsError> = SdkError::construction_failure("no region");
        assert_eq!(call("PutRecords").failed(error).kind(), ErrorKind::Invalid, "it was never sent");
    }

    #[test]
    fn messages_help() {
        let text = |code| call("GetRecords").failed(answered(400, code)).to_string();
        assert!(text("AccessDeniedException").starts_with("GetRecords on orders (is kinesis:GetRecords allowed"));
        assert!(text("KMSAccessDeniedException").contains("kms:Decrypt"));
        assert!(text("ResourceNotFoundException").contains("(is it in this region and account?)"));
        assert!(text("ValidationException").contains("because"));
    }

    #[test]
    fn an_endpoint_that_does_not_answer_is_named_with_the_cause() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error: SdkError<GetRecordsError> = SdkError::dispatch_failure(ConnectorError::io(Box::new(refused())));
        let named = Call { endpoint: Some("http://127.0.0.1:9000"), ..call("GetRecords") };
        let said = named.failed(error).to_string();
        assert!(said.contains("http://127.0.0.1:9000") && said.contains("refused"), "{said}");
        let error: SdkError<GetRecordsError> = SdkError::dispatch_failure(ConnectorError::io(Box::new(refused())));
        assert!(!call("GetRecords").failed(error).to_string().contains("AWS_ENDPOINT_URL"));
    }

    #[test]
    fn refused_arguments() {
        assert!(is_refused_argument(&answered(400, "InvalidArgumentException")));
        assert!(!is_refused_argument(&answered(400, "ResourceNotFoundException")));
        assert!(!is_refused_argument(&SdkError::<GetRecordsError>::timeout_error("late")));
    }
}
