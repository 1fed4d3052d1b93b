//! What S3, and services that speak its protocol, answer.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use bytes::Bytes;
use sluice_bucket_s3::{S3Bucket, S3Settings, configure};
use sluice_ports::{BucketStore, Metadata, PartAnswer, PutAnswer};
use sluice_transfer::limits::{PARTS_PER_OBJECT, S3_SMALLEST_PART};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

use crate::answers::{Script, case, done, named, played, read, written};

const KEY: &str = "data/a";
const BODY: &[u8] = b"the bytes of a part";
/// Texts that go on record are no longer.
const LONGEST_NAME: usize = 2_048;

fn client() -> (Client, Script) {
    let script = Script::default();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "fuzz"))
        .http_client(script.network());
    (Client::from_conf(configure(config, true).build()), script)
}

/// A call of the port, which one the first byte says, and what it is answered.
pub fn s3(bytes: &[u8]) {
    thread_local! {
        static CLIENT: (Client, Script) = client();
    }
    let Some((client, _, kind)) = played(&CLIENT, bytes, None) else { return };
    let foreign = kind % 12 >= 10;
    let bucket = S3Bucket::new(client, "archive", S3Settings { foreign, ..S3Settings::default() });
    done(ask(&bucket, kind % 12));
}

async fn ask(bucket: &S3Bucket, kind: u8) {
    let (bytes, upload) = (Bytes::from_static(BODY), UploadId("upload-1".to_owned()));
    let (sum, none) = (Checksum::of(BODY), Metadata::new());
    match kind {
        0 => {
            if let Some(Some(info)) = read(bucket.head(KEY).await) {
                name(&info.etag);
                assert!(info.checksum.is_none_or(|checksum| checksum.len == info.size));
            }
        }
        1 => {
            let got = read(bucket.get(KEY, None, 3, 10).await);
            assert!(got.is_none_or(|bytes| bytes.len() <= 10), "more than was asked for");
            read(bucket.get(KEY, Some("e"), 0, 10).await);
        }
        2 => {
            if let Some(PutAnswer::Stored { etag }) = written(bucket.put(KEY, bytes, sum, &none).await) {
                name(&etag);
            }
        }
        3 => drop(written(bucket.create_upload(KEY, &none).await).map(|UploadId(id)| name(&id))),
        4 => {
            if let Some(PartAnswer::Stored { etag }) = written(bucket.upload_part(KEY, &upload, 1, 0, bytes, sum).await)
            {
                name(&etag);
            }
        }
        5 => {
            for (number, part) in read(bucket.list_parts(KEY, &upload).await).flatten().into_iter().flatten() {
                assert!((1..=PARTS_PER_OBJECT).contains(&number), "a part {number}");
                name(&part.etag);
            }
        }
        6 => drop(written(bucket.abort(KEY, &upload).await)),
        7 => listed(bucket, "data/", None, 5).await,
        8 => listed(bucket, "", Some("data/b"), 1_500).await,
        9 => {
            for open in read(bucket.list_uploads("data/").await).into_iter().flatten() {
                assert!(open.key.starts_with("data/"), "an upload elsewhere");
                name(&open.id.0);
            }
        }
        10 => drop(written(bucket.capabilities().await)),
        _ => {
            let first = Checksum { crc: 7, len: S3_SMALLEST_PART };
            let parts =
                [("a", first), ("b", sum)].map(|(etag, checksum)| PartEntry { etag: etag.to_owned(), checksum });
            written(bucket.complete(KEY, &upload, &parts, first.then(sum)).await);
        }
    }
}

async fn listed(bucket: &S3Bucket, prefix: &str, after: Option<&str>, limit: usize) {
    let Some(listed) = read(bucket.list(prefix, after, limit).await) else { return };
    assert!(listed.len() <= limit, "{} of {limit}", listed.len());
    assert!(listed.is_sorted_by(|a, b| a.key < b.key), "out of order");
    for object in listed {
        assert!(object.key.starts_with(prefix) && after.is_none_or(|after| object.key.as_str() > after), "elsewhere");
        name(&object.etag);
    }
}

fn name(text: &str) {
    assert!(!text.is_empty() && text.len() <= LONGEST_NAME, "a name of {} bytes", text.len());
}

