//! A part on its way to the bucket, while the next one is read and packed.
//!
//! **Invariant.** One at a time, and the record says nothing of it before it is known to be stored. So what a crash
//! leaves of it is sent again with the same bytes, as the part before would be.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use futures::future::LocalBoxFuture;
use sluice_ports::PartAnswer;
use sluice_transfer::{Checksum, Packed};

use crate::error::Halt;

type Answer = Result<PartAnswer, Halt>;

/// A part that is being sent.
pub(crate) struct Sending<'a> {
    part: Packed,
    checksum: Checksum,
    call: LocalBoxFuture<'a, Answer>,
    answer: Option<Answer>,
}

impl<'a> Sending<'a> {
    /// Begins the call, so that it goes on while other things are done.
    pub(crate) async fn begin(part: Packed, checksum: Checksum, call: LocalBoxFuture<'a, Answer>) -> Self {
        let mut sending = Self { part, checksum, call, answer: None };
        sending.has_arrived().await;
        sending
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.answer.is_none()
            && let Poll::Ready(answer) = self.call.as_mut().poll(context)
        {
            self.answer = Some(answer);
        }
    }

    /// Whether it is known what came of it; does not wait.
    pub(crate) async fn has_arrived(&mut self) -> bool {
        poll_fn(|context| {
            self.poll(context);
            Poll::Ready(self.answer.is_some())
        })
        .await
    }

    /// Waits for the answer.
    pub(crate) async fn landed(self) -> (Packed, Checksum, Answer) {
        let answer = match self.answer {
            Some(answer) => answer,
            None => self.call.await,
        };
        (self.part, self.checksum, answer)
    }
}

/// Does something, and keeps a part moving while that has to wait.
pub(crate) async fn beside<T>(sending: &mut Option<Sending<'_>>, other: impl Future<Output = T>) -> T {
    let mut other = pin!(other);
    poll_fn(|context| {
        let answer = other.as_mut().poll(context);
        if answer.is_pending()
            && let Some(sending) = sending
        {
            sending.poll(context);
        }
        answer
    })
    .await
}
