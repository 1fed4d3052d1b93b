//! Answers that come in pages, and aborting, which looks at one.

use sluice_ports::{BucketStore, ErrorKind};
use sluice_transfer::UploadId;

use super::script::{Answer, Script};
use super::{owned, some, upload};

fn objects(keys: &[&str], truncated: bool) -> Answer {
    let contents =
        keys.iter().map(|key| format!("<Contents><Key>{key}</Key><ETag>\"e\"</ETag><Size>3</Size></Contents>"));
    let contents = contents.collect::<String>();
    Answer::new(200, format!("<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{contents}</ListBucketResult>"))
}

/// A page of parts of 9 bytes; the number after the last, if there are more.
fn parts(numbers: &[u64], next: Option<u64>) -> Answer {
    let listed = numbers.iter().map(|number| {
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>\"e-{number}\"</ETag><Size>9</Size>\
             <ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></Part>"
        )
    });
    let listed = listed.collect::<String>();
    let next = next.map_or_else(String::new, |next| {
        format!("<IsTruncated>true</IsTruncated><NextPartNumberMarker>{next}</NextPartNumberMarker>")
    });
    Answer::new(200, format!("<ListPartsResult>{listed}{next}</ListPartsResult>"))
}

fn uploads(open: &[(&str, &str)], next: Option<(&str, &str)>) -> Answer {
    let listed = open.iter().map(|(key, id)| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"));
    let listed = listed.collect::<String>();
    let next = next.map_or_else(String::new, |(key, id)| {
        format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextUploadIdMarker>{id}</NextUploadIdMarker>"
        )
    });
    Answer::new(200, format!("<ListMultipartUploadsResult>{listed}{next}</ListMultipartUploadsResult>"))
}

fn query(script: &Script, at: usize) -> String {
    script.sent()[at].uri.split_once('?').unwrap().1.to_owned()
}

#[tokio::test]
async fn pages_of_objects_join_by_their_last_keys() {
    let pages = [objects(&[".sluice/probe"], true), objects(&["a/1", "a/2"], true), objects(&["b"], false)];
    let script = Script::new(pages);
    let listed = script.bucket(owned()).list("", None, 1_200).await.unwrap();
    let keys: Vec<_> = listed.iter().map(|listed| (listed.key.as_str(), listed.size, listed.etag.as_str())).collect();
    assert_eq!(keys, [("a/1", 3, "e"), ("a/2", 3, "e"), ("b", 3, "e")], "what is no data is left out");
    assert_eq!(query(&script, 0), "list-type=2&encoding-type=url&max-keys=1000&prefix=");
    assert_eq!(query(&script, 1), "list-type=2&encoding-type=url&max-keys=1000&prefix=&start-after=.sluice%2Fprobe");
    assert_eq!(query(&script, 2), "list-type=2&encoding-type=url&max-keys=1000&prefix=&start-after=a%2F2");
}

