//! Runs one schedule: an export and an import of what it wrote, with everything that can happen in between.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use sluice_memory::now;
use sluice_operations::{
    Code, Engine, OperationError, Report, Runner, SliceOrder, Verdict, Wish, begin, call, describe, verify,
};
use sluice_ports::{CheckpointStore, StreamAdmin, StreamReader};
use sluice_transfer::record::{Failure as RecordedFailure, Proof};
use sluice_transfer::{Answer, Budget, Call, Course, Kind, Pacing, Planning, Position, Request, State, TransferId};

use crate::checker::{Checker, decode};
use crate::failure::Failure;
use crate::guards::Guard;
use crate::lineage::reshards;
use crate::misfits;
use crate::scenario::{LEASE_MARGIN_MILLIS, Scenario, Stores, before, by_hashes, export_request, import_request};
use crate::scheduler::{Ended, Scheduler, Violation};
use crate::shrink::Edits;
use crate::tally::Tally;
use crate::world::{ActorId, World};

/// Rounds after which a transfer should have ended long ago.
const ROUNDS: u32 = 2_000;
/// Changes of the target's shards in one schedule, at most.
const RESHARDS: u64 = 4;

/// Runs the schedule of a seed, with all guards or without one.
pub fn run(seed: u64, without: Option<Guard>, traced: bool) -> Result<Tally, Box<Failure>> {
    run_edited(seed, without, &Edits::default(), traced)
}

/// Runs what edits leave of the schedule of a seed.
pub fn run_edited(seed: u64, without: Option<Guard>, edits: &Edits, traced: bool) -> Result<Tally, Box<Failure>> {
    let mut scenario = Scenario::draw(seed).edited(edits);
    let world = World::new(seed, traced, edits.clone());
    let stores = Stores::new(&world, &mut scenario, without);
    let events = scenario.events.iter().map(Vec::len).max().unwrap_or_default();
    world.note(|| scenario.to_string());
    let mut host = Host {
        checker: Checker::new(world.clone(), stores.clone(), scenario.clone()),
        scheduler: Scheduler::new(world.clone()),
        world: world.clone(),
        stores,
        scenario,
        tally: Tally::default(),
    };
    let outcome = host.schedule();
    host.tally.calls = world.steps();
    match outcome {
        Ok(()) => Ok(host.tally),
        Err(violation) => {
            let (trace, happenings) = (world.take_trace(), world.happenings());
            Err(Box::new(Failure { seed, violation, trace, happenings, events }))
        }
    }
}

struct Host {
    world: Arc<World>,
    stores: Stores,
    scenario: Scenario,
    scheduler: Scheduler,
    checker: Checker,
    tally: Tally,
}

impl Host {
    fn schedule(&mut self) -> Result<(), Violation> {
        let export: TransferId = "export".parse().map_err(|_| "bad id")?;
        let foreign = self.plant_foreign();
        self.world.arm(self.scenario.fault_rate, self.scenario.faults);
        let report = self.transfer(&export, &export_request(&self.scenario))?;
        self.settle_down(&export, &report)?;
        if let Some((key, bytes)) = foreign {
            if self.stores.bucket.read(&key).is_none_or(|there| there != bytes) {
                return Err(format!("the foreign object at {key} was changed"));
            }
            if report.state == State::Failed {
                self.tally.refused += 1;
                return Ok(());
            }
            // Nothing was to be written to shard 0, or it was cancelled first.
            if report.state != State::Cancelled && !self.scenario.events[0].is_empty() && report.gaps == 0 {
                return Err("an export completed over a foreign object".into());
            }
        }
        if report.state == State::Cancelled {
            self.tally.cancelled += 1;
            return match &report.manifest {
                Some(root) => decode(&self.stores.bucket, root, &self.scenario, false, self.world.now()).map(|_| ()),
                None => Ok(()),
            };
        }
        let root = report.manifest.clone().ok_or("a complete export has no manifest")?;
        let mut expected = decode(&self.stores.bucket, &root, &self.scenario, true, self.world.now())?;
        if expected.values().all(Vec::is_empty) && self.scenario.range.take().is_some() {
            // A range of nothing is refused.
            expected = decode(&self.stores.bucket, &root, &self.scenario, true, self.world.now())?;
        }
        self.prove(&export, &report)?;
        self.tally.completed += 1;
        self.tally.gaps += report.gaps;
        self.tally.ranges += u64::from(self.scenario.range.is_some());
        if let Some(shards) = self.scenario.placed {
            expected = by_hashes(expected, shards);
        }
        let misfits = misfits::split_off(&self.stores.target, &mut expected);
        self.checker.expected = Some(expected);
        let import: TransferId = "import".parse().map_err(|_| "bad id")?;
        self.world.arm(self.scenario.fault_rate, self.scenario.faults);
        self.scenario.trims = false;
        let report = self.transfer(&import, &import_request(&self.scenario))?;
        self.settle_down(&import, &report)?;
        if report.state == State::Cancelled {
            self.tally.cancelled += 1;
            return Ok(());
        }
        self.checker.all_arrived()?;
        misfits::all_stored(&self.stores.work, &report, misfits)?;
        self.tally.misfits += u64::from(report.misfits.is_some());
        if self.tally.zombies == 0 && self.world.landed() == 0 {
            let info = now(self.stores.target.describe()).map_err(|error| error.to_string())?;
            if let Some(writer) = info.writer {
                return Err(format!("the target is still reserved for {writer}"));
            }
        }
        self.prove(&import, &report)?;
        self.tally.completed += 1;
        self.tally.by_key += u64::from(self.scenario.by_key);
        self.tally.paced += u64::from(self.scenario.pace.is_some());
        self.tally.placed += u64::from(self.scenario.placed.is_some());
        self.tally.lineages += u64::from(self.scenario.lineage.is_some());
        Ok(())
    }

