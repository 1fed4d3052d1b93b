//! A long random run on an adapter and on a model, which must answer the same. Runs of one seed are the same.

use sluice_memory::MemoryStream;
use sluice_ports::{NewEvent, Read, ReadLimit, Result, StreamAdmin, StreamReader, append_once};
use sluice_transfer::{Header, Position, Range, Sequence, ShardId, Timestamp, TransferId, Value};

use super::dense::shard;
use super::{Store, import};

const STEPS: u32 = 400;

/// Marsaglia's xorshift, 64 bits.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn small(&mut self, sides: u32) -> usize {
        usize::try_from(self.roll(sides.into())).unwrap_or(0)
    }

    fn value(&mut self) -> Value {
        match self.roll(8) {
            0 => Value::Absent,
            1 => Value::Null,
            2 => Value::Bytes(Vec::new().into()),
            3 => Value::Bytes(vec![3; self.small(9_000)].into()),
            _ => {
                let len = self.small(40);
                Value::Bytes((0..len).map(|_| u8::try_from(self.roll(256)).unwrap_or(0)).collect::<Vec<_>>().into())
            }
        }
    }

    fn time(&mut self, step: u32) -> Timestamp {
        // Mostly forward, with many jumps back and some far ahead.
        let ahead = if self.roll(40) == 0 { 300 } else { self.roll(60) };
        Timestamp::from_micros(i64::from(step) + i64::try_from(ahead).unwrap_or(0) - 30)
    }

    fn event(&mut self, step: u32) -> NewEvent {
        let headers = if self.roll(3) == 0 { self.roll(4) } else { 0 };
        let headers = (0..headers).map(|_| Header { name: format!("h{}", self.roll(2)), value: self.value() });
        let headers = headers.collect();
        NewEvent { time: self.time(step), key: self.value(), headers, payload: self.value() }
    }

    fn position(&mut self, tail: u64) -> Position {
        match self.roll(12) {
            0 => Position::Beginning,
            1 => Position::End,
            2 => Position::After(Sequence::new(u64::MAX - self.roll(2))),
            _ => Position::before(&Sequence::new(self.roll(tail + 3))),
        }
    }

    fn writer(&mut self) -> Option<TransferId> {
        match self.roll(4) {
            0 => Some(import("one")),
            1 => Some(import("two")),
            _ => None,
        }
    }
}

/// What both answered, in a form that compares: errors by kind.
fn same<T: PartialEq + std::fmt::Debug>(adapter: Result<T>, model: Result<T>, what: &str) {
    let (adapter, model) = (adapter.map_err(|error| error.kind()), model.map_err(|error| error.kind()));
    assert_eq!(adapter, model, "the adapter (left) answers otherwise than the model (right) to {what}");
}

/// A store may answer fewer events than the limits allow; what it answers must be right.
async fn same_read(store: &Store, model: &MemoryStream, id: &ShardId, from: &Position, limit: ReadLimit, what: &str) {
    let all = ReadLimit::new(usize::MAX, usize::MAX);
    let model = model.read(id, from, all).await.expect("the model reads");
    let expected = match model {
        Read::Events { events, .. } if !events.is_empty() => events,
        other => return same(store.read(id, from, limit).await, Ok(other), what),
    };
    let (events, _, at_tail) = super::dense::read(store, id, from, limit).await;
    assert!(!events.is_empty(), "{what} answers at least one event");
    assert_eq!(events, expected[..events.len()], "{what} answers the events in order");
    assert_eq!(at_tail, events.len() == expected.len(), "{what} knows whether it reached the tail");
}

/// The run of that seed, on a stream of two shards in which nothing happened yet.
pub(super) async fn compare(store: Store, seed: u64) {
    let model = MemoryStream::new();
    model.create(2).await.expect("the model is created");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut tails = [0_u64; 2];
    for step in 0..STEPS {
        one_step(&store, &model, &mut dice, &mut tails, seed, step).await;
    }
    same(store.describe().await, model.describe().await, "describe at the end");
    for number in 0..2 {
        let id = shard(number);
        let (earliest, _) = super::dense::ends(&store, number).await;
        let left = super::dense::read_all(&store, &id, earliest).await;
        assert_eq!(left, model.events(&id), "what is left at the end of run {seed}");
        assert!(tails[number as usize] > 100, "run {seed} wrote many events");
    }
}