#[tokio::test]
async fn keys_that_xml_cannot_write_are_listed_and_read() {
    let listing = "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>/a//b%01+%2B%5C</Key>\
                   <ETag>\"e\"</ETag><Size>3</Size></Contents></ListBucketResult>";
    let body = Answer::new(200, "abc").with("etag", "\"e\"").with("content-length", "3");
    let script = Script::new([Answer::new(200, listing), body]);
    let bucket = script.bucket(owned());
    let listed = bucket.list("", None, 9).await.unwrap();
    assert_eq!(listed[0].key, "/a//b\u{1} +\\");
    assert_eq!(bucket.get(&listed[0].key, None, 0, 3).await.unwrap(), "abc");
    let uri = &script.sent()[1].uri;
    assert!(uri.contains("//a//b%01%20%2B%5C"), "asked for as it is: {uri}");
    // What says that it is encoded and is not is no key.
    let broken = listing.replace("%01", "%0");
    let broken = Script::new([Answer::new(200, broken)]).bucket(owned()).list("", None, 9).await;
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn no_more_objects_are_asked_for_than_wanted() {
    let script = Script::new([objects(&["a/1", "a/2"], true)]);
    let bucket = script.bucket(owned());
    assert_eq!(bucket.list("a/", Some("a/0"), 2).await.unwrap().len(), 2);
    assert_eq!(bucket.list("a/", None, 0).await.unwrap(), []);
    assert_eq!(script.sent().len(), 1);
    assert_eq!(query(&script, 0), "list-type=2&encoding-type=url&max-keys=2&prefix=a%2F&start-after=a%2F0");
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_listed() {
    let more = Script::new([objects(&["a/1", "a/2", "a/3"], false)]).bucket(owned());
    assert_eq!(more.list("a/", None, 2).await.unwrap().len(), 2);
    let elsewhere = Script::new([objects(&["b/1"], false)]).bucket(owned()).list("a/", None, 9).await;
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::Unavailable);
    let elsewhere = Script::new([uploads(&[("b/1", "u")], None)]).bucket(owned()).list_uploads("a/").await;
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::Unavailable);
    let long = "u".repeat(9_000);
    let long = Script::new([uploads(&[("a/1", &long)], None)]).bucket(owned()).list_uploads("a/").await;
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Unavailable);
    let none = Script::new([parts(&[0, 1, 10_001], None)]).bucket(owned()).list_parts("k", &upload()).await;
    assert_eq!(none.unwrap().unwrap().into_keys().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn listings_that_go_in_circles_are_given_up() {
    let unordered = Script::new([objects(&["b", "a"], false)]).bucket(owned()).list("", None, 9).await;
    assert_eq!(unordered.unwrap_err().kind(), ErrorKind::Invalid);
    let same = Script::new([objects(&["a"], true)]).bucket(owned()).list("", None, 9).await;
    assert_eq!(same.unwrap_err().kind(), ErrorKind::Invalid);
    let empty = Script::new([objects(&[], true)]).bucket(owned()).list("", None, 9).await;
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::Unavailable);
    let same = Script::new([parts(&[1], Some(1))]).bucket(owned()).list_parts("k", &upload()).await;
    assert_eq!(same.unwrap_err().kind(), ErrorKind::Unavailable);
    let same = Script::new([uploads(&[("k", "u")], Some(("k", "u")))]).bucket(owned()).list_uploads("").await;
    assert_eq!(same.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn pages_of_parts_join_and_parts_without_a_checksum_are_left_out() {
    let bare = Answer::new(
        200,
        "<ListPartsResult><Part><PartNumber>7</PartNumber><ETag>\"e\"</ETag><Size>9</Size></Part></ListPartsResult>",
    );
    let script = Script::new([parts(&[1, 2], Some(2)), parts(&[5], Some(5)), bare]);
    let listed = script.bucket(owned()).list_parts("k", &upload()).await.unwrap().unwrap();
    let (_, checksum) = some();
    let listed: Vec<_> = listed.into_iter().map(|(number, part)| (number, part.etag, part.checksum)).collect();
    assert_eq!(listed, [1, 2, 5].map(|number| (number, format!("e-{number}"), checksum)));
    assert_eq!(query(&script, 2), "x-id=ListParts&max-parts=1000&part-number-marker=5&uploadId=VXBsb2Fk.1_-~");
}

#[tokio::test]
async fn pages_of_uploads_join() {
    let pages = [
        uploads(&[("k", "u9"), ("k", "u1")], Some(("k", "u1"))),
        uploads(&[("k", "u5"), (".sluice/probe", "x")], None),
    ];
    let script = Script::new(pages);
    let open = script.bucket(owned()).list_uploads("k").await.unwrap();
    assert_eq!(open.into_iter().map(|open| open.id.0).collect::<Vec<_>>(), ["u9", "u1", "u5"]);
    assert_eq!(query(&script, 1), "uploads&key-marker=k&prefix=k&upload-id-marker=u1");
}

#[tokio::test]
async fn an_upload_is_aborted_until_nothing_is_left_of_it() {
    let (aborted, gone) = (|| Answer::new(204, ""), Answer::error(404, "NoSuchUpload"));
    let script = Script::new([aborted(), parts(&[1], None), aborted(), gone.clone()]);
    script.bucket(owned()).abort("k", &upload()).await.unwrap();
    let methods: Vec<_> = script.sent().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["DELETE", "GET", "DELETE", "GET"]);

    let script = Script::new([gone]);
    script.bucket(owned()).abort("k", &upload()).await.unwrap();
    assert_eq!(script.sent().len(), 1, "what is gone is not looked for");

    let pages = (0..5).flat_map(|_| [aborted(), parts(&[1], None)]);
    let script = Script::new(pages);
    let error = script.bucket(owned()).abort("k", &upload()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "to be tried again by whoever can wait");
    assert_eq!(script.sent().len(), 10);
}

#[tokio::test]
async fn names_that_no_upload_has_are_not_sent() {
    let script = Script::new([Answer::error(500, "InternalError")]);
    let bucket = script.bucket(owned());
    let (bytes, checksum) = some();
    // A part of an upload without a name would be a put.
    for id in ["", "ü", "a b"].map(|id| UploadId(id.to_owned())) {
        bucket.abort("k", &id).await.unwrap();
        assert_eq!(bucket.list_parts("k", &id).await.unwrap(), None);
        let part = bucket.upload_part("k", &id, 1, 0, bytes.clone(), checksum).await.unwrap();
        assert_eq!(part, sluice_ports::PartAnswer::NoSuchUpload);
    }
    assert!(script.sent().is_empty());
}
