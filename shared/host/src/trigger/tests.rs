use serde_json::json;

use super::*;

/// As S3 writes it (Amazon S3 user guide, "Event message structure").
fn notification(event: &str, key: &str, more: &Value) -> Value {
    let mut object = json!({"key": key, "size": 3, "eTag": "abc", "sequencer": "0055AED6DCD90281E5"});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"Records": [{"eventVersion": "2.6", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
        "eventTime": "2026-11-30T03:00:00.123Z", "eventName": event, "userIdentity": {"principalId": "A"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"}, "responseElements": {"x-amz-request-id": "1"},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "", "bucket": {"name": "incoming",
            "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::incoming"}, "object": object}}]})
}

/// As EventBridge writes it (Amazon S3 user guide, "EventBridge event message structure").
fn event(key: &str) -> Value {
    json!({"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
        "source": "aws.s3", "account": "1", "time": "2026-11-30T03:00:00Z", "region": "eu-central-1",
        "resources": ["arn:aws:s3:::incoming"], "detail": {"version": "0", "bucket": {"name": "incoming"},
            "object": {"key": key, "size": 3, "etag": "abc", "version-id": "v1", "sequencer": "617f08299329d189"},
            "request-id": "N4N7GDK58NMKJ12R", "requester": "1", "source-ip-address": "1.2.3.4", "reason": "PutObject"}})
}

#[test]
fn both_kinds_of_events_are_read() {
    let objects = |event| read(event).unwrap_or_else(|Refused(error)| panic!("{error}"));
    let [told] = &objects(notification("ObjectCreated:Put", "a+b/%C3%BC%2B1.txt", &json!({})))[..] else { panic!() };
    assert_eq!((told.key.as_str(), told.bucket.as_str()), ("a b/ü+1.txt", "incoming"));
    assert_eq!((told.etag.as_deref(), told.sequencer.as_deref()), (Some("abc"), Some("0055AED6DCD90281E5")));
    assert_eq!((told.size, told.object_version.as_deref()), (Some(3), None));
    assert_eq!(told.time.to_string(), "2026-11-30T03:00:00.123Z");
    let [told] = &objects(event("a+b/ü%2B1.txt"))[..] else { panic!() };
    assert_eq!((told.key.as_str(), told.object_version.as_deref()), ("a+b/ü%2B1.txt", Some("v1")));
    let versioned = notification("ObjectCreated:CompleteMultipartUpload", "a", &json!({"versionId": "v7"}));
    assert_eq!(objects(versioned)[0].object_version.as_deref(), Some("v7"));
}

#[test]
fn other_events_tell_of_nothing_or_are_refused() {
    let said = |event| read(event).map_err(|Refused(error)| error.message);
    assert_eq!(said(notification("ObjectRemoved:Delete", "a", &json!({}))), Ok(Vec::new()));
    assert_eq!(said(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})), Ok(Vec::new()));
    let refused = |event| said(event).unwrap_err();
    assert!(refused(json!({"source": "aws.ec2", "detail-type": "Object Created"})).contains("neither"));
    assert!(refused(json!({"Records": [{"eventSource": "aws:sqs"}]})).contains("no kind that is known"));
    assert!(refused(notification("ObjectCreated:Put", "a%FF", &json!({}))).contains("cannot be decoded"));
    assert!(refused(event(&"a".repeat(1_025))).contains("longer than 1024"));
}
