//! The ports as an actor sees them: real in-memory stores behind everything that can go wrong.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use sluice_ports::{
    Appended, Appends, BucketStore, Capabilities, CompleteAnswer, Error, ErrorKind, Intake, Listed, Made, Metadata,
    NewEvent, ObjectInfo, OpenUpload, PartAnswer, Promises, PutAnswer, Read, ReadLimit, Reservation, Result,
    StreamAdmin, StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{
    Checksum, Counts, Order, Placement, Position, Range, ReadShare, ShardId, Timestamp, TransferId, UploadId,
};

use crate::world::{ActorId, Fault, Sleep, World};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A store behind faults, for one actor.
pub(crate) struct Faulty<S: ?Sized> {
    pub world: Arc<World>,
    pub actor: ActorId,
    pub inner: Arc<S>,
}

impl<S: ?Sized + Send + Sync + 'static> Faulty<S> {
    pub(crate) fn new(world: &Arc<World>, actor: ActorId, inner: Arc<S>) -> Self {
        Self { world: world.clone(), actor, inner }
    }

    pub(crate) async fn die<T>(&self) -> Result<T> {
        self.world.kill(self.actor);
        std::future::pending().await
    }

    pub(crate) fn lost<T>(name: &str) -> Result<T> {
        Err(Error::new(ErrorKind::Indeterminate, format!("the answer to {name} was lost")))
    }

    async fn call<T: Send + 'static>(
        &self,
        name: &str,
        writes: bool,
        run: impl FnOnce(Arc<S>) -> Boxed<T> + Send + 'static,
    ) -> Result<T> {
        self.world.pause().await;
        let fault = self.world.draw(writes);
        self.world.note(|| match fault {
            Some(fault) => format!("actor {:<3} {name}  <- {fault:?}", self.actor),
            None => format!("actor {:<3} {name}", self.actor),
        });
        if writes {
            // Before it runs: between the two nobody else does.
            self.world.touch();
        }
        let inner = self.inner.clone();
        match fault {
            None => run(inner).await,
            Some(Fault::Before) => {
                let kind = if self.world.chance(500) { ErrorKind::Throttled } else { ErrorKind::Unavailable };
                Err(Error::new(kind, format!("{name} was refused for now")))
            }
            Some(Fault::After) => {
                let _ = run(inner).await;
                Self::lost(name)
            }
            Some(Fault::SlowBefore(millis)) => {
                Sleep::new(self.world.clone(), millis).await;
                self.world.touch();
                run(inner).await
            }
            Some(Fault::SlowAfter(millis)) => {
                let answer = run(inner).await;
                Sleep::new(self.world.clone(), millis).await;
                answer
            }
            Some(Fault::Late(millis)) => {
                let (world, actor, name) = (self.world.clone(), self.actor, name.to_owned());
                let note = name.clone();
                let landing = move || {
                    world.note(|| format!("actor {actor:<3} {note} lands late"));
                    world.touch();
                    // The stores in memory answer at once.
                    let _ = run(inner).now_or_never();
                };
                self.world.later(millis, Box::new(landing));
                self.world.pause().await;
                Self::lost(&name)
            }
            Some(Fault::KillBefore) => self.die().await,
            Some(Fault::KillAfter) => {
                let _ = run(inner).await;
                self.die().await
            }
        }
    }
}

/// `call!(self, "name", writes, inner, owned = arg.to_owned(), … => inner.method(&owned).await)`
macro_rules! call {
    ($self:ident, $writes:expr, $name:expr, $inner:ident, [$($owned:ident = $value:expr),*], $body:expr) => {{
        $(let $owned = $value;)*
        $self.call(&$name, $writes, move |$inner| Box::pin(async move { $body })).await
    }};
}

mod records;

#[async_trait]
impl StreamReader for Faulty<dyn StreamStore> {
    async fn describe(&self) -> Result<StreamInfo> {
        call!(self, false, "stream.describe", inner, [], inner.describe().await)
    }

    async fn list(&self) -> Result<StreamListing> {
        call!(self, false, "stream.list", inner, [], inner.list().await)
    }

    async fn facts(&self) -> Result<StreamFacts> {
        call!(self, false, "stream.facts", inner, [], inner.facts().await)
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        call!(
            self,
            false,
            format!("stream.read {shard} {from}"),
            inner,
            [shard = shard.clone(), from = from.clone()],
            inner.read(&shard, &from, limit).await
        )
    }

    fn share_reading(&self, share: ReadShare) {
        self.inner.share_reading(share);
    }

    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        self.inner.reader_name(transfer, place)
    }

    async fn register_reader(&self, name: &str) -> Result<()> {
        call!(self, true, "stream.register_reader", inner, [name = name.to_owned()], inner.register_reader(&name).await)
    }

    async fn remove_reader(&self, name: &str) -> Result<()> {
        call!(self, true, "stream.remove_reader", inner, [name = name.to_owned()], inner.remove_reader(&name).await)
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        call!(self, false, "stream.position_at", inner, [shard = shard.clone()], inner.position_at(&shard, time).await)
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        call!(
            self,
            false,
            "stream.measure",
            inner,
            [shard = shard.clone(), range = range.clone()],
            inner.measure(&shard, &range).await
        )
    }
}

#[async_trait]
impl StreamAdmin for Faulty<dyn StreamStore> {
    async fn create(&self, shards: u32) -> Result<Made> {
        call!(self, true, "stream.create", inner, [], inner.create(shards).await)
    }

