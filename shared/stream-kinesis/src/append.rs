//! Writing: each event to the shard it was meant for, each once or not known.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Result};
use sluice_transfer::limits::excerpt;
use sluice_transfer::{Aggregate, Order, Position, Sequence, ShardId};

use crate::KinesisStream;
use crate::batch::Batches;
use crate::fault;
use crate::held::check;
use crate::put::{self, Entry, Put};
use crate::shards::{Known, Shard};

/// Requests in a row of which nothing is taken, after which an append gives up: half a minute.
const REFUSALS: u32 = 10;
/// What is waited after the first of them; twice as long after each more, up to the longest.
const FIRST_WAIT_MILLIS: u64 = 100;
const LONGEST_WAIT_MILLIS: u64 = 5_000;
/// Requests in flight where no order is kept.
const IN_FLIGHT: usize = 4;
/// No key: keys are text.
const AGGREGATES: &[u8] = &[0xff];

/// What became of a request that left nothing open.
#[derive(Default)]
struct Taken {
    /// The events that arrived, in the request's order.
    arrived: Vec<usize>,
    /// The last number of each shard that they are in.
    tails: BTreeMap<ShardId, Sequence>,
    /// Why the others did not.
    refused: Option<Error>,
}

/// An event as it is sent.
struct Outgoing<'a> {
    key: &'a str,
    payload: &'a Bytes,
    /// Of an aggregate, the hashes of its events; the first one leads it. Else empty: its key leads it.
    hashes: Vec<u128>,
}

impl<'a> Outgoing<'a> {
    /// Of an event that Kinesis can hold.
    fn of((key, payload): (&'a str, &'a Bytes)) -> Self {
        let hashes = Aggregate::read(payload).map_or_else(Vec::new, |aggregate| aggregate.hashes().collect());
        Self { key, payload, hashes }
    }

    /// Events of one line are in flight one at a time. Aggregates share one, since two of them may hold events of the
    /// same key. None for those that wait for no other.
    fn line(&self, order: Order) -> Option<&[u8]> {
        match order {
            Order::Shard => Some(&[]),
            Order::Key if self.hashes.is_empty() => Some(self.key.as_bytes()),
            Order::Key => Some(AGGREGATES),
            Order::None => None,
        }
    }

    fn size(&self) -> usize {
        self.key.len() + self.payload.len()
    }
}

impl KinesisStream {
    /// A shard that events are to be led to, which must be open.
    pub(crate) async fn open_shard(&self, id: &ShardId) -> Result<Shard> {
        let shard = self.shard(id).await?;
        if shard.is_closed() { Err(self.resharded(id)) } else { Ok(shard) }
    }

    /// Writes all events: to the shard that they are led to, or where their keys lead.
    pub(crate) async fn append_all(
        &self,
        id: &ShardId,
        led: Option<&Shard>,
        expected: &Position,
        events: &[NewEvent],
        order: Order,
    ) -> Result<Appended> {
        let known = self.known().await?;
        let held = events.iter().map(|event| check(event, Some(&known.facts), self.wire.name()));
        let outgoing = held.map(|held| held.map(Outgoing::of)).collect::<Result<Vec<_>>>()?;
        if led.is_none() {
            known.check_aggregates(&outgoing, self.wire.name())?;
        }
        let mut batches = Batches::new(outgoing.iter().map(|event| (event.line(order), event.size())));
        let at_once = if order == Order::None { IN_FLIGHT } else { 1 };
        let mut in_flight = FuturesUnordered::new();
        let (mut tails, mut refusals, mut wait) = (BTreeMap::<ShardId, Sequence>::new(), 0, 0);
        loop {
            while in_flight.len() < at_once
                && let request = batches.next()
                && !request.is_empty()
            {
                in_flight.push(self.put(id, led, &outgoing, request, wait));
            }
            let Some((request, taken)) = in_flight.next().await else { return Ok(answer(id, expected, tails)) };
            let nothing_else = tails.is_empty() && in_flight.is_empty();
            let taken = match taken {
                Ok(taken) => taken,
                // Not this request, but others before it or beside it.
                Err(error) if !nothing_else && error.kind().is_transient() => {
                    return Err(Error::with(ErrorKind::Indeterminate, "an append was broken off", error));
                }
                Err(error) => return Err(error),
            };
            refusals = if taken.arrived.is_empty() { refusals + 1 } else { 0 };
            let mut arrived = taken.arrived.into_iter().peekable();
            for index in request {
                match arrived.next_if_eq(&index) {
                    Some(_) => batches.arrived(index),
                    None => batches.refused(index),
                }
            }
            for (shard, last) in taken.tails {
                let tail = tails.entry(shard).or_insert_with(|| last.clone());
                *tail = last.max(tail.clone());
            }
            wait = 0;
            if let Some(error) = taken.refused {
                let rounds = refusals / u32::try_from(at_once).unwrap_or(1);
                if rounds >= REFUSALS {
                    let kind = if nothing_else { ErrorKind::Throttled } else { ErrorKind::Indeterminate };
                    let what = format!("shard {id} of {} takes no more for now", self.wire.name());
                    return Err(Error::with(kind, what, error));
                }
                wait = (FIRST_WAIT_MILLIS << rounds.min(16)).min(LONGEST_WAIT_MILLIS);
            }
        }
    }

