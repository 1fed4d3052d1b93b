//! What a bucket keeps beside its objects, as it is kept in `tests/golden/bucket-dir-v1.txt`: written as there, and an
//! upload and an object's metadata that are made of that text are read.
//!
//! The golden file never changes: every later version has to read it. A new layout gets one of its own beside it, which
//! `SLUICE_WRITE_GOLDEN=1 cargo test -p sluice-bucket-dir --test golden` writes if it is not there.
#![cfg(test)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, CompleteAnswer, Metadata, PartAnswer};
use sluice_transfer::{Checksum, UploadId};

const PUT: &str = "manifest.json";
const UPLOADED: &str = "data/shard=0/0.avro";
const PARTS: [Bytes; 2] = [Bytes::from_static(b"the first part, "), Bytes::from_static(b"and the second.")];

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bucket-dir-v1.txt")
}

fn metadata() -> Metadata {
    [("sluice-transfer", "t"), ("sluice-version", "1")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// An object that was put, and an upload with both parts.
async fn filled(bucket: &DirBucket) -> UploadId {
    let bytes = Bytes::from_static(b"{}");
    bucket.put(PUT, bytes.clone(), Checksum::of(&bytes), &metadata()).await.unwrap();
    let upload = bucket.create_upload(UPLOADED, &metadata()).await.unwrap();
    for (number, offset, part) in [(1, 0, &PARTS[0]), (2, PARTS[0].len() as u64, &PARTS[1])] {
        let part = part.clone();
        let checksum = Checksum::of(&part);
        let answer = bucket.upload_part(UPLOADED, &upload, number, offset, part, checksum).await.unwrap();
        assert!(matches!(answer, PartAnswer::Stored { .. }), "{answer:?}");
    }
    upload
}

/// All files of a folder, by their paths.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The bucket as text; what is another each time has a name in its place.
async fn dumped(bucket: &DirBucket, upload: &UploadId) -> String {
    let etag = bucket.head(PUT).await.unwrap().unwrap().etag;
    let mut found = Vec::new();
    files(bucket.path(), &mut found);
    found.sort();
    let mut text = String::new();
    for path in found {
        let name = path.strip_prefix(bucket.path()).unwrap().to_str().unwrap().to_owned();
        // By a hash of the key and the etag.
        let name = if name.contains("/objects/") { ".sluice/objects/HASH.json".to_owned() } else { name };
        let name = name.replace(&upload.0, "UPLOAD");
        let content = fs::read_to_string(&path).unwrap().replace(&etag, "ETAG");
        writeln!(text, "== {name}\n{content}").unwrap();
    }
    text
}

/// A file of the golden text.
fn file(text: &str, name: &str) -> String {
    let mut files = text.split("== ").filter_map(|file| file.split_once('\n'));
    let (_, content) = files.find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{name} is not kept"));
    content.strip_suffix('\n').unwrap().to_owned()
}

#[tokio::test]
async fn a_bucket_is_written_as_the_kept_one() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = DirBucket::create(dir.path()).unwrap();
    let upload = filled(&bucket).await;
    let written = dumped(&bucket, &upload).await;
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !kept().exists() {
        fs::write(kept(), &written).unwrap();
    }
    assert_eq!(written, fs::read_to_string(kept()).unwrap());
}

#[tokio::test]
async fn the_kept_bucket_is_read_and_its_upload_completed() {
    let text = fs::read_to_string(kept()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bucket = DirBucket::create(dir.path()).unwrap();
    let bytes = Bytes::from_static(b"{}");
    bucket.put(PUT, bytes.clone(), Checksum::of(&bytes), &Metadata::new()).await.unwrap();
    let etag = bucket.head(PUT).await.unwrap().unwrap().etag;
    let mut found = Vec::new();
    files(&dir.path().join(".sluice/objects"), &mut found);
    fs::write(&found[0], file(&text, ".sluice/objects/HASH.json").replace("ETAG", &etag)).unwrap();
    let info = bucket.head(PUT).await.unwrap().unwrap();
    assert_eq!((info.metadata, info.checksum), (metadata(), Some(Checksum::of(&bytes))));

    let upload = UploadId("0123456789abcdef0123456789abcdef".to_owned());
    let folder = dir.path().join(".sluice/uploads").join(&upload.0);
    fs::create_dir_all(&folder).unwrap();
    for name in ["data", "parts", "upload.json"] {
        fs::write(folder.join(name), file(&text, &format!(".sluice/uploads/UPLOAD/{name}"))).unwrap();
    }
    let open = bucket.list_uploads("").await.unwrap();
    assert_eq!(open.len(), 1);
    let parts = bucket.list_parts(UPLOADED, &upload).await.unwrap().unwrap();
    let checksums: Vec<_> = parts.values().map(|part| part.checksum).collect();
    assert_eq!(checksums, PARTS.each_ref().map(|part| Checksum::of(part)));
    let whole = Checksum::of(&PARTS.concat());
    let parts: Vec<_> = parts.into_values().collect();
    let answer = bucket.complete(UPLOADED, &upload, &parts, whole).await.unwrap();
    assert!(matches!(answer, CompleteAnswer::Completed { .. }), "{answer:?}");
    let info = bucket.head(UPLOADED).await.unwrap().unwrap();
    assert_eq!((info.metadata, info.checksum), (metadata(), Some(whole)));
}
