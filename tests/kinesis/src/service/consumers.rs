//! Registered consumers (row 11). They can be registered and described; `SubscribeToShard` is not here.

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
}

impl ConsumerInfo {
    fn of(consumer: &Consumer) -> Self {
        let Consumer { name, arn, created } = consumer.clone();
        Self { name, arn, created }
    }
}

impl Call<'_> {
    /// Registers a consumer.
    pub fn register_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<ConsumerInfo> {
        self.counted(Operation::RegisterStreamConsumer, |service, now| {
            let account = service.account.clone();
            let found = service.stream_mut(stream)?;
            if found.consumers.iter().any(|consumer| consumer.name == name) {
                let what = format!("Consumer {name} of stream {stream} under account {account} already exists.");
                return Err(Refused::new(Code::ResourceInUse, what));
            }
            if found.consumers.len() >= CONSUMERS {
                return Err(Refused::new(Code::LimitExceeded, format!("Stream {stream} has {CONSUMERS} consumers.")));
            }
            let arn = format!("{}/consumer/{name}:{}", found.arn, now / 1_000);
            let consumer = Consumer { name: name.to_owned(), arn, created: now };
            let info = ConsumerInfo::of(&consumer);
            found.consumers.push(consumer);
            Ok(info)
        })
    }

    /// Removes a consumer.
    pub fn deregister_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<()> {
        self.counted(Operation::DeregisterStreamConsumer, |service, _| {
            service.consumer(stream, name)?;
            service.stream_mut(stream)?.consumers.retain(|consumer| consumer.name != name);
            Ok(())
        })
    }

    /// One consumer.
    pub fn describe_stream_consumer(&mut self, stream: &str, name: &str) -> Answer<ConsumerInfo> {
        self.counted(Operation::DescribeStreamConsumer, |service, _| service.consumer(stream, name))
    }

    /// All consumers.
    pub fn list_stream_consumers(&mut self, stream: &str) -> Answer<Vec<ConsumerInfo>> {
        self.counted(Operation::ListStreamConsumers, |service, _| {
            Ok(service.stream(stream)?.consumers.iter().map(ConsumerInfo::of).collect())
        })
    }
}

impl Service {
    fn consumer(&self, stream: &str, name: &str) -> Answer<ConsumerInfo> {
        let found = self.stream(stream)?.consumers.iter().find(|consumer| consumer.name == name);
        found.map(ConsumerInfo::of).ok_or_else(|| {
            let what = format!("Consumer {name}, Stream {stream} under account {} not found.", self.account);
            Refused::new(Code::ResourceNotFound, what)
        })
    }
}
