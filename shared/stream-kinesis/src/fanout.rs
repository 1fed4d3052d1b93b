//! Reading as a registered consumer: subscriptions in place of iterators.
//!
//! A subscription pushes events for 5 minutes at most. It is kept in memory only, in the place of an iterator
//! ([`crate::open`]), and nothing depends on it: one that ended, broke or was taken over is followed by one at the
//! reader's own position, which finds out whether records were trimmed. Its continuation number would not tell that.
//!
//! **How far it came.** What is pushed may have lain in buffers for a while before it is read, so `MillisBehindLatest`
//! says nothing about the time of reading. It was told after the subscription was asked for, so all that arrived before
//! *that* time, less `MillisBehindLatest`, is known to lie in front. At the tip a subscription is therefore made again
//! once it is [`AGAIN_MILLIS`] old: its successor knows of a later time.
//!
//! **Looks by polling.** While the last record is about to be trimmed, each event is followed by a look for that record
//! (see the crate). That look is a `GetRecords`: a subscription for it would end the one that reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream};
use aws_smithy_types::DateTime;
use futures::future::{Either, select};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::limits::excerpt;
use sluice_transfer::{Event, ShardId, Timestamp, Value};

use crate::KinesisStream;
use crate::answer::{Answer, nearest_micro};
use crate::fault::{is_refused_argument, of_code};
use crate::pace::Usage;
use crate::wire::{Start, Wire, millis_from};

/// From one subscription of a consumer to a shard to the next one, in milliseconds (API reference,
/// `SubscribeToShard`).
const AGAIN_MILLIS: u64 = 5_000;
/// How long a subscription that is refused for now is asked for again, in milliseconds: another one of the same shard
/// was just made by a slice before, or the consumer is not active.
const REFUSED_MILLIS: u64 = 60_000;
/// One read waits for an event for this time, in milliseconds.
const EVENT_MILLIS: u64 = 1_000;
/// The same for the first event of a subscription, which tells whether its place is still there.
const FIRST_MILLIS: u64 = 10_000;
/// A subscription that pushes nothing for this time, not even an event without records, is taken for broken, in
/// milliseconds.
const BROKEN_MILLIS: u64 = 35_000;
/// A subscription of another shard that nobody has read for this time is dropped, in milliseconds. Subscriptions share
/// a connection, and what is not read fills its window.
const IDLE_MILLIS: u64 = 20_000;

/// Where reading goes on behind an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// By polling.
    Iterator(String),
    /// As a registered consumer.
    Subscription(Box<Subscription>),
}

impl Next {
    /// What is as good as before after a call that failed.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Iterator(iterator) => Some(Self::Iterator(iterator.clone())),
            Self::Subscription(_) => None,
        }
    }

    /// True if it is a subscription that nobody has read for long.
    fn is_idle(&self, now: Timestamp) -> bool {
        matches!(self, Self::Subscription(it) if now.millis_since(it.read) >= IDLE_MILLIS)
    }
}

/// A shard's records as they are pushed.
pub(crate) struct Subscription {
    output: SubscribeToShardOutput,
    /// When it was asked for.
    asked: Timestamp,
    /// When its last event was read.
    heard: Timestamp,
    /// When it was read last, with or without an event.
    read: Timestamp,
    /// What the last event told of the tip, and how far it came; none before the first event.
    told: Option<(bool, Option<Timestamp>)>,
    /// True if its last event had records and named the shard's children: if nothing follows, it was the end.
    ending: bool,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("asked", &self.asked).field("told", &self.told).finish_non_exhaustive()
    }
}

/// When each shard was subscribed to last.
#[derive(Debug, Default)]
pub(crate) struct Subscribed(Mutex<HashMap<ShardId, Timestamp>>);

impl Subscribed {
    fn at(&self, shard: &ShardId) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(shard).copied()
    }

    fn now(&self, shard: &ShardId, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone(), now);
    }
}

/// What a subscription has to say.
enum Heard {
    Event(SubscribeToShardEvent),
    /// Nothing yet.
    Nothing,
    /// It has ended by itself.
    Ended,
    /// Another one took its place.
    Over,
}

impl KinesisStream {
    /// The ARN of the consumer that this handle reads as; none for a reader by polling.
    fn consumer_arn(&self) -> Option<Arc<str>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to read there; none if the start is none that Kinesis takes.
    pub(crate) async fn begin(&self, shard: &ShardId, start: &Start) -> Result<Option<Next>> {
        match self.consumer_arn() {
            None => Ok(self.wire.iterator(shard, start).await?.map(Next::Iterator)),
            Some(consumer) => {
                let subscription = self.subscribe(&consumer, shard, start).await?;
                Ok(subscription.map(|subscription| Next::Subscription(Box::new(subscription))))
            }
        }
    }

