//! Objects: put, head, get.

use bytes::Bytes;
use sluice_ports::{BucketStore, ErrorKind, Metadata, PutAnswer};
use sluice_transfer::{Checksum, UploadId};

use super::{assert_kind, assert_object, filled, metadata, stored};

pub(super) async fn nothing_is_there_at_first(bucket: &dyn BucketStore) {
    assert_eq!(bucket.head("a/b").await.expect("head answers"), None, "head of a key that was never made");
    assert_kind(bucket.get("a/b", None, 0, 1).await, ErrorKind::NotFound, "get of a key that was never made");
    assert_kind(bucket.get("a/b", Some("x"), 0, 0).await, ErrorKind::NotFound, "pinned get of nothing");
    assert_eq!(bucket.list("", None, 10).await.expect("list answers"), [], "objects of an empty bucket");
    assert_eq!(bucket.list_uploads("").await.expect("list answers"), [], "uploads of an empty bucket");
}

pub(super) async fn a_put_object_reads_back(bucket: &dyn BucketStore) {
    for (key, len) in [("data/one", 1), ("data/many", 70_000), ("none", 0)] {
        let bytes = filled(1, len);
        let etag = stored(bucket, key, &bytes).await;
        assert_object(bucket, key, &etag, &bytes).await;
        let info = bucket.head(key).await.expect("head answers").expect("it was made");
        assert_eq!(info.checksum, Some(Checksum::of(&bytes)), "the checksum of an object that was put: {key}");
    }
    let bare = bucket.put("bare", Bytes::new(), Checksum::default(), &Metadata::new()).await;
    assert!(matches!(bare, Ok(PutAnswer::Stored { .. })), "an object needs no metadata: {bare:?}");
    let info = bucket.head("bare").await.expect("head answers").expect("it was made");
    assert_eq!(info.metadata, Metadata::new(), "no metadata are answered where none were given");
    assert_eq!(bucket.head("data").await.expect("head answers"), None, "a folder is no object");
    assert_kind(bucket.get("data", None, 0, 1).await, ErrorKind::NotFound, "get of a folder");
    assert_eq!(bucket.head("bare/x").await.expect("head answers"), None, "below an object is nothing");
    assert_kind(bucket.get("bare/x", None, 0, 1).await, ErrorKind::NotFound, "get below an object");
}

pub(super) async fn a_put_never_overwrites(bucket: &dyn BucketStore) {
    let bytes = filled(1, 100);
    let etag = stored(bucket, "k", &bytes).await;
    for (other, of) in [(filled(2, 100), "k"), (bytes.clone(), "other"), (Bytes::new(), "k")] {
        let answer = bucket.put("k", other.clone(), Checksum::of(&other), &metadata(of)).await;
        assert!(matches!(answer, Ok(PutAnswer::Exists)), "a put over an object answered {answer:?}");
        assert_object(bucket, "k", &etag, &bytes).await;
    }
    assert_eq!(bucket.list("", None, 10).await.expect("list answers").len(), 1, "only the object is listed");
}

pub(super) async fn a_put_is_checked(bucket: &dyn BucketStore) {
    for wrong in [Checksum::of(b"other"), Checksum { crc: Checksum::of(b"bytes").crc, len: 6 }] {
        let answer = bucket.put("k", Bytes::from_static(b"bytes"), wrong, &metadata("k")).await;
        assert_kind(answer, ErrorKind::Invalid, "a put whose checksum is not that of its bytes");
        assert_eq!(bucket.head("k").await.expect("head answers"), None, "a refused put leaves nothing");
    }
}

pub(super) async fn ranges(bucket: &dyn BucketStore) {
    let bytes = filled(3, 1_000);
    let etag = stored(bucket, "k", &bytes).await;
    let cases = [
        (0, 1_000),
        (0, 1_001),
        (0, 1),
        (999, 1),
        (999, 2),
        (10, 20),
        (0, 0),
        (500, 0),
        (1_000, 0),
        (1_000, 1),
        (5_000, 10),
        (u64::MAX, u64::MAX),
        (1, u64::MAX),
    ];
    for (offset, len) in cases {
        let from = usize::try_from(offset).unwrap_or(1_000).min(1_000);
        let until = from + usize::try_from(len).unwrap_or(1_000).min(1_000 - from);
        for pin in [None, Some(etag.as_str())] {
            let read = bucket.get("k", pin, offset, len).await;
            let read = read.unwrap_or_else(|error| panic!("get of {len} bytes from {offset} on: {error}"));
            assert!(read == bytes[from..until], "get of {len} bytes from {offset} on answered {} bytes", read.len());
        }
    }
    stored(bucket, "none", &Bytes::new()).await;
    assert_eq!(bucket.get("none", None, 0, 5).await.expect("an empty object can be read"), Bytes::new());
}

