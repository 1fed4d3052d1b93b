//! Parts on their way to the bucket, while the next one is read and packed.
//!
//! **Invariant.** They are taken off in the order in which they were begun, and no part counts as stored before it and
//! all in front of it are known to be. So what a crash leaves of them is sent again with the same bytes, as the part
//! before would be.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use futures::future::LocalBoxFuture;
use sluice_ports::{Clock, PartAnswer};
use sluice_transfer::{Checksum, Packed, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Stop;

type Answer = Result<PartAnswer, Stop>;

/// A part that is being sent.
struct Sent<'a> {
    part: Packed,
    checksum: Checksum,
    call: LocalBoxFuture<'a, Answer>,
    begun: Timestamp,
    answer: Option<Answer>,
    /// Its turn on a line that shards share: kept as long as its bytes are.
    turn: Option<SemaphorePermit<'a>>,
}

/// The parts of an upload that are being sent, the first one in front.
pub(crate) struct InFlight<'a> {
    clock: &'a dyn Clock,
    queue: VecDeque<Sent<'a>>,
    at_once: usize,
    slowest: u64,
}

impl<'a> InFlight<'a> {
    /// None as yet, and never more than `at_once`.
    pub(crate) fn new(clock: &'a dyn Clock, at_once: usize) -> Self {
        Self { clock, queue: VecDeque::new(), at_once, slowest: 0 }
    }

    /// The longest that a part took so far to be answered, in milliseconds.
    pub(crate) fn slowest(&self) -> u64 {
        self.slowest
    }

    /// How many are on their way.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// True if one has to be taken off before another is begun.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.at_once
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.queue.iter().map(|sent| sent.checksum.len).sum()
    }

    /// Begins a call behind the others, so that it goes on while other things are done. If shards share a line, it waits
    /// for its turn there first; those before it go on meanwhile.
    pub(crate) async fn begin(
        &mut self,
        part: Packed,
        checksum: Checksum,
        line: Option<&'a Semaphore>,
        call: LocalBoxFuture<'a, Answer>,
    ) {
        // The wait for a turn counts as time of the part: a slice must not end in the line.
        let begun = self.clock.now();
        let turn = match line {
            // It is never closed.
            Some(line) => beside(self, line.acquire()).await.ok(),
            None => None,
        };
        self.queue.push_back(Sent { part, checksum, call, begun, answer: None, turn });
        self.has_arrived().await;
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        for sent in &mut self.queue {
            if sent.answer.is_none()
                && let Poll::Ready(answer) = sent.call.as_mut().poll(context)
            {
                sent.answer = Some(answer);
                self.slowest = self.slowest.max(self.clock.now().millis_since(sent.begun));
            }
        }
    }

    fn first_is_known(&self) -> bool {
        self.queue.front().is_some_and(|sent| sent.answer.is_some())
    }

    /// True if the first one was answered; does not wait.
    pub(crate) async fn has_arrived(&mut self) -> bool {
        poll_fn(|context| {
            self.poll(context);
            Poll::Ready(self.first_is_known())
        })
        .await
    }

    /// Waits for the first one's answer, and takes it off. None if there is none.
    pub(crate) async fn first(&mut self) -> Option<(Packed, Checksum, Answer)> {
        poll_fn(|context| {
            self.poll(context);
            if self.queue.is_empty() || self.first_is_known() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let mut sent = self.queue.pop_front()?;
        sent.turn = None;
        Some((sent.part, sent.checksum, sent.answer?))
    }

    /// Waits until there is none on its way, whatever comes of them.
    pub(crate) async fn drain(&mut self) {
        while self.first().await.is_some() {}
    }
}

/// Does something, and keeps parts moving while that has to wait.
pub(crate) async fn beside<T>(in_flight: &mut InFlight<'_>, other: impl Future<Output = T>) -> T {
    let mut other = pin!(other);
    poll_fn(|context| {
        let answer = other.as_mut().poll(context);
        if answer.is_pending() {
            in_flight.poll(context);
        }
        answer
    })
    .await
}