    /// Sends one request after a while, at the shard's pace.
    async fn put(
        &self,
        id: &ShardId,
        led: Option<&Shard>,
        outgoing: &[Outgoing<'_>],
        request: Vec<usize>,
        wait: u64,
    ) -> (Vec<usize>, Result<Taken>) {
        let taken = async {
            if wait > 0 {
                self.wire.clock().sleep(wait).await;
            }
            let bytes = request.iter().map(|index| outgoing[*index].size()).sum();
            self.wire.pace().write(id, request.len(), bytes).await;
            match self.wire.put(request.iter().map(|index| entry(&outgoing[*index], led))).await {
                Ok(answer) => self.taken(id, led.is_some(), &request, &put::answer(&answer)?),
                Err(error) if error.kind() == ErrorKind::Throttled => {
                    Ok(Taken { refused: Some(error), ..Taken::default() })
                }
                Err(error) => Err(error),
            }
        };
        let taken = taken.await;
        (request, taken)
    }

    /// What a request's results say; an error if one of them leaves open what happened.
    fn taken(&self, id: &ShardId, led: bool, request: &[usize], answer: &[Put<'_>]) -> Result<Taken> {
        let unclear = |what: String| Error::new(ErrorKind::Indeterminate, format!("{}: {what}", self.wire.name()));
        if answer.len() != request.len() {
            return Err(unclear(format!("{} results for {} records", answer.len(), request.len())));
        }
        let (mut taken, mut last) = (Taken::default(), BTreeMap::<&str, &str>::new());
        for (index, put) in request.iter().zip(answer) {
            match (put.error(), put.sequence(), put.shard()) {
                // The stream was split or merged. Keys lead on to the new shards; what was led here went astray.
                (None, Some(_), Some(shard)) if led && shard != id.as_str() => return Err(self.resharded(id)),
                (None, Some(number), Some(shard)) => {
                    if !is_number(number) {
                        return Err(unclear("a record's number is none".to_owned()));
                    }
                    let last = last.entry(shard).or_insert(number);
                    if is_larger(number, last) {
                        *last = number;
                    }
                    taken.arrived.push(*index);
                }
                (Some(code), ..) if fault::of_code(code) == Some(ErrorKind::Throttled) => {
                    taken.refused = Some(Error::new(ErrorKind::Throttled, excerpt(code)));
                }
                // An internal failure may have written it.
                (code, ..) => {
                    return Err(unclear(format!("a record was answered with {}", excerpt(code.unwrap_or("nothing")))));
                }
            }
        }
        for (shard, number) in last {
            let shard = shard.parse().map_err(|_| unclear("a record's shard is none".to_owned()))?;
            let number = number.parse().map_err(|_| unclear("a record's number is none".to_owned()))?;
            taken.tails.insert(shard, number);
        }
        Ok(taken)
    }

    /// What is said when events do not go where they were meant for.
    fn resharded(&self, id: &ShardId) -> Error {
        let what = format!(
            "shard {id} of {} takes no records any more: the stream was split or merged. Cancel this import, and import \
             into another stream; one that is placed by key (not raw bytes) goes on in the shards that continue it",
            self.wire.name()
        );
        Error::new(ErrorKind::Invalid, what)
    }
}

/// True for a number in decimal.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of two numbers in decimal, as their sequences compare.
fn is_larger(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| text.trim_start_matches('0'));
    (one.len(), one) > (other.len(), other)
}

/// Where an append's events stand.
fn answer(id: &ShardId, expected: &Position, tails: BTreeMap<ShardId, Sequence>) -> Appended {
    let mut tails: BTreeMap<_, _> = tails.into_iter().map(|(shard, tail)| (shard, Position::After(tail))).collect();
    if tails.keys().all(|shard| shard == id) {
        return Appended::Done { tail: tails.remove(id).unwrap_or_else(|| expected.clone()) };
    }
    Appended::Spread { tails }
}

impl Known {
    /// Refuses an aggregate that no open shard can take as a whole. The plan checks this first, but the stream may have
    /// been split since.
    fn check_aggregates(&self, events: &[Outgoing<'_>], name: &str) -> Result<()> {
        let is_torn = |event: &Outgoing<'_>| {
            let mut open = self.shards.iter().filter(|shard| !shard.is_closed());
            !open.any(|shard| event.hashes.iter().all(|hash| shard.hashes.contains(*hash)))
        };
        if events.iter().filter(|event| !event.hashes.is_empty()).any(is_torn) {
            let what = format!(
                "an aggregate of the Kinesis Producer Library would lie across shards of {name}, and consumers would drop \
                 some of its events: cancel this import, export with deaggregate, and import that into another stream"
            );
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        Ok(())
    }
}

/// The record. It is led to a shard by that one's first hash, an aggregate by its own.
fn entry<'a>(event: &'a Outgoing<'_>, led: Option<&Shard>) -> Entry<'a> {
    let hash = led.map(|shard| shard.hashes.first()).or(event.hashes.first().copied());
    Entry { key: event.key, data: event.payload, hash }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_compared_as_sequences_are(one in "0{0,2}[0-9]{1,60}", other in "0{0,2}[0-9]{1,60}") {
            let [first, second] = [&one, &other].map(|text| text.parse::<Sequence>().unwrap());
            prop_assert!(is_number(&one));
            prop_assert_eq!(is_larger(&one, &other), first > second);
        }

        #[test]
        fn what_has_other_characters_is_no_number(text in "([0-9]{0,3}[^0-9][0-9]{0,3})?") {
            prop_assert!(!is_number(&text));
        }
    }
}
