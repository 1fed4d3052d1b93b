//! HTTP without a network: a request of the SDK in, an answer in `DynamoDB`'s form out.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;

use crate::dispatch::{Answer, answer};

/// In front of the operation's name in the header that carries it.
const TARGET: &str = "DynamoDB_20120810.";

/// Answers the SDK's requests from the database.
#[derive(Clone)]
pub struct EmbeddedConnector(Database);

impl std::fmt::Debug for EmbeddedConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedConnector").finish_non_exhaustive()
    }
}

impl EmbeddedConnector {
    pub(crate) fn new(database: Database) -> Self {
        Self(database)
    }
}

impl HttpConnector for EmbeddedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.0.clone();
        HttpConnectorFuture::new(async move {
            let operation = request.headers().get("x-amz-target").and_then(|target| target.strip_prefix(TARGET));
            let operation = operation.unwrap_or_default().to_owned();
            let Some(body) = request.body().bytes().map(<[u8]>::to_vec) else {
                return Err(ConnectorError::user("a request of DynamoDB has its body in memory".into()));
            };
            let answered = tokio::task::spawn_blocking(move || answer(&database, &operation, &body)).await;
            // A panic in the database, or a runtime that is shutting down: nobody knows what was done.
            let answer = answered.map_err(|error| ConnectorError::io(error.into()))?;
            respond(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn respond(answer: Answer) -> Result<HttpResponse, aws_smithy_runtime_api::http::HttpError> {
    let status = StatusCode::try_from(answer.status)?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}