    /// Puts somebody else's object where the first one of shard 0 should go.
    fn plant_foreign(&self) -> Option<(String, Vec<u8>)> {
        if !self.scenario.foreign {
            return None;
        }
        let shard = "0".parse().ok()?;
        let relative = sluice_transfer::ObjectKeys::object(&shard, 0, &Position::Beginning, self.scenario.encoding);
        let key = format!("export/{relative}");
        self.stores.bucket.put_foreign(&key, b"somebody else's".to_vec());
        Some((key, b"somebody else's".to_vec()))
    }

    /// Lets everyone who was left behind end, then looks at what they leave.
    fn settle_down(&mut self, id: &TransferId, report: &Report) -> Result<(), Violation> {
        self.world.arm(0, 0);
        let checker = &mut self.checker;
        self.scheduler.drain(&mut || checker.step(id))?;
        self.checker.objects_unchanged()?;
        // An upload that somebody given up for dead began after the end is the janitor's; nobody else leaves one.
        let open = self.stores.bucket.open_uploads();
        let haunted = self.tally.zombies > 0 || self.world.landed() > 0;
        // A transfer that failed drops what it can, but its stores may have been in trouble just then.
        let bound = if report.state == State::Failed { self.scenario.faults == 0 } else { true };
        if open > 0 && !haunted && bound {
            return Err(format!("{open} uploads are open at the end"));
        }
        Ok(())
    }

    /// Invariant 6, by the operation itself.
    fn prove(&mut self, id: &TransferId, report: &Report) -> Result<(), Violation> {
        let actor = self.scheduler.next_id();
        let engine = self.stores.engine(&self.world, actor, &self.scenario);
        let of = id.clone();
        let proof = self.scheduler.run(
            actor,
            async move { verify(&engine, &of, &mut |_| {}).await.map_err(|error| error.to_string()) },
            None,
            &mut || Ok(()),
        )?;
        let Ended::Answered(proof) = proof else { return Err("verifying did not answer".into()) };
        let proof = proof?;
        let wanted = match (report.gaps, &report.misfits) {
            (0, None) => Verdict::Proved,
            (0, Some(_)) => Verdict::Misfits,
            _ => Verdict::Gaps,
        };
        if proof.verdict != wanted {
            return Err(format!("{id} is {:?}: {:?}", proof.verdict, proof.findings));
        }
        Ok(())
    }

