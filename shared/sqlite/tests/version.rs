//! One `SQLite` in the whole tree, of a version that keeps every commit.
#![cfg(test)]

use rusqlite::Connection;

#[test]
fn the_version_keeps_every_commit() {
    assert!(sluice_sqlite::version_number() >= sluice_sqlite::OLDEST, "{} is older", sluice_sqlite::version());
    // It is what the file's own connections say, too.
    let said = Connection::open_in_memory().unwrap().query_row("SELECT sqlite_version()", [], |row| row.get(0));
    assert_eq!(said, Ok(sluice_sqlite::version().to_owned()));
}

#[test]
fn one_sqlite_is_in_the_tree() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let packages = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    // What compiles or links one, or emulates it, bears the name or that of a known fork.
    let embeds =
        |name: &&str| ["sqlite", "libsql", "turso", "limbo", "dynoxide"].iter().any(|word| name.contains(word));
    let found: Vec<_> = packages.filter(embeds).filter(|name| !name.starts_with("sluice-")).collect();
    assert_eq!(found, ["libsqlite3-sys", "rusqlite"]);
}

#[test]
fn it_is_compiled_as_asked() {
    // As `.cargo/config.toml` says.
    let used = "SELECT sqlite_compileoption_used(?1)";
    let compiled = |option: &str| {
        Connection::open_in_memory().unwrap().query_row(used, [option], |row| row.get::<_, bool>(0)).unwrap()
    };
    assert!(compiled("DEFAULT_MEMSTATUS=0"), "allocations are not counted");
    assert!(!compiled("ENABLE_MEMORY_MANAGEMENT"), "a connection's cache is its own");
    assert!(compiled("THREADSAFE=1"));
}
