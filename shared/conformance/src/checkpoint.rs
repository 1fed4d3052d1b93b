//! The suite of [`CheckpointStore`].

pub(crate) mod fixtures;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use sluice_ports::{CheckpointStore, Created, Stored, WriterAnswer};
use sluice_transfer::record::{LedgerPage, Look, Owner, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ReadShare, State, Timestamp, Wanted};

use self::fixtures::{destination, export, id, page, shard, shard_id, stream};

type Store = Arc<dyn CheckpointStore>;

/// Runs the suite; `fresh` makes a store without any record each time it is called.
///
/// # Panics
/// Where the store does something else than the port promises, naming what.
pub async fn run<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Store>,
{
    every_shape_of_a_transfer_reads_back(&fresh().await).await;
    every_shape_of_a_shard_reads_back(&fresh().await).await;
    nothing_is_found_where_nothing_was_made(&fresh().await).await;
    a_record_is_made_once(&fresh().await).await;
    a_transfer_moves_by_one_revision(&fresh().await).await;
    a_shard_moves_by_one_revision(&fresh().await).await;
    of_two_writers_one_wins(&fresh().await).await;
    pages_go_with_their_record(&fresh().await).await;
    a_ledger_is_read_in_order(&fresh().await).await;
    a_dropped_ledger_is_gone(&fresh().await).await;
    shards_and_transfers_do_not_mix(&fresh().await).await;
    transfers_are_listed_the_youngest_first(&fresh().await).await;
    a_stream_has_one_writer(&fresh().await).await;
    readers_move_by_one_revision(&fresh().await).await;
}

async fn read(store: &Store, record: &ShardRecord) -> Option<ShardRecord> {
    store.shard(&record.transfer, &record.shard).await.expect("reading a shard's record")
}

async fn ledger(store: &Store, record: &ShardRecord, destination: &DestinationName, pages: u32) -> Vec<LedgerPage> {
    store.ledger(&record.transfer, &record.shard, destination, pages).await.expect("reading a ledger")
}

async fn create(store: &Store, record: &ShardRecord) {
    let created = store.create_shard(record).await.expect("making a shard's record");
    assert_eq!(created, Created::Now, "a shard's record was there before it was made");
}

/// The record of the next write, by that slice.
fn next(record: &ShardRecord, slice: &str) -> ShardRecord {
    let owner = Owner { slice: slice.to_owned(), lease_until: Timestamp::from_millis(9) };
    ShardRecord { revision: record.revision + 1, owner: Some(owner), ..record.clone() }
}

/// Writes the next revision with these pages.
async fn advance(store: &Store, record: &mut ShardRecord, pages: &[(DestinationName, LedgerPage)]) {
    *record = next(record, &format!("slice-{}", record.revision));
    let stored = store.update_shard(record, pages).await.expect("writing a shard's record");
    assert_eq!(stored, Stored::Done, "the next revision of a shard's record was refused");
}

async fn every_shape_of_a_transfer_reads_back(store: &Store) {
    for record in fixtures::transfers() {
        assert_eq!(store.create_transfer(&record).await.expect("making a transfer"), Created::Now);
        let found = store.transfer(&record.id).await.expect("reading a transfer");
        assert_eq!(found.as_ref(), Some(&record), "a transfer does not read back as it was made");
        let changed = TransferRecord { revision: 2, updated_at: Timestamp::from_micros(7), ..record };
        assert_eq!(store.update_transfer(&changed).await.expect("writing a transfer"), Stored::Done);
        let found = store.transfer(&changed.id).await.expect("reading a transfer");
        assert_eq!(found.as_ref(), Some(&changed), "a transfer does not read back as it was written");
    }
}

async fn every_shape_of_a_shard_reads_back(store: &Store) {
    for mut record in fixtures::shards("t") {
        create(store, &record).await;
        assert_eq!(read(store, &record).await.as_ref(), Some(&record), "a shard does not read back as it was made");
        advance(store, &mut record, &[]).await;
        assert_eq!(read(store, &record).await.as_ref(), Some(&record), "a shard does not read back as it was written");
    }
    // What was present and is absent again must not linger.
    for mut bare in fixtures::shards("u").into_iter().filter(|record| record.owner.is_none()) {
        create(store, &bare).await;
        advance(store, &mut bare, &[]).await;
        bare = ShardRecord { revision: bare.revision + 1, owner: None, ..bare };
        assert_eq!(store.update_shard(&bare, &[]).await.expect("writing a shard's record"), Stored::Done);
        assert_eq!(read(store, &bare).await.as_ref(), Some(&bare), "an owner is there after it was taken away");
    }
}