    /// Runs a transfer to its end by the course that every host follows, resuming it whenever it comes to rest.
    fn transfer(&mut self, id: &TransferId, request: &Request) -> Result<Report, Violation> {
        let pacing = self.pacing();
        let mut course = self.begin(id, Some(request))?;
        let mut last: Option<ActorId> = None;
        for _ in 0..ROUNDS {
            let report = self.report(id)?;
            self.user_acts(id, &report)?;
            course = match &course.call {
                Call::End | Call::GiveUp(_) => match self.ended(id, request)? {
                    ControlFlow::Break(report) => return Ok(report),
                    ControlFlow::Continue(course) => course,
                },
                next => match self.call(id, request.kind(), next.clone(), &mut last)? {
                    Some(answer) => course.after(answer, &pacing),
                    // Another process begins with it, or a workflow sees that the call was not answered.
                    None if self.world.chance(300) => self.begin(id, Some(request))?,
                    None => course.after(Answer::Trouble(unanswered()), &pacing),
                },
            };
            self.world.pass(course.wait_millis);
        }
        let report = self.report(id)?;
        Err(format!("{id} is {} after {ROUNDS} rounds, with {} faults to come", report.state, self.world.faults_left()))
    }

    /// The bounds of the schedule's host.
    fn pacing(&self) -> Pacing {
        Pacing {
            slices: self.world.within(1, 3),
            busy_millis: 30_000,
            idle_millis: 10_000,
            rest_millis: 10_000,
            trouble_millis: self.world.within(0, 200),
            longest_millis: 2_000,
            troubles: 10,
        }
    }

    /// Nobody runs the transfer any more: its report if this is its end, or how it goes on.
    fn ended(&mut self, id: &TransferId, request: &Request) -> Result<ControlFlow<Report, Course>, Violation> {
        let report = self.report(id)?;
        match report.state {
            State::Completed | State::CompletedWithGaps | State::CompletedWithMisfits | State::Cancelled => {
                Ok(ControlFlow::Break(report))
            }
            State::Failed | State::Paused => match self.at_rest(id, report)? {
                Some(report) => Ok(ControlFlow::Break(report)),
                None => self.begin(id, None).map(ControlFlow::Continue),
            },
            // Its plan was paused, its host gave up, or somebody resumed it.
            State::Preparing | State::Transferring | State::Verifying | State::CompletedWithFailures => {
                self.begin(id, Some(request)).map(ControlFlow::Continue)
            }
        }
    }

    /// A transfer at rest: checks that it holds nothing open. Answers the report if this is its end.
    fn at_rest(&mut self, id: &TransferId, report: Report) -> Result<Option<Report>, Violation> {
        if let Some(error) = &report.error {
            self.world.note(|| format!("{id} failed: {} {}", error.code, error.message));
            let code = |code: Code| error.code == code.to_string();
            if code(Code::ForeignObject) && self.scenario.foreign {
                return Ok(Some(report));
            }
            // Stores may be in trouble so often that a transfer gives up; a person tries again.
            let stuck = code(Code::NoMovement) && self.tally.deaths + self.tally.zombies > 10;
            if !code(Code::Unavailable) && !stuck {
                return Err(format!("{id} failed without a reason: {} {}", error.code, error.message));
            }
        } else {
            self.tally.pauses += 1;
            for record in self.records(id)? {
                if !record.is_at_rest() {
                    return Err(format!("{id} is paused with something open in shard {}", record.shard));
                }
            }
            if self.scenario.trims && report.kind == Kind::Export && self.world.happens(600) {
                self.trim()?;
            }
        }
        Ok(None)
    }

    fn records(&self, id: &TransferId) -> Result<Vec<sluice_transfer::record::ShardRecord>, Violation> {
        let transfer = now(self.stores.table.transfer(id)).map_err(|error| error.to_string())?;
        let mut records = Vec::new();
        for shard in transfer.map(|transfer| transfer.shards).unwrap_or_default() {
            records.extend(now(self.stores.table.shard(id, &shard)).map_err(|error| error.to_string())?);
        }
        Ok(records)
    }

    /// The source forgets some of its beginning.
    fn trim(&mut self) -> Result<(), Violation> {
        let shard = self.world.within(0, u64::from(self.scenario.shards) - 1);
        let events = self.scenario.events[usize::try_from(shard).unwrap_or(0)].len() as u64;
        let until = before(self.world.within(0, events));
        self.world.note(|| format!("the source's shard {shard} is trimmed up to {until}"));
        let shard = shard.to_string().parse().map_err(|_| "bad shard")?;
        self.tally.trims += 1;
        now(self.stores.source.trim(&shard, &until)).map_err(|error| error.to_string())
    }

