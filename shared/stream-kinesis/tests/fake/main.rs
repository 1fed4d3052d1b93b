//! The adapter against a Kinesis in memory: what it reads, what it writes, and what it says when calls fail.

mod append;
mod ends;
mod read;
mod server;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_ports::{Clock, Error, ErrorKind, NewEvent};
use sluice_stream_kinesis::KinesisStream;
use sluice_transfer::{Position, Sequence, ShardId, Timestamp, Value};

use crate::server::{Server, State, number, shard_name};

/// A stream and its server; time passes by being slept.
pub(crate) struct World {
    pub stream: KinesisStream,
    pub server: Server,
}

struct ServerClock(Server);

#[async_trait]
impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.state().now)
    }

    async fn sleep(&self, millis: u64) {
        self.0.state().now += i64::try_from(millis).expect("a wait that a test can sit out");
    }
}

impl World {
    pub(crate) fn new(state: State) -> Self {
        let server = Server(Arc::new(Mutex::new(state)));
        let stream = Self::stream(&server);
        Self { stream, server }
    }

    fn stream(server: &Server) -> KinesisStream {
        KinesisStream::new(server.client(), "orders", Arc::new(ServerClock(server.clone())))
    }

    /// Another process, which remembers nothing.
    pub(crate) fn forget(&mut self) {
        self.stream = Self::stream(&self.server);
    }

    pub(crate) fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.server.state())
    }

    /// How often an operation was called since it was last asked.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.state(|state| {
            let before = state.calls.len();
            state.calls.retain(|call| call != operation);
            before - state.calls.len()
        })
    }
}

pub(crate) fn shard(index: usize) -> ShardId {
    shard_name(index).parse().expect("a shard's name")
}

pub(crate) fn sequence(index: u64) -> Sequence {
    number(index).parse().expect("a number")
}

pub(crate) fn after(index: u64) -> Position {
    Position::After(sequence(index))
}

pub(crate) fn before(index: u64) -> Position {
    Position::before(&sequence(index))
}

pub(crate) fn event(key: &str, payload: &str) -> NewEvent {
    let (key, payload) = (Value::from(key.to_owned()), Value::from(payload.to_owned()));
    NewEvent { time: Timestamp::default(), key, headers: Vec::new(), payload }
}

pub(crate) fn kind<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorKind {
    answer.expect_err("it is refused").kind()
}
