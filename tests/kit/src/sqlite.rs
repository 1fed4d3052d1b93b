//! What a kept `SQLite` file looks like.
#![expect(clippy::missing_panics_doc, reason = "a file that cannot be read is a test that fails")]
#![expect(clippy::unwrap_used, reason = "only for tests")]

use std::fmt::Write;
use std::path::Path;

use rusqlite::Connection;

/// The pragmas, tables, indexes and rows of a file, as statements that make an equal one.
pub fn sqlite_dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let mut text = String::new();
    for name in ["page_size", "application_id", "user_version"] {
        writeln!(text, "PRAGMA {name} = {};", number(name)).unwrap();
    }
    let lines = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in lines("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid") {
        for sql in
            lines(&format!("SELECT sql FROM sqlite_schema WHERE tbl_name = '{table}' AND sql NOT NULL ORDER BY rowid"))
        {
            writeln!(text, "{sql};").unwrap();
        }
        let columns = lines(&format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        for row in lines(&format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ', ' || "))) {
            writeln!(text, "INSERT INTO {table} VALUES ({row});").unwrap();
        }
    }
    text
}