    /// Sometimes the user pauses, or gives up; sometimes the source forgets.
    fn user_acts(&mut self, id: &TransferId, report: &Report) -> Result<(), Violation> {
        if !report.state.is_active() {
            return Ok(());
        }
        if self.world.happens(60) {
            self.world.note(|| format!("the user pauses {id}"));
            self.person(id, |engine, id| {
                Box::pin(async move { sluice_operations::pause(&engine, &id).await.map(|_| ()) })
            })?;
        } else if self.scenario.cancels && self.world.happens(30) {
            self.world.note(|| format!("the user cancels {id}"));
            self.person(id, |engine, id| {
                Box::pin(async move { sluice_operations::cancel(&engine, &id).await.map(|_| ()) })
            })?;
        } else if self.scenario.trims && report.kind == Kind::Export && self.world.happens(50) {
            self.trim()?;
        } else if report.kind == Kind::Import && self.tally.reshards < RESHARDS && self.scenario.lineage.is_some() {
            self.tally.reshards += u64::from(reshards(&self.world, &self.stores.target));
        }
        Ok(())
    }

    /// Something a person does, which may fail like everything else; a person who is not answered lets it be.
    fn person(
        &mut self,
        id: &TransferId,
        what: impl FnOnce(Engine, TransferId) -> Pin<Box<dyn Future<Output = Result<(), OperationError>>>>,
    ) -> Result<(), Violation> {
        let actor = self.scheduler.next_id();
        let engine = self.stores.engine(&self.world, actor, &self.scenario);
        let checker = &mut self.checker;
        match self.scheduler.run(actor, what(engine, id.clone()), None, &mut || checker.step(id))? {
            Ended::Answered(Err(error)) if error.code != Code::IllegalState && error.code != Code::Unavailable => {
                Err(format!("a person was told: {error}"))
            }
            // Died, or too late for what was wanted: then it was not wanted.
            _ => Ok(()),
        }
    }

    fn report(&mut self, id: &TransferId) -> Result<Report, Violation> {
        let stores = self.stores.clone();
        let quiet = World::new(0, false, Edits::default());
        let engine = stores.engine(&quiet, 0, &self.scenario);
        let mut scheduler = Scheduler::new(quiet);
        let of = id.clone();
        match scheduler.run(1, async move { describe(&engine, &of).await }, None, &mut || Ok(()))? {
            Ended::Answered(Ok(report)) => self.checker.reported(&report).map(|()| report),
            Ended::Answered(Err(error)) => Err(format!("{id} cannot be described: {error}")),
            Ended::Died | Ended::LeftBehind => Err(format!("describing {id} did not answer")),
        }
    }

    /// A host begins with a transfer: with its request, or else to resume it. It is asked again until it is answered.
    fn begin(&mut self, id: &TransferId, request: Option<&Request>) -> Result<Course, Violation> {
        let alone = self.world.chance(500) && self.scheduler.is_alone();
        for _ in 0..ROUNDS {
            let actor = self.scheduler.next_id();
            let engine = self.stores.engine(&self.world, actor, &self.scenario);
            let (of, asked) = (id.clone(), request.cloned());
            // Some plans are cut off, and go on with the next call.
            let deadline = self.scenario.plan_millis.map(|millis| self.world.now().plus_millis(millis));
            let checker = &mut self.checker;
            let begun = self.scheduler.run(
                actor,
                async move {
                    let wish = asked.as_ref().map_or(Wish::Resume, Wish::Start);
                    begin(&engine, &of, wish, Runner { execution: "simulated", alone, deadline }).await
                },
                None,
                &mut || checker.step(id),
            )?;
            match begun {
                Ended::Answered(Ok(begun)) => {
                    self.world.note(|| format!("a host begins with {id}: {:?}", begun.call));
                    self.tally.plans += u64::from(begun.call == Call::Plan);
                    return Ok(Course::from(begun.call));
                }
                // Somebody was faster: it is at its end, or being cancelled.
                Ended::Answered(Err(error)) if request.is_none() && error.code == Code::IllegalState => {
                    return Ok(Course::from(Call::Settle(None)));
                }
                Ended::Answered(Err(error)) if error.code != Code::Unavailable => {
                    return Err(format!("{id} cannot be begun with: {} {error}", error.code));
                }
                Ended::Answered(Err(_)) => {}
                Ended::Died | Ended::LeftBehind => self.tally.deaths += 1,
            }
        }
        Err(format!("{id} is not begun with after {ROUNDS} tries"))
    }