pub(super) async fn pins(bucket: &dyn BucketStore) {
    let etag = stored(bucket, "k", &filled(4, 10)).await;
    let other = stored(bucket, "other", &filled(5, 10)).await;
    assert_ne!(etag, other, "objects of other bytes have other etags");
    for len in [0, 5] {
        bucket.get("k", Some(&etag), 2, len).await.expect("the pin holds");
        let answer = bucket.get("k", Some(&other), 2, len).await;
        assert_kind(answer, ErrorKind::Changed, "get with the pin of another object");
    }
}

pub(super) async fn unsafe_keys_are_refused(bucket: &dyn BucketStore) {
    let (none, id) = (Metadata::new(), UploadId("x".into()));
    let long = "a".repeat(1_025);
    let climbing = ["", "../x", "a/../../x", "./a", ".sluice/x", &long];
    // Others may have written these, where no rule of a directory applies.
    let foreign = ["/etc/x", "a//b", "a/", "a\nb", "a\\b"];
    for key in foreign {
        let what = |operation| format!("{operation} of the foreign key '{}'", key.escape_debug());
        match bucket.head(key).await {
            Ok(found) => assert_eq!(found, None, "{}", what("head")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{}", what("head")),
        }
        let got = bucket.get(key, None, 0, 1).await.map_err(|error| error.kind());
        assert!(matches!(got, Err(ErrorKind::Invalid | ErrorKind::NotFound)), "{}", what("get"));
    }
    for key in climbing {
        let what = |operation| format!("{operation} of the unsafe key '{}'", key.escape_debug());
        assert_kind(bucket.head(key).await, ErrorKind::Invalid, &what("head"));
        assert_kind(bucket.get(key, None, 0, 1).await, ErrorKind::Invalid, &what("get"));
    }
    for key in climbing.into_iter().chain(foreign).chain(["a\0b"]) {
        let what = |operation| format!("{operation} of the unsafe key '{}'", key.escape_debug());
        let invalid = ErrorKind::Invalid;
        assert_kind(bucket.put(key, Bytes::new(), Checksum::default(), &none).await, invalid, &what("put"));
        assert_kind(bucket.create_upload(key, &none).await, invalid, &what("create_upload"));
        let part = bucket.upload_part(key, &id, 1, 0, Bytes::new(), Checksum::default()).await;
        assert_kind(part, invalid, &what("upload_part"));
        assert_kind(bucket.list_parts(key, &id).await, invalid, &what("list_parts"));
        assert_kind(bucket.complete(key, &id, &[], Checksum::default()).await, invalid, &what("complete"));
        assert_kind(bucket.abort(key, &id).await, invalid, &what("abort"));
    }
    assert_eq!(bucket.list("", None, 10).await.expect("list answers"), [], "refused keys leave nothing");
    for prefix in ["../", "/", "a//", ".sluice/", "./"] {
        let listed = bucket.list(prefix, None, 10).await;
        assert_eq!(listed.expect("any prefix can be listed"), [], "no key begins with '{prefix}'");
    }
}

pub(super) async fn one_of_two_puts_wins(bucket: &dyn BucketStore) {
    for round in 0..10_u8 {
        let key = format!("round/{round}");
        let (one, two) = (filled(round, 3_000), filled(round + 100, 3_000));
        let meta = metadata(&key);
        let (first, second) = tokio::join!(
            bucket.put(&key, one.clone(), Checksum::of(&one), &meta),
            bucket.put(&key, two.clone(), Checksum::of(&two), &meta),
        );
        let (etag, bytes) = match (first.expect("a put answers"), second.expect("a put answers")) {
            (PutAnswer::Stored { etag }, PutAnswer::Exists) => (etag, one),
            (PutAnswer::Exists, PutAnswer::Stored { etag }) => (etag, two),
            other => panic!("of two puts just one makes the object, answered {other:?}"),
        };
        assert_object(bucket, &key, &etag, &bytes).await;
    }
}
