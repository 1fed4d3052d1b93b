//! Registered consumers: readers with limits of their own (enhanced fan-out).
//!
//! A consumer has a name and, each time it is registered, another ARN. It costs money from then until it is removed. An
//! export that died is followed by one that finds its consumer by the name.

use std::sync::PoisonError;

use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::types::ConsumerStatus;
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{TransferId, key_hash};

use crate::KinesisStream;
use crate::wire::Wire;

/// How long a consumer may take to become active, in milliseconds. One of that name that is being removed goes first.
const REGISTRATION_MILLIS: u64 = 60_000;
/// From one look at it to the next, in milliseconds: an account has 20 of them a second.
const LOOK_MILLIS: u64 = 1_000;

/// A consumer as it is described.
struct Consumer {
    arn: String,
    active: bool,
}

/// Letters, digits, `_`, `.` and `-`, as names of transfers have, and at most 96 of them, of 128 that Kinesis takes (API
/// reference, `RegisterStreamConsumer`).
pub(crate) fn name(transfer: &TransferId, place: &str) -> String {
    // Hosts do not know each other's names.
    let hash = key_hash(place.as_bytes()) >> 96;
    format!("sluice-{transfer}-{hash:08x}")
}

impl KinesisStream {
    /// Registers the consumer if there is none, waits until it is active, and reads as it from then on.
    pub(crate) async fn register(&self, name: &str) -> Result<()> {
        let (clock, stream) = (self.wire.clock(), self.wire.arn().await?);
        let begun = clock.now();
        loop {
            match self.wire.consumer(&stream, name).await? {
                Some(Consumer { arn, active: true }) => {
                    *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(arn.into());
                    return Ok(());
                }
                None => match self.wire.register_consumer(&stream, name).await {
                    // Lanes begin at the same time, and an account has 5 such calls a second: another lane did it.
                    Err(error) if error.kind() == ErrorKind::Full => {
                        if self.wire.consumer(&stream, name).await?.is_none() {
                            return Err(error);
                        }
                    }
                    answer => answer?,
                },
                Some(_) => {}
            }
            if clock.now().millis_since(begun) >= REGISTRATION_MILLIS {
                let what = format!("the consumer {name} of {} is not active yet", self.wire.name());
                return Err(Error::new(ErrorKind::Unavailable, what));
            }
            clock.sleep(LOOK_MILLIS).await;
        }
    }

    /// Removes the consumer, if there is one. Nobody waits until it is gone.
    pub(crate) async fn deregister(&self, name: &str) -> Result<()> {
        let removed = match self.wire.arn().await {
            Ok(stream) => self.wire.deregister_consumer(&stream, name).await,
            Err(error) => Err(error),
        };
        match removed {
            // With the stream its consumers are gone, too.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            answer => answer,
        }
    }
}

impl Wire {
    /// None if there is no consumer of that name.
    async fn consumer(&self, stream: &str, name: &str) -> Result<Option<Consumer>> {
        let answer = self.patiently(move || async move {
            match self.client().describe_stream_consumer().stream_arn(stream).consumer_name(name).send().await {
                Ok(answer) => Ok(answer.consumer_description),
                Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
                Err(error) => Err(self.call("DescribeStreamConsumer").failed(error)),
            }
        });
        let told = answer.await?;
        Ok(told.map(|told| Consumer { arn: told.consumer_arn, active: told.consumer_status == ConsumerStatus::Active }))
    }

    /// One of that name may be there already, or on its way in or out.
    async fn register_consumer(&self, stream: &str, name: &str) -> Result<()> {
        let answer = self.patiently(move || async move {
            match self.client().register_stream_consumer().stream_arn(stream).consumer_name(name).send().await {
                Ok(_) => Ok(()),
                Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
                Err(error) => Err(self.call("RegisterStreamConsumer").failed(error)),
            }
        });
        answer.await.map_err(|error| match error.kind() {
            // For longer than a moment: not the calls are too many, but the consumers.
            ErrorKind::Throttled => {
                let what = format!(
                    "{} has as many registered consumers as it can have (20, or 5 that are being registered): remove \
                     one with `aws kinesis deregister-stream-consumer --stream-arn {stream} --consumer-name NAME`, or \
                     export by polling",
                    self.name()
                );
                Error::with(ErrorKind::Full, what, error)
            }
            _ => error,
        })
    }

    async fn deregister_consumer(&self, stream: &str, name: &str) -> Result<()> {
        let answer = self.patiently(move || async move {
            match self.client().deregister_stream_consumer().stream_arn(stream).consumer_name(name).send().await {
                Ok(_) => Ok(()),
                // It is on its way in, and will not be removed before it is active.
                Err(error) => Err(self.call("DeregisterStreamConsumer").failed(error)),
            }
        });
        answer.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kinesis_takes() {
        let longest: TransferId = "x".repeat(80).parse().unwrap();
        for id in ["nightly".parse().unwrap(), "a.b_c-D9".parse().unwrap(), longest] {
            let name = name(&id, "s3://archive/orders");
            assert!(
                name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)),
                "{name}"
            );
        }
        let id = "nightly".parse().unwrap();
        assert_ne!(name(&id, "s3://a/"), name(&id, "s3://b/"), "hosts may give the same id");
    }
}
