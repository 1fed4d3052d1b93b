//! `trigger`: objects that arrive, as S3 itself or EventBridge tells of them.
//!
//! An event that cannot be handled now fails its invocation, and Lambda hands it over again; at last it lies in the
//! stack's queue of dead letters. An object with two events waits once.

use std::borrow::Cow;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_operations::{Arrival, OperationError, arrive};
use sluice_transfer::limits::{KEY_BYTES, excerpt};
use sluice_transfer::record::FIRST_VERSION;
use sluice_transfer::rule::Waiting;
use sluice_transfer::{RuleName, Timestamp};

use crate::error::{Refused, invalid};
use crate::fire::wake;
use crate::function::{Host, Invocation};

/// Objects of which one event may tell. S3 tells of one at a time.
const OBJECTS: usize = 1_000;

/// What became of the objects of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handled {
    /// Objects that wait now, counted once for each rule.
    pub waiting: u64,
    /// Those that were told of before.
    pub repeated: u64,
    /// Those that are nothing to import.
    pub ignored: u64,
    /// Those that may not be imported.
    pub refused: u64,
    /// Objects for which no rule waits.
    pub unasked: u64,
    /// Executions that were started.
    pub launched: u64,
}

/// The detail of EventBridge's `Object Created` (Amazon S3 user guide, "`EventBridge` mapping").
#[derive(Debug, Serialize, Deserialize)]
struct Created {
    bucket: Named,
    object: Object,
}

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Object {
    key: String,
    size: Option<u64>,
    etag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// Puts the objects of an event into the inboxes of the rules that wait for them, and wakes these.
pub async fn trigger(host: &Host, event: Value, invocation: &Invocation) -> Result<Handled, Refused> {
    let objects = read(event)?;
    let mut handled = Handled::default();
    if objects.is_empty() {
        tracing::info!("the event tells of no new object");
        return Ok(handled);
    }
    let rules = host.rules.rules().await?;
    let mut to_wake: Vec<RuleName> = Vec::new();
    for object in &objects {
        let arrivals = arrive(&host.engine, &*host.rules, &rules, object).await?;
        if arrivals.is_empty() {
            handled.unasked += 1;
        }
        for (rule, arrival) in arrivals {
            let count = match &arrival {
                Arrival::Waits => &mut handled.waiting,
                Arrival::Repeated => &mut handled.repeated,
                Arrival::Ignored(why) => {
                    tracing::info!(%rule, bucket = object.bucket, key = object.key, "ignored: {why}");
                    &mut handled.ignored
                }
                Arrival::Refused(why) => {
                    tracing::warn!(%rule, bucket = object.bucket, key = object.key, "refused: {why}");
                    &mut handled.refused
                }
            };
            *count += 1;
            if matches!(arrival, Arrival::Waits | Arrival::Repeated) && !to_wake.contains(&rule) {
                to_wake.push(rule);
            }
        }
    }
    for rule in &to_wake {
        handled.launched += u64::from(wake(host, rule, &invocation.request).await?);
    }
    let Handled { waiting, repeated, ignored, refused, unasked, launched } = handled;
    tracing::info!(waiting, repeated, ignored, refused, unasked, launched, "objects arrived");
    Ok(handled)
}

/// The objects of which an event tells; none if it tells of something else.
fn read(event: Value) -> Result<Vec<Waiting>, Refused> {
    let is = |field: &str, text: &str| event.get(field).and_then(Value::as_str) == Some(text);
    let unknown = |error| invalid(format!("the event is of no kind that is known: {}", excerpt(error)));
    let objects = if event.get("Records").is_some() {
        let event: S3Event = serde_json::from_value(event).map_err(unknown)?;
        event.records.into_iter().filter_map(of_notification).collect::<Result<_, _>>()?
    } else if is("source", "aws.s3") && is("detail-type", "Object Created") {
        let event: EventBridgeEvent<Created> = serde_json::from_value(event).map_err(unknown)?;
        let told = event.time.map(|time| time.timestamp_millis()).unwrap_or_default();
        vec![of_event(event.detail, Timestamp::from_millis(told))]
    } else if is("Event", "s3:TestEvent") {
        Vec::new()
    } else {
        return Err(invalid("the event is neither a notification of S3 nor an 'Object Created' of EventBridge").into());
    };
    if objects.len() > OBJECTS {
        return Err(
            invalid(format!("the event tells of {} objects; at most {OBJECTS} are taken", objects.len())).into()
        );
    }
    if objects.iter().any(|object| object.key.len() > KEY_BYTES || object.key.is_empty()) {
        return Err(invalid(format!("the event names a key that is empty or longer than {KEY_BYTES} bytes")).into());
    }
    Ok(objects)
}

/// An object as S3 itself tells of it. Its key is encoded as in a form; none for what is no new object.
fn of_notification(record: S3EventRecord) -> Option<Result<Waiting, OperationError>> {
    let name = record.event_name?;
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return None;
    }
    let object = record.s3.object;
    let encoded = object.key?;
    let Some(key) = decoded(&encoded) else {
        return Some(Err(invalid(format!("the event names a key that cannot be decoded: {}", excerpt(encoded)))));
    };
    let created = Created {
        bucket: Named { name: record.s3.bucket.name? },
        object: Object {
            key,
            size: object.size.and_then(|size| u64::try_from(size).ok()),
            etag: object.e_tag,
            version_id: object.version_id,
            sequencer: object.sequencer,
        },
    };
    Some(Ok(of_event(created, Timestamp::from_millis(record.event_time.timestamp_millis()))))
}

/// A text that was encoded as in a form; none if it is no text.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

fn of_event(created: Created, time: Timestamp) -> Waiting {
    let Created { bucket, object } = created;
    let said = |text: Option<String>| text.filter(|text| !text.is_empty() && text != "null");
    Waiting {
        version: FIRST_VERSION,
        time,
        bucket: bucket.name,
        key: object.key,
        object_version: said(object.version_id),
        etag: said(object.etag).map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: said(object.sequencer),
        size: object.size,
        is_manifest: false,
    }
}

#[cfg(test)]
mod tests;
