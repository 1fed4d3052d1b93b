//! `SubscribeToShard`: records are pushed to a registered consumer (row 11).
//!
//! What is pushed is made when the service has it, not when the caller takes it: a caller that is slow gets events of a
//! while ago, as those that lie in the buffers of a connection.

use super::consumers::ConsumerStatus;
use super::limits::READ_BYTES;
use super::read::{Cursor, Records, Start};
use super::{Call, Service};
use crate::Millis;
use crate::counts::Operation;
use crate::refused::{Answer, Code, Refused};

/// How long a subscription lasts.
const SUBSCRIPTION_MILLIS: Millis = 300_000;
/// From one subscription of a consumer to a shard to the next one.
const AGAIN_MILLIS: Millis = 5_000;
/// Where nothing arrives, an event without records comes this often.
const EMPTY_MILLIS: Millis = 5_000;
/// Bytes of one event.
const EVENT_BYTES: u64 = 1 << 20;
/// How often a caller that waits looks again.
const LOOK_MILLIS: Millis = 50;

/// A subscription on its reader's side.
#[derive(Clone, Debug)]
pub struct Subscription {
    caller: String,
    /// The consumer's ARN.
    consumer: String,
    number: u64,
    cursor: Option<Cursor>,
    asked: Millis,
    /// When the next event may be made, and when the last one was.
    due: Millis,
    last: Option<Millis>,
}

/// What a subscription has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// An event: its records, and the number to continue at.
    Event(Records, String),
    /// Nothing yet: look again after this number of milliseconds.
    Wait(Millis),
    /// It has ended, with an error if it did not end by itself.
    Over(Option<Refused>),
}

impl Call<'_> {
    /// Subscribes a consumer to a shard. The one before, if there is one, ends.
    pub fn subscribe_to_shard(&mut self, consumer: &str, shard: &str, start: &Start) -> Answer<Subscription> {
        let caller = self.caller.to_owned();
        self.counted(Operation::SubscribeToShard, |service, now| {
            let stream = consumer.split_once("/consumer/").map_or(consumer, |(stream, _)| stream).to_owned();
            let missing = || Refused::new(Code::ResourceNotFound, format!("Consumer {consumer} not found."));
            let cursor = service.cursor(&stream, shard, start, now)?;
            let own = service.stream_mut(&stream)?.consumers.iter_mut().find(|own| own.arn == consumer);
            let own = own.filter(|own| own.gone.is_none_or(|gone| now < gone)).ok_or_else(missing)?;
            if own.status(now) != ConsumerStatus::Active {
                let what = format!("Consumer {consumer} is {}.", own.status(now).as_str());
                return Err(Refused::new(Code::ResourceInUse, what));
            }
            if own.subscribed.get(shard).is_some_and(|(last, _)| now < last + AGAIN_MILLIS) {
                let what = format!("Another active subscription exists for this consumer: {consumer} on {shard}.");
                return Err(Refused::new(Code::ResourceInUse, what));
            }
            own.subscriptions += 1;
            own.subscribed.insert(shard.to_owned(), (now, own.subscriptions));
            let (consumer, number) = (consumer.to_owned(), own.subscriptions);
            Ok(Subscription { caller, consumer, number, cursor: Some(cursor), asked: now, due: now, last: None })
        })
    }

    /// The next event of a subscription.
    pub fn push(&mut self, subscription: &mut Subscription) -> Pushed {
        let pushed = self.service.push(subscription, self.now);
        if let Pushed::Event(records, _) = &pushed {
            let count = self.service.count(&subscription.caller, Operation::SubscribeToShard);
            count.records += records.records.len() as u64;
            count.empty += u64::from(records.records.is_empty());
        }
        pushed
    }
}

impl Service {
    fn push(&mut self, own: &mut Subscription, now: Millis) -> Pushed {
        let Some(cursor) = own.cursor.clone() else { return Pushed::Over(None) };
        if let Err(refused) = self.holds(own, &cursor, now) {
            own.cursor = None;
            return Pushed::Over(Some(refused));
        }
        let ends = own.asked + SUBSCRIPTION_MILLIS;
        while own.due <= now && own.due < ends {
            let at = own.due;
            let (records, bytes) = match self.behind(cursor.clone(), (usize::MAX, EVENT_BYTES), at) {
                Ok(behind) => behind,
                Err(refused) => return Pushed::Over(Some(refused)),
            };
            let next = records.next.as_deref().and_then(Cursor::unseal);
            let moves = next.as_ref().is_none_or(|next| next.reached > cursor.reached + EMPTY_MILLIS);
            let is_due = own.last.is_none_or(|last| last + EMPTY_MILLIS <= at);
            if records.records.is_empty() && !moves && !is_due {
                own.due += LOOK_MILLIS;
                continue;
            }
            let pause = if self.faults.read_limits { bytes * 1_000 / READ_BYTES } else { 0 };
            own.due = at + pause.max(1);
            own.last = Some(at);
            own.cursor = next;
            let continues = records.records.last().map_or_else(|| "0".to_owned(), |last| last.number.clone());
            return Pushed::Event(records, continues);
        }
        if own.due >= ends {
            own.cursor = None;
            return Pushed::Over(None);
        }
        Pushed::Wait((own.due - now).max(1))
    }

    /// An error if the subscription ended because of something else.
    fn holds(&self, own: &Subscription, cursor: &Cursor, now: Millis) -> Answer<()> {
        let stream = self.stream(&cursor.stream)?;
        let consumer = stream.consumers.iter().find(|consumer| consumer.arn == own.consumer);
        let consumer = consumer
            .filter(|consumer| consumer.gone.is_none_or(|gone| now < gone))
            .ok_or_else(|| Refused::new(Code::ResourceNotFound, format!("Consumer {} not found.", own.consumer)))?;
        let last = consumer.subscribed.get(&cursor.shard).map(|(_, number)| *number);
        if consumer.status(now) != ConsumerStatus::Active || last != Some(own.number) {
            return Err(Refused::new(Code::ResourceInUse, "The subscription was taken over, or its consumer goes."));
        }
        Ok(())
    }
}
