//! A directory as a bucket, with files of others in it: also where only our own should be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, CompleteAnswer, Metadata, PutAnswer};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};
use tempfile::TempDir;

use crate::answers::{BETWEEN, done, named, read, written};

/// Files of one case, at most, and of what is listed as many are looked at.
const MOST: usize = 12;
const UPLOAD: &str = "0123456789abcdef0123456789abcdef";

/// A folder that no disk is waited for in, where the system has such.
pub(crate) fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a folder of one's own")
}

/// Entries with a byte 0x1e in between: a path on the first line and its bytes on the others, or `PATH -> TARGET` for a
/// link. Nothing beside the bucket changes, whatever the entries are.
pub fn directory(bytes: &[u8]) {
    let outer = in_memory();
    let bucket = outer.path().join("bucket");
    let beside = outer.path().join("beside");
    fs::create_dir_all(&bucket).and_then(|()| fs::create_dir(&beside)).expect("a folder of one's own");
    for name in ["data", "parts", "upload.json"] {
        fs::write(beside.join(name), OUTSIDE).expect("room");
    }
    for entry in bytes.split(|byte| *byte == BETWEEN).take(MOST) {
        put(&bucket, entry);
    }
    let before = everything(outer.path(), &bucket);
    if let Some(bucket) = written(DirBucket::create(&bucket)) {
        done(use_all(&bucket));
    }
    assert!(everything(outer.path(), &bucket) == before, "something beside the bucket was changed");
}

const OUTSIDE: &[u8] = b"not of the bucket";

/// Makes an entry within the bucket; none where that would lead out of it.
fn put(bucket: &Path, entry: &[u8]) {
    let end = entry.iter().position(|byte| *byte == b'\n').unwrap_or(entry.len());
    let Ok(line) = std::str::from_utf8(&entry[..end]) else { return };
    let (path, target) = line.split_once(" -> ").map_or((line, None), |(path, target)| (path, Some(target)));
    let plain = |name: &str| !["", ".", ".."].contains(&name) && !name.contains('\0');
    if !path.split('/').all(plain) {
        return;
    }
    let (mut folder, mut names) = (bucket.to_owned(), path.split('/').collect::<Vec<_>>());
    let Some(last) = names.pop() else { return };
    for name in names {
        folder.push(name);
        let _ = fs::create_dir(&folder);
        if !fs::symlink_metadata(&folder).is_ok_and(|stat| stat.is_dir()) {
            return;
        }
    }
    let path = folder.join(last);
    if fs::symlink_metadata(&path).is_ok() {
        return;
    }
    let _ = match target {
        Some("/") => fs::create_dir(&path),
        Some(target) if !target.starts_with('/') => symlink(target, &path),
        Some(_) => Ok(()),
        None => fs::write(&path, entry.get(end + 1..).unwrap_or_default()),
    };
}

/// All that lies beside the bucket, with its bytes.
fn everything(folder: &Path, bucket: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path == bucket {
            continue;
        }
        if path.is_dir() {
            found.extend(everything(&path, bucket));
        }
        let bytes = fs::read(&path).unwrap_or_default();
        found.insert(path, bytes);
    }
    found
}

async fn use_all(bucket: &DirBucket) {
    if let Some(listed) = read(bucket.list("", None, MOST).await) {
        assert!(listed.len() <= MOST && listed.is_sorted_by(|a, b| a.key < b.key), "out of order");
        for object in listed.iter().filter(|object| object.size < 1 << 20).take(3) {
            let info = read(bucket.head(&object.key).await).flatten();
            assert!(info.is_none_or(|info| info.etag == object.etag && info.size == object.size));
            let got = read(bucket.get(&object.key, Some(&object.etag), 0, object.size).await);
            assert!(got.is_none_or(|bytes| bytes != OUTSIDE), "{} is read through a link", object.key);
        }
    }
    let id = UploadId(UPLOAD.to_owned());
    for open in read(bucket.list_uploads("").await).into_iter().flatten().take(2) {
        upload(bucket, &open.key, &open.id).await;
    }
    upload(bucket, "data/a", &id).await;
    object(bucket).await;
}

