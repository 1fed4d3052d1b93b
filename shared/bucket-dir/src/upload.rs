//! Uploads in parts: one hidden file that each part is written into at its place.
//!
//! **Invariant.** Who writes to `data`, or links it, holds its exclusive lock and found, under it, that the upload is
//! still one: it has its `upload.json`, and `data` has no other link. The operating system gives a dead holder's lock
//! back, so a late writer either wrote before the object was made, and the log tells what (what it does not tell yet
//! lies behind the object's end, and is cut off), or finds no upload.
//!
//! The parts that one value and its clones send come in the order in which they were sent (`turns.rs`), so that they
//! rarely lie in front of the end of `data`. A part's writer gives the lock back while the disk is waited for, so that
//! others go on meanwhile. Whoever writes over it then says so in the log before he does: it is no part, and the writer
//! sees it before he calls it one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sluice_ports::{CompleteAnswer, Metadata, OpenUpload, PartAnswer, Result};
use sluice_transfer::limits::PARTS_PER_OBJECT;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

use crate::error::{at, if_there, invalid};
use crate::held::{Document, document, hold, is_ours, remove};
use crate::layout::{Key, Layout, new_name};
use crate::object::{VERSION, matching, publish, to_document};
use crate::parts::{Part, Place};
use crate::turns::Turn;

pub(crate) fn create(layout: &Layout, key: &Key, metadata: Metadata) -> Result<UploadId> {
    // An object that exists is told at the completion; one that can never be, now.
    layout.is_taken(key)?;
    layout.make_hidden()?;
    let document = to_document(&Document { version: VERSION, key: key.as_str().to_owned(), metadata })?;
    let _lock = layout.lock_shared()?;
    let name = new_name()?;
    let folder = layout.uploads().join(&name);
    let make = || -> io::Result<()> {
        fs::create_dir(&folder)?;
        File::create_new(folder.join("data"))?;
        File::create_new(folder.join("parts"))?;
        // Last: with this it is an upload.
        File::create_new(folder.join("upload.json"))?.write_all(&document)
    };
    make().map_err(at("make", &folder))?;
    Ok(UploadId(name))
}

/// Stores a part, when it is its turn, which is given back as soon as its bytes lie in their place.
pub(crate) fn part(
    layout: &Layout,
    key: &Key,
    id: &UploadId,
    place: Place,
    bytes: &[u8],
    checksum: Checksum,
    turn: Turn,
) -> Result<PartAnswer> {
    let Place { number, offset, len } = place;
    if !(1..=PARTS_PER_OBJECT).contains(&number)
        || offset.checked_add(len).is_none_or(|end| end > i64::MAX.cast_unsigned())
    {
        return Err(invalid(format!("'{}' has no part {number} from {offset} on", key.as_str())));
    }
    turn.wait();
    let Some(upload) = hold(layout, key, id)? else { return Ok(PartAnswer::NoSuchUpload) };
    if offset < upload.size()? {
        // A part that is written over is lost, so it is checked first.
        matching(key, bytes, checksum)?;
        let part = Part { offset, checksum };
        if upload.parts()?.get(&number) == Some(&part) {
            // Somebody sends it again; whoever completes the object meanwhile must not miss it.
            return Ok(PartAnswer::Stored { etag: part.entry().etag });
        }
    }
    let written = upload.write(place, bytes)?;
    drop(turn);
    written.sync(key, bytes, checksum)?;
    written.log(layout, key, id, checksum)
}

pub(crate) fn list_parts(layout: &Layout, key: &Key, id: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
    let Some(upload) = hold(layout, key, id)? else { return Ok(None) };
    Ok(Some(upload.parts()?.iter().map(|(number, part)| (*number, part.entry())).collect()))
}

pub(crate) fn complete(
    layout: &Layout,
    key: &Key,
    id: &UploadId,
    ledger: &[PartEntry],
    checksum: Checksum,
) -> Result<CompleteAnswer> {
    let Some((_, but_last)) = ledger.split_last() else {
        return Err(invalid(format!("'{}': an object is made of one part at least", key.as_str())));
    };
    if but_last.iter().any(|part| part.checksum.len == 0) {
        return Err(invalid(format!("'{}': a part that is not the last cannot be empty", key.as_str())));
    }
    if layout.upload(id).is_none_or(|folder| !folder.exists()) {
        return Ok(CompleteAnswer::NoSuchUpload);
    }
    let _lock = layout.lock_shared()?;
    let Some(upload) = hold(layout, key, id)? else { return Ok(CompleteAnswer::NoSuchUpload) };
    let (size, path) = (upload.size()?, upload.data_path());
    if !is_stored(&upload.parts()?, ledger, checksum) || size < checksum.len {
        return Ok(CompleteAnswer::InvalidPart);
    }
    if size > checksum.len {
        // Parts that the ledger leaves out. They are gone even if there turns out to be an object at the key.
        upload.begin(checksum.len, size - checksum.len)?;
        upload.data.set_len(checksum.len).map_err(at("cut", &path))?;
    }
    match publish(layout, &upload.data, &path, key, checksum, upload.document.metadata.clone())? {
        Some(etag) => {
            // The object is there; what cannot be removed now is swept up later.
            let _ = remove(&upload.folder);
            Ok(CompleteAnswer::Completed { etag })
        }
        None => Ok(CompleteAnswer::Exists),
    }
}

