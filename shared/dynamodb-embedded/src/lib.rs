//! `DynamoDB` inside the process: a client of the AWS SDK whose requests are answered from one `SQLite` file.
//!
//! The SDK hands each request to an HTTP connector. This one opens no socket: it reads the operation and the JSON
//! body, has `dynoxide` carry it out, and hands the JSON answer back. So whatever is written for `DynamoDB` runs on a
//! laptop through the same code, and no port is open that anybody else could use.
//!
//! - **Blocking.** `SQLite` waits for disks and for locks, up to five seconds for a lock. Each request runs on
//!   tokio's pool of blocking threads. It is not taken back if its caller stops waiting: as with a server, a request
//!   that was sent may be carried out.
//! - **Durability.** The file is in WAL mode with `synchronous = FULL`, `SQLite`'s default, which nothing here or in
//!   `dynoxide` lowers (a test reads it back): each write is synced before it is answered, so it survives the death
//!   of the process and, as far as the disk keeps its promises, the loss of power.
//! - **Processes.** Any number may have one file open; writes take turns. A write that waited in vain for its turn
//!   did not happen and answers `ThrottlingException`, which the SDK repeats.
//!
//! **Invariant.** An operation that is not listed in this crate's dispatch is refused, never half understood.

mod connector;
mod dispatch;

use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector, http_client_fn};
use dynoxide::{Database, DynoxideError};
use rusqlite::ErrorCode;

pub use connector::EmbeddedConnector;

/// How often a request is tried: with five seconds' waiting for a lock each, half a minute of contention is sat out.
const ATTEMPTS: u32 = 6;

/// How often a file that others are making is tried again; the waits between double, to some five seconds in all.
const OPEN_TURNS: u32 = 10;

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}; it has to be a database of this program that this user may write, of a version it knows")]
pub struct OpenError {
    path: String,
    source: DynoxideError,
}

/// A `DynamoDB` of our own. A clone is another handle on the same connection.
#[derive(Clone)]
pub struct EmbeddedDynamo(Database);

impl std::fmt::Debug for EmbeddedDynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedDynamo").finish_non_exhaustive()
    }
}

/// Opens the file, also while others make it: who finds a new file being switched to its journal is told at once that
/// it is locked, since `SQLite` waits for no lock that could wait for it in turn.
fn open_in_turn(path: &str) -> Result<Database, DynoxideError> {
    for turn in 0..OPEN_TURNS {
        match Database::new(path) {
            Err(DynoxideError::SqliteError(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(Duration::from_millis(5 << turn));
            }
            answer => return answer,
        }
    }
    Database::new(path)
}

impl EmbeddedDynamo {
    /// Opens the file, or makes it; its directory must be there. Blocks, for up to half a minute if other processes
    /// are making it just now.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let text = path.to_string_lossy();
        // Where a name is not UTF-8, `text` would be another one.
        let usable = path.to_str().ok_or_else(|| DynoxideError::ValidationException("not UTF-8".into()));
        let opened = usable.and_then(open_in_turn);
        opened.map(Self).map_err(|source| OpenError { path: text.into_owned(), source })
    }

    /// One that is gone with its last handle.
    pub fn memory() -> Result<Self, OpenError> {
        Database::memory().map(Self).map_err(|source| OpenError { path: "(memory)".to_owned(), source })
    }

    /// A client that talks to it.
    pub fn client(&self) -> Client {
        Self::client_through(self.connector())
    }

    /// What answers requests.
    pub fn connector(&self) -> EmbeddedConnector {
        EmbeddedConnector::new(self.0.clone())
    }

    /// A client over any connector, such as one that wraps [`Self::connector`] and loses answers.
    pub fn client_through(connector: impl HttpConnector + 'static) -> Client {
        let connector = SharedHttpConnector::new(connector);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            // Names for what has none here; no request leaves the process, and nobody checks a signature.
            .region(Region::new("local"))
            .endpoint_url("http://embedded.invalid")
            .allow_no_auth()
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Client::from_conf(config)
    }
}