    fn create_command(&self, shards: u32) -> Option<String> {
        self.inner.create_command(shards)
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        call!(self, true, "stream.reserve", inner, [writer = writer.clone()], inner.reserve(&writer).await)
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        call!(self, true, "stream.release", inner, [writer = writer.clone()], inner.release(&writer).await)
    }

    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.inner.trim(shard, before).await
    }
}

#[async_trait]
impl StreamStore for Faulty<dyn StreamStore> {
    fn promises(&self) -> Promises {
        self.inner.promises()
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.inner.as_stored(event)
    }

    fn intake(&self) -> Option<Intake> {
        self.inner.intake()
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        let name = format!("stream.writer {shard}");
        call!(
            self,
            false,
            name,
            inner,
            [shard = shard.clone(), fence = fence.cloned()],
            inner.writer(&shard, fence.as_ref()).await.map(drop)
        )?;
        Ok(Box::new(FaultyWriter { store: self, shard: shard.clone(), fence: fence.cloned() }))
    }
}

/// A writer behind the same faults. An append may land when the writer that made it is gone: each opens its own in the
/// store behind.
pub(crate) struct FaultyWriter<'s> {
    pub store: &'s Faulty<dyn StreamStore>,
    pub shard: ShardId,
    pub fence: Option<TransferId>,
}

#[async_trait]
impl StreamWriter for FaultyWriter<'_> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        if self.store.inner.promises().appends == Appends::ByKey {
            return self.append_in_order(expected, events, (Placement::AsSource, Order::Key)).await;
        }
        let Self { store, shard, fence } = self;
        let name = format!("stream.append {shard} {} events at {expected}", events.len());
        call!(
            store,
            true,
            name,
            inner,
            [shard = shard.clone(), fence = fence.clone(), expected = expected.clone(), events = events.to_vec()],
            inner.writer(&shard, fence.as_ref()).await?.append(&expected, &events).await
        )
    }

    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.append_ordered(expected, events, (Placement::Key, Order::Key)).await
    }

    async fn append_ordered(
        &self,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        if self.store.inner.promises().appends == Appends::ByKey {
            return self.append_in_order(expected, events, way).await;
        }
        let Self { store, shard, fence } = self;
        let name = format!("stream.append {shard} {} events at {expected}, order {}", events.len(), way.1.name());
        call!(
            store,
            true,
            name,
            inner,
            [shard = shard.clone(), fence = fence.clone(), expected = expected.clone(), events = events.to_vec()],
            inner.writer(&shard, fence.as_ref()).await?.append_ordered(&expected, &events, way).await
        )
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl BucketStore for Faulty<dyn BucketStore> {
    async fn capabilities(&self) -> Result<Capabilities> {
        call!(self, false, "bucket.capabilities", inner, [], inner.capabilities().await)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        call!(self, false, format!("bucket.head {key}"), inner, [key = key.to_owned()], inner.head(&key).await)
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        call!(
            self,
            false,
            format!("bucket.get {key} {offset}"),
            inner,
            [key = key.to_owned(), pin = pin.map(str::to_owned)],
            inner.get(&key, pin.as_deref(), offset, len).await
        )
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        call!(
            self,
            true,
            format!("bucket.put {key} {} bytes", bytes.len()),
            inner,
            [key = key.to_owned(), metadata = metadata.clone()],
            inner.put(&key, bytes, checksum, &metadata).await
        )
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        call!(
            self,
            true,
            format!("bucket.create_upload {key}"),
            inner,
            [key = key.to_owned(), metadata = metadata.clone()],
            inner.create_upload(&key, &metadata).await
        )
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        // Several are on their way at once, and answer in any order.
        for _ in 0..self.world.within(0, 3) {
            self.world.pause().await;
        }
        if self.world.refuses(&upload.0, number) {
            self.world.note(|| format!("actor {:<3} bucket.upload_part {key} number {number}  <- refused", self.actor));
            return Err(Error::new(ErrorKind::Unavailable, "bucket.upload_part was refused for now"));
        }
        let name = format!("bucket.upload_part {key} {} number {number}, {} bytes", upload.0, bytes.len());
        call!(
            self,
            true,
            name,
            inner,
            [key = key.to_owned(), upload = upload.clone()],
            inner.upload_part(&key, &upload, number, offset, bytes, checksum).await
        )
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        call!(
            self,
            false,
            format!("bucket.list_parts {key}"),
            inner,
            [key = key.to_owned(), upload = upload.clone()],
            inner.list_parts(&key, &upload).await
        )
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        call!(
            self,
            true,
            format!("bucket.complete {key} {} of {} parts", upload.0, parts.len()),
            inner,
            [key = key.to_owned(), upload = upload.clone(), parts = parts.to_vec()],
            inner.complete(&key, &upload, &parts, checksum).await
        )
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        call!(
            self,
            true,
            format!("bucket.abort {key} {}", upload.0),
            inner,
            [key = key.to_owned(), upload = upload.clone()],
            inner.abort(&key, &upload).await
        )
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        call!(
            self,
            false,
            "bucket.list",
            inner,
            [prefix = prefix.to_owned(), after = after.map(str::to_owned)],
            inner.list(&prefix, after.as_deref(), limit).await
        )
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        call!(
            self,
            false,
            "bucket.list_uploads",
            inner,
            [prefix = prefix.to_owned()],
            inner.list_uploads(&prefix).await
        )
    }
}
