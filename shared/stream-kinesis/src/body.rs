//! Bodies of the calls that carry records, past the SDK.
//!
//! The SDK would make an object of each record, each text copied byte by byte: most of a transfer's cost. So it does
//! all that surrounds such a call (endpoint, signature, connection, errors), and neither writes its request's body nor
//! reads that of a good answer.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::{self, ByteStream};
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use futures::future::{Either, select};
use serde::Deserialize;
use sluice_ports::{Clock, Error, ErrorKind, Result};

/// Bytes of the longest answer: 10 MiB of records, in base 64.
const LARGEST: usize = 14 << 20;
/// How long an answer may take to arrive, in milliseconds.
const ARRIVAL_MILLIS: u64 = 60_000;

/// The length of a body, as its header.
const LENGTH: &str = "content-length";

/// The bodies of one call: as an interceptor it takes the body of a good answer away before the SDK reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    /// Replaces the body that the SDK makes of its input; none to send that.
    request: Option<Bytes>,
    answer: Arc<Mutex<Option<SdkBody>>>,
}

impl Intercept for Bodies {
    fn name(&self) -> &'static str {
        "Bodies"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let Some(body) = self.request.clone() {
            let request = context.request_mut();
            request.headers_mut().insert(LENGTH, body.len().to_string());
            *request.body_mut() = SdkBody::from(body);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            // It is compared with that of the body that the SDK gets.
            response.headers_mut().remove(LENGTH);
            let body = std::mem::replace(response.body_mut(), SdkBody::from("{}"));
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
        Ok(())
    }
}

impl Bodies {
    /// Of a call that sends this.
    pub(crate) fn of_request(body: Vec<u8>) -> Self {
        Self { request: Some(body.into()), ..Self::default() }
    }

    /// All bytes of the answer. `unanswered` if they do not come.
    pub(crate) async fn answer(&self, operation: &str, unanswered: ErrorKind, clock: &dyn Clock) -> Result<Vec<u8>> {
        let body = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(SdkBody::empty);
        match select(pin!(arrival(body)), clock.sleep(ARRIVAL_MILLIS)).await {
            Either::Left((Ok(bytes), _)) => Ok(bytes),
            Either::Left((Err(why), _)) => {
                Err(Error::with(unanswered, format!("the answer of {operation} broke off"), why))
            }
            Either::Right(_) => {
                let seconds = ARRIVAL_MILLIS / 1_000;
                Err(Error::new(unanswered, format!("the answer of {operation} did not arrive within {seconds} s")))
            }
        }
    }
}

/// All bytes of a body. Each piece is copied as it comes, so that the connection can fill its memory again.
async fn arrival(body: SdkBody) -> std::result::Result<Vec<u8>, byte_stream::error::Error> {
    let mut pieces = ByteStream::new(body);
    // What a server says of its length.
    let told = usize::try_from(pieces.size_hint().0).unwrap_or(LARGEST);
    let mut bytes = Vec::with_capacity(told.min(LARGEST));
    while let Some(piece) = pieces.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// A text of an answer: borrowed unless it has escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// An answer's JSON. `Corrupt` if it is none of that kind; the error quotes nothing of it.
pub(crate) fn parsed<'a, T: Deserialize<'a>>(operation: &str, body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|why| {
        let what = format!("the answer of {operation} is not understood ({:?}, byte {})", why.classify(), why.column());
        Error::new(ErrorKind::Corrupt, what)
    })
}
