//! The service: a pure model. Nothing here waits, and time is what a caller says it is.
//!
//! A [`Service`] is called through a [`Call`], which names the caller and the time:
//!
//! ```
//! use sluice_fake_kinesis::{Entry, Mode, Service, Start};
//!
//! let mut service = Service::new();
//! let mut call = service.call("me", 1_700_000_000_000);
//! call.create_stream("orders", 2, Mode::Provisioned)?;
//! let landed = call.put_record("orders", Entry::new("key", "payload"))?;
//! let iterator = call.get_shard_iterator("orders", &landed.shard, &Start::TrimHorizon)?;
//! let answer = call.get_records(&iterator, 10_000)?;
//! assert_eq!((answer.records[0].key.as_str(), &answer.records[0].data[..]), ("key", &b"payload"[..]));
//! # Ok::<(), sluice_fake_kinesis::Refused>(())
//! ```
//!
//! **Invariants.** Time does not go back. The open shards of a stream fill the hash space and do not meet. Numbers of a
//! shard grow, and none is given twice. What a caller sends is refused or done as a whole, but for the records of a
//! `PutRecords`.

mod consumers;
mod limits;
mod list;
mod read;
mod reshard;
mod stream;
mod streams;
mod subscribe;
mod write;

use std::collections::{BTreeMap, VecDeque};

pub use self::consumers::{ConsumerInfo, ConsumerStatus};
pub use self::list::{Filter, Lineage, ShardPage};
pub use self::read::{ChildShard, Record, Records, Start};
pub use self::stream::{Mode, Status};
pub use self::streams::Summary;
pub use self::subscribe::{Pushed, Subscription};
pub use self::write::{Entry, Landed};
use crate::Millis;
use crate::counts::{Count, Counts, Operation};
use crate::faults::{Fault, Faults};
use crate::refused::{Answer, Code, Refused};
use crate::service::limits::Calls;
use crate::service::list::Token;
use crate::service::stream::Stream;

/// The service of one account in one region.
#[derive(Clone, Debug)]
pub struct Service {
    account: String,
    region: String,
    streams: BTreeMap<String, Stream>,
    /// How it behaves. May be changed at any time.
    pub faults: Faults,
    /// What happens to the next calls that come over the wire.
    script: BTreeMap<Operation, VecDeque<Fault>>,
    counts: Counts,
    calls: BTreeMap<Operation, Calls>,
    tokens: Vec<Token>,
    now: Millis,
    /// Order among records that land later.
    orders: u64,
    dice: u64,
}

