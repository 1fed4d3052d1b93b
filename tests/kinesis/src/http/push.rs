//! The answer to `SubscribeToShard`: events in frames, one after the other, until the subscription ends.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures::stream::{Stream, StreamExt, unfold};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;

use super::encode;
use crate::Kinesis;
use crate::refused::Refused;
use crate::service::{Pushed, Subscription};

const FRAMES: &str = "application/vnd.amazon.eventstream";

/// The subscriber's answer.
pub(super) fn response(kinesis: Kinesis, subscription: Subscription) -> HttpResponse {
    let body = StreamBody::new(frames(kinesis, subscription));
    let mut response = HttpResponse::new(200.try_into().expect("a status of HTTP"), SdkBody::from_body_1_x(body));
    response.headers_mut().insert("content-type", FRAMES);
    response
}

/// Where the answer stands.
enum At {
    Begin,
    Events,
    End,
}

type Pushing = Result<Frame<Bytes>, std::io::Error>;

fn frames(kinesis: Kinesis, subscription: Subscription) -> impl Stream<Item = Pushing> + Send + Sync + 'static {
    unfold((kinesis, subscription, At::Begin), |(kinesis, mut subscription, at)| async move {
        match at {
            At::Begin => {
                return Some((
                    Ok(event("initial-response", &Value::Object(serde_json::Map::new()))),
                    (kinesis, subscription, At::Events),
                ));
            }
            At::End => return None,
            At::Events => {}
        }
        loop {
            let pushed = kinesis.call("", |call| call.push(&mut subscription));
            match pushed {
                Pushed::Event(records, continues) => {
                    let frame = event("SubscribeToShardEvent", &encode::pushed(&records, &continues));
                    return Some((Ok(frame), (kinesis, subscription, At::Events)));
                }
                Pushed::Wait(millis) => kinesis.clock().pass(millis).await,
                Pushed::Over(None) => return None,
                Pushed::Over(Some(refused)) => {
                    return Some((Ok(exception(&refused)), (kinesis, subscription, At::End)));
                }
            }
        }
    })
    .fuse()
}

fn event(kind: &'static str, payload: &Value) -> Frame<Bytes> {
    frame([(":message-type", "event"), (":event-type", kind)], payload)
}

fn exception(refused: &Refused) -> Frame<Bytes> {
    let payload = encode::refused(refused);
    frame([(":message-type", "exception"), (":exception-type", refused.code.as_str())], &payload)
}

fn frame(headers: [(&'static str, &'static str); 2], payload: &Value) -> Frame<Bytes> {
    let content = (":content-type", "application/json");
    let message = headers
        .into_iter()
        .chain([content])
        .fold(Message::new(Bytes::from(payload.to_string())), |message, (name, value)| {
            message.add_header(Header::new(name, HeaderValue::String(value.into())))
        });
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("a frame of a few megabytes");
    Frame::data(bytes.into())
}
