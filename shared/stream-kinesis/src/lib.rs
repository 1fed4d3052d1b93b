//! Streams in Amazon Kinesis Data Streams, through the AWS SDK.
//!
//! **Where a shard ends.** No call returns it. A listing leaves the ends open, and readers use times: each answer says
//! how far it came. An import needs the number of its target's last record. It is searched for: back in time until
//! there is a record, then narrowed, then read forward to the tip ([`search`]).
//!
//! **Reading.** An iterator is an address that lives for 5 minutes. It is kept in memory only, and nothing depends on
//! it: a reader without one opens the shard anew ([`open`]) and finds out whether records were trimmed. While the last
//! record is about to be trimmed, each answer is followed by a look for that record, since an iterator skips trimmed
//! records silently. After a loss, reading continues with the answer that showed it: a position that is looked up again
//! may be trimmed again. Numbers are not dense, so a reported gap may be larger than the loss, never smaller. Three
//! losses cannot be found: records that were trimmed before the first look at a shard, records of an open shard that is
//! empty now, and earlier records of a shard that is read from its beginning.
//!
//! A registered consumer (enhanced fan-out) is pushed records instead, with limits of its own ([`fanout`]). What is said
//! above is the same for it.
//!
//! **Writing.** `PutRecords` goes on past records that fail, so it keeps no order; a request here has one event of a
//! key at most, and a refused one is sent again before the next of its key. Where the order of a whole shard is kept, a
//! request has one event; where none is, requests are filled and several are in flight. What may have happened is never sent
//! again: it is answered as `Indeterminate`, and the caller looks.
//!
//! Where keys decide, an event is sent as a live producer sends it. If the shard was split or merged, the answer says which
//! shard took it. Else events are led by an explicit hash (`ExplicitHashKey`), and fail once the shard is closed.
//!
//! **What Kinesis has not.** Times of the sender, headers, and events without a key: see
//! [`as_stored`](sluice_ports::StreamStore::as_stored). Reservations are kept elsewhere, by the importing host. An
//! aggregate of the Kinesis Producer Library is one event, its bytes untouched.
//!
//! **Invariant.** No payload and no key is ever logged or put into an error. No SDK type is in the port's answers.
//! A stream is made only by [`create`](StreamAdmin::create), and only where the host may.

mod answer;
mod append;
mod arn;
mod batch;
mod body;
mod consumers;
mod describe;
mod fanout;
mod fault;
mod held;
mod number;
mod open;
mod pace;
mod put;
mod read;
mod search;
mod shards;
mod thinned;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use sluice_ports::{
    Appended, Appends, Clock, Error, ErrorKind, Intake, ListedShard, Made, NewEvent, Promises, Read, ReadLimit,
    Reservation, Result, StreamAdmin, StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_transfer::{Counts, Order, Placement, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

pub use crate::arn::{StreamArn, arn};
use crate::fanout::Subscribed;
use crate::open::Open;
use crate::shards::{Known, Shard};
use crate::wire::Wire;

/// Streams are trimmed by age and not counted, nothing reserves them, and there is no event without a key.
const PROMISES: Promises = Promises {
    appends: Appends::ByKey,
    needs_keys: true,
    empty_keys: false,
    creates: true,
    trims: false,
    counts: false,
    reserves: false,
    dense: false,
};

/// One stream, through one client. It remembers iterators, what they answered beyond a read's limit, and what the
/// stream's description told last; none of it is needed by another process.
pub struct KinesisStream {
    wire: Wire,
    known: Mutex<Option<Arc<Known>>>,
    open: Mutex<BTreeMap<(ShardId, Position), Open>>,
    /// The ARN of the registered consumer that this handle reads as; none for a reader by polling.
    reader: Mutex<Option<Arc<str>>>,
    subscribed: Subscribed,
    /// Why this host makes no stream of that name; none if it may.
    makes_none: Option<String>,
    /// Why this host appends nothing to it; none if it may.
    takes_none: Option<String>,
}

impl KinesisStream {
    /// The stream of that name in the client's account and region, or of that ARN. The client should be made with
    /// [`configure`].
    pub fn new(client: Client, name: &str, clock: Arc<dyn Clock>) -> Self {
        let wire = Wire::new(client, name, clock);
        Self {
            wire,
            known: Mutex::default(),
            open: Mutex::default(),
            reader: Mutex::default(),
            subscribed: Subscribed::default(),
            makes_none: None,
            takes_none: None,
        }
    }

    /// Where the host may not make the stream: `create` of a missing one is `Denied` for this reason.
    #[must_use]
    pub fn never_made(self, why: impl Into<String>) -> Self {
        Self { makes_none: Some(why.into()), ..self }
    }

    /// Where the host may not append: `writer` is `Denied` for this reason.
    #[must_use]
    pub fn never_written(self, why: impl Into<String>) -> Self {
        Self { takes_none: Some(why.into()), ..self }
    }

    /// With the configured endpoint, which errors name if nothing answers there.
    #[must_use]
    pub fn at_endpoint(self, endpoint: Option<String>) -> Self {
        Self { wire: self.wire.at_endpoint(endpoint), ..self }
    }
}

impl fmt::Debug for KinesisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisStream").field("name", &self.wire.name()).finish_non_exhaustive()
    }
}

