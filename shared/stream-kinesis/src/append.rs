//! Writing: each event to the shard it was meant for, each once or not known.

use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Result};
use sluice_transfer::limits::excerpt;
use sluice_transfer::{Position, Sequence, ShardId, Value};

use crate::KinesisStream;
use crate::batch::Batches;
use crate::fault;
use crate::held::as_stored;
use crate::shards::Shard;

/// Requests in a row of which nothing is taken, after which an append gives up: half a minute.
const REFUSALS: u32 = 10;
/// What is waited after the first of them; twice as long after each more, up to the longest.
const FIRST_WAIT_MILLIS: u64 = 100;
const LONGEST_WAIT_MILLIS: u64 = 5_000;

/// What became of a request that left nothing open.
#[derive(Default)]
struct Taken {
    /// The events that arrived, and their numbers.
    arrived: Vec<(usize, Sequence)>,
    /// Why the others did not.
    refused: Option<Error>,
}

/// An event as it is sent.
struct Outgoing {
    key: String,
    payload: bytes::Bytes,
}

impl KinesisStream {
    pub(crate) async fn append_all(&self, id: &ShardId, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        let (shard, known) = (self.shard(id).await?, self.known().await?);
        if shard.is_closed() {
            return Err(self.resharded(id));
        }
        let outgoing = events.iter().map(|event| {
            let event = as_stored(event.clone(), Some(&known.facts), self.wire.name())?;
            outgoing(event).ok_or_else(|| Error::new(ErrorKind::Invalid, "an event that Kinesis cannot hold"))
        });
        let outgoing = outgoing.collect::<Result<Vec<_>>>()?;
        let sized = outgoing.iter().map(|event| (event.key.as_bytes(), event.key.len() + event.payload.len()));
        let mut batches = Batches::new(sized.collect());
        let (mut tail, mut refusals) = (None::<Sequence>, 0);
        loop {
            let request = batches.next();
            if request.is_empty() {
                return Ok(Appended::Done { tail: tail.map_or_else(|| expected.clone(), Position::After) });
            }
            let records = request.iter().map(|index| entry(&outgoing[*index], &shard)).collect::<Result<_>>()?;
            let taken = match self.wire.put(records).await {
                Ok(answer) => self.taken(id, &request, &answer)?,
                Err(error) if error.kind() == ErrorKind::Throttled => {
                    Taken { refused: Some(error), ..Taken::default() }
                }
                // Not this request, but others before it.
                Err(error) if tail.is_some() && error.kind().is_transient() => {
                    return Err(Error::with(ErrorKind::Indeterminate, "an append was broken off", error));
                }
                Err(error) => return Err(error),
            };
            refusals = if taken.arrived.is_empty() { refusals + 1 } else { 0 };
            for (index, sequence) in taken.arrived {
                batches.arrived(index);
                tail = tail.max(Some(sequence));
            }
            if let Some(error) = taken.refused {
                if refusals >= REFUSALS {
                    let kind = if tail.is_some() { ErrorKind::Indeterminate } else { ErrorKind::Throttled };
                    let what = format!("shard {id} of {} takes no more for now", self.wire.name());
                    return Err(Error::with(kind, what, error));
                }
                let wait = FIRST_WAIT_MILLIS << refusals.min(16);
                self.wire.clock().sleep(wait.min(LONGEST_WAIT_MILLIS)).await;
            }
        }
    }

    /// What a request's results say; an error if one of them leaves open what happened.
    fn taken(&self, id: &ShardId, request: &[usize], answer: &PutRecordsOutput) -> Result<Taken> {
        let unclear = |what: String| Error::new(ErrorKind::Indeterminate, format!("{}: {what}", self.wire.name()));
        if answer.records.len() != request.len() {
            return Err(unclear(format!("{} results for {} records", answer.records.len(), request.len())));
        }
        let mut taken = Taken::default();
        for (index, result) in request.iter().zip(&answer.records) {
            match (result.error_code(), result.sequence_number(), result.shard_id()) {
                (None, Some(_), Some(shard)) if shard != id.as_str() => return Err(self.resharded(id)),
                (None, Some(number), Some(_)) => {
                    let number = number.parse().map_err(|_| unclear("a record's number is none".to_owned()))?;
                    taken.arrived.push((*index, number));
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
        Ok(taken)
    }

    /// What is said when events do not go where they were meant for.
    fn resharded(&self, id: &ShardId) -> Error {
        let what = format!(
            "shard {id} of {} takes no records any more: the stream was resharded. Cancel this import and start \
             another, into a stream that stays as it is",
            self.wire.name()
        );
        Error::new(ErrorKind::Invalid, what)
    }
}

fn outgoing(event: NewEvent) -> Option<Outgoing> {
    let (Value::Bytes(key), Value::Bytes(payload)) = (event.key, event.payload) else { return None };
    Some(Outgoing { key: String::from_utf8(key.into()).ok()?, payload })
}

/// The record, with the first hash of the shard: so all of a shard's events go there, whatever their keys.
fn entry(event: &Outgoing, shard: &Shard) -> Result<PutRecordsRequestEntry> {
    let entry = PutRecordsRequestEntry::builder()
        .partition_key(&event.key)
        .explicit_hash_key(&shard.hash)
        .data(Blob::new(event.payload.to_vec()));
    entry.build().map_err(|why| Error::with(ErrorKind::Invalid, "a record that cannot be sent", why))
}