const MADE: &str = "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>";
const REFUSED: &str = "<Error><Code>PreconditionFailed</Code><Message>because</Message></Error>";

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let parts = |truncated: bool, marker: u32| {
        format!(
            "<ListPartsResult><Part><PartNumber>{marker}</PartNumber><ETag>\"a\"</ETag><Size>9</Size>\
             <ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></Part><IsTruncated>{truncated}</IsTruncated>\
             <NextPartNumberMarker>{marker}</NextPartNumberMarker></ListPartsResult>"
        )
    };
    let keys = |truncated: bool, keys: &[&str]| {
        let object =
            |key: &&str| format!("<Contents><Key>{key}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>");
        let objects: String = keys.iter().map(object).collect();
        format!("<ListBucketResult>{objects}<IsTruncated>{truncated}</IsTruncated></ListBucketResult>")
    };
    let uploads = |truncated: bool| {
        format!(
            "<ListMultipartUploadsResult><Upload><Key>data/a</Key><UploadId>u</UploadId></Upload>\
             <IsTruncated>{truncated}</IsTruncated><NextKeyMarker>data/a</NextKeyMarker>\
             <NextUploadIdMarker>u</NextUploadIdMarker></ListMultipartUploadsResult>"
        )
    };
    let head = "HEAD|200|etag: \"e\"|content-length: 9|x-amz-checksum-crc64nvme: rosUhgp5mIg=|\
                x-amz-checksum-type: FULL_OBJECT|x-amz-meta-sluice-from: after%204";
    let long = format!("*|403\n<Error><Code>AccessDenied</Code><Message>{}</Message></Error>", "x".repeat(9_000));
    named(vec![
        ("head", case(0, &[(head, "")])),
        ("head-nothing", case(0, &[("*|404", "")])),
        ("get", case(1, &[("GET|206|etag: \"e\"|content-length: 10|content-range: bytes 3-12/99", "0123456789")])),
        ("get-all", case(1, &[("GET|200|etag: \"e\"|content-length: 999999999999", "0123456789")])),
        ("put", case(2, &[("PUT|200|etag: \"e\"", "")])),
        ("put-refused", case(2, &[("PUT|412", REFUSED)])),
        ("create", case(3, &[("POST|200|x-amz-checksum-type: FULL_OBJECT", MADE)])),
        ("part", case(4, &[("PUT|200|etag: \"e\"", "")])),
        ("parts", case(5, &[("GET|200", &parts(true, 1)), ("GET|200", &parts(false, 2))])),
        ("parts-for-ever", case(5, &[("GET|200", &parts(true, 1))])),
        ("abort", case(6, &[("DELETE|204", ""), ("GET|404", "<Error><Code>NoSuchUpload</Code></Error>")])),
        ("list", case(7, &[("GET|200", &keys(true, &["data/a", "data/b"])), ("GET|200", &keys(false, &["data/c"]))])),
        (
            "list-more",
            case(7, &[("GET|200", &keys(false, &["data/1", "data/2", "data/3", "data/4", "data/5", "data/6"]))]),
        ),
        ("list-elsewhere", case(7, &[("GET|200", &keys(false, &["other/a"]))])),
        ("list-for-ever", case(8, &[("GET|200", &keys(true, &[]))])),
        ("uploads", case(9, &[("GET|200", &uploads(true)), ("GET|200", &uploads(false))])),
        (
            "probe",
            case(
                10,
                &[
                    ("PUT|412", REFUSED),
                    ("POST|200", MADE),
                    ("PUT|200|etag: \"e\"", ""),
                    ("POST|412", REFUSED),
                    ("DELETE|404", ""),
                ],
            ),
        ),
        (
            "complete",
            case(
                11,
                &[
                    ("PUT|412", REFUSED),
                    ("POST|200", MADE),
                    ("POST|200", "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"),
                    ("*|404", ""),
                ],
            ),
        ),
        ("complete-an-error-of-200", case(11, &[("*|200", REFUSED)])),
        ("a-long-message", [&b"\0"[..], long.as_bytes()].concat()),
        ("deep", case(7, &[("GET|200", &"<a>".repeat(9_000))])),
    ])
}
