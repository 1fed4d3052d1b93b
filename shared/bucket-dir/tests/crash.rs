//! What crashes leave behind, and what people do to files: made by hand here.
#![cfg(test)]

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, CompleteAnswer, ErrorKind, Metadata, ObjectInfo, PartAnswer, PutAnswer};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};
use tempfile::TempDir;

const KEY: &str = "data/shard=0/0.bin";
const ONE: Bytes = Bytes::from_static(b"the first part, ");
const TWO: Bytes = Bytes::from_static(b"and the second.");

fn bucket() -> (TempDir, DirBucket) {
    let dir = tempfile::tempdir().unwrap();
    let bucket = DirBucket::create(dir.path()).unwrap();
    (dir, bucket)
}

fn metadata() -> Metadata {
    Metadata::from([("transfer".to_owned(), "t".to_owned())])
}

fn whole() -> Vec<u8> {
    [ONE, TWO].concat()
}

fn hidden(bucket: &DirBucket, below: &str) -> PathBuf {
    bucket.path().join(".sluice").join(below)
}

fn folder(bucket: &DirBucket, id: &UploadId) -> PathBuf {
    hidden(bucket, "uploads").join(&id.0)
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

async fn part(bucket: &DirBucket, id: &UploadId, number: u64, offset: u64, bytes: &Bytes) -> PartAnswer {
    bucket.upload_part(KEY, id, number, offset, bytes.clone(), Checksum::of(bytes)).await.unwrap()
}

fn entry(bytes: &[u8]) -> PartEntry {
    let checksum = Checksum::of(bytes);
    PartEntry { etag: checksum.to_string(), checksum }
}

/// An upload of both parts, not completed.
async fn open(bucket: &DirBucket) -> UploadId {
    let id = bucket.create_upload(KEY, &metadata()).await.unwrap();
    part(bucket, &id, 1, 0, &ONE).await;
    part(bucket, &id, 2, ONE.len() as u64, &TWO).await;
    id
}

async fn complete(bucket: &DirBucket, id: &UploadId) -> CompleteAnswer {
    bucket.complete(KEY, id, &[entry(&ONE), entry(&TWO)], Checksum::of(&whole())).await.unwrap()
}

async fn put(bucket: &DirBucket, key: &str, bytes: &[u8]) -> Result<PutAnswer, ErrorKind> {
    let sum = Checksum::of(bytes);
    bucket.put(key, Bytes::copy_from_slice(bytes), sum, &metadata()).await.map_err(|error| error.kind())
}

async fn head(bucket: &DirBucket, key: &str) -> Option<ObjectInfo> {
    bucket.head(key).await.unwrap()
}

async fn open_uploads(bucket: &DirBucket) -> usize {
    bucket.list_uploads("").await.unwrap().len()
}

#[tokio::test]
async fn what_is_opened_must_be_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_eq!(DirBucket::open(&missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!missing.exists());
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(DirBucket::open(&file).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(DirBucket::create(&file).is_err());
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let bucket = DirBucket::open(&source).unwrap();
    assert_eq!(bucket.list("", None, 9).await.unwrap(), []);
    bucket.abort("k", &UploadId("0".repeat(32))).await.unwrap();
    assert_eq!(count(&source), 0, "opening and reading make nothing");
    fs::write(source.join(".sluice"), "").unwrap();
    assert_eq!(DirBucket::open(&source).unwrap_err().kind(), ErrorKind::Invalid);
    fs::remove_dir_all(&source).unwrap();
    assert_eq!(bucket.list("", None, 9).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_finished_bucket_holds_objects_and_what_they_say_of_themselves() {
    let (_dir, bucket) = bucket();
    let id = open(&bucket).await;
    assert!(matches!(complete(&bucket, &id).await, CompleteAnswer::Completed { .. }));
    put(&bucket, "other", b"x").await.unwrap();
    assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole());
    assert_eq!((count(&hidden(&bucket, "uploads")), count(&hidden(&bucket, "puts"))), (0, 0));
    assert_eq!(count(&hidden(&bucket, "objects")), 2);
    assert_eq!(put(&bucket, "other", b"y").await, Ok(PutAnswer::Exists));
    assert_eq!(count(&hidden(&bucket, "objects")), 2);
}

#[tokio::test]
async fn a_half_made_upload_is_none_and_is_swept_up() {
    let (dir, bucket) = bucket();
    let id = open(&bucket).await;
    for (name, document) in [("0", None), ("1", Some("")), ("2", Some("{\"version\":1,\"key\":"))] {
        let half = hidden(&bucket, "uploads").join(name.repeat(32));
        fs::create_dir(&half).unwrap();
        fs::write(half.join("data"), "").unwrap();
        if let Some(document) = document {
            fs::write(half.join("upload.json"), document).unwrap();
        }
        assert_eq!(part(&bucket, &UploadId(name.repeat(32)), 1, 0, &ONE).await, PartAnswer::NoSuchUpload);
    }
    fs::write(hidden(&bucket, "puts").join("dead"), "half of the by").unwrap();
    let lock = File::open(hidden(&bucket, "lock")).unwrap();
    lock.lock_shared().unwrap();
    assert_eq!(open_uploads(&bucket).await, 1);
    DirBucket::create(dir.path()).unwrap();
    assert_eq!(count(&hidden(&bucket, "uploads")), 4, "nothing is swept while others are at work");
    drop(lock);
    DirBucket::create(dir.path()).unwrap();
    assert_eq!((count(&hidden(&bucket, "uploads")), count(&hidden(&bucket, "puts"))), (1, 0));
    assert!(matches!(complete(&bucket, &id).await, CompleteAnswer::Completed { .. }));
}

#[tokio::test]
async fn a_newer_versions_upload_is_left_to_it() {
    let (dir, bucket) = bucket();
    let id = open(&bucket).await;
    let document = folder(&bucket, &id).join("upload.json");
    fs::write(&document, r#"{"version":2,"name":"x"}"#).unwrap();
    let error = bucket.list_parts(KEY, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Newer);
    assert_eq!(bucket.abort(KEY, &id).await.unwrap_err().kind(), ErrorKind::Newer);
    DirBucket::create(dir.path()).unwrap();
    assert!(document.exists());
}

#[tokio::test]
async fn a_torn_log_loses_its_last_line_only() {
    let (_dir, bucket) = bucket();
    let id = open(&bucket).await;
    let log = folder(&bucket, &id).join("parts");
    let lines = fs::read(&log).unwrap();
    fs::write(&log, &lines[..lines.len() - 5]).unwrap();
    assert_eq!(complete(&bucket, &id).await, CompleteAnswer::InvalidPart);
    assert_eq!(bucket.list_parts(KEY, &id).await.unwrap().unwrap().into_keys().collect::<Vec<_>>(), [1]);
    part(&bucket, &id, 2, ONE.len() as u64, &TWO).await;
    assert!(matches!(complete(&bucket, &id).await, CompleteAnswer::Completed { .. }));
    assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole());
}

#[tokio::test]
async fn a_log_lost_in_a_power_cut_makes_no_object() {
    let (_dir, bucket) = bucket();
    let id = open(&bucket).await;
    fs::write(folder(&bucket, &id).join("parts"), "").unwrap();
    assert_eq!(complete(&bucket, &id).await, CompleteAnswer::InvalidPart);
    // And a log without its data.
    let id = open(&bucket).await;
    File::options().write(true).open(folder(&bucket, &id).join("data")).unwrap().set_len(20).unwrap();
    assert_eq!(complete(&bucket, &id).await, CompleteAnswer::InvalidPart);
    assert_eq!(head(&bucket, KEY).await, None);
}

#[tokio::test]
async fn parts_that_leave_a_hole_make_no_object() {
    let (_dir, bucket) = bucket();
    let id = bucket.create_upload(KEY, &metadata()).await.unwrap();
    part(&bucket, &id, 1, 0, &ONE).await;
    part(&bucket, &id, 2, 20, &TWO).await;
    assert_eq!(complete(&bucket, &id).await, CompleteAnswer::InvalidPart);
    part(&bucket, &id, 2, ONE.len() as u64, &TWO).await;
    assert!(matches!(complete(&bucket, &id).await, CompleteAnswer::Completed { .. }));
    assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole());
}

/// A writer that dies while it writes a part again, with other bytes, leaves a part that is none.
#[tokio::test]
async fn a_part_that_was_being_replaced_is_no_part() {
    let (_dir, bucket) = bucket();
    let id = open(&bucket).await;
    let log = folder(&bucket, &id).join("parts");
    part(&bucket, &id, 1, 0, &Bytes::from_static(b"quite other byte")).await;
    let lines = fs::read_to_string(&log).unwrap();
    let done = lines.rfind("\npart").unwrap();
    assert!(lines[..done].lines().any(|line| line.starts_with("begin 0 16 ")), "{lines}");
    fs::write(&log, &lines[..done]).unwrap();
    assert_eq!(complete(&bucket, &id).await, CompleteAnswer::InvalidPart);
    assert_eq!(bucket.list_parts(KEY, &id).await.unwrap().unwrap().into_keys().collect::<Vec<_>>(), [2]);
}

/// Dead between the link and tidying up: the upload's file is the object, so nobody may write to it.
#[tokio::test]
async fn a_completion_that_died_behind_its_link_is_finished() {
    for finish in ["part", "parts", "complete", "abort", "uploads", "sweep"] {
        let (dir, bucket) = bucket();
        let id = open(&bucket).await;
        fs::create_dir_all(bucket.path().join(KEY).parent().unwrap()).unwrap();
        fs::hard_link(folder(&bucket, &id).join("data"), bucket.path().join(KEY)).unwrap();
        let zombie = Bytes::from_static(b"a late writer's ");
        match finish {
            "part" => assert_eq!(part(&bucket, &id, 1, 0, &zombie).await, PartAnswer::NoSuchUpload),
            "parts" => assert_eq!(bucket.list_parts(KEY, &id).await.unwrap(), None),
            "complete" => assert_eq!(complete(&bucket, &id).await, CompleteAnswer::NoSuchUpload),
            "abort" => bucket.abort(KEY, &id).await.unwrap(),
            "uploads" => assert_eq!(open_uploads(&bucket).await, 0),
            _ => drop(DirBucket::create(dir.path()).unwrap()),
        }
        assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole(), "{finish}");
        assert!(!folder(&bucket, &id).exists(), "{finish}");
    }
}

#[tokio::test]
async fn a_late_part_changes_no_object() {
    let (dir, bucket) = bucket();
    let zombie = DirBucket::open(dir.path()).unwrap();
    let id = open(&bucket).await;
    // The late writer has its file open and waits for the lock, as one that was frozen would.
    let data = File::options().read(true).write(true).open(folder(&bucket, &id).join("data")).unwrap();
    data.lock().unwrap();
    let late = Bytes::from_static(b"a late writer's ");
    let completing = complete(&bucket, &id);
    let writing = part(&zombie, &id, 1, 0, &late);
    let release = async { drop(data) };
    let (completed, written, ()) = tokio::join!(completing, writing, release);
    match written {
        PartAnswer::NoSuchUpload => {
            assert!(matches!(completed, CompleteAnswer::Completed { .. }), "{completed:?}");
            assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole());
        }
        PartAnswer::Stored { .. } => {
            assert_eq!(completed, CompleteAnswer::InvalidPart, "it came first");
            part(&bucket, &id, 1, 0, &ONE).await;
            assert!(matches!(complete(&bucket, &id).await, CompleteAnswer::Completed { .. }));
        }
    }
    let etag = head(&bucket, KEY).await.unwrap().etag;
    assert_eq!(part(&zombie, &id, 1, 0, &late).await, PartAnswer::NoSuchUpload);
    assert_eq!(head(&bucket, KEY).await.unwrap().etag, etag);
    assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), whole());
}