async fn nothing_is_found_where_nothing_was_made(store: &Store) {
    let record = shard("t", "0");
    assert_eq!(store.transfer(&id("t")).await.expect("reading a transfer"), None);
    assert_eq!(read(store, &record).await, None);
    assert_eq!(ledger(store, &record, &DestinationName::only(), 9).await, Vec::new());
    assert_eq!(store.transfers(&[], 9).await.expect("listing transfers"), Vec::new());
    store.drop_ledger(&id("t"), &shard_id("0")).await.expect("dropping no ledger");
    store.release_writer(&stream("s"), &id("t")).await.expect("releasing what nobody holds");
}

async fn a_record_is_made_once(store: &Store) {
    let first = export("t", 1);
    assert_eq!(store.create_transfer(&first).await.expect("making a transfer"), Created::Now);
    let second = TransferRecord { execution: "another".to_owned(), ..first.clone() };
    let created = store.create_transfer(&second).await.expect("making a transfer again");
    assert_eq!(created, Created::Before(first.clone()), "the answer is not the transfer that was there");
    assert_eq!(store.transfer(&id("t")).await.expect("reading a transfer"), Some(first), "it was overwritten");

    let mut first = shard("t", "0");
    create(store, &first).await;
    advance(store, &mut first, &[]).await;
    let created = store.create_shard(&shard("t", "0")).await.expect("making a shard again");
    assert_eq!(created, Created::Before(first.clone()), "the answer is not the shard's record that was there");
    assert_eq!(read(store, &first).await, Some(first), "a shard's record was overwritten");
}

async fn a_transfer_moves_by_one_revision(store: &Store) {
    let first = export("t", 1);
    let at = |revision| TransferRecord { revision, wanted: Wanted::Paused, ..first.clone() };
    let missing = store.update_transfer(&at(2)).await.expect("writing a transfer that is not there");
    assert_eq!(missing, Stored::Mismatch, "a transfer that was never made was written");
    assert_eq!(store.transfer(&first.id).await.expect("reading a transfer"), None, "an update made a transfer");

    store.create_transfer(&first).await.expect("making a transfer");
    for (revision, expected) in
        [(1, false), (3, false), (u64::MAX, false), (2, true), (2, true), (1, false), (4, false)]
    {
        let stored = store.update_transfer(&at(revision)).await.expect("writing a transfer");
        assert_eq!(stored == Stored::Done, expected, "writing revision {revision}: {stored:?}");
    }
    let found = store.transfer(&first.id).await.expect("reading a transfer");
    assert_eq!(found, Some(at(2)), "a refused write left something");
}

async fn a_shard_moves_by_one_revision(store: &Store) {
    let first = shard("t", "0");
    let at = |revision| ShardRecord { revision, epoch: revision, ..first.clone() };
    let missing = store.update_shard(&at(2), &[]).await.expect("writing a shard that is not there");
    assert_eq!(missing, Stored::Mismatch, "a shard that was never made was written");
    assert_eq!(read(store, &first).await, None, "an update made a shard's record");

    create(store, &first).await;
    // The same write again is answered as if it were the first, so that a lost answer does no harm.
    for (revision, expected) in
        [(1, false), (3, false), (u64::MAX, false), (2, true), (2, true), (1, false), (4, false)]
    {
        let stored = store.update_shard(&at(revision), &[]).await.expect("writing a shard's record");
        assert_eq!(stored == Stored::Done, expected, "writing revision {revision}: {stored:?}");
    }
    let fenced = ShardRecord { epoch: 1, ..at(3) };
    let stored = store.update_shard(&fenced, &[]).await.expect("writing a shard's record");
    assert_eq!(stored, Stored::Mismatch, "a write under an older epoch was accepted");
    let other = ShardRecord { slices: 1, ..at(2) };
    let stored = store.update_shard(&other, &[]).await.expect("writing a shard's record");
    assert_eq!(stored, Stored::Mismatch, "other content under the stored revision was accepted");
    assert_eq!(read(store, &first).await, Some(at(2)), "a refused write left something");
}

