//! A source that was deleted and made again under its name is another stream: an export does not go on with it.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_kit::{Layered, OtherPlaces, Rig, StreamLayer, append, shard};
use sluice_memory::{MemoryStream, now};
use sluice_operations::{
    Code, Finish, Settings, Settled, SliceOrder, SliceOutcome, cancel, describe, export_slice, finish, plan, settle,
};
use sluice_ports::{NewEvent, Read, ReadLimit, Result, StreamAdmin, StreamReader, StreamStore};
use sluice_transfer::record::Config;
use sluice_transfer::{Budget, Position, Request, Sequence, ShardId, State, Timestamp, TransferId, Value};

fn events(count: usize, byte: u8) -> Vec<NewEvent> {
    let payload = Value::from(vec![byte; 10]);
    vec![NewEvent { time: Timestamp::default(), key: Value::Absent, headers: Vec::new(), payload }; count]
}

/// A source of one shard with 20 events, and a planned export of it.
fn planned() -> (Rig, TransferId) {
    let rig = Rig::new(Settings { read_events: 3, wind_down_millis: 0, ..Settings::default() }, &[events(20, b'a')]);
    let id: TransferId = "export".parse().unwrap();
    now(plan(&rig.engine, &id, &request(), "test")).unwrap();
    (rig, id)
}

fn request() -> Request {
    let text = r#"{"export":{"stream":"memory:source","to":"memory:archive","format":"raw","objectSize":20}}"#;
    serde_json::from_str(text).unwrap()
}

/// Deleted, and made again with as many other events.
fn replace(source: &MemoryStream) {
    source.delete();
    now(source.create(1)).unwrap();
    append(source, 0, &Position::Beginning, &events(20, b'b'));
}

fn order(rig: &Rig, id: &TransferId, events: u64) -> SliceOrder {
    let order = rig.order(id, 1_000_000);
    SliceOrder { budget: Budget { events: Some(events), ..order.budget }, ..order }
}

fn slice(rig: &Rig, id: &TransferId, events: u64) -> SliceOutcome {
    now(export_slice(&rig.engine, &order(rig, id, events))).unwrap()
}

/// The slice fails for good, the transfer with it, and it can be cancelled.
fn is_refused(rig: &Rig, id: &TransferId, outcome: SliceOutcome, moved: u64) {
    let SliceOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, Code::SourceChanged.to_string());
    assert!(failure.message.contains("was deleted and made again"), "{}", failure.message);
    assert!(Code::SourceChanged.is_for_good());
    let order = rig.order(id, 1_000_000);
    assert_eq!(now(settle(&rig.engine, &order, Some(failure))), Ok(Settled::Ended));
    let report = now(describe(&rig.engine, id)).unwrap();
    assert_eq!((report.state, report.events), (State::Failed, moved));
    now(cancel(&rig.engine, id)).unwrap();
    assert_eq!(now(settle(&rig.engine, &order, None)), Ok(Settled::Ended));
    assert_eq!(now(describe(&rig.engine, id)).unwrap().state, State::Cancelled);
}

#[test]
fn an_export_that_has_begun_is_refused() {
    let (rig, id) = planned();
    assert_eq!(slice(&rig, &id, 4), SliceOutcome::More);
    replace(&rig.source);
    let outcome = slice(&rig, &id, 100);
    is_refused(&rig, &id, outcome, 4);
}

#[test]
fn an_export_that_nobody_began_is_refused_too() {
    let (rig, id) = planned();
    replace(&rig.source);
    let outcome = slice(&rig, &id, 100);
    is_refused(&rig, &id, outcome, 0);
}

#[test]
fn a_plan_that_was_cut_off_is_not_resolved_against_another_stream() {
    let (rig, id) = planned();
    // As if its shards had not gone on record.
    let mut record = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
    record.revision += 1;
    record.state = State::Preparing;
    now(rig.engine.checkpoints.update_transfer(&record)).unwrap();
    replace(&rig.source);
    assert_eq!(now(plan(&rig.engine, &id, &request(), "test")).unwrap_err().code, Code::SourceChanged);
}

/// A record of an earlier version does not know when its source was made.
#[test]
fn where_nothing_is_noted_nothing_is_checked() {
    let (rig, id) = planned();
    let mut record = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
    let Config::Export(config) = &mut record.config else { panic!("an export") };
    assert!(config.source_created.take().is_some(), "the plan notes it");
    record.revision += 1;
    now(rig.engine.checkpoints.update_transfer(&record)).unwrap();
    replace(&rig.source);
    assert_eq!(slice(&rig, &id, 100), SliceOutcome::Done);
}

#[test]
fn what_was_read_to_its_end_needs_no_source() {
    let (rig, id) = planned();
    assert_eq!(slice(&rig, &id, 100), SliceOutcome::Done);
    replace(&rig.source);
    assert_eq!(slice(&rig, &id, 100), SliceOutcome::Done);
    let order = rig.order(&id, 1_000_000);
    assert_eq!(now(settle(&rig.engine, &order, None)), Ok(Settled::Finish));
    assert_eq!(now(finish(&rig.engine, &order)), Ok(Finish::Ended));
    assert_eq!(now(describe(&rig.engine, &id)).unwrap().state, State::Completed);
}

/// A stream that is replaced with the read that meets its end: the new one says that the old events are gone.
struct Replaced(MemoryStream);

#[async_trait]
impl StreamLayer for Replaced {
    fn inner(&self) -> &dyn StreamStore {
        &self.0
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        if *from < Position::After(Sequence::new(7)) {
            return self.0.read(shard, from, limit).await;
        }
        replace(&self.0);
        self.0.trim(shard, &Position::After(Sequence::new(15))).await?;
        self.0.read(shard, from, limit).await
    }
}

#[test]
fn in_the_middle_of_a_slice_it_is_no_gap() {
    let mut rig = Rig::new(Settings { read_events: 3, wind_down_millis: 0, ..Settings::default() }, &[vec![]]);
    replace(&rig.target);
    let target: Arc<dyn StreamStore> = Arc::new(Layered(Replaced(rig.target.clone())));
    let (places, archive) = (rig.engine.places.clone(), Arc::new(rig.bucket.clone()));
    rig.engine.places = Arc::new(OtherPlaces { places, archive, target: Some(target) });
    let id: TransferId = "export".parse().unwrap();
    let request = r#"{"export":{"stream":"memory:target","to":"memory:archive","format":"raw","objectSize":20}}"#;
    now(plan(&rig.engine, &id, &serde_json::from_str(request).unwrap(), "test")).unwrap();
    let outcome = slice(&rig, &id, 100);
    let SliceOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, Code::SourceChanged.to_string());
    let record = now(rig.engine.checkpoints.shard(&id, &shard(0))).unwrap().unwrap();
    assert_eq!(record.gaps(), 0);
}
