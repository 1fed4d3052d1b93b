//! What is found out of a service that is not Amazon's.

use sluice_bucket_s3::S3Settings;
use sluice_ports::{BucketStore, Capabilities, ErrorKind};

use super::owned;
use super::script::{Answer, Script};

fn foreign() -> S3Settings {
    S3Settings { foreign: true, ..owned() }
}

fn stored() -> Answer {
    Answer::new(200, "").with("etag", "\"e\"")
}

fn exists() -> Answer {
    Answer::error(412, "PreconditionFailed")
}

fn begun(checksums: &str) -> Answer {
    let body = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    Answer::new(200, body).with("x-amz-checksum-type", checksums)
}

fn made() -> Answer {
    Answer::new(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>")
}

/// Abort, and that it is gone.
fn gone() -> [Answer; 2] {
    [Answer::new(204, ""), Answer::error(404, "NoSuchUpload")]
}

/// A service that refuses what it should and knows only the parts' checksums; then come other answers.
pub(super) fn composite(then: impl IntoIterator<Item = Answer>) -> (Script, S3Settings) {
    let answers = [stored(), exists(), begun("COMPOSITE"), stored(), exists()];
    (Script::new(answers.into_iter().chain(gone()).chain(then)), foreign())
}

#[tokio::test]
async fn a_service_is_what_it_does() {
    let puts = |one, two| vec![one, two];
    let uploads = |checksums, complete| [vec![begun(checksums), stored(), complete], gone().to_vec()].concat();
    let not_implemented = || Answer::error(501, "NotImplemented");
    for (what, answers, create_only, attests_content) in [
        ("all", [puts(stored(), exists()), uploads("FULL_OBJECT", exists())].concat(), true, true),
        ("asked before", [vec![exists()], uploads("FULL_OBJECT", exists())].concat(), true, true),
        ("checksums of checksums", [puts(stored(), exists()), uploads("COMPOSITE", exists())].concat(), true, false),
        ("unheard of", [puts(stored(), exists()), uploads("", exists())].concat(), true, false),
        ("puts overwrite", puts(stored(), stored()), false, false),
        ("no conditions", vec![not_implemented()], false, false),
        ("completions overwrite", [vec![exists()], uploads("FULL_OBJECT", made())].concat(), false, true),
        ("no conditions there", [vec![exists()], uploads("COMPOSITE", not_implemented())].concat(), false, false),
    ] {
        let asked = answers.len();
        let script = Script::new(answers);
        let bucket = script.bucket(foreign());
        let expected = Capabilities { create_only, smallest_part: 5 << 20, attests_content };
        assert_eq!(bucket.capabilities().await.unwrap(), expected, "{what}");
        assert_eq!(script.sent().len(), asked, "{what}");
        assert_eq!(bucket.clone().capabilities().await.unwrap(), expected, "{what}, from memory");
        assert_eq!(script.sent().len(), asked, "{what} is asked once");
    }
}

#[tokio::test]
async fn amazon_is_not_asked() {
    let script = Script::new([Answer::error(500, "InternalError")]);
    let all = Capabilities { create_only: true, smallest_part: 5 << 20, attests_content: true };
    assert_eq!(script.bucket(owned()).capabilities().await.unwrap(), all);
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn what_failed_is_asked_again() {
    let (script, settings) = {
        let answers = [Answer::error(503, "SlowDown"), exists(), begun("COMPOSITE"), stored(), exists()];
        (Script::new(answers.into_iter().chain(gone())), foreign())
    };
    let bucket = script.bucket(settings);
    assert_eq!(bucket.capabilities().await.unwrap_err().kind(), ErrorKind::Throttled);
    assert!(bucket.capabilities().await.unwrap().create_only);
}

#[tokio::test]
async fn the_upload_is_given_up_also_if_the_completion_fails() {
    let answers = [exists(), begun("COMPOSITE"), stored(), Answer::error(403, "AccessDenied")];
    let script = Script::new(answers.into_iter().chain(gone()));
    let error = script.bucket(foreign()).capabilities().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(script.sent()[4].method, "DELETE");
}