async fn of_two_writers_one_wins(store: &Store) {
    let mut record = shard("t", "0");
    create(store, &record).await;
    for round in 0..8 {
        let (a, b) = (next(&record, "a"), next(&record, "b"));
        let pages = [(DestinationName::only(), page(0, &format!("round {round}")))];
        let (pages_a, pages_b) = if round % 2 == 0 { (&pages[..], &[][..]) } else { (&[][..], &[][..]) };
        let (at_a, at_b) = tokio::join!(store.update_shard(&a, pages_a), store.update_shard(&b, pages_b));
        let (at_a, at_b) = (at_a.expect("writing"), at_b.expect("writing"));
        assert_ne!(at_a, at_b, "of two writers of one revision, both or none won");
        record = if at_a == Stored::Done { a } else { b };
        assert_eq!(read(store, &record).await.as_ref(), Some(&record), "the one that won is not what is stored");
    }
    let (a, b) = (export("t", 1), TransferRecord { execution: "other".to_owned(), ..export("t", 1) });
    let (at_a, at_b) = tokio::join!(store.create_transfer(&a), store.create_transfer(&b));
    let won = [at_a.expect("making"), at_b.expect("making")].iter().filter(|made| **made == Created::Now).count();
    assert_eq!(won, 1, "of two makers of one transfer, {won} were told that they made it");
}

async fn pages_go_with_their_record(store: &Store) {
    let main = DestinationName::only();
    let mut record = shard("t", "0");
    create(store, &record).await;
    advance(store, &mut record, &[(main.clone(), page(0, "first"))]).await;
    assert_eq!(ledger(store, &record, &main, 1).await, [page(0, "first")], "a page was not written with its record");

    let stale = ShardRecord { epoch: 99, ..record.clone() };
    let pages = [(main.clone(), page(0, "stale")), (main.clone(), page(1, "stale"))];
    let stored = store.update_shard(&stale, &pages).await.expect("writing a shard's record");
    assert_eq!(stored, Stored::Mismatch, "a stale write with pages was accepted");
    assert_eq!(ledger(store, &record, &main, 9).await, [page(0, "first")], "pages of a refused write were written");
    assert_eq!(read(store, &record).await.as_ref(), Some(&record), "a refused write with pages left something");

    let both = [(main.clone(), page(0, "again")), (main.clone(), page(1, "second"))];
    advance(store, &mut record, &both).await;
    let expected = [page(0, "again"), page(1, "second")];
    assert_eq!(ledger(store, &record, &main, 9).await, expected, "pages were not replaced by later ones");
    let again = store.update_shard(&record, &both).await.expect("writing the same again");
    assert_eq!(again, Stored::Done, "the same write with pages again was refused");

    let unmade = next(&shard("t", "unmade"), "a");
    let stored = store.update_shard(&unmade, &pages).await.expect("writing a shard's record");
    assert_eq!(stored, Stored::Mismatch, "a write with pages to no record was accepted");
    assert_eq!(ledger(store, &unmade, &main, 9).await, [], "pages of no record were written");
}

async fn a_ledger_is_read_in_order(store: &Store) {
    let (main, other) = (DestinationName::only(), destination("main-2"));
    let mut record = shard("t", "0");
    create(store, &record).await;
    // Eleven, not in order, so that texts are not sorted where numbers should be.
    for index in [3, 0, 10, 1, 2, 9, 4, 5, 8, 7, 6] {
        let pages = [(main.clone(), page(index, "m")), (other.clone(), page(index, "o"))];
        advance(store, &mut record, &pages[..if index < 2 { 2 } else { 1 }]).await;
    }
    let all: Vec<_> = (0..11).map(|index| page(index, "m")).collect();
    assert_eq!(ledger(store, &record, &main, 11).await, all, "a ledger's pages are not in order");
    assert_eq!(ledger(store, &record, &main, 3).await, all[..3], "other pages than the first were read");
    assert_eq!(ledger(store, &record, &main, 0).await, [], "pages were read although none were asked for");
    assert_eq!(ledger(store, &record, &main, u32::MAX).await, all, "more were asked for than there are");
    let two = [page(0, "o"), page(1, "o")];
    assert_eq!(ledger(store, &record, &other, 11).await, two, "destinations' ledgers mix");
    assert_eq!(ledger(store, &record, &destination("mai"), 11).await, [], "a name's beginning finds its ledger");
}