async fn one_step(store: &Store, model: &MemoryStream, dice: &mut Dice, tails: &mut [u64; 2], seed: u64, step: u32) {
    let number = dice.small(2);
    let id = shard(u32::try_from(number).unwrap_or(0));
    let what = |op: String| format!("step {step} of run {seed}, {op} in shard {number}");
    match dice.roll(20) {
        0..=6 => {
            let tail = Position::before(&Sequence::new(tails[number]));
            let expected = if dice.roll(6) == 0 { dice.position(tails[number]) } else { tail };
            // Mostly as whoever holds it, so that the run moves.
            let holder = model.describe().await.expect("the model exists").writer;
            let writer = if dice.roll(4) == 0 { dice.writer() } else { holder };
            let events: Vec<_> = (0..dice.roll(12)).map(|_| dice.event(step)).collect();
            let answer = append_once(model, &id, writer.as_ref(), &expected, &events).await;
            if let Ok(sluice_ports::Appended::Done { .. }) = answer {
                tails[number] += events.len() as u64;
            }
            let what = what(format!("append of {} by {writer:?} at {expected}", events.len()));
            same(append_once(&**store, &id, writer.as_ref(), &expected, &events).await, answer, &what);
        }
        7..=10 => {
            let from = dice.position(tails[number]);
            let limit = ReadLimit::new(dice.small(30), dice.small(12_000));
            same_read(store, model, &id, &from, limit, &what(format!("read from {from} of {limit:?}"))).await;
        }
        11..=13 => {
            let ago = u32::try_from(dice.roll(150)).unwrap_or(0);
            let time = dice.time(step.saturating_sub(ago));
            let what = what(format!("position_at {time:?}"));
            same(store.position_at(&id, time).await, model.position_at(&id, time).await, &what);
        }
        14..=15 => {
            let range = Range { from: dice.position(tails[number]), until: dice.position(tails[number]) };
            let what = what(format!("measure of {range:?}"));
            same(store.measure(&id, &range).await, model.measure(&id, &range).await, &what);
        }
        16 => {
            // Seldom everything, so that there is something left to ask about.
            let before = if dice.roll(6) == 0 {
                dice.position(tails[number])
            } else {
                Position::before(&Sequence::new(dice.roll(tails[number] + 1) * 2 / 3))
            };
            let what = what(format!("trim to {before}"));
            same(store.trim(&id, &before).await, model.trim(&id, &before).await, &what);
        }
        17 => {
            let writer = dice.writer().unwrap_or_else(|| import("three"));
            same(store.reserve(&writer).await, model.reserve(&writer).await, &what(format!("reserve for {writer}")));
        }
        18 => {
            let writer = dice.writer().unwrap_or_else(|| import("three"));
            same(store.release(&writer).await, model.release(&writer).await, &what(format!("release of {writer}")));
        }
        _ => same(store.describe().await, model.describe().await, &what("describe".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dense::as_stored;
    use super::super::size;
    use super::*;

    #[test]
    fn runs_of_a_seed_are_the_same_and_reach_every_state() {
        let draw = |seed| {
            let mut dice = Dice(seed);
            (0..200).map(|step| dice.event(step)).collect::<Vec<_>>()
        };
        let events = draw(7);
        assert_eq!(events, draw(7));
        assert_ne!(events, draw(8));
        for state in [Value::Absent, Value::Null, Value::Bytes(Vec::new().into())] {
            assert!(events.iter().any(|event| event.key == state) && events.iter().any(|event| event.payload == state));
            assert!(events.iter().flat_map(|event| &event.headers).any(|header| header.value == state));
        }
        assert!(as_stored(0, &events).iter().any(|event| size(event) > 4_000));
    }
}
