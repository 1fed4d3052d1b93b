//! The stores as operations use them: each port behind a decorator that tries a call again while its store is in
//! trouble, and lets no call of a slice run past the slice's deadline.
//!
//! Which calls may happen twice is said once, in the decorator of each port. Business code says what it wants of a
//! store and no more.

// A method that has a body in its port and is left out here would never reach the store behind: each module of a port
// asks clippy for all of them.
#[warn(clippy::missing_trait_methods)]
mod bucket;
#[warn(clippy::missing_trait_methods)]
mod checkpoints;
#[warn(clippy::missing_trait_methods)]
mod deaggregated;
mod patience;
#[warn(clippy::missing_trait_methods)]
mod places;
#[warn(clippy::missing_trait_methods)]
mod stream;

pub(crate) use deaggregated::Deaggregated;
pub(crate) use patience::{Deadline, Patience};

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use futures::FutureExt;
    use sluice_kit::{BucketLayer, Layered, StreamLayer};
    use sluice_memory::{MemoryBucket, MemoryClock, MemoryStream, now};
    use sluice_ports::{
        Appended, Appends, BucketStore, Clock, CompleteAnswer, Error, ErrorKind, NewEvent, ObjectInfo, Read, ReadLimit,
        Result, StreamAdmin, StreamReader, StreamStore, StreamWriter, append_once,
    };
    use sluice_transfer::record::PartEntry;
    use sluice_transfer::{Checksum, Position, Range, Reason, ShardId, Timestamp, UploadId};

    use super::*;
    use crate::error::{Fault, OperationError, Stop};

    fn trouble<T>() -> Result<T> {
        Err(Error::new(ErrorKind::Indeterminate, "nobody knows"))
    }

    /// Knows of no call what became of it.
    #[derive(Default)]
    struct Troubled<S> {
        inner: S,
        calls: Arc<Mutex<Vec<&'static str>>>,
    }

    #[async_trait]
    impl BucketLayer for Troubled<MemoryBucket> {
        fn inner(&self) -> &dyn BucketStore {
            &self.inner
        }

        fn called(&self, name: &'static str, _: bool) {
            self.calls.lock().unwrap().push(name);
        }

        async fn head(&self, _: &str) -> Result<Option<ObjectInfo>> {
            trouble()
        }

        async fn complete(&self, _: &str, _: &UploadId, _: &[PartEntry], _: Checksum) -> Result<CompleteAnswer> {
            trouble()
        }
    }

    #[async_trait]
    impl StreamLayer for Troubled<MemoryStream> {
        fn inner(&self) -> &dyn StreamStore {
            &self.inner
        }

        fn called(&self, name: &'static str, _: bool) {
            self.calls.lock().unwrap().push(name);
        }

        async fn read(&self, _: &ShardId, _: &Position, _: ReadLimit) -> Result<Read> {
            trouble()
        }

        async fn append(&self, _: &dyn StreamWriter, _: &ShardId, _: &Position, _: &[NewEvent]) -> Result<Appended> {
            trouble()
        }
    }

    fn patience(deadline: Option<Deadline>) -> Patience {
        Patience::new(Arc::new(MemoryClock::still()), 3, deadline)
    }

    fn shard() -> ShardId {
        "0".parse().unwrap()
    }

    #[test]
    fn what_may_happen_twice_is_tried_again_and_nothing_else() {
        let troubled = Troubled::<MemoryBucket>::default();
        let calls = troubled.calls.clone();
        let store: Arc<dyn BucketStore> = Arc::new(Layered(troubled));
        let bucket = patience(None).over(store);
        now(bucket.head("a")).unwrap_err();
        let upload = UploadId("u".to_owned());
        now(bucket.complete("a", &upload, &[], Checksum::default())).unwrap_err();
        assert_eq!(*calls.lock().unwrap(), ["head", "head", "head", "complete"]);

        let troubled = Troubled::<MemoryStream>::default();
        let calls = troubled.calls.clone();
        let store: Arc<dyn StreamStore> = Arc::new(Layered(troubled));
        let stream = patience(None).over(store);
        now(stream.read(&shard(), &Position::Beginning, ReadLimit::new(1, 1))).unwrap_err();
        now(append_once(&*stream, &shard(), None, &Position::Beginning, &[])).unwrap_err();
        assert_eq!(*calls.lock().unwrap(), ["read", "read", "read", "append"]);
    }

    #[test]
    fn what_has_a_body_in_the_port_is_the_stores_own() {
        let inner = MemoryBucket::new();
        inner.put_no_object(Reason::Link, "a/link");
        let store: Arc<dyn BucketStore> = Arc::new(inner);
        assert!(!now(patience(None).over(store).left_out("a/")).unwrap().is_empty());

        let inner = MemoryStream::by_key();
        now(inner.create(1)).unwrap();
        let store: Arc<dyn StreamStore> = Arc::new(inner);
        let stream = patience(None).over(store.clone());
        assert_eq!(stream.promises().appends, Appends::ByKey);
        let range = Range { from: Position::Beginning, until: Position::End };
        let count =
            |stream: &dyn StreamReader| now(stream.count_before(&shard(), &range, Timestamp::default())).unwrap();
        assert_eq!(count(&*stream), count(&*store));
    }

    #[test]
    fn a_call_ends_with_the_deadline_and_not_before() {
        let clock = Arc::new(MemoryClock::still());
        let deadline = Deadline::new(clock.now().plus_millis(1_000));
        let patience = Patience::new(clock, 3, Some(deadline.clone()));
        let calls = AtomicU32::new(0);
        let forever = || {
            calls.fetch_add(1, Ordering::Relaxed);
            pending::<Result<()>>()
        };
        assert_eq!(now(patience.again(forever)).unwrap_err().kind(), ErrorKind::Deadline);
        assert_eq!(now(patience.once(pending::<Result<()>>())).unwrap_err().kind(), ErrorKind::Deadline);
        assert_eq!(calls.load(Ordering::Relaxed), 1, "it is not tried again");
        // Whoever has the patience sees it: so far away the clock's deadline never comes.
        deadline.extend(60_000);
        assert!(patience.again(forever).now_or_never().is_none());
        assert!(patience.wait(20_000).now_or_never().is_none());
        now(patience.wait(20)).unwrap();
    }

    #[test]
    fn a_slice_sees_its_deadline_whatever_it_came_through() {
        let late = || Error::new(ErrorKind::Deadline, "too late");
        assert!(matches!(Stop::from(late()), Stop::Deadline));
        assert!(matches!(Stop::from(Fault::from(late())), Stop::Deadline));
        // Where nothing else can be said it is trouble, and no failure of the transfer.
        assert!(matches!(Stop::from(OperationError::from(late())), Stop::Trouble(_)));
        assert!(!late().kind().is_transient());
    }
}
