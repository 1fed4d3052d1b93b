//! Who starts, continues, wakes or only shows a transfer: the same on every host.

use std::sync::Arc;

use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_operations::{Begun, Code, Engine, OperationError, Runner, Settings, Wish, begin, cancel, pause};
use sluice_ports::StreamAdmin;
use sluice_transfer::{Call, ExportRequest, Format, Request, State, Step, TransferId, Wanted};

struct Host {
    engine: Engine,
    id: TransferId,
    request: Request,
}

/// An execution beside which others may be alive, and a process that holds the lock.
const AWS: Runner<'static> = Runner { execution: "b", alone: false, deadline: None };
const LAPTOP: Runner<'static> = Runner { execution: "b", alone: true, deadline: None };

impl Host {
    /// A transfer that execution `a` has begun.
    fn begun() -> Self {
        let (source, bucket) = (MemoryStream::new(), MemoryBucket::new());
        now(source.create(1)).unwrap();
        let places = MemoryPlaces { source, target: MemoryStream::new(), bucket, work: MemoryBucket::new() };
        let engine = Engine {
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            places: Arc::new(places),
            clock: Arc::new(MemoryClock::stepping()),
            settings: Settings::default(),
        };
        let request = Request::Export(ExportRequest {
            format: Some(Format::Avro),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        });
        let host = Self { engine, id: "t".parse().unwrap(), request };
        let first = host.start(Runner { execution: "a", alone: false, deadline: None }).unwrap();
        assert_eq!((first.call, first.before, first.transfer.state), (Call::Slice, false, State::Transferring));
        host
    }

    fn start(&self, runner: Runner<'_>) -> Result<Begun, OperationError> {
        now(begin(&self.engine, &self.id, Wish::Start(&self.request), runner))
    }

    fn resume(&self, runner: Runner<'_>) -> Result<Begun, OperationError> {
        now(begin(&self.engine, &self.id, Wish::Resume, runner))
    }

    /// Takes a step past the operations.
    fn step(&self, step: Step) {
        let mut record = now(self.engine.checkpoints.transfer(&self.id)).unwrap().unwrap();
        record.step(step).unwrap();
        record.revision += 1;
        now(self.engine.checkpoints.update_transfer(&record)).unwrap();
    }
}

/// What was begun with: that it was there, its first call, and who runs it.
fn seen(begun: Result<Begun, OperationError>) -> (bool, Call, String) {
    let begun = begun.unwrap();
    (begun.before, begun.call, begun.transfer.execution)
}

fn refused(begun: Result<Begun, OperationError>) -> Code {
    begun.unwrap_err().code
}

#[test]
fn one_that_runs_is_shown_unless_its_runner_is_gone() {
    let host = Host::begun();
    assert_eq!(seen(host.start(AWS)), (true, Call::End, "a".to_owned()), "a runs it");
    assert_eq!(
        seen(host.start(Runner { execution: "a", alone: false, deadline: None })),
        (true, Call::Slice, "a".to_owned())
    );
    assert_eq!(seen(host.start(LAPTOP)), (true, Call::Slice, "b".to_owned()), "the lock says that a is gone");
    let host = Host::begun();
    assert_eq!(seen(host.resume(AWS)), (true, Call::Slice, "b".to_owned()), "it is told to take over");
    host.step(Step::Drained);
    assert_eq!(seen(host.resume(AWS)), (true, Call::Finish, "b".to_owned()));
}

#[test]
fn one_that_is_to_rest_wakes_up_where_nobody_else_can_be_bringing_it_to_rest() {
    let host = Host::begun();
    let generation = now(pause(&host.engine, &host.id)).unwrap().generation;
    assert_eq!(seen(host.start(AWS)), (true, Call::Settle(None), "a".to_owned()));
    let woken = host.start(LAPTOP).unwrap();
    assert_eq!((woken.call, woken.transfer.wanted), (Call::Slice, Wanted::Running));
    assert_eq!(woken.transfer.generation, generation + 1, "late slices of before are shut out");
}

#[test]
fn one_at_rest_wakes_up() {
    for step in [Step::Paused, Step::Failed] {
        for runner in [AWS, LAPTOP] {
            let host = Host::begun();
            host.step(step);
            assert_eq!(seen(host.start(runner)), (true, Call::Slice, "b".to_owned()));
            let host = Host::begun();
            host.step(step);
            assert_eq!(seen(host.resume(runner)), (true, Call::Slice, "b".to_owned()));
        }
    }
}

#[test]
fn one_that_is_being_cancelled_is_given_up_and_not_resumed() {
    let host = Host::begun();
    now(cancel(&host.engine, &host.id)).unwrap();
    for begun in [host.start(AWS), host.start(LAPTOP), host.resume(LAPTOP)] {
        assert_eq!(seen(begun), (true, Call::Settle(None), "a".to_owned()));
    }
    assert_eq!(refused(host.resume(AWS)), Code::IllegalState);
    // Whose runner is gone is given up, whatever its id is asked for now.
    let mut host = host;
    let Request::Export(request) = &mut host.request else { panic!("an export") };
    request.format = Some(Format::Raw);
    assert_eq!(seen(host.start(LAPTOP)), (true, Call::Settle(None), "a".to_owned()));
    assert_eq!(refused(host.start(AWS)), Code::RequestDiffers);
}

#[test]
fn one_at_its_end_is_shown() {
    let host = Host::begun();
    host.step(Step::Drained);
    host.step(Step::Verified);
    for begun in [host.start(AWS), host.start(LAPTOP), host.resume(LAPTOP)] {
        assert_eq!(seen(begun), (true, Call::End, "a".to_owned()));
    }
    assert_eq!(refused(host.resume(AWS)), Code::IllegalState, "an execution that does nothing says so");
    let host = Host::begun();
    host.step(Step::Cancelled);
    for runner in [AWS, LAPTOP] {
        assert_eq!(seen(host.start(runner)), (true, Call::End, "a".to_owned()));
        assert_eq!(refused(host.resume(runner)), Code::IllegalState);
    }
}

#[test]
fn another_request_and_an_unknown_id_are_refused() {
    let mut host = Host::begun();
    let Request::Export(request) = &mut host.request else { panic!("an export") };
    request.format = Some(Format::Raw);
    assert_eq!(refused(host.start(LAPTOP)), Code::RequestDiffers);
    host.id = "other".parse().unwrap();
    assert_eq!(refused(host.resume(LAPTOP)), Code::TransferNotFound);
}
