//! The requests.

use aws_sdk_s3::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sluice_bucket_s3::{S3Bucket, S3Settings, configure};
use sluice_ports::{BucketStore, CompleteAnswer, Metadata, PutAnswer};
use sluice_transfer::Checksum;
use sluice_transfer::record::PartEntry;

use super::script::{Answer, Script};
use super::{OWNER, metadata, owned, some, upload};

/// CRC64NVME bit by bit, as its definition has it (NVM Express, "64b CRC"): nothing here is shared with what computes
/// the checksums that are sent.
fn bitwise(bytes: &[u8]) -> String {
    let mut crc = u64::MAX;
    for byte in bytes {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x9a6c_9329_ac4b_c9b5 } else { 0 };
        }
    }
    STANDARD.encode((!crc).to_be_bytes())
}

/// Of an empty payload that is signed.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn encrypted() -> S3Settings {
    S3Settings { kms_key: Some("alias/archive".into()), storage_class: Some("STANDARD_IA".into()), ..owned() }
}

fn stored() -> Script {
    Script::new([Answer::new(200, "").with("etag", "\"e-1\"")])
}

fn completed() -> Answer {
    Answer::new(200, "<CompleteMultipartUploadResult><ETag>\"whole-2\"</ETag></CompleteMultipartUploadResult>")
}

/// Two parts, the ledger of them, and what they are together.
fn ledger() -> (Vec<PartEntry>, Checksum, [Vec<u8>; 2]) {
    let parts = [vec![b'a'; 5 << 20], b"123456789".to_vec()];
    let ledger: Vec<_> =
        (1..).zip(&parts).map(|(n, part)| PartEntry { etag: format!("e-{n}"), checksum: Checksum::of(part) }).collect();
    let whole = ledger[0].checksum.then(ledger[1].checksum);
    (ledger, whole, parts)
}

#[tokio::test]
async fn a_put() {
    let (bytes, checksum) = some();
    let script = stored();
    let answer = script.bucket(encrypted()).put("zürich/a=1 b+c", bytes, checksum, &metadata()).await.unwrap();
    assert_eq!(answer, PutAnswer::Stored { etag: "e-1".to_owned() });
    let sent = script.sent();
    let expected = "PUT https://archive.s3.eu-west-1.amazonaws.com/z%C3%BCrich/a%3D1%20b%2Bc?x-id=PutObject\n\
        content-length: 9\n\
        content-type: application/octet-stream\n\
        if-none-match: *\n\
        x-amz-checksum-crc64nvme: CRC\n\
        x-amz-content-sha256: UNSIGNED-PAYLOAD\n\
        x-amz-expected-bucket-owner: 123456789012\n\
        x-amz-meta-sluice-version: 1\n\
        x-amz-server-side-encryption: aws:kms\n\
        x-amz-server-side-encryption-aws-kms-key-id: alias/archive\n\
        x-amz-storage-class: STANDARD_IA\n\
        123456789";
    assert_eq!(sent[0].text(), expected.replace("CRC", &bitwise(b"123456789")));
    // What is not signed itself is bound to the signature by its checksum.
    let signed = &sent[0].headers["authorization"];
    for header in ["if-none-match", "x-amz-checksum-crc64nvme", "x-amz-content-sha256", "x-amz-expected-bucket-owner"] {
        assert!(signed.contains(header), "{header} is not signed: {signed}");
    }
    assert_eq!(sent.len(), 1);
}

#[tokio::test]
async fn a_creation() {
    let begun = "<InitiateMultipartUploadResult><UploadId>VXBsb2Fk.1_-~</UploadId></InitiateMultipartUploadResult>";
    let script = Script::new([Answer::new(200, begun)]);
    assert_eq!(script.bucket(encrypted()).create_upload("k", &metadata()).await.unwrap(), upload());
    let expected = format!(
        "POST https://archive.s3.eu-west-1.amazonaws.com/k?uploads\n\
        x-amz-checksum-algorithm: CRC64NVME\n\
        x-amz-checksum-type: FULL_OBJECT\n\
        x-amz-content-sha256: {NOTHING}\n\
        x-amz-expected-bucket-owner: 123456789012\n\
        x-amz-meta-sluice-version: 1\n\
        x-amz-server-side-encryption: aws:kms\n\
        x-amz-server-side-encryption-aws-kms-key-id: alias/archive\n\
        x-amz-storage-class: STANDARD_IA\n"
    );
    assert_eq!(script.sent()[0].text(), expected);
}

#[tokio::test]
async fn a_part() {
    let script = stored();
    let bytes = Bytes::from((0..8_u32 << 20).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect::<Vec<u8>>());
    let checksum = Checksum::of(&bytes);
    script.bucket(owned()).upload_part("k", &upload(), 10_000, 5, bytes.clone(), checksum).await.unwrap();
    let mut sent = script.sent().remove(0);
    assert!(sent.body == bytes, "the body is the part, and nothing around it");
    sent.body.clear();
    let expected = "PUT https://archive.s3.eu-west-1.amazonaws.com/k?x-id=UploadPart&partNumber=10000\
        &uploadId=VXBsb2Fk.1_-~\n\
        content-length: 8388608\n\
        content-type: application/octet-stream\n\
        x-amz-checksum-crc64nvme: CRC\n\
        x-amz-content-sha256: UNSIGNED-PAYLOAD\n\
        x-amz-expected-bucket-owner: 123456789012\n";
    assert_eq!(sent.text(), expected.replace("CRC", &bitwise(&bytes)));
}