#[tokio::test]
async fn parts_sent_at_once_are_written_in_the_order_in_which_they_were_sent() {
    let (_dir, bucket) = bucket();
    let id = bucket.create_upload(KEY, &metadata()).await.unwrap();
    let mut total = 0;
    for _ in 0..20 {
        let send = |number| {
            let (bucket, id) = (&bucket, &id);
            async move { part(bucket, id, number, (number - 1) * ONE.len() as u64, &ONE).await }
        };
        join_all((total + 1..=total + 20).map(send)).await;
        total += 20;
    }
    let log = fs::read_to_string(folder(&bucket, &id).join("parts")).unwrap();
    let parts = log.lines().filter(|line| line.starts_with("part ")).count() as u64;
    // None was taken for one that may lie over another.
    assert_eq!((parts, log.matches("begin").count()), (total, 0));
}

#[tokio::test]
async fn two_values_for_one_directory_race() {
    let (dir, one) = bucket();
    let two = DirBucket::create(dir.path()).unwrap();
    for round in 0..20 {
        let key = format!("{round}/k");
        let mut uploads = Vec::new();
        for (bucket, bytes) in [(&one, ONE), (&two, TWO)] {
            let id = bucket.create_upload(&key, &metadata()).await.unwrap();
            bucket.upload_part(&key, &id, 1, 0, bytes.clone(), Checksum::of(&bytes)).await.unwrap();
            uploads.push((id, entry(&bytes)));
        }
        let complete = |bucket: DirBucket, (id, entry): (UploadId, PartEntry)| {
            let key = key.clone();
            async move { bucket.complete(&key, &id, std::slice::from_ref(&entry), entry.checksum).await.unwrap() }
        };
        let second = uploads.pop().unwrap();
        let answers = tokio::join!(complete(one.clone(), uploads.pop().unwrap()), complete(two.clone(), second));
        let bytes = match answers {
            (CompleteAnswer::Completed { .. }, CompleteAnswer::Exists) => ONE,
            (CompleteAnswer::Exists, CompleteAnswer::Completed { .. }) => TWO,
            other => panic!("{other:?}"),
        };
        let info = head(&one, &key).await.unwrap();
        assert_eq!((info.checksum, info.metadata), (Some(Checksum::of(&bytes)), metadata()));
        assert_eq!(fs::read(dir.path().join(&key)).unwrap(), bytes);
    }
    assert_eq!(count(&hidden(&one, "objects")), 20, "the loser's metadata are gone");
}

