//! A `SQLite` file as a store: how it is made, opened and looked at, and what its errors mean to a caller.
//!
//! Here lives what the stores of one machine have in common, so that each adapter holds its tables and statements only:
//!
//! - [`create`] and [`open`]: a file that is recognised by its [`Layout`], durable before a write is answered.
//! - [`discard`] and [`remove`]: taking away what never became one, or any file.
//! - [`look`]: reading without the right to write, also in a folder where nothing can be made.
//! - [`fault`] and [`commit_fault`]: errors as kinds that say what the caller must do.
//! - [`version`]: the library that is compiled in.
//!
//! Tables, statements and records never live here.
//!
//! **Invariant.** One `SQLite` is in the whole tree, of [`OLDEST`] or newer. Versions 3.7.0 to 3.51.2 can lose commits
//! where two connections write and checkpoint one file.

mod fault;
mod file;
mod look;

use sluice_ports::{Error, ErrorKind, Result};

pub use fault::{commit_fault, fault, kind};
pub use file::{Layout, create, discard, open, remove};
pub use look::{Looking, look};

/// The oldest version that keeps every commit, as `SQLite` numbers them: 3.51.3.
pub const OLDEST: i32 = 3_051_003;

/// The version that is compiled in, such as `3.51.3`.
pub fn version() -> &'static str {
    rusqlite::version()
}

/// The same as a number, such as 3051003.
pub fn version_number() -> i32 {
    rusqlite::version_number()
}

/// Runs file work where waiting is allowed. A panic there goes on here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The work was never begun.
            Err(error) => Err(Error::with(ErrorKind::Unavailable, "the runtime is shutting down", error)),
        },
    }
}