    /// The next answer; none if reading has to begin again, at a place that is known. `count` and `usage` are for
    /// polling: the server decides on the size of its events.
    pub(crate) async fn go_on(
        &self,
        shard: &ShardId,
        next: Next,
        count: usize,
        usage: Usage,
    ) -> Result<Option<Answer<Next>>> {
        match next {
            Next::Iterator(iterator) => {
                let answer = self.wire.records(shard, &iterator, count, usage).await?;
                Ok(answer.map(|answer| answer.map(Next::Iterator)))
            }
            Next::Subscription(subscription) => self.hear(shard, subscription).await,
        }
    }

    /// Subscriptions of other shards that nobody reads are dropped.
    pub(crate) fn drop_idle(&self) {
        let now = self.wire.clock().now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, open| open.next.as_ref().is_none_or(|next| !next.is_idle(now)));
    }

    /// Subscribes to a shard as soon as that may be: waiting for it is no trouble. None if the start is refused.
    async fn subscribe(&self, consumer: &str, shard: &ShardId, start: &Start) -> Result<Option<Subscription>> {
        let (clock, begun) = (self.wire.clock(), self.wire.clock().now());
        loop {
            let now = clock.now();
            let free = self.subscribed.at(shard).map_or(now, |last| last.plus_millis(AGAIN_MILLIS));
            if free > now {
                clock.sleep(free.millis_since(now)).await;
            }
            let asked = clock.now();
            match self.wire.subscribe(consumer, shard, start).await {
                Ok(Asked::Subscribed(output)) => {
                    let heard = clock.now();
                    self.subscribed.now(shard, heard);
                    return Ok(Some(Subscription {
                        output: *output,
                        asked,
                        heard,
                        read: heard,
                        told: None,
                        ending: false,
                    }));
                }
                Ok(Asked::Refused) => return Ok(None),
                Ok(Asked::NotNow(error)) => {
                    if clock.now().millis_since(begun) >= REFUSED_MILLIS {
                        return Err(error);
                    }
                    tracing::debug!(%error, "waiting for a subscription");
                    clock.sleep(EVENT_MILLIS).await;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.missing(shard, error).await?),
                Err(error) => return Err(error),
            }
        }
    }

    /// What is missing: the stream, the shard, or the consumer, which is registered again by the next slice.
    async fn missing(&self, shard: &ShardId, error: Error) -> Result<Error> {
        let known = self.look().await?;
        if !known.shards.iter().any(|known| known.id == *shard) {
            return Ok(error);
        }
        let what =
            format!("the consumer that {} is read as was removed; the next slice registers it", self.wire.name());
        Ok(Error::with(ErrorKind::Unavailable, what, error))
    }

    async fn hear(&self, shard: &ShardId, mut subscription: Box<Subscription>) -> Result<Option<Answer<Next>>> {
        let clock = self.wire.clock();
        let began = clock.now();
        let old = began.millis_since(subscription.asked) >= AGAIN_MILLIS;
        // What it told last is all that it knows, and a new one knows of later.
        if old && matches!(subscription.told, Some((true, Some(_)))) {
            return Ok(None);
        }
        let patience = if subscription.told.is_none() { FIRST_MILLIS } else { EVENT_MILLIS };
        let heard = {
            let event = std::pin::pin!(subscription.output.event_stream.recv());
            match select(event, clock.sleep(patience)).await {
                Either::Left((event, _)) => self.understood(shard, event)?,
                Either::Right(_) => Heard::Nothing,
            }
        };
        let now = clock.now();
        subscription.read = now;
        match heard {
            Heard::Ended if subscription.ending => {
                let reached = Some(subscription.asked);
                Ok(Some(Answer { events: Vec::new(), next: None, at_tip: true, reached }))
            }
            Heard::Ended | Heard::Over => Ok(None),
            Heard::Nothing if now.millis_since(subscription.heard) >= BROKEN_MILLIS => Ok(None),
            Heard::Nothing => {
                let (at_tip, reached) = subscription.told.unwrap_or_default();
                let next = Some(Next::Subscription(subscription));
                Ok(Some(Answer { events: Vec::new(), next, at_tip, reached }))
            }
            Heard::Event(event) => {
                subscription.heard = now;
                // Servers may name the children early: only with nothing behind it that is the end.
                let behind = u64::try_from(event.millis_behind_latest).unwrap_or(0);
                let children = behind == 0 && !event.child_shards().is_empty();
                let ends = children && event.records.is_empty();
                subscription.ending = children && !ends;
                let events = events(event)?;
                let at_tip = ends || behind == 0;
                let reached = (ends || events.is_empty()).then(|| subscription.asked.minus_millis(behind));
                subscription.told = Some((at_tip, reached));
                let next = (!ends).then_some(Next::Subscription(subscription));
                Ok(Some(Answer { events, next, at_tip, reached }))
            }
        }
    }

    fn understood(
        &self,
        shard: &ShardId,
        event: std::result::Result<
            Option<SubscribeToShardEventStream>,
            aws_sdk_kinesis::error::SdkError<
                SubscribeToShardEventStreamError,
                aws_smithy_types::event_stream::RawMessage,
            >,
        >,
    ) -> Result<Heard> {
        use SubscribeToShardEventStreamError::{ResourceInUseException, ResourceNotFoundException};
        match event {
            Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => Ok(Heard::Event(event)),
            // A kind of event that this version does not know.
            Ok(Some(_)) => Ok(Heard::Nothing),
            Ok(None) => Ok(Heard::Ended),
            Err(error) => {
                // Subscribing again tells what there is.
                let over = error.as_service_error();
                if matches!(over, Some(ResourceInUseException(_) | ResourceNotFoundException(_))) {
                    return Ok(Heard::Over);
                }
                // What was pushed is never quoted.
                let kind = error.code().and_then(of_code).unwrap_or(ErrorKind::Unavailable);
                let why = error.message().map_or_else(|| error.to_string(), str::to_owned);
                let (name, why) = (self.wire.name(), excerpt(why));
                Err(Error::new(kind, format!("a subscription to shard {shard} of {name} broke off: {why}")))
            }
        }
    }
}

