//! Random events.

use bytes::Bytes;
use sluice_ports::NewEvent;
use sluice_transfer::{Header, Timestamp, Value};

use crate::random::Random;

fn value(random: &mut Random, longest: usize) -> Value {
    match random.within(0, 9) {
        0 => Value::Absent,
        1 => Value::Null,
        2 => Value::Bytes(Bytes::new()),
        _ => {
            let len = random.size(1, longest);
            let mut bytes = vec![0; len];
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]));
            Value::Bytes(bytes.into())
        }
    }
}

pub(crate) fn event(random: &mut Random, n: usize, longest: usize) -> NewEvent {
    let headers = (0..random.size(0, 2)).map(|i| Header { name: format!("h{i}"), value: value(random, 5) }).collect();
    NewEvent {
        time: Timestamp::from_millis(1_600_000_000_000 + i64::try_from(n).unwrap_or(0) * 7),
        key: value(random, 4),
        headers,
        payload: value(random, longest),
    }
}

/// The events as a poorer store holds them: few keys, no headers, a payload each. Often some of them are the same.
pub(crate) fn plain(random: &mut Random, events: Vec<NewEvent>) -> Vec<NewEvent> {
    let keys = random.within(1, 4);
    let alike = random.chance(400);
    events
        .into_iter()
        .map(|event| {
            let len = if alike { event.payload.len().min(2) } else { event.payload.len() };
            let payload = if alike { vec![7; len] } else { event.payload.as_slice().to_vec() };
            let key = Value::from(format!("key {}", random.within(1, keys)).into_bytes());
            NewEvent { key, headers: Vec::new(), payload: Value::from(payload), ..event }
        })
        .collect()
}
