//! The service as the SDK meets it: JSON over a connector that is no socket.

mod decode;
mod encode;
mod push;

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use self::decode::Body;
use crate::counts::Operation;
use crate::faults::Fault;
use crate::refused::{Answer, Code, Refused};
use crate::{Call, Kinesis, Millis};

/// What operations begin with on the wire.
const TARGET: &str = "Kinesis_20131202.";
/// The one protocol that the SDK for Rust speaks, and that is understood here (row 12).
const JSON: &str = "application/x-amz-json-1.1";
/// How long a caller waits that does not say how long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the SDK's.
pub(crate) fn client(kinesis: Kinesis, caller: &str) -> SharedHttpClient {
    let caller: Arc<str> = caller.into();
    http_client_fn(move |settings, _| {
        let timeout = settings.read_timeout().unwrap_or(TIMEOUT);
        SharedHttpConnector::new(Wire { kinesis: kinesis.clone(), caller: caller.clone(), timeout })
    })
}

/// The answer to one request of a caller's, for a server on a socket: status and body. Nothing scripted happens to it,
/// and it takes no time.
pub(crate) fn answer(kinesis: &Kinesis, caller: &str, target: &str, content: &str, body: &[u8]) -> (u16, String) {
    let understood = understood(target, content, Some(body)).and_then(|(operation, body)| match operation {
        // Its answer has no end.
        Operation::SubscribeToShard => Err(Refused::new(Code::UnknownOperation, target)),
        _ => Ok((operation, body)),
    });
    told(
        &understood
            .and_then(|(operation, body)| kinesis.call(caller, |call| decode::carry_out(call, operation, Body(&body)))),
    )
}

/// The way of one caller's requests.
#[derive(Clone, Debug)]
struct Wire {
    kinesis: Kinesis,
    caller: Arc<str>,
    /// How long the caller waits for an answer.
    timeout: Duration,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move { wire.answer(&request).await })
    }
}

impl Wire {
    async fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let latency = self.kinesis.service().faults.latency;
        if latency > 0 {
            self.kinesis.clock().pass(latency).await;
        }
        let header = |name: &str| request.headers().get(name).unwrap_or_default();
        let (target, content) = (header("x-amz-target"), header("content-type"));
        let (operation, body) = match understood(target, content, request.body().bytes()) {
            Ok(understood) => understood,
            Err(refused) => return Ok(response(&Err(refused))),
        };
        let fault = self.kinesis.service().scripted(operation);
        let body = Body(&body);
        let carry_out = || self.kinesis.call(&self.caller, |call| decode::carry_out(call, operation, body));
        match fault {
            Fault::Passed if operation == Operation::SubscribeToShard => {
                let subscribed = self.kinesis.call(&self.caller, |call| {
                    let (consumer, shard, start) = body.subscription()?;
                    call.subscribe_to_shard(consumer, shard, &start)
                });
                return Ok(match subscribed {
                    Ok(subscription) => push::response(self.kinesis.clone(), subscription),
                    Err(refused) => response(&Err(refused)),
                });
            }
            Fault::Passed => return Ok(response(&carry_out())),
            Fault::Refused(code) => {
                let refused = Err(Refused::new(code, "It was scripted so."));
                self.kinesis.service().count_refused(&self.caller, operation, &refused);
                return Ok(response(&refused));
            }
            Fault::AnswerLost => {
                // Whatever it was: nobody hears of it.
                let _: Answer<Value> = carry_out();
                self.kinesis.service().count(&self.caller, operation).unanswered += 1;
            }
            Fault::Lost => self.unanswered(operation),
            Fault::Late(millis) => {
                self.unanswered(operation);
                let late = self.kinesis.call(&self.caller, |call| later(call, operation, body, millis));
                if let Err(refused) = late {
                    return Ok(response(&Err(refused)));
                }
            }
        }
        let timeout = Millis::try_from(self.timeout.as_millis()).unwrap_or(Millis::MAX);
        self.kinesis.clock().pass(timeout).await;
        Err(ConnectorError::timeout("no answer came in time".into()))
    }

    /// A call that nothing is heard of.
    fn unanswered(&self, operation: Operation) {
        let mut service = self.kinesis.service();
        let count = service.count(&self.caller, operation);
        count.calls += 1;
        count.unanswered += 1;
    }
}

/// A write that lands in this many milliseconds.
fn later(call: &mut Call<'_>, operation: Operation, body: Body<'_>, millis: Millis) -> Answer<()> {
    let entries = match operation {
        Operation::PutRecord => vec![body.entry()?],
        Operation::PutRecords => body.entries()?,
        _ => return Err(Refused::new(Code::UnknownOperation, format!("{operation:?} cannot come late."))),
    };
    let at = call.now() + millis;
    call.put_later(&body.stream()?, at, entries)
}

/// The operation and its input. A body that is a stream has no bytes.
fn understood(target: &str, content: &str, body: Option<&[u8]>) -> Answer<(Operation, Value)> {
    let named = target.strip_prefix(TARGET).and_then(Operation::named);
    let operation = named.ok_or_else(|| Refused::new(Code::UnknownOperation, target))?;
    let unread = |why: &str| Refused::new(Code::Serialization, why);
    if content != JSON {
        return Err(unread("only JSON is understood"));
    }
    let bytes = body.ok_or_else(|| unread("the body is a stream"))?;
    let body = serde_json::from_slice(bytes).map_err(|why| unread(&why.to_string()))?;
    Ok((operation, body))
}

/// Status and body.
fn told(answer: &Answer<Value>) -> (u16, String) {
    match answer {
        Ok(value) if value.is_null() => (200, String::new()),
        Ok(value) => (200, value.to_string()),
        Err(refused) => (refused.code.status(), encode::refused(refused).to_string()),
    }
}

fn response(answer: &Answer<Value>) -> HttpResponse {
    let (status, body) = told(answer);
    let status = status.try_into().expect("a status of HTTP");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", JSON);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &'static str, content: &'static str, body: &'static str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.headers_mut().insert("x-amz-target", target);
        request.headers_mut().insert("content-type", content);
        request
    }

    /// Row 12, and what else is no request of this service.
    #[tokio::test(start_paused = true)]
    async fn only_json_of_known_operations_is_understood() {
        let wire = Wire { kinesis: Kinesis::new(), caller: "me".into(), timeout: TIMEOUT };
        let list = "Kinesis_20131202.ListShards";
        for (target, content, body, status, code) in [
            (list, "application/x-amz-cbor-1.1", "{}", 400, "SerializationException"),
            (list, JSON, "{", 400, "SerializationException"),
            (list, JSON, "{}", 400, "InvalidArgumentException"),
            (list, JSON, r#"{"StreamName":7}"#, 400, "SerializationException"),
            ("Kinesis_20131202.SubscribeToShard", JSON, "{}", 400, "ValidationException"),
            ("Kinesis_20131202.ListStreams", JSON, "{}", 400, "UnknownOperationException"),
            ("DynamoDB_20120810.GetItem", JSON, "{}", 400, "UnknownOperationException"),
        ] {
            let answer = wire.answer(&request(target, content, body)).await.unwrap();
            let told: Value = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
            assert_eq!((answer.status().as_u16(), told["__type"].as_str()), (status, Some(code)), "{target} {body}");
        }
    }
}