async fn a_dropped_ledger_is_gone(store: &Store) {
    let (main, other) = (DestinationName::only(), destination("other"));
    let (mut record, mut beside) = (shard("t", "0"), shard("t", "1"));
    create(store, &record).await;
    create(store, &beside).await;
    for index in 0..30 {
        let pages = [(main.clone(), page(index, "x")), (other.clone(), page(index, "y"))];
        advance(store, &mut record, &pages).await;
    }
    advance(store, &mut beside, &[(main.clone(), page(0, "z"))]).await;
    store.drop_ledger(&record.transfer, &record.shard).await.expect("dropping a ledger");
    for destination in [&main, &other] {
        assert_eq!(ledger(store, &record, destination, 99).await, [], "pages are left of a dropped ledger");
    }
    assert_eq!(read(store, &record).await.as_ref(), Some(&record), "dropping a ledger changed its record");
    assert_eq!(ledger(store, &beside, &main, 9).await, [page(0, "z")], "another shard's ledger was dropped too");
}

async fn shards_and_transfers_do_not_mix(store: &Store) {
    let main = DestinationName::only();
    // Names that could meet if they were joined carelessly.
    let names = [("a", "b-c"), ("a-b", "c"), ("a", "b"), ("a-b", "b"), ("a.shard", "b"), ("META", "SHARD")];
    let mut records: Vec<_> = names.iter().map(|(transfer, name)| shard(transfer, name)).collect();
    for (i, record) in records.iter_mut().enumerate() {
        store.create_transfer(&export(record.transfer.as_str(), 1)).await.expect("making a transfer");
        create(store, record).await;
        record.slices = i as u64;
        advance(store, record, &[(main.clone(), page(0, &format!("{i}")))]).await;
    }
    for (i, record) in records.iter().enumerate() {
        assert_eq!(read(store, record).await.as_ref(), Some(record), "records of two shards mix");
        assert_eq!(ledger(store, record, &main, 9).await, [page(0, &format!("{i}"))], "ledgers of two shards mix");
        let found = store.transfer(&record.transfer).await.expect("reading a transfer");
        assert_eq!(found, Some(export(record.transfer.as_str(), 1)), "transfers and shards mix");
    }
    let listed = store.transfers(&[], 99).await.expect("listing transfers");
    assert_eq!(listed.len(), 4, "shards are listed as transfers, or transfers are not listed");
}

async fn transfers_are_listed_the_youngest_first(store: &Store) {
    // Made in another order than that of their ages, in every state.
    for (i, state) in State::ALL.into_iter().enumerate() {
        let millis = [50, 10, 90, 30, 70, 20, 80, 40, 60, 35][i];
        let record = TransferRecord { state, ..export(&format!("t-{millis}"), millis) };
        store.create_transfer(&record).await.expect("making a transfer");
    }
    let ids =
        |records: Vec<TransferRecord>| records.into_iter().map(|record| record.id.to_string()).collect::<Vec<_>>();
    let all = ["t-90", "t-80", "t-70", "t-60", "t-50", "t-40", "t-35", "t-30", "t-20", "t-10"];
    assert_eq!(ids(store.transfers(&[], 99).await.expect("listing transfers")), all, "not the youngest first");
    assert_eq!(ids(store.transfers(&[], 4).await.expect("listing transfers")), all[..4], "not the youngest four");
    assert_eq!(store.transfers(&[], 0).await.expect("listing transfers"), [], "none were asked for");
    let (first, second) = (State::ALL[2], State::ALL[3]);
    let some = ids(store.transfers(&[second, first], 9).await.expect("listing transfers"));
    assert_eq!(some, ["t-90", "t-30"], "not those of the states that were named");
    assert_eq!(ids(store.transfers(&[second], 1).await.expect("listing transfers")), ["t-30"]);

    let mut moved = store.transfer(&id("t-30")).await.expect("reading a transfer").expect("a transfer");
    moved.state = State::Completed;
    moved.revision += 1;
    assert_eq!(store.update_transfer(&moved).await.expect("writing a transfer"), Stored::Done);
    let listed = store.transfers(&[], 99).await.expect("listing transfers");
    assert_eq!(listed.iter().find(|record| record.id == moved.id), Some(&moved), "a listed transfer is out of date");
    assert_eq!(ids(listed), all, "a transfer that changed its state is listed twice, or not at all");

    for twin in ["twin-b", "twin-a"] {
        store.create_transfer(&export(twin, 5)).await.expect("making a transfer");
    }
    let listed = ids(store.transfers(&[], 99).await.expect("listing transfers"));
    assert_eq!(listed[10..], ["twin-a", "twin-b"], "transfers of one age are not in the order of their ids");
}

