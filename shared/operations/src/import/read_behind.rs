//! Reading back while writing.
//!
//! A target that appends by key takes its time: Kinesis takes 1 MB a second of a shard. What is on record as written is
//! read back and compared meanwhile, so little is left for the end, and nothing expires before it was compared.
//! An error here is left to the end, which reads on from here and reports it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use sluice_ports::StreamStore;
use sluice_transfer::record::{ImportWork, ReadBack, ShardRecord};
use sluice_transfer::{Position, ShardId};

use super::read_back::{Ahead, ReadOn, read_more};
use crate::error::{Fault, OperationError};
use crate::slice::Slice;

/// The comparison of a shard of the target behind what is written into it.
pub(super) struct ReadBehind<'a> {
    slice: &'a Slice<'a>,
    stream: &'a dyn StreamStore,
    shard: ShardId,
    reading: Rc<RefCell<Reading>>,
    /// Reads on. None if it is not behind, or left it to the end.
    work: Option<LocalBoxFuture<'a, ()>>,
}

struct Reading {
    back: ReadBack,
    /// All in front of this is written, and on record.
    until: Position,
    ahead: Option<Ahead>,
    is_left_to_the_end: bool,
}

impl<'a> ReadBehind<'a> {
    /// Goes on where the record says.
    pub(super) fn new(slice: &'a Slice<'a>, stream: &'a dyn StreamStore, record: &ShardRecord<ImportWork>) -> Self {
        let work = &record.work;
        let back = work.read_back.clone().unwrap_or_else(|| work.to_read_back(record.range.from.clone()));
        // Shards that continue this one are compared behind it, once nothing more comes.
        let is_left_to_the_end = back.shard.is_some();
        let reading = Reading { until: back.position.clone(), back, ahead: None, is_left_to_the_end };
        let (shard, reading) = (record.shard.clone(), Rc::new(RefCell::new(reading)));
        Self { slice, stream, shard, reading, work: None }
    }

    /// All in front of that tail is written, and on record.
    pub(super) fn follow(&mut self, tail: &Position) {
        let mut reading = self.reading.borrow_mut();
        reading.until = tail.clone();
        if self.work.is_none() && !reading.is_left_to_the_end && reading.back.position < reading.until {
            let work = read_on(self.slice, self.stream, self.shard.clone(), self.reading.clone());
            self.work = Some(Box::pin(work));
        }
    }

    /// How far it came; none if nothing was read.
    pub(super) fn back(&self, from: &Position) -> Option<ReadBack> {
        let back = &self.reading.borrow().back;
        (back.position > *from).then(|| back.clone())
    }

    /// Does something, and reads on while that has to wait.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|context| {
            let answer = other.as_mut().poll(context);
            if answer.is_pending()
                && let Some(work) = &mut self.work
                && work.as_mut().poll(context).is_ready()
            {
                self.work = None;
            }
            answer
        })
        .await
    }
}

async fn read_on(slice: &Slice<'_>, stream: &dyn StreamStore, shard: ShardId, reading: Rc<RefCell<Reading>>) {
    loop {
        let (mut back, until, mut ahead) = {
            let mut reading = reading.borrow_mut();
            (reading.back.clone(), reading.until.clone(), reading.ahead.take())
        };
        if back.position >= until {
            reading.borrow_mut().ahead = ahead;
            return;
        }
        let (settings, patience) = (&slice.engine.settings, &slice.patience);
        let read = read_more(settings, patience, stream, (&shard, None), &mut back, &until, &mut ahead).await;
        let mut reading = reading.borrow_mut();
        match read {
            Ok(ReadOn::Further) => (reading.back, reading.ahead) = (back, ahead),
            // It is not shown yet.
            Ok(ReadOn::End) => return,
            Ok(ReadOn::Trimmed(earliest)) => {
                tracing::warn!(%earliest, "the target drops what is not read back yet: the import will fail at its end");
                reading.is_left_to_the_end = true;
                return;
            }
            // Tried again behind the next append.
            Err(Fault::Store(error)) if error.kind().is_transient() => return,
            Err(fault) => {
                tracing::info!(error = %OperationError::from(fault), "the rest is read back at the end");
                reading.is_left_to_the_end = true;
                return;
            }
        }
    }
}
