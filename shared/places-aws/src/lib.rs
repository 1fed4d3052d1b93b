//! Where names lead on AWS: `kinesis:` to streams of Kinesis, `s3:` to buckets of S3, within allow-lists.
//!
//! Each scheme is a value; a host names those that it has ([`Schemes`](sluice_ports::Schemes)).
//!
//! Here live the clients (one HTTP client and one TLS stack for all of them, made once a process), the regions that
//! names may carry, and the lists of what may be read and what may be written. They are looked at whenever something is
//! opened, and a bucket's with each request, so also where the work is done.
//!
//! **Invariant.** Nothing is opened, read or written that the lists do not allow, and every request to a bucket names
//! the account that has to own it, where that is known.

mod allow;
mod connection;
mod guard;
mod places;
mod rules;

pub use allow::Allowed;
pub use aws_config::SdkConfig;
pub use connection::{Connection, Profile};
pub use places::{Aws, KINESIS, S3};
pub use rules::Rules;
