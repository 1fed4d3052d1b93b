//! What each answer of S3's means to the caller.

use std::time::Duration;

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use sluice_bucket_s3::{S3Bucket, S3Settings, configure, region};
use sluice_ports::ErrorKind::{Changed, Denied, Full, Indeterminate, Invalid, NotFound, Throttled, Unavailable};
use sluice_ports::{BucketStore, CompleteAnswer, ErrorKind, Metadata, PartAnswer, PutAnswer, Result};
use sluice_transfer::Checksum;
use sluice_transfer::record::PartEntry;

use super::script::{Answer, Broken, Script};
use super::{metadata, owned, some, upload};

fn bucket(answer: &Answer) -> S3Bucket {
    Script::new([answer.clone()]).bucket(owned())
}

async fn put(bucket: &S3Bucket) -> Result<PutAnswer> {
    let (bytes, checksum) = some();
    bucket.put("k", bytes, checksum, &Metadata::new()).await
}

async fn part(bucket: &S3Bucket) -> Result<PartAnswer> {
    let (bytes, checksum) = some();
    bucket.upload_part("k", &upload(), 1, 0, bytes, checksum).await
}

async fn complete(bucket: &S3Bucket) -> Result<CompleteAnswer> {
    let (_, checksum) = some();
    bucket.complete("k", &upload(), &[PartEntry { etag: "e".to_owned(), checksum }], checksum).await
}

fn kind<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    answer.unwrap_err().kind()
}

/// Answers that mean the same wherever they come, if not to a question whose answer they are.
#[tokio::test]
async fn each_error_is_of_the_kind_that_says_what_to_do() {
    let plain = |status| Answer::new(status, "");
    for (answer, on_read, on_write) in [
        (Answer::error(503, "SlowDown"), Throttled, Throttled),
        (Answer::error(503, "ServiceUnavailable"), Throttled, Throttled),
        (Answer::error(400, "ThrottlingException"), Throttled, Throttled),
        (Answer::error(429, "TooManyRequests"), Throttled, Throttled),
        (plain(503), Throttled, Throttled),
        (Answer::error(500, "InternalError"), Unavailable, Indeterminate),
        (plain(500), Unavailable, Indeterminate),
        (plain(502), Unavailable, Indeterminate),
        (Answer::new(504, "<html>a proxy's</html>"), Unavailable, Indeterminate),
        (Answer::error(400, "RequestTimeout"), Unavailable, Unavailable),
        (Answer::error(400, "IncompleteBody"), Unavailable, Unavailable),
        (Answer::error(409, "OperationAborted"), Unavailable, Unavailable),
        (Answer::error(403, "AccessDenied"), Denied, Denied),
        (Answer::error(403, "SignatureDoesNotMatch"), Denied, Denied),
        (Answer::error(403, "RequestTimeTooSkewed"), Denied, Denied),
        (Answer::error(400, "ExpiredToken"), Denied, Denied),
        (Answer::error(403, "SomethingNew"), Denied, Denied),
        (Answer::new(403, "<html>a proxy's</html>"), Denied, Denied),
        (plain(403), Denied, Denied),
        (Answer::error(404, "NoSuchBucket"), NotFound, NotFound),
        (Answer::error(301, "PermanentRedirect"), Invalid, Invalid),
        (Answer::error(307, "TemporaryRedirect"), Invalid, Invalid),
        (Answer::error(400, "AuthorizationHeaderMalformed"), Invalid, Invalid),
        (Answer::error(400, "InvalidRequest"), Invalid, Invalid),
        (Answer::error(400, "EntityTooSmall"), Invalid, Invalid),
        (Answer::error(400, "SomethingNew"), Invalid, Invalid),
        (Answer::error(501, "NotImplemented"), Invalid, Invalid),
        (Answer::error(507, "InsufficientStorage"), Full, Full),
        (Answer::error(507, "XMinioStorageFull"), Full, Full),
        (Answer::broken(Broken::Reset), Unavailable, Indeterminate),
        (Answer::broken(Broken::Refused), Unavailable, Unavailable),
    ] {
        let bucket = bucket(&answer);
        for read in [
            kind(bucket.get("k", None, 0, 1).await),
            kind(bucket.list("p", None, 9).await),
            kind(bucket.list_uploads("p").await),
            kind(bucket.list_parts("k", &upload()).await),
            kind(bucket.head("k").await),
        ] {
            assert_eq!(read, on_read, "of a read: {answer:?}");
        }
        for write in [
            kind(put(&bucket).await),
            kind(part(&bucket).await),
            kind(complete(&bucket).await),
            kind(bucket.create_upload("k", &metadata()).await),
            kind(bucket.abort("k", &upload()).await),
        ] {
            assert_eq!(write, on_write, "of a write: {answer:?}");
        }
    }
}