#[tokio::test]
async fn metadata_without_an_object_are_nothing() {
    let (_dir, bucket) = bucket();
    put(&bucket, KEY, b"ours").await.unwrap();
    fs::remove_file(bucket.path().join(KEY)).unwrap();
    assert_eq!(head(&bucket, KEY).await, None);
    fs::write(bucket.path().join(KEY), "theirs").unwrap();
    let info = head(&bucket, KEY).await.unwrap();
    assert_eq!((info.size, info.metadata, info.checksum), (6, Metadata::new(), None));
    assert_eq!(put(&bucket, KEY, b"ours").await, Ok(PutAnswer::Exists));
    assert_eq!(fs::read(bucket.path().join(KEY)).unwrap(), b"theirs");
}

type Change<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn a_file_that_people_change_is_another_object_and_nobodys() {
    // The clock of a file system may tick more slowly than this test runs.
    let touch = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        let later = file.metadata().unwrap().modified().unwrap() + Duration::from_nanos(1);
        file.set_times(FileTimes::new().set_modified(later)).unwrap();
    };
    let edit = |path: &Path| {
        fs::write(path, "OURS").unwrap();
        touch(path);
    };
    let replace = |path: &Path| {
        let times = fs::metadata(path).unwrap().modified().unwrap();
        let new = path.with_extension("new");
        fs::write(&new, "OURS").unwrap();
        File::options().write(true).open(&new).unwrap().set_modified(times).unwrap();
        fs::rename(new, path).unwrap();
    };
    let truncate = |path: &Path| File::options().write(true).open(path).unwrap().set_len(2).unwrap();
    let changes: [(&str, Change<'_>); 4] =
        [("touched", &touch), ("edited", &edit), ("replaced", &replace), ("truncated", &truncate)];
    for (what, change) in changes {
        let (_dir, bucket) = bucket();
        put(&bucket, KEY, b"ours").await.unwrap();
        let before = head(&bucket, KEY).await.unwrap();
        assert_eq!((before.checksum, &before.metadata), (Some(Checksum::of(b"ours")), &metadata()));
        change(&bucket.path().join(KEY));
        let after = head(&bucket, KEY).await.unwrap();
        assert_ne!(before.etag, after.etag, "{what}");
        assert_eq!((after.checksum, after.metadata), (None, Metadata::new()), "{what}");
        let error = bucket.get(KEY, Some(&before.etag), 0, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{what}");
        bucket.get(KEY, Some(&after.etag), 0, 1).await.unwrap();
        assert_eq!(bucket.list("", None, 9).await.unwrap()[0].etag, after.etag, "{what}");
    }
}

#[tokio::test]
async fn a_key_and_a_folder_of_its_name_exclude_each_other() {
    let (_dir, bucket) = bucket();
    put(&bucket, "a", b"x").await.unwrap();
    put(&bucket, "b/c", b"x").await.unwrap();
    for (key, why) in [("a/b", "is a file"), ("a/b/c", "is a file"), ("b", "is a folder of others")] {
        assert_eq!(put(&bucket, key, b"x").await, Err(ErrorKind::Invalid), "{key}");
        let error = bucket.create_upload(key, &metadata()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{key}");
        let text = error.to_string();
        assert!(text.contains(why) && text.contains("cannot hold both"), "{text}");
        assert_eq!(head(&bucket, key).await, None);
    }
    // It may come in between.
    let id = open(&bucket).await;
    fs::create_dir_all(bucket.path().join(KEY)).unwrap();
    let answer = bucket.complete(KEY, &id, &[entry(&ONE)], Checksum::of(&ONE)).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(open_uploads(&bucket).await, 1);
    // Hidden names do not collide, although the keys would as names of files.
    put(&bucket, "k.json/x", b"x").await.unwrap();
    put(&bucket, "k", b"y").await.unwrap();
    assert_eq!(head(&bucket, "k").await.unwrap().checksum, Some(Checksum::of(b"y")));
    let long = format!("l/{}", "n".repeat(255));
    put(&bucket, &long, b"x").await.unwrap();
    assert_eq!(head(&bucket, &long).await.unwrap().metadata, metadata());
    assert_eq!(put(&bucket, &format!("{long}n"), b"x").await, Err(ErrorKind::Invalid));
}

#[tokio::test]
async fn no_link_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    let (_dir, bucket) = bucket();
    symlink(outside.path(), bucket.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), bucket.path().join("file")).unwrap();
    symlink(outside.path().join("new"), bucket.path().join("dangling")).unwrap();
    for key in ["folder/secret", "folder/new", "folder/new/er", "file", "dangling"] {
        assert_eq!(head(&bucket, key).await, None, "{key}");
        assert_eq!(bucket.get(key, None, 0, 9).await.unwrap_err().kind(), ErrorKind::NotFound, "{key}");
        assert_eq!(put(&bucket, key, b"x").await, Err(ErrorKind::Invalid), "{key}");
        assert!(bucket.create_upload(key, &metadata()).await.is_err(), "{key}");
    }
    for prefix in ["", "f", "folder/", "folder/s", "file"] {
        assert_eq!(bucket.list(prefix, None, 9).await.unwrap(), [], "{prefix}");
    }
    assert_eq!(count(outside.path()), 1);
    // A link that comes in between is not followed either.
    let id = open(&bucket).await;
    symlink(outside.path(), bucket.path().join("data")).unwrap();
    let answer = bucket.complete(KEY, &id, &[entry(&ONE)], Checksum::of(&ONE)).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(count(outside.path()), 1);
}

#[tokio::test]
async fn the_files_of_others_are_objects() {
    let (_dir, bucket) = bucket();
    fs::create_dir_all(bucket.path().join("deep/er")).unwrap();
    fs::create_dir_all(bucket.path().join("deep/.sluice")).unwrap();
    for key in ["deep/er/a file.txt", "deep/.sluice/x", ".hidden", "deep/ü"] {
        fs::write(bucket.path().join(key), key).unwrap();
    }
    // Names that are no text are no keys; macOS does not take them at all.
    let _ = fs::write(bucket.path().join(OsStr::from_bytes(b"deep/\xff")), "x");
    let listed = bucket.list("", None, 9).await.unwrap();
    let keys: Vec<&str> = listed.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(keys, [".hidden", "deep/.sluice/x", "deep/er/a file.txt", "deep/ü"]);
    for listed in listed {
        let info = head(&bucket, &listed.key).await.unwrap();
        assert_eq!((info.checksum, info.metadata), (None, Metadata::new()));
        let read = bucket.get(&listed.key, Some(&listed.etag), 0, 99).await.unwrap();
        assert_eq!(read, listed.key.as_bytes());
    }
}