/// Whether the ledger's parts are all there, one behind the other, and the whole's checksum is theirs.
fn is_stored(parts: &BTreeMap<u64, Part>, ledger: &[PartEntry], whole: Checksum) -> bool {
    let mut joined = Checksum::default();
    for (number, entry) in (1..).zip(ledger) {
        match parts.get(&number) {
            Some(part) if part.entry() == *entry && part.offset == joined.len => joined = joined.then(entry.checksum),
            _ => return false,
        }
    }
    joined == whole
}

pub(crate) fn abort(layout: &Layout, key: &Key, id: &UploadId) -> Result<()> {
    match hold(layout, key, id)? {
        Some(upload) => remove(&upload.folder),
        None => Ok(()),
    }
}

/// Names in a directory of ours; none if there is no such directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    let Some(entries) = if_there(fs::read_dir(dir), "list", dir)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(at("list", dir))?.file_name().into_string());
    }
    Ok(names)
}

/// The uploads that are open. What is left of completed ones goes, and so does what a crash left half made or half
/// removed.
pub(crate) fn list(layout: &Layout, prefix: &str) -> Result<Vec<OpenUpload>> {
    let (mut open, mut halves) = (Vec::new(), false);
    for name in names(&layout.uploads())? {
        let id = UploadId(name);
        let Some(folder) = layout.upload(&id) else { continue };
        if !is_ours(&folder)? {
            continue;
        }
        let Some(document) = document(&folder)? else {
            halves = true;
            continue;
        };
        if !document.key.starts_with(prefix) || Key::new(&document.key).is_err() {
            continue;
        }
        if is_completed(&folder)? {
            // Whoever completed it died before he could tidy up, and the bucket need not be opened for writing again.
            let _ = sweep_upload(layout, &id, &folder);
        } else {
            open.push(OpenUpload { key: document.key, id, begun: None });
        }
    }
    if halves {
        // Only if nobody makes one at this moment.
        sweep(layout);
    }
    open.sort();
    Ok(open)
}

/// Whether the upload's data are an object by now.
fn is_completed(folder: &Path) -> Result<bool> {
    let path = folder.join("data");
    Ok(if_there(fs::metadata(&path), "look at", &path)?.is_none_or(|stat| stat.nlink() > 1))
}

/// Removes what is no upload, what is completed, and bytes of puts, once nobody works on any. What cannot be removed
/// or understood is left: nothing trusts it, and who can may remove it later.
pub(crate) fn sweep(layout: &Layout) {
    let Ok(Some(lock)) = layout.existing_lock() else { return };
    if lock.try_lock().is_err() {
        return;
    }
    for name in names(&layout.puts()).unwrap_or_default() {
        let _ = fs::remove_file(layout.puts().join(name));
    }
    for name in names(&layout.uploads()).unwrap_or_default() {
        let id = UploadId(name);
        if let Some(folder) = layout.upload(&id) {
            let _ = sweep_upload(layout, &id, &folder);
        }
    }
}

fn sweep_upload(layout: &Layout, id: &UploadId, folder: &Path) -> Result<()> {
    if !is_ours(folder)? {
        return Ok(());
    }
    if let Some(document) = document(folder)? {
        if !is_completed(folder)? {
            return Ok(());
        }
        // Holding a completed one finishes it.
        hold(layout, &Key::new(&document.key)?, id)?;
    }
    remove(folder)
}

#[cfg(test)]
mod tests {
    use sluice_ports::ErrorKind;
    use tempfile::TempDir;

    use super::*;
    use crate::held::Written;
    use crate::turns::Turns;

    struct Rig {
        _dir: TempDir,
        layout: Layout,
        key: Key,
        id: UploadId,
    }

    impl Rig {
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            let layout = Layout::open(dir.path()).unwrap();
            let key = Key::new("a/object").unwrap();
            let id = create(&layout, &key, Metadata::default()).unwrap();
            Self { _dir: dir, layout, key, id }
        }

        fn place(number: u64, offset: u64, bytes: &[u8]) -> Place {
            Place { number, offset, len: bytes.len() as u64 }
        }