#[tokio::test]
async fn refusals_are_answers() {
    let exists = Answer::error(412, "PreconditionFailed");
    assert_eq!(put(&bucket(&exists)).await.unwrap(), PutAnswer::Exists);
    assert_eq!(kind(put(&bucket(&Answer::error(409, "ConditionalRequestConflict"))).await), Unavailable);
    assert_eq!(kind(put(&bucket(&Answer::error(400, "BadDigest"))).await), Invalid);
    let gone = Answer::error(404, "NoSuchUpload");
    assert_eq!(part(&bucket(&gone)).await.unwrap(), PartAnswer::NoSuchUpload);
    assert_eq!(kind(part(&bucket(&Answer::error(400, "BadDigest"))).await), Invalid);
    assert_eq!(bucket(&gone).list_parts("k", &upload()).await.unwrap(), None);
    // An error can come with any status, also after the answer began as a good one.
    for status in [200, 400] {
        for (code, answer) in [
            ("PreconditionFailed", CompleteAnswer::Exists),
            ("ConditionalRequestConflict", CompleteAnswer::Conflict),
            ("NoSuchUpload", CompleteAnswer::NoSuchUpload),
            ("InvalidPart", CompleteAnswer::InvalidPart),
            ("InvalidPartOrder", CompleteAnswer::InvalidPart),
            ("BadDigest", CompleteAnswer::InvalidPart),
        ] {
            assert_eq!(complete(&bucket(&Answer::error(status, code))).await.unwrap(), answer, "{status} {code}");
        }
    }
    for (code, expected) in [
        ("InternalError", Indeterminate),
        ("SlowDown", Throttled),
        ("AccessDenied", Denied),
        ("EntityTooSmall", Invalid),
    ] {
        assert_eq!(kind(complete(&bucket(&Answer::error(200, code))).await), expected, "200 {code}");
    }
}

#[tokio::test]
async fn an_answer_that_lacks_what_counts_leaves_open_what_happened() {
    for body in ["", " \n", "<CompleteMultipartUploadResu", "<CompleteMultipartUploadResult/>", "<Error><Code>Int"] {
        assert_eq!(kind(complete(&bucket(&Answer::new(200, body))).await), Indeterminate, "{body}");
        let begun = bucket(&Answer::new(200, body)).create_upload("k", &metadata()).await;
        assert_eq!(kind(begun), Indeterminate, "{body}");
    }
    assert_eq!(kind(put(&bucket(&Answer::new(200, ""))).await), Indeterminate);
    assert_eq!(kind(part(&bucket(&Answer::new(200, "").with("etag", ""))).await), Indeterminate);
    assert_eq!(kind(bucket(&Answer::new(200, "<ListBu")).list("", None, 9).await), Unavailable);
    assert_eq!(kind(bucket(&Answer::new(200, "").with("etag", "\"e\"")).head("k").await), Unavailable, "no length");
}

