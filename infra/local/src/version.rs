//! What `--version` says: of which commit this command is, how it was built, and which `SQLite` it holds.

use std::sync::LazyLock;

use crate::aws;

/// Such as `0.1.0 (abc1234, release, with AWS, SQLite 3.51.3)`.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} ({}, {}, {}, SQLite {})",
            env!("CARGO_PKG_VERSION"),
            env!("SLUICE_COMMIT"),
            env!("SLUICE_PROFILE"),
            aws::BUILT,
            sluice_sqlite::version()
        )
    });
    &TEXT
}
