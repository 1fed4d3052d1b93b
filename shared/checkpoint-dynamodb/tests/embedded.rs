//! The adapter over the embedded server: the suite, several handles on one file, lost answers.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use sluice_checkpoint_dynamodb::DynamoCheckpoints;
use sluice_dynamodb_embedded::{EmbeddedConnector, EmbeddedDynamo};
use sluice_ports::{CheckpointStore, Created, ErrorKind, Stored, conformance};
use sluice_transfer::record::{DestinationRecord, LedgerPage, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range};

const TABLE: &str = "sluice";

async fn over(client: Client) -> DynamoCheckpoints {
    let store = DynamoCheckpoints::new(client, TABLE);
    store.ensure_table().await.unwrap();
    store
}

async fn at(path: &Path) -> DynamoCheckpoints {
    over(EmbeddedDynamo::open(path).unwrap().client()).await
}

fn shard() -> ShardRecord {
    let idle = DestinationRecord::new(Position::Beginning);
    let work = Work::Export([(DestinationName::only(), idle)].into());
    let range = Range { from: Position::Beginning, until: Position::End };
    ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, work)
}

fn pages(text: &str) -> [(DestinationName, LedgerPage); 1] {
    let page = LedgerPage { version: 1, object: text.len() as u64, incarnation: 0, index: 0, entries: Vec::new() };
    [(DestinationName::only(), page)]
}

#[tokio::test]
async fn it_conforms_in_memory() {
    conformance::checkpoint::run(|| async {
        Arc::new(over(EmbeddedDynamo::memory().unwrap().client()).await) as Arc<dyn CheckpointStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    conformance::checkpoint::run(|| async {
        let path = dir.path().join(format!("{}.db", made.fetch_add(1, Ordering::Relaxed)));
        Arc::new(at(&path).await) as Arc<dyn CheckpointStore>
    })
    .await;
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    let first = shard();
    let second = ShardRecord { revision: 2, epoch: 1, ..first.clone() };
    {
        let store = at(&path).await;
        assert_eq!(store.create_shard(&first).await.unwrap(), Created::Now);
        assert_eq!(store.update_shard(&second, &pages("a")).await.unwrap(), Stored::Done);
    }
    let store = at(&path).await;
    assert_eq!(store.shard(&first.transfer, &first.shard).await.unwrap(), Some(second));
    let ledger = store.ledger(&first.transfer, &first.shard, &DestinationName::only(), 1).await.unwrap();
    assert_eq!(ledger, [pages("a")[0].1.clone()]);
}

/// Adds one to `slices` so many times, each as a read and a conditional write; answers how often it lost.
async fn increments(store: DynamoCheckpoints, name: &str, times: u64) -> u64 {
    let (template, mut lost) = (shard(), 0);
    for i in 0..times {
        loop {
            let mut record = store.shard(&template.transfer, &template.shard).await.unwrap().unwrap();
            record.slices += 1;
            record.revision += 1;
            record.claim(
                &format!("{name}-{i}"),
                1,
                sluice_transfer::Timestamp::from_millis(0),
                record.pace.at,
                &sluice_transfer::record::Proof::SoleOwner,
            );
            let pages = pages(name);
            match store.update_shard(&record, &pages[..usize::from(i % 2 == 0)]).await.unwrap() {
                Stored::Done => break,
                Stored::Mismatch => lost += 1,
            }
        }
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_handles_on_one_file_lose_no_increment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    let store = at(&path).await;
    store.create_shard(&shard()).await.unwrap();
    let (a, b, c) = (at(&path).await, at(&path).await, at(&path).await);
    let lost = tokio::join!(increments(a, "a", 100), increments(b, "bb", 100), increments(c, "ccc", 100));
    let record = store.shard(&shard().transfer, &shard().shard).await.unwrap().unwrap();
    assert_eq!((record.slices, record.revision, record.epoch), (300, 301, 300), "{lost:?}");
    assert!(lost.0 + lost.1 + lost.2 > 0, "they never met, so this shows nothing");
}

/// Carries requests out and loses the answers to some: those of one operation, so many of them.
#[derive(Debug)]
struct Lossy {
    inner: EmbeddedConnector,
    operation: &'static str,
    to_lose: Arc<AtomicUsize>,
}

impl HttpConnector for Lossy {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let hit = request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(self.operation));
        let lose =
            hit && self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if lose { Err(ConnectorError::io("the connection broke".into())) } else { Ok(answer) }
        })
    }
}