#[tokio::test]
async fn a_description() {
    let described = |name: &'static str, crc: &str, kind: Option<&str>| {
        let answer = Answer::new(200, "").with("etag", "\"e-2\"").with("content-length", "9").with(name, crc);
        let answer = answer.with("x-amz-meta-name", "z%C3%BCrich");
        kind.map_or_else(|| answer.clone(), |kind| answer.clone().with("x-amz-checksum-type", kind))
    };
    let (crc64, (_, whole)) = ("x-amz-checksum-crc64nvme", some());
    for (answer, checksum) in [
        (described(crc64, "rosUhgp5mIg=", Some("FULL_OBJECT")), Some(whole)),
        (described(crc64, "rosUhgp5mIg=", None), Some(whole)),
        (described(crc64, "rosUhgp5mIg=-2", Some("COMPOSITE")), None),
        (described(crc64, "rosUhgp5mIg=-2", None), None),
        (described(crc64, "rosUhgp5mIg=", Some("COMPOSITE")), None),
        (described("x-amz-checksum-crc32", "rosUhg==", Some("FULL_OBJECT")), None),
    ] {
        let info = bucket(&answer).head("k").await.unwrap().unwrap();
        assert_eq!((info.size, info.etag.as_str(), info.checksum), (9, "e-2", checksum), "{answer:?}");
        assert_eq!(info.metadata, Metadata::from([("name".to_owned(), "zürich".to_owned())]));
    }
    assert_eq!(bucket(&Answer::new(404, "")).head("k").await.unwrap(), None);
}