        fn written(&self, number: u64, offset: u64, bytes: &[u8]) -> Written {
            let upload = hold(&self.layout, &self.key, &self.id).unwrap().unwrap();
            upload.write(Self::place(number, offset, bytes), bytes).unwrap()
        }

        fn log(&self, written: Written, bytes: &[u8]) -> Result<PartAnswer> {
            written.log(&self.layout, &self.key, &self.id, Checksum::of(bytes))
        }

        fn part(&self, number: u64, offset: u64, bytes: &[u8]) -> PartEntry {
            let (place, checksum) = (Self::place(number, offset, bytes), Checksum::of(bytes));
            let turn = Turns::default().take(&self.id);
            match part(&self.layout, &self.key, &self.id, place, bytes, checksum, turn).unwrap() {
                PartAnswer::Stored { etag } => PartEntry { etag, checksum },
                PartAnswer::NoSuchUpload => panic!("there is an upload"),
            }
        }

        fn parts(&self) -> Vec<(u64, Checksum)> {
            let parts = list_parts(&self.layout, &self.key, &self.id).unwrap().unwrap();
            parts.into_iter().map(|(number, part)| (number, part.checksum)).collect()
        }
    }

    #[test]
    fn what_a_crash_left_half_removed_goes_with_a_list() {
        let rig = Rig::new();
        let folder = rig.layout.uploads().join(&rig.id.0);
        fs::remove_file(folder.join("upload.json")).unwrap();
        // Somebody who makes hidden files holds it off.
        let lock = rig.layout.lock_shared().unwrap();
        assert!(list(&rig.layout, "").unwrap().is_empty() && folder.exists());
        drop(lock);
        assert!(list(&rig.layout, "").unwrap().is_empty() && !folder.exists());
    }

    #[test]
    fn parts_are_written_while_others_become_durable() {
        let rig = Rig::new();
        let (second, first) = (rig.written(2, 3, b"de"), rig.written(1, 0, b"abc"));
        assert_eq!(rig.parts(), []);
        assert!(matches!(rig.log(first, b"abc"), Ok(PartAnswer::Stored { .. })));
        assert!(matches!(rig.log(second, b"de"), Ok(PartAnswer::Stored { .. })));
        assert_eq!(rig.parts(), [(1, Checksum::of(b"abc")), (2, Checksum::of(b"de"))]);
    }

    #[test]
    fn a_part_that_is_there_is_not_written_again() {
        let rig = Rig::new();
        let first = rig.part(1, 0, b"abc");
        rig.part(2, 3, b"de");
        let log = || fs::read(hold(&rig.layout, &rig.key, &rig.id).unwrap().unwrap().log()).unwrap();
        let before = log();
        assert_eq!(rig.part(1, 0, b"abc"), first);
        assert_eq!(log(), before);
        // Other bytes, or the same elsewhere, are another part.
        rig.part(1, 0, b"abx");
        assert_eq!(rig.parts(), [(1, Checksum::of(b"abx")), (2, Checksum::of(b"de"))]);
        rig.part(2, 5, b"de");
        assert_eq!(rig.parts(), [(1, Checksum::of(b"abx")), (2, Checksum::of(b"de"))]);
        assert!(log().len() > before.len());
    }

    #[test]
    fn what_is_written_over_while_it_becomes_durable_is_no_part() {
        let rig = Rig::new();
        let late = rig.written(1, 0, b"abc");
        rig.part(2, 2, b"cde");
        assert_eq!(rig.log(late, b"abc").unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(rig.parts(), [(2, Checksum::of(b"cde"))]);
    }

    #[test]
    fn what_is_cut_off_or_completed_while_it_becomes_durable_is_no_part() {
        let rig = Rig::new();
        let first = rig.part(1, 0, b"abc");
        let (late, later) = (rig.written(2, 3, b"de"), rig.written(3, 5, b"f"));
        // Others made an object there, so that the upload is cut and stays.
        fs::create_dir(rig.layout.root().join("a")).unwrap();
        fs::write(rig.layout.root().join("a/object"), "x").unwrap();
        let completed =
            || complete(&rig.layout, &rig.key, &rig.id, std::slice::from_ref(&first), first.checksum).unwrap();
        assert_eq!(completed(), CompleteAnswer::Exists);
        assert_eq!(rig.log(late, b"de").unwrap_err().kind(), ErrorKind::Unavailable);
        fs::remove_file(rig.layout.root().join("a/object")).unwrap();
        assert!(matches!(completed(), CompleteAnswer::Completed { .. }));
        assert!(matches!(rig.log(later, b"f"), Ok(PartAnswer::NoSuchUpload)));
        assert_eq!(fs::read(rig.layout.root().join("a/object")).unwrap(), b"abc");
    }
}
