//! Registered consumers (row 11): they are registered, described and removed. [`super::subscribe`] reads as one.

use std::collections::BTreeMap;

use super::stream::Consumer;
use super::{Call, Service};
use crate::Millis;
use crate::counts::Operation;
use crate::refused::{Answer, Code, Refused};

/// Consumers that a stream can have.
const CONSUMERS: usize = 20;

/// A consumer as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// Its ARN: another one if it is registered again.
    pub arn: String,
    /// When it was registered.
    pub created: Millis,
    /// Its state.
    pub status: ConsumerStatus,
}

/// The state of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// It is being registered.
    Creating,
    /// It can read.
    Active,
    /// It is being removed.
    Deleting,
}

impl ConsumerStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

impl Consumer {
    pub(super) fn status(&self, now: Millis) -> ConsumerStatus {
        match self.gone {
            Some(_) => ConsumerStatus::Deleting,
            None if now < self.active => ConsumerStatus::Creating,
            None => ConsumerStatus::Active,
        }
    }
}

impl ConsumerInfo {
    fn of(consumer: &Consumer, now: Millis) -> Self {
        let (name, arn) = (consumer.name.clone(), consumer.arn.clone());
        Self { name, arn, created: consumer.created, status: consumer.status(now) }
    }
}

impl Call<'_> {
    /// Registers a consumer.
    pub fn register_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<ConsumerInfo> {
        self.counted(Operation::RegisterStreamConsumer, |service, now| {
            let (account, changing) = (service.account.clone(), service.faults.changing);
            service.settle_consumers(now);
            let found = service.stream_mut(stream)?;
            if found.consumers.iter().any(|consumer| consumer.name == name) {
                let what = format!("Consumer {name} of stream {stream} under account {account} already exists.");
                return Err(Refused::new(Code::ResourceInUse, what));
            }
            if found.consumers.len() >= CONSUMERS {
                return Err(Refused::new(Code::LimitExceeded, format!("Stream {stream} has {CONSUMERS} consumers.")));
            }
            let arn = format!("{}/consumer/{name}:{}", found.arn, now / 1_000);
            let consumer = Consumer {
                name: name.to_owned(),
                arn,
                created: now,
                active: now + changing,
                gone: None,
                subscribed: BTreeMap::new(),
                subscriptions: 0,
            };
            let info = ConsumerInfo::of(&consumer, now);
            found.consumers.push(consumer);
            Ok(info)
        })
    }

    /// Removes a consumer, and ends its subscriptions.
    pub fn deregister_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<()> {
        self.counted(Operation::DeregisterStreamConsumer, |service, now| {
            service.consumer(stream, name, now)?;
            let gone = now + service.faults.changing;
            let own = service.stream_mut(stream)?.consumers.iter_mut().find(|consumer| consumer.name == name);
            if let Some(consumer) = own {
                consumer.gone = consumer.gone.or(Some(gone));
            }
            service.settle_consumers(now);
            Ok(())
        })
    }

    /// One consumer.
    pub fn describe_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<ConsumerInfo> {
        self.counted(Operation::DescribeStreamConsumer, |service, now| service.consumer(stream, name, now))
    }

    /// All consumers.
    pub fn list_stream_consumers(&mut self, stream: &str) -> Answer<Vec<ConsumerInfo>> {
        self.counted(Operation::ListStreamConsumers, |service, now| {
            service.settle_consumers(now);
            Ok(service.stream(stream)?.consumers.iter().map(|consumer| ConsumerInfo::of(consumer, now)).collect())
        })
    }
}

impl Service {
    /// Consumers that are being removed go.
    fn settle_consumers(&mut self, now: Millis) {
        for stream in self.streams.values_mut() {
            stream.consumers.retain(|consumer| consumer.gone.is_none_or(|gone| now < gone));
        }
    }

    fn consumer(&mut self, stream: &str, name: &str, now: Millis) -> Answer<ConsumerInfo> {
        self.settle_consumers(now);
        let found = self.stream(stream)?.consumers.iter().find(|consumer| consumer.name == name);
        found.map(|consumer| ConsumerInfo::of(consumer, now)).ok_or_else(|| {
            let what = format!("Consumer {name}, Stream {stream} under account {} not found.", self.account);
            Refused::new(Code::ResourceNotFound, what)
        })
    }
}