#[tokio::test]
async fn reads_of_ranges() {
    let part = |status, range: Option<&str>, body: &str| {
        let answer = Answer::new(status, body).with("etag", "\"e\"").with("content-length", body.len().to_string());
        range.map_or_else(|| answer.clone(), |range| answer.clone().with("content-range", range))
    };
    let read = async |answer: Answer, offset, len| bucket(&answer).get("k", Some("e"), offset, len).await;
    assert_eq!(read(part(206, Some("bytes 3-6/9"), "4567"), 3, 4).await.unwrap(), "4567");
    assert_eq!(read(part(206, Some("bytes 3-8/9"), "456789"), 3, u64::MAX).await.unwrap(), "456789");
    assert_eq!(read(part(200, None, "12"), 0, 4).await.unwrap(), "12", "all that there is");
    assert_eq!(read(Answer::error(416, "InvalidRange"), 9, 4).await.unwrap(), "");
    for (answer, expected) in [
        (part(200, None, "123456789"), Invalid),
        (part(206, Some("bytes 0-3/9"), "1234"), Invalid),
        (part(206, Some("bytes 3-8/9"), "456789"), Invalid),
        (part(206, Some("bytes 3-6/9"), "45").with("content-length", "4"), Unavailable),
        (part(206, Some("bytes 3-6/9"), "4567").with("etag", "\"other\""), Changed),
        (Answer::error(412, "PreconditionFailed"), Changed),
        (Answer::new(412, ""), Changed),
        (Answer::error(404, "NoSuchKey"), NotFound),
        (Answer::error(403, "InvalidObjectState"), Invalid),
    ] {
        assert_eq!(kind(read(answer.clone(), 3, 4).await), expected, "{answer:?}");
    }
    let head = || Answer::new(200, "").with("content-length", "9");
    assert_eq!(read(head().with("etag", "\"e\""), 3, 0).await.unwrap(), "");
    assert_eq!(kind(read(head().with("etag", "\"other\""), 3, 0).await), Changed);
    assert_eq!(kind(read(Answer::new(404, ""), 3, 0).await), NotFound);
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_sent() {
    let script = Script::new([Answer::error(500, "InternalError")]);
    let bucket = script.bucket(owned());
    let (bytes, checksum) = some();
    let longer = Checksum { len: 10, ..checksum };
    assert_eq!(kind(bucket.put("k", bytes.clone(), longer, &metadata()).await), Invalid);
    assert_eq!(kind(bucket.upload_part("k", &upload(), 1, 0, bytes.clone(), longer).await), Invalid);
    for number in [0, 10_001, u64::MAX] {
        assert_eq!(kind(bucket.upload_part("k", &upload(), number, 0, bytes.clone(), checksum).await), Invalid);
    }
    let entry = PartEntry { etag: "e".to_owned(), checksum };
    assert_eq!(kind(bucket.complete("k", &upload(), &[], Checksum::default()).await), Invalid);
    let small = bucket.complete("k", &upload(), &[entry.clone(), entry.clone()], checksum.then(checksum)).await;
    assert_eq!(kind(small), Invalid);
    let other = bucket.complete("k", &upload(), &[entry], longer).await;
    assert_eq!(other.unwrap(), CompleteAnswer::InvalidPart, "parts that are not the whole");
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn errors_say_what_can_be_done() {
    let said = async |answer: Answer, settings: S3Settings| {
        let (bytes, checksum) = some();
        let bucket = Script::new([answer]).bucket(settings);
        let put = bucket.put("a/k", bytes, checksum, &Metadata::new()).await.unwrap_err();
        (put.to_string(), bucket.head("a/k").await.unwrap_err().to_string())
    };
    let kms = S3Settings { kms_key: Some("alias/k".to_owned()), ..owned() };
    let (put, head) = said(Answer::error(403, "AccessDenied"), kms).await;
    assert_eq!(
        put,
        "PutObject of 'a/k' in the bucket archive (is s3:PutObject granted on it, and kms:GenerateDataKey and \
         kms:Decrypt on the key? The bucket may also belong to another account than 123456789012, which was \
         expected.): AccessDenied: because (request 4442587FB7D0A2F9)"
    );
    assert!(head.contains("is s3:GetObject granted on it, and s3:ListBucket, without which"), "{head}");
    let (put, _) = said(Answer::error(403, "AccessDenied"), S3Settings::default()).await;
    assert!(put.contains("(is s3:PutObject granted on it?)"), "{put}");
    let region = |answer: Answer| answer.with("x-amz-bucket-region", "eu-north-1");
    for answer in [
        region(Answer::error(301, "PermanentRedirect")),
        region(Answer::error(400, "AuthorizationHeaderMalformed")),
        region(Answer::new(301, "")),
    ] {
        let (put, head) = said(answer, owned()).await;
        assert!(put.contains("in the region eu-north-1"), "{put}");
        assert!(head.contains("in the region eu-north-1"), "{head}");
    }
    let (put, _) = said(Answer::error(404, "NoSuchBucket"), owned()).await;
    assert!(put.contains("in the bucket archive (there is no such bucket)"), "{put}");
    let (put, _) = said(Answer::error(403, "RequestTimeTooSkewed"), owned()).await;
    assert!(put.contains("this machine's clock is wrong"), "{put}");
    let (put, _) = said(Answer::broken(Broken::Refused), owned()).await;
    assert!(put.ends_with("connection refused"), "{put}");
}

#[tokio::test]
async fn nobody_to_sign_for() {
    let failing = |error: fn() -> CredentialsError| {
        let script = Script::new([Answer::new(200, "").with("etag", "\"e\"")]);
        let config = script.config().credentials_provider(provide_credentials_fn(move || async move { Err(error()) }));
        let client = Client::from_conf(configure(config, false).build());
        (S3Bucket::new(client, "archive", owned()), script)
    };
    let (bucket, script) = failing(|| CredentialsError::not_loaded("no profile"));
    let error = put(&bucket).await.unwrap_err();
    assert_eq!(error.kind(), Denied, "{error}");
    assert!(error.to_string().contains("no profile"), "{error}");
    assert!(script.sent().is_empty());
    let (bucket, _) = failing(|| CredentialsError::provider_timed_out(Duration::from_secs(1)));
    assert_eq!(kind(put(&bucket).await), Unavailable, "nothing was sent, so nothing happened");
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_ever() {
    let bucket = bucket(&Answer::broken(Broken::Silent));
    let begun = tokio::time::Instant::now();
    assert_eq!(kind(bucket.head("k").await), Unavailable);
    assert_eq!(begun.elapsed().as_secs(), 60);
    let begun = tokio::time::Instant::now();
    assert_eq!(kind(part(&bucket).await), Indeterminate);
    assert_eq!(begun.elapsed().as_secs(), 300, "a part is given the time of a slow line");
}

#[tokio::test]
async fn one_call_is_one_try() {
    for answer in [Answer::error(503, "SlowDown"), Answer::error(500, "InternalError"), Answer::broken(Broken::Reset)] {
        let script = Script::new([answer]);
        let bucket = script.bucket(owned());
        put(&bucket).await.unwrap_err();
        assert_eq!(script.sent().len(), 1);
    }
}

#[tokio::test]
async fn neither_errors_nor_etags_are_as_long_as_a_service_likes() {
    let long = "x".repeat(100_000);
    let said = bucket(&Answer::error(403, &long)).head("k").await.unwrap_err().to_string();
    assert!(said.len() < 2_000, "{} bytes", said.len());
    let message = format!("<Error><Code>AccessDenied</Code><Message>{long}</Message></Error>");
    let refused = Answer::new(403, message).with("x-amz-request-id", "4442587FB7D0A2F9");
    let said = bucket(&refused).head("k").await.unwrap_err().to_string();
    assert!(said.len() < 2_000 && said.ends_with("(request 4442587FB7D0A2F9)"), "{said}");
    assert_eq!(kind(put(&bucket(&Answer::new(200, "").with("etag", long))).await), Indeterminate);
    assert_eq!(kind(put(&bucket(&Answer::new(200, "").with("etag", "\"\""))).await), Indeterminate);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_named() {
    let settings = S3Settings { endpoint: Some("http://127.0.0.1:9000".to_owned()), ..owned() };
    for how in [Broken::Refused, Broken::Reset] {
        let bucket = Script::new([Answer::broken(how)]).bucket(settings.clone());
        let said = bucket.head("k").await.unwrap_err().to_string();
        assert!(said.contains("http://127.0.0.1:9000") && said.contains("AWS_ENDPOINT_URL"), "{said}");
        let own = Script::new([Answer::broken(how)]).bucket(owned()).head("k").await.unwrap_err().to_string();
        assert!(!own.contains("AWS_ENDPOINT_URL"), "{own}");
    }
}

#[tokio::test]
async fn a_bucket_says_where_it_is() {
    let asked = async |answer: Answer| {
        let script = Script::new([answer]);
        let client = Client::from_conf(configure(script.config(), false).build());
        let told = region(&client, "archive", Some("123456789012".to_owned())).await;
        (told, script.sent())
    };
    let told = |answer: Answer, region: &str| answer.with("x-amz-bucket-region", region);
    for answer in [Answer::new(200, ""), Answer::new(301, ""), Answer::new(400, ""), Answer::new(403, "")] {
        let (region, sent) = asked(told(answer, "eu-north-1")).await;
        assert_eq!(region.as_deref(), Some("eu-north-1"));
        assert_eq!(sent.len(), 1, "nothing is asked twice");
        assert_eq!(
            (sent[0].method.as_str(), &*sent[0].headers["x-amz-expected-bucket-owner"]),
            ("HEAD", "123456789012")
        );
    }
    // What cannot be part of a host's name is not taken.
    for wrong in ["", "evil.example/", "EU", &"a".repeat(33)] {
        assert_eq!(asked(told(Answer::new(301, ""), wrong)).await.0, None, "{wrong}");
    }
    for silent in [Answer::new(404, ""), Answer::broken(Broken::Refused)] {
        assert_eq!(asked(silent).await.0, None);
    }
}