    /// The bounds of the next actor, and what it is told of the one before: that it is dead, which may be wrong.
    fn order(&mut self, id: &TransferId, last: &mut Option<ActorId>) -> (u64, SliceOrder) {
        let actor = self.scheduler.next_id();
        let name = |actor: ActorId| format!("slice-{actor}");
        let before = last.replace(actor);
        let proof = match before {
            Some(before) if self.world.chance(700) => Proof::DeadSlice(name(before)),
            Some(_) if self.world.chance(300) => Proof::SoleOwner,
            _ => Proof::None,
        };
        // Where appends are not conditional nothing but the truth will do.
        let false_proof = match proof {
            Proof::DeadSlice(_) => before.is_some_and(|before| self.scheduler.lives(before)),
            Proof::SoleOwner => !self.scheduler.is_alone(),
            Proof::None => false,
        };
        let proof = if self.scenario.by_key && false_proof { Proof::None } else { proof };
        let budget = Budget {
            events: self.scenario.slice_events,
            bytes: self.scenario.slice_bytes,
            deadline: self.world.now().plus_millis(self.world.within(150, 4_000)),
        };
        self.world.end_at(actor, budget.deadline.plus_millis(LEASE_MARGIN_MILLIS));
        self.world.note(|| format!("actor {actor} begins, {proof:?}, until {}", budget.deadline));
        (actor, SliceOrder { id: id.clone(), lane: Vec::new(), slice: name(actor), budget, proof })
    }

    /// How long an actor is waited for: sometimes it is given up while it lives.
    fn patience(&self) -> Option<u64> {
        (self.world.faults_left() > 0 && self.world.happens(120)).then(|| self.world.within(0, 60))
    }

    /// Whether an actor is waited for to its end: that nobody else lives would be no truth any more once another begins
    /// beside it, and where appends are not conditional nothing but the truth will do.
    fn stays(&self, order: &SliceOrder) -> bool {
        self.scenario.by_key && order.proof == Proof::SoleOwner
    }

    fn act<T: 'static>(
        &mut self,
        id: &TransferId,
        actor: u64,
        stays: bool,
        future: impl Future<Output = Result<T, OperationError>> + 'static,
    ) -> Result<Option<T>, Violation> {
        let patience = self.patience().filter(|_| !stays);
        let checker = &mut self.checker;
        match self.scheduler.run(actor, future, patience, &mut || checker.step(id))? {
            Ended::Answered(Ok(value)) => Ok(Some(value)),
            Ended::Answered(Err(error)) if error.code == Code::Unavailable => Ok(None),
            Ended::Answered(Err(error)) => Err(format!("{id}: {} {error}", error.code)),
            Ended::Died => {
                self.world.note(|| format!("actor {actor} died"));
                self.tally.deaths += 1;
                Ok(None)
            }
            Ended::LeftBehind => {
                self.world.note(|| format!("actor {actor} is left behind alive"));
                self.tally.zombies += 1;
                Ok(None)
            }
        }
    }

    /// A call of the course. None if its actor died, or is left behind alive.
    fn call(
        &mut self,
        id: &TransferId,
        kind: Kind,
        next: Call,
        last: &mut Option<ActorId>,
    ) -> Result<Option<Answer>, Violation> {
        let (actor, order) = self.order(id, last);
        let engine = self.stores.engine(&self.world, actor, &self.scenario);
        let stays = self.stays(&order);
        self.tally.slices += u64::from(next == Call::Slice);
        self.world.note(|| format!("actor {actor} is called: {next:?}"));
        let answer = self.act(id, actor, stays, async move { call(&engine, kind, &next, &order).await })?;
        self.world.note(|| format!("actor {actor} answers {answer:?}"));
        self.tally.plans += u64::from(answer == Some(Answer::Plan(Planning::Again)));
        Ok(answer)
    }
}

/// What a workflow says of a call that was not answered.
fn unanswered() -> RecordedFailure {
    RecordedFailure { code: Code::Unavailable.to_string(), message: "a call was not answered".to_owned() }
}
