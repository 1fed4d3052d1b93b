//! A directory that others made, with links where only our own files should be: nothing beside it is read or written.
#![cfg(test)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, ErrorKind, PartAnswer};
use sluice_transfer::{Checksum, UploadId};
use tempfile::TempDir;

const DOCUMENT: &str = r#"{"version":1,"key":"a","metadata":{}}"#;
const OUTSIDE: &str = "not of the bucket";

/// A bucket's directory with its hidden folder, and a folder beside it that has files of the names of ours.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (bucket, beside) = (dir.path().join("bucket"), dir.path().join("beside"));
    fs::create_dir_all(bucket.join(".sluice")).unwrap();
    fs::create_dir(&beside).unwrap();
    for name in ["data", "parts", "upload.json"] {
        fs::write(beside.join(name), OUTSIDE).unwrap();
    }
    (dir, bucket, beside)
}

fn is_untouched(beside: &Path) -> bool {
    let same = |name: &str| fs::read(beside.join(name)).is_ok_and(|bytes| bytes == OUTSIDE.as_bytes());
    ["data", "parts", "upload.json"].into_iter().all(same) && fs::read_dir(beside).unwrap().count() == 3
}

#[test]
fn a_hidden_folder_that_is_a_link_is_refused_before_anything_is_swept_up() {
    for name in ["objects", "puts", "uploads"] {
        let (_dir, bucket, beside) = folders();
        fs::write(bucket.join(".sluice/lock"), "").unwrap();
        symlink(&beside, bucket.join(".sluice").join(name)).unwrap();
        assert_eq!(DirBucket::create(&bucket).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
        assert!(is_untouched(&beside), "{name}");
    }
    let (_dir, bucket, beside) = folders();
    symlink(beside.join("lock"), bucket.join(".sluice/lock")).unwrap();
    assert_eq!(DirBucket::create(&bucket).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(is_untouched(&beside));
}

#[tokio::test]
async fn an_upload_with_a_link_in_it_is_none() {
    let id = UploadId("0123456789abcdef".repeat(2));
    for name in ["", "data", "parts", "upload.json"] {
        let (_dir, bucket, beside) = folders();
        let folder = bucket.join(".sluice/uploads").join(&id.0);
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::write(bucket.join(".sluice/lock"), "").unwrap();
        if name.is_empty() {
            symlink(&beside, &folder).unwrap();
        } else {
            fs::create_dir(&folder).unwrap();
            for (file, bytes) in [("data", ""), ("parts", ""), ("upload.json", DOCUMENT)] {
                if file == name {
                    symlink(beside.join(file), folder.join(file)).unwrap();
                } else {
                    fs::write(folder.join(file), bytes).unwrap();
                }
            }
        }
        let bucket = DirBucket::create(&bucket).unwrap();
        let bytes = Bytes::from_static(b"a part");
        let sum = Checksum::of(&bytes);
        assert_eq!(bucket.upload_part("a", &id, 1, 0, bytes, sum).await.unwrap(), PartAnswer::NoSuchUpload, "{name}");
        assert_eq!(bucket.list_parts("a", &id).await.unwrap(), None, "{name}");
        assert_eq!(bucket.list_uploads("").await.unwrap(), [], "{name}");
        bucket.abort("a", &id).await.unwrap();
        assert!(is_untouched(&beside), "{name}");
    }
}

#[tokio::test]
async fn an_upload_of_no_key_or_with_files_past_all_memory_is_not_listed() {
    let (_dir, bucket, _beside) = folders();
    for (letter, document) in [("a", DOCUMENT.replace("\"a\"", "\"../a\"")), ("b", DOCUMENT.to_owned())] {
        let folder = bucket.join(".sluice/uploads").join(letter.repeat(32));
        fs::create_dir_all(&folder).unwrap();
        for (file, bytes) in [("data", ""), ("parts", ""), ("upload.json", document.as_str())] {
            fs::write(folder.join(file), bytes).unwrap();
        }
    }
    let id = UploadId("b".repeat(32));
    let folder = bucket.join(".sluice/uploads").join(&id.0);
    let bucket = DirBucket::create(&bucket).unwrap();
    assert_eq!(bucket.list_uploads("").await.unwrap().len(), 1, "its key leads out of the bucket");
    // Of nothing but a length.
    let stretch = |name: &str| File::options().write(true).open(folder.join(name)).unwrap().set_len(1 << 40).unwrap();
    stretch("parts");
    assert_eq!(bucket.list_parts("a", &id).await.unwrap_err().kind(), ErrorKind::Corrupt);
    stretch("upload.json");
    assert_eq!(bucket.list_uploads("").await.unwrap(), []);
}