/// What a client needs here: no tries of its own, since a `PutRecords` that is sent again may write twice, and times
/// after which a call is given up: 5 s to connect, 60 s in all (an answer can have 10 MiB).
pub fn configure(builder: Builder) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_mins(1))
        .build();
    builder.retry_config(RetryConfig::disabled()).timeout_config(timeouts)
}

#[async_trait]
impl StreamReader for KinesisStream {
    async fn describe(&self) -> Result<StreamInfo> {
        self.describe_all().await
    }

    async fn list(&self) -> Result<StreamListing> {
        let known = self.look().await?;
        let listed = |shard: &Shard| ListedShard {
            shard: shard.id.clone(),
            parents: shard.parents.clone(),
            hashes: Some(shard.hashes),
            ends: None,
        };
        Ok(StreamListing {
            shards: known.shards.iter().map(listed).collect(),
            facts: known.facts.told(self.wire.pace().limits()),
        })
    }

    async fn facts(&self) -> Result<StreamFacts> {
        // Reading needs the shards next.
        Ok(self.look().await?.facts.told(self.wire.pace().limits()))
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.read_on(shard, from, limit).await
    }

    fn share_reading(&self, share: ReadShare) {
        self.wire.pace().share(share);
    }

    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        Some(consumers::name(transfer, place))
    }

    async fn register_reader(&self, name: &str) -> Result<()> {
        self.register(name).await
    }

    async fn remove_reader(&self, name: &str) -> Result<()> {
        self.deregister(name).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.boundary_at(shard, time).await
    }

    /// Always none: numbers are not dense, and no call counts.
    async fn measure(&self, _: &ShardId, _: &Range) -> Result<Option<Counts>> {
        Ok(None)
    }
}

#[async_trait]
impl StreamAdmin for KinesisStream {
    /// Makes a provisioned stream: as many shards as asked for, at a price that their number tells.
    async fn create(&self, shards: u32) -> Result<Made> {
        // Servers say so in different ways.
        if shards == 0 {
            return Err(Error::new(ErrorKind::Invalid, format!("{}: a stream has at least 1 shard", self.wire.name())));
        }
        let Some(why) = &self.makes_none else { return self.wire.create(shards).await };
        match self.wire.summary().await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (name, command) = (self.wire.name(), self.wire.create_command(shards));
                let what = format!("there is no stream {name}, and none is made: {why}. Make it with `{command}`");
                Err(Error::new(ErrorKind::Denied, what))
            }
            answer => answer.map(|_| Made::Before),
        }
    }

    fn create_command(&self, shards: u32) -> Option<String> {
        Some(self.wire.create_command(shards))
    }

    /// Kinesis has nothing to reserve with: the import's host keeps who writes.
    async fn reserve(&self, _: &TransferId) -> Result<Reservation> {
        Ok(Reservation::Held)
    }

    async fn release(&self, _: &TransferId) -> Result<()> {
        Ok(())
    }

    async fn trim(&self, _: &ShardId, _: &Position) -> Result<()> {
        let what = format!("{} is trimmed by its retention period only", self.wire.name());
        Err(Error::new(ErrorKind::Invalid, what))
    }
}

#[async_trait]
impl StreamStore for KinesisStream {
    fn promises(&self) -> Promises {
        PROMISES
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        held::as_stored(event, self.remembered_facts().as_ref(), self.wire.name())
    }

    fn intake(&self) -> Option<Intake> {
        self.wire.pace().usage().intake()
    }

    /// Kinesis knows no fence.
    async fn writer<'s>(&'s self, shard: &ShardId, _: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        if let Some(why) = &self.takes_none {
            return Err(Error::new(ErrorKind::Denied, format!("nothing is appended to {}: {why}", self.wire.name())));
        }
        Ok(Box::new(KinesisWriter { stream: self, shard: shard.clone() }))
    }
}

/// Appends to one shard, or by keys from there on. It runs nothing between two appends.
struct KinesisWriter<'s> {
    stream: &'s KinesisStream,
    shard: ShardId,
}

#[async_trait]
impl StreamWriter for KinesisWriter<'_> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.append_ordered(expected, events, (Placement::AsSource, Order::Key)).await
    }

    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.append_ordered(expected, events, (Placement::Key, Order::Key)).await
    }

    async fn append_ordered(
        &self,
        expected: &Position,
        events: &[NewEvent],
        (placement, order): (Placement, Order),
    ) -> Result<Appended> {
        let led = match placement {
            Placement::Key => None,
            Placement::AsSource => Some(self.stream.open_shard(&self.shard).await?),
        };
        self.stream.append_all(&self.shard, led.as_ref(), expected, events, order).await
    }
}