/// What came of asking for a subscription.
enum Asked {
    Subscribed(Box<SubscribeToShardOutput>),
    /// It is none that Kinesis takes, for where it begins.
    Refused,
    /// The last one was made a moment ago, or the consumer is not active.
    NotNow(Error),
}

impl Wire {
    async fn subscribe(&self, consumer: &str, shard: &ShardId, start: &Start) -> Result<Asked> {
        let position = StartingPosition::builder();
        let position = match start {
            Start::Horizon => position.r#type(ShardIteratorType::TrimHorizon),
            Start::At(number) => position.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(number),
            Start::Time(time) => {
                position.r#type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(millis_from(*time)))
            }
        };
        let position = &position
            .build()
            .map_err(|why| Error::with(ErrorKind::Invalid, "a position to subscribe at is incomplete", why))?;
        let answer = self.patiently(move || async move {
            let request = self.client().subscribe_to_shard().consumer_arn(consumer).shard_id(shard.as_str());
            match request.starting_position(position.clone()).send().await {
                Ok(output) => Ok(Asked::Subscribed(Box::new(output))),
                Err(error) if error.code() == Some("ResourceInUseException") => {
                    Ok(Asked::NotNow(self.call("SubscribeToShard").failed(error)))
                }
                Err(error) if *start != Start::Horizon && is_refused_argument(&error) => Ok(Asked::Refused),
                Err(error) => Err(self.call("SubscribeToShard").failed(error)),
            }
        });
        answer.await
    }
}

/// The records of a pushed event. `Corrupt` if they are none; the error quotes nothing of them.
fn events(event: SubscribeToShardEvent) -> Result<Vec<Event>> {
    let mut events = Vec::with_capacity(event.records.len());
    for record in event.records {
        let sequence = record.sequence_number.parse();
        events.push(Event {
            sequence: sequence.map_err(|why| Error::with(ErrorKind::Corrupt, "a record's number", why))?,
            time: record
                .approximate_arrival_timestamp
                .map_or_else(Timestamp::default, |time| nearest_micro(time.as_secs_f64())),
            key: record.partition_key.map_or(Value::Absent, |key| Value::Bytes(key.into_bytes().into())),
            headers: Vec::new(),
            payload: Value::Bytes(record.data.into_inner().into()),
        });
    }
    if !events.is_sorted_by(|a: &Event, b: &Event| a.sequence < b.sequence) {
        return Err(Error::new(ErrorKind::Corrupt, "records out of their order"));
    }
    Ok(events)
}