/// A store with a shard in it that will lose so many answers, and one on the same data that will not.
async fn lossy(operation: &'static str) -> (DynamoCheckpoints, DynamoCheckpoints, Arc<AtomicUsize>) {
    let server = EmbeddedDynamo::memory().unwrap();
    let sound = over(server.client()).await;
    sound.create_shard(&shard()).await.unwrap();
    let to_lose = Arc::new(AtomicUsize::new(0));
    let connector = Lossy { inner: server.connector(), operation, to_lose: to_lose.clone() };
    (DynamoCheckpoints::new(EmbeddedDynamo::client_through(connector), TABLE), sound, to_lose)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_landed_without_an_answer_is_done() {
    for (operation, pages) in [("PutItem", &[][..]), ("TransactWriteItems", &pages("x")[..])] {
        let (store, sound, to_lose) = lossy(operation).await;
        let mut record = shard();
        for times in 1..4 {
            to_lose.store(times, Ordering::SeqCst);
            record.revision += 1;
            record.epoch += 1;
            assert_eq!(store.update_shard(&record, pages).await.unwrap(), Stored::Done, "{operation}");
            assert_eq!(to_lose.load(Ordering::SeqCst), 0, "{operation}: nothing was lost, so this shows nothing");
            assert_eq!(sound.shard(&record.transfer, &record.shard).await.unwrap().as_ref(), Some(&record));
        }
        // Somebody else's record under the same revision is still a mismatch.
        to_lose.store(1, Ordering::SeqCst);
        let other = ShardRecord { slices: 99, ..record.clone() };
        assert_eq!(store.update_shard(&other, pages).await.unwrap(), Stored::Mismatch, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_answered_may_have_happened() {
    for (operation, pages) in [("PutItem", &[][..]), ("TransactWriteItems", &pages("x")[..])] {
        let (store, sound, to_lose) = lossy(operation).await;
        to_lose.store(usize::MAX, Ordering::SeqCst);
        let record = ShardRecord { revision: 2, ..shard() };
        let error = store.update_shard(&record, pages).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(error.to_string().contains("transfer#t#shard#0 SHARD"), "{error}");
        assert_eq!(sound.shard(&record.transfer, &record.shard).await.unwrap(), Some(record.clone()));
        to_lose.store(0, Ordering::SeqCst);
        assert_eq!(store.update_shard(&record, pages).await.unwrap(), Stored::Done, "sent again");
    }
    let (store, _, to_lose) = lossy("GetItem").await;
    to_lose.store(usize::MAX, Ordering::SeqCst);
    let error = store.shard(&shard().transfer, &shard().shard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_record_made_without_an_answer_was_there_before() {
    let (store, _, to_lose) = lossy("PutItem").await;
    to_lose.store(1, Ordering::SeqCst);
    let record = ShardRecord { shard: "1".parse().unwrap(), ..shard() };
    assert_eq!(store.create_shard(&record).await.unwrap(), Created::Before(record));
    to_lose.store(1, Ordering::SeqCst);
    let (stream, writer) = ("local:s".parse().unwrap(), "w".parse().unwrap());
    let held = sluice_ports::WriterAnswer::Held;
    assert_eq!(store.reserve_writer(&stream, &writer).await.unwrap(), held);
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let store = DynamoCheckpoints::new(EmbeddedDynamo::memory().unwrap().client(), "nowhere");
    let error = store.shard(&shard().transfer, &shard().shard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere"), "{error}");
    let error = store.create_shard(&shard()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = store.update_shard(&ShardRecord { revision: 2, ..shard() }, &pages("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