/// A call in the making: who calls, and when.
#[derive(Debug)]
pub struct Call<'a> {
    service: &'a mut Service,
    caller: &'a str,
    now: Millis,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            streams: BTreeMap::new(),
            faults: Faults::default(),
            script: BTreeMap::new(),
            counts: Counts::default(),
            calls: BTreeMap::new(),
            tokens: Vec::new(),
            now: 0,
            orders: 0,
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl Service {
    /// Without a stream, and without a fault.
    pub fn new() -> Self {
        Self::default()
    }

    /// A call of somebody at a time, in milliseconds since 1970.
    ///
    /// # Panics
    /// If the time is earlier than that of another call.
    pub fn call<'a>(&'a mut self, caller: &'a str, now: Millis) -> Call<'a> {
        assert!(now >= self.now, "time goes back from {} to {now}", self.now);
        self.now = now;
        self.settle(now);
        Call { service: self, caller, now }
    }

    /// What was asked for so far, by whom, and what came of it.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn count(&mut self, caller: &str, operation: Operation) -> &mut Count {
        self.counts.at(caller, operation)
    }

    pub(crate) fn script(&mut self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.script.entry(operation).or_default().extend(faults);
    }

    /// What happens to the next call of an operation.
    pub(crate) fn scripted(&mut self, operation: Operation) -> Fault {
        self.script.get_mut(&operation).and_then(VecDeque::pop_front).unwrap_or(Fault::Passed)
    }

    /// A call that was refused before it came here.
    pub(crate) fn count_refused<T>(&mut self, caller: &str, operation: Operation, answer: &Answer<T>) {
        self.counts.note(caller, operation, answer);
    }

    /// What happens by itself until now: records land, records are trimmed, streams become active or go.
    fn settle(&mut self, now: Millis) {
        self.streams.retain(|_, stream| !matches!(stream.change, Some((Status::Deleting, until)) if until <= now));
        for stream in self.streams.values_mut() {
            while let Some(first) = stream.under_way.first_entry()
                && first.key().0 <= now
            {
                let ((at, _), entry) = first.remove_entry();
                stream.land(at, entry);
                if let Some(above) = self.faults.splits_above {
                    stream.split_busy(at, above);
                }
            }
            if self.faults.moving_horizon {
                stream.trim(now);
            }
        }
    }

    /// By name or ARN.
    fn stream(&self, named: &str) -> Answer<&Stream> {
        let name = self.name_of(named);
        self.streams.get(name).filter(|stream| name == named || stream.arn == named).ok_or_else(|| self.missing(named))
    }

    fn stream_mut(&mut self, named: &str) -> Answer<&mut Stream> {
        let missing = self.missing(named);
        let name = self.name_of(named).to_owned();
        let stream = self.streams.get_mut(&name).filter(|stream| name == named || stream.arn == named);
        stream.ok_or(missing)
    }

    /// The oldest time whose records are kept.
    fn horizon(&self, stream: &str, now: Millis) -> Answer<Millis> {
        let stream = self.stream(stream)?;
        Ok(if self.faults.moving_horizon { now.saturating_sub(stream.retention()) } else { 0 })
    }

    fn name_of<'n>(&self, named: &'n str) -> &'n str {
        named.strip_prefix(&self.arn("")).unwrap_or(named)
    }

    fn arn(&self, stream: &str) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{stream}", self.region, self.account)
    }

    fn missing(&self, stream: &str) -> Refused {
        let message = format!("Stream {stream} under account {} not found.", self.account);
        Refused::new(Code::ResourceNotFound, message)
    }

    /// A stream that has records to read and takes some.
    fn usable(&self, named: &str, now: Millis) -> Answer<&Stream> {
        let stream = self.stream(named)?;
        match stream.status(now) {
            Status::Creating => Err(self.missing(named)),
            _ => Ok(stream),
        }
    }

    /// A stream that may be changed, which then is under change.
    fn changeable(&mut self, named: &str, now: Millis) -> Answer<&mut Stream> {
        let (account, changing) = (self.account.clone(), self.faults.changing);
        let stream = self.stream_mut(named)?;
        match stream.status(now) {
            Status::Active => {}
            status => {
                let name = &stream.name;
                let message = format!("Stream {name} under account {account} not ACTIVE, instead in state {status}");
                return Err(Refused::new(Code::ResourceInUse, message));
            }
        }
        stream.change = (changing > 0).then_some((Status::Updating, now + changing));
        Ok(stream)
    }

    /// Marsaglia's xorshift: the same in every run.
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            order.swap(last, usize::try_from(self.dice % (last as u64 + 1)).unwrap_or(last));
        }
    }
}

impl Call<'_> {
    /// When it is made.
    pub fn now(&self) -> Millis {
        self.now
    }

    fn counted<T>(&mut self, operation: Operation, work: impl FnOnce(&mut Service, Millis) -> Answer<T>) -> Answer<T> {
        let admitted = match operation.per_second().filter(|_| self.service.faults.call_limits) {
            Some(limit) => self.service.calls.entry(operation).or_default().admit(self.now, limit),
            None => true,
        };
        let answer = if admitted {
            work(self.service, self.now)
        } else {
            Err(Refused::new(Code::LimitExceeded, format!("Rate exceeded for {operation:?} in the account.")))
        };
        self.service.counts.note(self.caller, operation, &answer);
        answer
    }

    fn count(&mut self, operation: Operation) -> &mut Count {
        self.service.counts.at(self.caller, operation)
    }
}
