//! The order in which the parts of an upload are written.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sluice_transfer::UploadId;

#[derive(Debug, Default)]
struct Queues {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// Of each upload those who wait, and who has the turn in front.
    waiting: HashMap<UploadId, VecDeque<u64>>,
}

impl Queues {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the parts of an upload be written in the order in which this value and its clones began to send them, so that
/// each lengthens the file. One out of turn lies in front of the file's end: it would first be checked against the
/// whole log, and its stretch given up durably. The order is no promise: others may write to the upload too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Queues>);

impl Turns {
    /// A place in the upload's queue. Does not wait.
    pub(crate) fn take(&self, upload: &UploadId) -> Turn {
        let mut state = self.0.state();
        state.taken += 1;
        let number = state.taken;
        state.waiting.entry(upload.clone()).or_default().push_back(number);
        Turn { queues: Arc::clone(&self.0), upload: upload.clone(), number }
    }
}

/// A place in a queue, which is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    queues: Arc<Queues>,
    upload: UploadId,
    number: u64,
}

impl Turn {
    /// Blocks until all who came before are done.
    pub(crate) fn wait(&self) {
        let is_behind = |state: &mut State| {
            state.waiting.get(&self.upload).and_then(VecDeque::front).is_some_and(|first| *first != self.number)
        };
        drop(self.queues.moved.wait_while(self.queues.state(), is_behind));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queues.state();
        if let Some(queue) = state.waiting.get_mut(&self.upload) {
            queue.retain(|number| *number != self.number);
            if queue.is_empty() {
                state.waiting.remove(&self.upload);
            }
        }
        self.queues.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn upload(name: &str) -> UploadId {
        UploadId(name.to_owned())
    }

    #[test]
    fn turns_come_in_the_order_in_which_they_were_taken() {
        let (turns, id) = (Turns::default(), upload("a"));
        let taken: Vec<_> = (0..20).map(|number| (number, turns.take(&id))).collect();
        let (done, order) = mpsc::channel();
        thread::scope(|scope| {
            // The last one begins to wait first.
            for (number, turn) in taken.into_iter().rev() {
                let done = done.clone();
                scope.spawn(move || {
                    turn.wait();
                    done.send(number).unwrap();
                });
            }
        });
        drop(done);
        assert_eq!(order.iter().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
        assert!(turns.0.state().waiting.is_empty());
    }

    #[test]
    fn who_goes_away_is_waited_for_by_nobody() {
        let (turns, id) = (Turns::default(), upload("a"));
        let (first, second, third) = (turns.take(&id), turns.take(&id), turns.take(&id));
        drop(second);
        drop(first);
        third.wait();
        drop(third);
        turns.take(&id).wait();
    }

    #[test]
    fn uploads_do_not_wait_for_each_other() {
        let turns = Turns::default();
        let first = turns.take(&upload("a"));
        turns.take(&upload("b")).wait();
        first.wait();
    }
}