async fn upload(bucket: &DirBucket, key: &str, id: &UploadId) {
    let bytes = Bytes::from_static(b"a part");
    let sum = Checksum::of(&bytes);
    written(bucket.upload_part(key, id, 2, 9, bytes, sum).await);
    let Some(Some(parts)) = read(bucket.list_parts(key, id).await) else { return };
    let parts: Vec<PartEntry> = parts.into_values().collect();
    let whole = parts.iter().fold(Checksum::default(), |sum, part| sum.then(part.checksum));
    if let Some(CompleteAnswer::Completed { .. }) = written(bucket.complete(key, id, &parts, whole).await) {
        let info = read(bucket.head(key).await).flatten();
        assert!(info.is_some_and(|info| info.size == whole.len), "an object is not what its parts are");
    }
    written(bucket.abort(key, id).await);
    assert!(read(bucket.list_parts(key, id).await).is_none_or(|parts| parts.is_none()), "it was given up");
}

/// What is put is there, whole, and says what was said of it.
async fn object(bucket: &DirBucket) {
    let bytes = Bytes::from_static(b"an object");
    let (key, sum) = ("fuzz/new", Checksum::of(&bytes));
    let metadata = Metadata::from([("sluice-from".to_owned(), "start".to_owned())]);
    let put = written(bucket.put(key, bytes.clone(), sum, &metadata).await);
    if let Some(PutAnswer::Stored { etag }) = put {
        let info = read(bucket.head(key).await).flatten().expect("it was put");
        assert!(info.etag == etag && info.checksum == Some(sum) && info.metadata == metadata, "{info:?}");
        assert_eq!(read(bucket.get(key, Some(&etag), 0, 99).await), Some(bytes));
    }
}

/// Entries as one case.
fn entries(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(path, bytes): &(&str, &str)| format!("{path}\n{bytes}").into_bytes();
    entries.iter().map(entry).collect::<Vec<_>>().join(&BETWEEN)
}

/// A line of an upload's log, with its checksum.
fn logged(line: &str) -> String {
    format!("\n{line} {:016x}\n", Checksum::of(line.as_bytes()).crc)
}

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let at = |name: &str| format!(".sluice/uploads/{UPLOAD}/{name}");
    let (data, parts, said) = (at("data"), at("parts"), at("upload.json"));
    let document = r#"{"version":1,"key":"data/a","metadata":{}}"#;
    let log = logged(&format!("part 1 0 {}", Checksum::of(b"012345678")));
    let with = |data_entry: (&str, &str), parts_entry: (&str, &str), said_entry: (&str, &str)| {
        entries(&[data_entry, parts_entry, said_entry])
    };
    let (data, parts, said) = (data.as_str(), parts.as_str(), said.as_str());
    let linked = |name: &str, target: &str| entries(&[(&format!(".sluice/{name} -> {target}"), "")]);
    let far = logged("part 1 18446744073709551615 0000000000000000-18446744073709551615")
        + &logged("begin 18446744073709551615 18446744073709551615")
        + &logged("part 18446744073709551615 0 0000000000000000-0");
    let newer = r#"{"version":4294967295,"key":"data/a"}"#;
    let whole_log = (parts, log.as_str());
    named(vec![
        ("objects", entries(&[("data/a", "one"), ("data/b/c", "two"), ("z", "")])),
        ("links", entries(&[("data -> ../beside", ""), ("a -> ../beside/data", ""), ("b -> /", ""), ("c -> c", "")])),
        ("upload", with((data, "012345678"), whole_log, (said, document))),
        ("upload-of-far-parts", with((data, "012345678"), (parts, &far), (said, document))),
        ("upload-of-a-newer", with((data, ""), whole_log, (said, newer))),
        (
            "upload-of-a-key-that-climbs",
            with((data, ""), whole_log, (said, &document.replace("data/a", "../beside/x"))),
        ),
        ("upload-of-a-folder", with((&format!("{data} -> /"), ""), whole_log, (said, document))),
        ("upload-into-a-link", with((&format!("{data} -> ../../../../beside/data"), ""), whole_log, (said, document))),
        (
            "upload-logged-into-a-link",
            with((data, "9"), (&format!("{parts} -> ../../../../beside/parts"), ""), (said, document)),
        ),
        ("upload-in-a-link", entries(&[(&format!(".sluice/uploads/{UPLOAD} -> ../../../beside"), "")])),
        ("hidden-is-a-link", entries(&[(".sluice -> ../beside", "")])),
        ("hidden-is-a-file", entries(&[(".sluice", "")])),
        ("uploads-are-a-link", linked("uploads", "../../beside")),
        ("puts-are-a-link", entries(&[(".sluice/lock", ""), (".sluice/puts -> ../../beside", "")])),
        ("objects-are-a-link", linked("objects", "../../beside")),
        ("the-lock-is-a-link", linked("lock", "../../beside/new")),
        ("the-lock-is-a-folder", linked("lock", "/")),
        ("fuzz-is-a-file", entries(&[("fuzz", "")])),
    ])
}
