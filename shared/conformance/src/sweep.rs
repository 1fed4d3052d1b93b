//! The suite of [`SweepStore`], beside the records that it is about.

use std::future::Future;
use std::sync::Arc;

use sluice_ports::{CheckpointStore, Created, Stored, SweepStore};
use sluice_transfer::record::{SweepRecord, TransferRecord};
use sluice_transfer::{State, Timestamp};

use crate::checkpoint::fixtures::{export, id};

/// Runs the suite; `fresh` makes a store without any record each time it is called.
///
/// # Panics
/// Where the store does something else than the port promises, naming what.
pub async fn run<S, F, Fut>(fresh: F)
where
    S: CheckpointStore + SweepStore,
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<S>>,
{
    what_is_kept_moves_by_one_revision(&*fresh().await).await;
    ended_transfers_are_marked_once(&*fresh().await).await;
    a_mark_is_refused_where_the_record_moved_on(&*fresh().await).await;
}

async fn what_is_kept_moves_by_one_revision<S: SweepStore>(store: &S) {
    assert_eq!(store.swept().await.expect("reading what a sweep kept"), None);
    let mut record = SweepRecord { revision: 1, ..SweepRecord::default() };
    record.see(&id("t"), "0123456789abcdef", Timestamp::from_millis(7));
    assert_eq!(store.update_swept(&record).await.expect("writing what a sweep keeps"), Stored::Done);
    assert_eq!(store.swept().await.expect("reading what a sweep kept").as_ref(), Some(&record));
    let mut other = SweepRecord { ended_at: Timestamp::from_millis(9), ..record.clone() };
    assert_eq!(store.update_swept(&other).await.expect("writing what a sweep keeps"), Stored::Mismatch);
    other.revision = 2;
    other.seen.values_mut().for_each(|seen| seen.settling = Some("an execution".to_owned()));
    assert_eq!(store.update_swept(&other).await.expect("writing what a sweep keeps"), Stored::Done);
    assert_eq!(store.update_swept(&other).await.expect("writing it again"), Stored::Done);
    assert_eq!(store.swept().await.expect("reading what a sweep kept"), Some(other));
}

/// Transfers of every state, each under its state's name.
async fn of_every_state<S: CheckpointStore>(store: &S) -> Vec<TransferRecord> {
    let mut made = Vec::new();
    for state in State::ALL {
        let record = TransferRecord { state, ..export(&format!("{state}"), 5) };
        assert_eq!(store.create_transfer(&record).await.expect("making a transfer"), Created::Now);
        made.push(record);
    }
    made
}

async fn unmarked<S: SweepStore>(store: &S, limit: usize) -> Vec<String> {
    let mut ids: Vec<String> =
        store.unmarked(limit).await.expect("listing").iter().map(|record| record.id.to_string()).collect();
    ids.sort();
    ids
}

async fn ended_transfers_are_marked_once<S: CheckpointStore + SweepStore>(store: &S) {
    let made = of_every_state(store).await;
    let mut ended: Vec<String> = State::FINAL.iter().map(ToString::to_string).collect();
    ended.sort();
    assert_eq!(unmarked(store, 99).await, ended);
    assert_eq!(unmarked(store, 2).await.len(), 2, "more than were asked for, or fewer");
    assert_eq!(unmarked(store, 0).await.len(), 0);
    for record in made.iter().filter(|record| record.state.is_final()) {
        let expires = (record.state != State::Cancelled).then(|| Timestamp::from_millis(4_000_000_000_000));
        for _ in 0..2 {
            let marked = store.mark(record, Timestamp::from_millis(1), expires).await.expect("marking");
            assert_eq!(marked, Stored::Done, "a transfer is marked, and may be again");
        }
        let found = store.transfer(&record.id).await.expect("reading a transfer");
        assert_eq!(found.as_ref(), Some(record), "a mark changes nothing of the record");
        ended.retain(|id| *id != record.id.to_string());
        assert_eq!(unmarked(store, 99).await, ended);
    }
}

async fn a_mark_is_refused_where_the_record_moved_on<S: CheckpointStore + SweepStore>(store: &S) {
    let before = TransferRecord { state: State::Completed, ..export("t", 5) };
    store.create_transfer(&before).await.expect("making a transfer");
    let moved = TransferRecord { revision: 2, ..before.clone() };
    assert_eq!(store.update_transfer(&moved).await.expect("writing a transfer"), Stored::Done);
    let at = Timestamp::from_millis(1);
    assert_eq!(store.mark(&before, at, None).await.expect("marking"), Stored::Mismatch);
    assert_eq!(unmarked(store, 9).await, ["t"]);
    let gone = export("gone", 5);
    assert_eq!(store.mark(&gone, at, None).await.expect("marking"), Stored::Mismatch, "nothing is made by a mark");
    assert_eq!(store.transfer(&gone.id).await.expect("reading a transfer"), None);
}
