//! What a service that is not Amazon's can do, found out by asking it for just that.
//!
//! A small object is left at `.sluice/probe`: asked twice to make it only if there is none, the service must
//! refuse once, and a completion over it must be refused too. A service that makes it again is not written to. That
//! is its only use; it may be deleted, and is then made again. No key of the port begins like this, see
//! `check_readable`, and listings leave it out. Who dies while asking leaves an upload of that key open, with one part
//! of some bytes; it stays until somebody gives it up, as a rule of the bucket may.

use std::collections::HashMap;

use bytes::Bytes;
use sluice_ports::{Capabilities, Metadata, PartAnswer, Result};
use sluice_transfer::limits::S3_SMALLEST_PART;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

use crate::S3Bucket;
use crate::fault::{COMPLETE, PART, PUT, Refusal, refusal};

/// How keys of what is no data begin.
pub(crate) const NO_DATA: &str = ".sluice/";
/// Where the object is left.
const KEY: &str = ".sluice/probe";
/// What it holds.
const MARK: &[u8] = b"Sluice asks here whether an object can be overwritten by accident.\n";

/// What a service can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// It refuses to make an object where there is one, with a put and with a completion.
    pub create_only: bool,
    /// It keeps the checksum of a whole object that was made of parts.
    pub full_object: bool,
}

impl Features {
    /// Amazon's (Amazon S3 user guide, "How to prevent object overwrites with conditional writes" and "Checking object
    /// integrity in Amazon S3").
    const AMAZON: Self = Self { create_only: true, full_object: true };

    pub(crate) fn capabilities(self) -> Capabilities {
        let Self { create_only, full_object } = self;
        Capabilities { create_only, smallest_part: S3_SMALLEST_PART, attests_content: full_object }
    }
}

impl S3Bucket {
    /// What the service can do. A foreign one is asked the first time, and again if that failed.
    pub(crate) async fn features(&self) -> Result<Features> {
        if !self.inner.settings.foreign {
            return Ok(Features::AMAZON);
        }
        self.inner.features.get_or_try_init(|| self.probe()).await.copied()
    }

    async fn probe(&self) -> Result<Features> {
        let mut features = Features { create_only: self.refuses_puts().await?, full_object: false };
        if features.create_only {
            let (upload, full_object) = self.begin(KEY, &Metadata::new()).await?;
            let refuses = self.refuses_completion(&upload).await;
            self.give_up(KEY, &upload).await?;
            features = Features { create_only: refuses?, full_object };
        }
        tracing::info!(bucket = self.inner.bucket, ?features, "asked the service what it can do");
        Ok(features)
    }

    /// Puts the object, and once more if that made it.
    async fn refuses_puts(&self) -> Result<bool> {
        for _ in 0..2 {
            let request = self.put_request(KEY, Bytes::from_static(MARK), Checksum::of(MARK), HashMap::new());
            match request.send().await {
                Ok(_) => {}
                Err(error) => match refusal(&error) {
                    Some(Refusal::Condition) => return Ok(true),
                    Some(Refusal::NotImplemented) => return Ok(false),
                    _ => return Err(self.fault(PUT, KEY, error)),
                },
            }
        }
        Ok(false)
    }

    /// Completes an upload over the object.
    async fn refuses_completion(&self, upload: &UploadId) -> Result<bool> {
        let checksum = Checksum::of(MARK);
        let part = self.send_part(KEY, upload, 1, Bytes::from_static(MARK), checksum).await?;
        let PartAnswer::Stored { etag } = part else {
            return Err(self.garbled(PART, KEY, "an upload that was just begun is gone"));
        };
        let request = self.complete_request(KEY, &upload.0, &[PartEntry { etag, checksum }], None)?;
        match request.send().await {
            Ok(_) => Ok(false),
            Err(error) => match refusal(&error) {
                Some(Refusal::Condition) => Ok(true),
                Some(Refusal::NotImplemented) => Ok(false),
                _ => Err(self.fault(COMPLETE, KEY, error)),
            },
        }
    }
}