/// The body of a completion, from parts that are hashed here.
fn completion_body(parts: &[Vec<u8>; 2]) -> String {
    let part = |n: usize| {
        let crc = bitwise(&parts[n - 1]);
        format!(
            "<Part><ETag>&quot;e-{n}&quot;</ETag><ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>\
            <PartNumber>{n}</PartNumber></Part>"
        )
    };
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}{}</CompleteMultipartUpload>",
        part(1),
        part(2)
    )
}

#[tokio::test]
async fn a_completion() {
    let (ledger, whole, parts) = ledger();
    let script = Script::new([completed()]);
    let answer = script.bucket(encrypted()).complete("k", &upload(), &ledger, whole).await.unwrap();
    assert_eq!(answer, CompleteAnswer::Completed { etag: "whole-2".to_owned() });
    let sent = script.sent();
    let body = completion_body(&parts);
    let expected = format!(
        "POST https://archive.s3.eu-west-1.amazonaws.com/k?uploadId=VXBsb2Fk.1_-~\n\
        content-length: {}\n\
        content-type: application/xml\n\
        if-none-match: *\n\
        x-amz-checksum-crc64nvme: {}\n\
        x-amz-checksum-type: FULL_OBJECT\n\
        x-amz-content-sha256: {}\n\
        x-amz-expected-bucket-owner: 123456789012\n\
        x-amz-mp-object-size: 5242889\n\
        {body}",
        body.len(),
        bitwise(&parts.concat()),
        sluice_transfer::sha256_hex(body.as_bytes()),
    );
    assert_eq!(sent[0].text(), expected);
    assert_eq!(sent.len(), 1, "Amazon's own is not asked what it can do");
}

#[tokio::test]
async fn a_completion_where_only_parts_have_checksums() {
    let (ledger, whole, parts) = ledger();
    let (script, settings) = super::probe::composite([completed()]);
    let bucket = script.bucket(settings);
    bucket.capabilities().await.unwrap();
    let probed = script.sent().len();
    bucket.complete("k", &upload(), &ledger, whole).await.unwrap();
    let body = completion_body(&parts);
    let expected = format!(
        "POST https://archive.s3.eu-west-1.amazonaws.com/k?uploadId=VXBsb2Fk.1_-~\n\
        content-length: {}\n\
        content-type: application/xml\n\
        if-none-match: *\n\
        x-amz-content-sha256: {}\n\
        x-amz-expected-bucket-owner: 123456789012\n\
        {body}",
        body.len(),
        sluice_transfer::sha256_hex(body.as_bytes()),
    );
    assert_eq!(script.sent()[probed].text(), expected);
}

/// One request of each kind.
async fn one_of_each(bucket: &S3Bucket) {
    let (bytes, checksum) = some();
    let parts = [PartEntry { etag: "e-1".to_owned(), checksum }];
    // What is answered is the same for all, and wrong for most.
    let _ = bucket.head("k").await;
    let _ = bucket.get("k", Some("e-1"), 3, 4).await;
    let _ = bucket.put("k", bytes.clone(), checksum, &Metadata::new()).await;
    let _ = bucket.create_upload("k", &Metadata::new()).await;
    let _ = bucket.upload_part("k", &upload(), 1, 0, bytes, checksum).await;
    let _ = bucket.list_parts("k", &upload()).await;
    let _ = bucket.complete("k", &upload(), &parts, checksum).await;
    let _ = bucket.abort("k", &upload()).await;
    let _ = bucket.list("p/", Some("p/a"), 5_000).await;
    let _ = bucket.list_uploads("p/").await;
}

#[tokio::test]
async fn every_request_names_the_owner_if_there_is_one_to_name() {
    for (settings, owner) in [(owned(), Some(OWNER)), (S3Settings::default(), None)] {
        let script = stored();
        one_of_each(&script.bucket(settings)).await;
        let sent = script.sent();
        assert_eq!(sent.len(), 11, "ten operations, and one looks after itself: {sent:#?}");
        for request in sent {
            let named = request.headers.get("x-amz-expected-bucket-owner").map(String::as_str);
            assert_eq!(named, owner, "{}", request.text());
            for header in ["transfer-encoding", "x-amz-trailer", "content-encoding", "x-amz-decoded-content-length"] {
                assert!(!request.headers.contains_key(header), "sent in chunks: {}", request.text());
            }
        }
    }
}

#[tokio::test]
async fn reads() {
    let script = stored();
    one_of_each(&script.bucket(owned())).await;
    let sent = script.sent();
    let head = "HEAD https://archive.s3.eu-west-1.amazonaws.com/k\nx-amz-checksum-mode: ENABLED\n";
    assert!(sent[0].text().starts_with(head), "{}", sent[0].text());
    let get = "GET https://archive.s3.eu-west-1.amazonaws.com/k?x-id=GetObject\nif-match: \"e-1\"\nrange: bytes=3-6\n";
    assert!(sent[1].text().starts_with(get), "{}", sent[1].text());
}

#[tokio::test]
async fn the_bucket_stands_in_the_path_if_it_is_to() {
    let script = stored();
    let config = configure(script.config().endpoint_url("http://127.0.0.1:9000"), true);
    let bucket = S3Bucket::new(Client::from_conf(config.build()), "archive", owned());
    let (bytes, checksum) = some();
    bucket.put("a/b", bytes, checksum, &Metadata::new()).await.unwrap();
    let sent = script.sent().remove(0);
    assert_eq!(sent.uri, "http://127.0.0.1:9000/archive/a/b?x-id=PutObject");
    // Also without TLS.
    assert_eq!(sent.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
}
