//! What the file promises: durable settings, and turns between several handles on it.

use dynoxide::storage::Storage;
use sluice_dynamodb_embedded::EmbeddedDynamo;

#[test]
fn a_write_is_synced_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    // `Database` opens its file through this and sets nothing else.
    let storage = Storage::new(path.to_str().unwrap()).unwrap();
    let synchronous: i64 = storage.conn().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    let journal: String = storage.conn().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "2 is FULL");
}

#[test]
fn several_may_make_the_file_at_once() {
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.db");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..4).map(|_| scope.spawn(|| EmbeddedDynamo::open(&path).map(drop))).collect();
            for open in opened {
                open.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn what_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = EmbeddedDynamo::open(&dir.path().join("no/such/directory.db")).unwrap_err().to_string();
    assert!(error.contains("no/such/directory.db"), "{error}");
    let path = dir.path().join("text");
    std::fs::write(&path, "This is not a database, but long enough to be taken for one's header. ".repeat(20)).unwrap();
    let error = EmbeddedDynamo::open(&path).unwrap_err().to_string();
    assert!(error.contains("text") && error.contains("not a valid"), "{error}");
}