async fn a_stream_has_one_writer(store: &Store) {
    let (orders, other) = (stream("orders"), stream("orders-2"));
    let reserve = async |stream, writer: &str| store.reserve_writer(stream, &id(writer)).await.expect("reserving");
    let held_by = |writer: &str| WriterAnswer::HeldBy(id(writer));
    assert_eq!(reserve(&orders, "one").await, WriterAnswer::Held);
    assert_eq!(reserve(&orders, "one").await, WriterAnswer::Held, "the holder is refused what it holds");
    assert_eq!(reserve(&orders, "two").await, held_by("one"), "a stream has two writers");
    assert_eq!(reserve(&other, "two").await, WriterAnswer::Held, "streams mix");

    store.release_writer(&orders, &id("two")).await.expect("releasing what another holds");
    assert_eq!(reserve(&orders, "two").await, held_by("one"), "another's reservation was released");
    store.release_writer(&orders, &id("one")).await.expect("releasing");
    store.release_writer(&orders, &id("one")).await.expect("releasing again");
    assert_eq!(reserve(&orders, "two").await, WriterAnswer::Held, "a released stream is still held");
    assert_eq!(reserve(&orders, "one").await, held_by("two"), "a stream has two writers");
    assert_eq!(reserve(&other, "one").await, held_by("two"), "streams mix");
}

/// Readers of a stream: one alone, then a second one that has to wait, and the first one that takes less.
fn readers(name: &str) -> Vec<ReadersRecord> {
    let mut record = ReadersRecord::new(stream(name));
    let at = Timestamp::from_millis;
    let look = Look { share: ReadShare::HALF, now: at(0), until: at(9), waits_until: at(5), seen_by: Some(at(3)) };
    let looks = ["one", "two", "one"].map(|reader| {
        record.look(&id(reader), look);
        record.revision += 1;
        record.clone()
    });
    looks.to_vec()
}

async fn readers_move_by_one_revision(store: &Store) {
    let update = async |record: &ReadersRecord| store.update_readers(record).await.expect("writing readers");
    let read = async |name: &str| store.readers(&stream(name)).await.expect("reading readers");
    let records = readers("orders");
    assert_eq!(read("orders").await, None, "a stream that nobody reads has readers");
    assert_eq!(update(&records[1]).await, Stored::Mismatch, "there is no revision before the second");
    assert_eq!(read("orders").await, None, "a refused write left something");
    for record in &records {
        assert_eq!(update(record).await, Stored::Done, "the next revision was refused");
        assert_eq!(update(record).await, Stored::Done, "the same write again was refused");
        assert_eq!(read("orders").await.as_ref(), Some(record), "readers do not read back as they were written");
    }
    for stale in &records[..2] {
        assert_eq!(update(stale).await, Stored::Mismatch, "an older revision was accepted");
    }
    let other = ReadersRecord { readers: BTreeMap::new(), ..records[2].clone() };
    assert_eq!(update(&other).await, Stored::Mismatch, "other content under the stored revision was accepted");
    let emptied = ReadersRecord { revision: 4, ..other };
    assert_eq!(update(&emptied).await, Stored::Done, "the next revision was refused");
    assert_eq!(read("orders").await, Some(emptied), "readers that left are there");

    assert_eq!(read("orders-2").await, None, "streams mix");
    let reserved = store.reserve_writer(&stream("orders"), &id("import")).await.expect("reserving");
    assert_eq!(reserved, WriterAnswer::Held, "a stream that is read cannot be written");
    for (a, b) in [("a", "b"), ("c", "d")] {
        let first = |reader: &str| {
            let mut record = readers("race").remove(0);
            record.readers = record.readers.into_values().map(|of| (id(reader), of)).collect();
            record.stream = stream(&format!("race-{a}"));
            record
        };
        let (a, b) = (first(a), first(b));
        let (at_a, at_b) = tokio::join!(store.update_readers(&a), store.update_readers(&b));
        assert_ne!(at_a.expect("writing"), at_b.expect("writing"), "of two first readers, both or none won");
    }
}
