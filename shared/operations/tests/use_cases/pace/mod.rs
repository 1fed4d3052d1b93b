//! Imports in the rhythm of their source, on virtual time.

mod refused;
mod stage;

use std::sync::atomic::Ordering;

use sluice_kit::shard;
use sluice_operations::{Runner, Settled, SliceOutcome, Wish, begin, describe, import_slice, pause, resume, settle};
use sluice_ports::Clock;
use sluice_transfer::{Format, ImportRequest, Pacing, Request, SourceFormat, State};

use stage::{SLICE_MILLIS, Stage, event, events, first, import, paced};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// So long before an event is due its shard is taken again, in milliseconds.
const LEAD: u64 = 2_000;

/// So much later than due an event may arrive where a target answers at once, in milliseconds: clocks count whole ones.
const TOLERANCE: u64 = 1;

/// Times with gaps from none to half an hour.
fn gaps(seed: u64, count: usize) -> Vec<u64> {
    let mut random = seed | 1;
    let mut time = 0;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = [1, 50, 3_000, 90_000, 30 * MINUTE][usize::try_from(random >> 61).unwrap() % 5];
        time += (random >> 33) % most;
        time
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn gaps_are_kept_whatever_the_factor_and_the_format() {
    for (pace, thousandths) in [("original", 1_000), ("10x", 10_000), ("0.5x", 500), ("3x", 3_000)] {
        for format in [Format::Avro, Format::Jsonl] {
            let stage = Stage::exported(&[events(gaps(7, 60))], format);
            let report = stage.import(&import(pace));
            assert_eq!((report.state, report.events), (State::Completed, 60), "{pace}");
            stage.check(thousandths, TOLERANCE);
            let replay = report.replay.unwrap();
            assert_eq!((replay.late_seconds, replay.most_late_seconds, replay.ends_at), (0, 0, None), "{pace}");
        }
    }
}

#[test]
fn at_pace_max_nothing_waits() {
    let stage = Stage::exported(&[events(gaps(7, 60))], Format::Avro);
    let report = stage.import(&import("max"));
    assert_eq!((report.state, report.events, report.replay), (State::Completed, 60, None));
    assert!(stage.clock.millis() < 5_000, "{} ms", stage.clock.millis());
    assert_eq!(stage.record().anchor, None);
}

#[test]
fn shards_keep_step() {
    let shards: Vec<_> = (1..=9).map(|seed| events(gaps(seed * 77, 30).into_iter().map(|time| time + seed))).collect();
    let stage = Stage::exported(&shards, Format::Avro);
    let report = stage.import(&import("original"));
    assert_eq!((report.state, report.events), (State::Completed, 270));
    let began = stage.began();
    let arrivals = stage.arrivals();
    // T0 is the first time of all shards, which all of them share.
    let from = arrivals.iter().map(|arrival| arrival.time).min().unwrap();
    assert!(from > 0);
    for arrival in &arrivals {
        assert_eq!(arrival.at, began + arrival.time - from, "{arrival:?}");
    }
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.time), "in the order of their times, across shards");
}

#[test]
fn a_death_is_caught_up_with_and_moves_nothing() {
    for seed in 0..30_u64 {
        let stage = Stage::exported(&[events(gaps(seed, 40)), events(gaps(seed + 99, 40))], Format::Avro);
        stage.plan(&import("original")).unwrap();
        let (mut random, mut longest, mut deaths) = (seed.wrapping_mul(0x9e37_79b9), 0, 0);
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dies, dead) = ((random >> 33) % (4 * MINUTE), (random >> 20) % (10 * MINUTE));
            match stage.slice(dies) {
                Some(SliceOutcome::Done) => break,
                Some(SliceOutcome::Waiting { wait_millis }) => stage.clock.pass(wait_millis),
                Some(SliceOutcome::More) => {}
                Some(other) => panic!("{other:?}"),
                None => {
                    stage.clock.pass(dead);
                    (longest, deaths) = (dead.max(longest), deaths + 1);
                }
            }
            assert!(stage.slices.load(Ordering::Relaxed) < 3_000, "seed {seed}: it does not end");
        }
        // Each event once, none early, none later than the longest outage.
        assert_eq!(stage.arrivals().len(), 80, "seed {seed}, {deaths} deaths");
        stage.check(1_000, longest + TOLERANCE);
        assert_eq!(stage.target.events(&shard(0)).len(), 40);
    }
}

#[test]
fn a_pause_is_not_hurried_through() {
    // Every ten seconds, and in the middle of the hour a person pauses for three hours, in the middle of a wait.
    let stage = Stage::exported(&[events((0..360).map(|n| n * 10_000))], Format::Avro);
    let request = import("original");
    stage.plan(&request).unwrap();
    let order = stage.order(&stage.id);
    let paused = async {
        stage.clock.sleep(123_456).await;
        pause(&stage.engine, &stage.id).await.unwrap();
        stage.clock.millis()
    };
    let both = futures::future::join(import_slice(&stage.engine, &order), async {
        let at = paused.await;
        (at, stage.began())
    });
    let (outcome, (paused_at, began)) = stage.clock.run(both);
    assert_eq!(outcome.unwrap(), SliceOutcome::Stopped);
    assert!(stage.clock.millis() - paused_at <= 1_500, "a stop is obeyed at once");
    assert_eq!(stage.clock.run(settle(&stage.engine, &stage.order(&stage.id), None)).unwrap(), Settled::Ended);
    let sent = stage.arrivals().len();
    assert_eq!(sent, 13);
    let at_rest = stage.report();
    assert_eq!((at_rest.state, at_rest.eta_seconds), (State::Paused, None));
    stage.clock.pass(3 * HOUR);
    let resumed_at = stage.clock.millis();
    stage.clock.run(resume(&stage.engine, &stage.id, "test")).unwrap();
    assert_eq!(stage.began(), began + resumed_at - paused_at, "all that was rest");
    let left = stage.report().eta_seconds.unwrap();
    assert_eq!(left, (3_590_000 - 123_456_u64).div_ceil(1_000), "as much is to come as before");
    stage.drive(&stage.id, &request, &Pacing::default());
    let arrivals = stage.arrivals();
    assert_eq!(arrivals.len(), 360);
    let behind: Vec<_> = arrivals[sent..].windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(behind.iter().all(|gap| *gap == 10_000), "{behind:?}");
    // What was left to wait when the pause was wanted is waited for behind it.
    assert_eq!(arrivals[sent].at - resumed_at, 10_000 - 123_456 % 10_000);
}

#[test]
fn hours_of_silence_cost_no_slice_that_waits() {
    for (pacing, most) in [
        // The laptop looks once a minute, the functions each 15 minutes: none of these slices takes a shard.
        (Pacing::default(), 6 * 60),
        (Pacing { slices: 1_000, idle_millis: 15 * MINUTE, ..Pacing::default() }, 6 * 4),
    ] {
        let silences = 5;
        let stage =
            Stage::exported(&[events((0..=silences).map(|n| n * 6 * HOUR)), events([6 * HOUR + 5])], Format::Avro);
        stage.drive(&stage.id, &import("original"), &pacing);
        let report = stage.report();
        assert_eq!((report.state, report.events), (State::Completed, silences + 2));
        stage.check(1_000, TOLERANCE);
        let (slices, millis) = (stage.slices.load(Ordering::Relaxed), stage.slice_millis.load(Ordering::Relaxed));
        assert!(slices <= silences * (most + 3), "{slices} slices");
        assert!(millis <= silences * 30_000, "slices took {millis} ms of {} ms", stage.clock.millis());
        assert!(report.slices <= 2 * (silences + 1), "{} slices took a shard", report.slices);
    }
}

#[test]
fn a_silence_of_many_slices_is_no_stand_still() {
    // Each slice is over before the next event is due, and takes the shard anew.
    let mut stage = Stage::exported(&[events([0, 40 * SLICE_MILLIS])], Format::Avro);
    stage.engine.settings.lull_millis = u64::MAX;
    let report = stage.import(&import("original"));
    assert_eq!((report.state, report.events), (State::Completed, 2));
    assert!(stage.slices.load(Ordering::Relaxed) >= 40);
    stage.check(1_000, TOLERANCE);
}

#[test]
fn a_shard_that_works_keeps_the_one_that_waits_in_step() {
    // One shard has an event a second; the other waits for a minute at a time, longer than a lull.
    let steady = events((0..600).map(|n| n * 1_000));
    let seldom = events((0..10).map(|n| n * 60_000 + 500));
    let stage = Stage::exported(&[steady, seldom], Format::Avro);
    let report = stage.import(&import("original"));
    assert_eq!((report.state, report.events), (State::Completed, 610));
    stage.check(1_000, TOLERANCE);
}

#[test]
fn times_out_of_order_are_due_at_the_highest_before_them() {
    let times = [0, 50_000, 20_000, 49_999, 60_000, 0, 70_000];
    let stage = Stage::exported(&[events(times)], Format::Avro);
    stage.import(&import("original"));
    let began = stage.began();
    let at: Vec<_> = stage.arrivals().iter().map(|arrival| arrival.at - began).collect();
    assert_eq!(at, [0, 50_000, 50_000, 50_000, 60_000, 60_000, 70_000]);
    // One of long before, in the middle, does not move the beginning.
    let stray = sluice_ports::NewEvent { time: sluice_transfer::Timestamp::default(), ..event(0) };
    let stage = Stage::exported(&[vec![event(5_000), stray, event(6_000)]], Format::Avro);
    stage.import(&import("original"));
    let at: Vec<_> = stage.arrivals().iter().map(|arrival| arrival.at - stage.began()).collect();
    assert_eq!(at, [0, 0, 1_000]);
}

#[test]
fn a_slow_target_is_late_says_so_and_catches_up() {
    // An event a second for two minutes, then one a minute; an append takes three seconds at first.
    let times = (0..120).map(|n| n * 1_000).chain((2..30).map(|n| n * MINUTE));
    let stage = Stage::exported(&[events(times)], Format::Avro);
    let request = import("original");
    stage.plan(&request).unwrap();
    stage.append_millis.store(30_000, Ordering::Relaxed);
    assert_eq!(stage.slice(100_000), None);
    let late = stage.report();
    let replay = late.replay.unwrap();
    assert!((29..=31).contains(&replay.late_seconds), "{replay:?}");
    assert!(late.eta_seconds.unwrap() >= 29 * 60 - 100, "it ends when the last event is due: {:?}", late.eta_seconds);
    stage.append_millis.store(0, Ordering::Relaxed);
    stage.drive(&stage.id, &request, &Pacing::default());
    let report = stage.report();
    let replay = report.replay.unwrap();
    assert_eq!((report.state, report.events, replay.late_seconds), (State::Completed, 148, 0));
    assert!(replay.most_late_seconds >= 29, "{replay:?}");
    let (began, arrivals) = (stage.began(), stage.arrivals());
    assert_eq!(arrivals.last().unwrap().at, began + 29 * MINUTE, "it has caught up");
    stage.check(1_000, 100_000);
}

#[test]
fn a_rate_holds_too() {
    let bytes = event(0).payload.len() as u64;
    let stage = Stage::exported(&[events([0; 100].into_iter().chain([400_000]))], Format::Avro);
    let request = Request::Import(ImportRequest { rate: Some(bytes), ..paced("original") });
    let report = stage.import(&request);
    assert_eq!(report.events, 101);
    let (began, arrivals) = (stage.began(), stage.arrivals());
    assert!(arrivals[99].at - began >= 97_000, "an event a second: {}", arrivals[99].at - began);
    assert_eq!(arrivals[100].at - began, 400_000);
}

#[test]
fn a_report_says_when_it_ends_and_what_it_waits_for() {
    let stage = Stage::exported(&[events([0, 2 * HOUR, 3 * HOUR + 20 * MINUTE])], Format::Avro);
    let planned = stage.plan(&import("original")).unwrap();
    let told = planned.notes.iter().find(|note| note.starts_with("pace: ")).expect("a note");
    assert!(told.starts_with("pace: in the original rhythm: about 3 h 20 min, until 2023-11-15T01:33:20Z"), "{told}");
    assert_eq!(stage.report().eta_seconds, Some(12_000), "before it has begun");
    let Some(SliceOutcome::Waiting { wait_millis }) = stage.slice(SLICE_MILLIS) else { panic!("a silence") };
    assert_eq!(wait_millis, 2 * HOUR - LEAD);
    stage.clock.pass(HOUR);
    let report = stage.clock.run(describe(&stage.engine, &stage.id)).unwrap();
    assert_eq!(report.eta_seconds, Some(12_000 - 3_600));
    let replay = report.replay.unwrap();
    assert_eq!(replay.next_at.as_deref(), Some("2023-11-15T00:13:20Z"));
    assert_eq!(replay.ends_at.as_deref(), Some("2023-11-15T01:33:20Z"));
    assert!(report.progress.unwrap() > 0.1 && report.progress.unwrap() < 0.4, "{:?}", report.progress);
}

#[test]
fn a_range_begins_with_its_own_first_event() {
    let stage = Stage::exported(&[events((0..50).map(|n| n * 60_000))], Format::Avro);
    let from = first().plus_millis(30 * MINUTE + 1);
    let request = Request::Import(ImportRequest { from: Some(from.to_string().parse().unwrap()), ..paced("original") });
    let report = stage.import(&request);
    assert_eq!(report.events, 19);
    let at: Vec<_> = stage.arrivals().iter().map(|arrival| arrival.at - stage.began()).collect();
    assert_eq!(at, (0..19).map(|n| n * MINUTE).collect::<Vec<_>>());
}

#[test]
fn foreign_files_keep_the_times_of_their_field() {
    let stage = Stage::new(&[Vec::new()]);
    let line =
        |seconds: u64| format!("{{\"at\":{},\"n\":{seconds}}}\n", first().micros() / 1_000_000 + seconds.cast_signed());
    let lines: String = [0, 5, 65, 7_265].map(line).concat();
    // A record without a time goes with the one in front of it.
    stage.bucket.put_foreign("export/a", lines + "{\"n\":1}\n" + &line(7_270));
    let request =
        ImportRequest { format: Some(SourceFormat::Jsonl), time_field: Some("at".to_owned()), ..paced("original") };
    let planned = stage.plan(&Request::Import(request.clone())).unwrap();
    assert!(planned.notes.iter().any(|note| note.contains("how long that takes is not known")), "{:?}", planned.notes);
    let report = stage.import(&Request::Import(request));
    assert_eq!(report.events, 6);
    let at: Vec<_> = stage.arrivals().iter().map(|arrival| arrival.at - stage.began()).collect();
    assert_eq!(at, [0, 5_000, 65_000, 7_265_000, 7_265_000, 7_270_000]);
}

#[test]
fn a_transfer_that_is_begun_again_keeps_its_rhythm() {
    let stage = Stage::exported(&[events([0, MINUTE])], Format::Avro);
    let request = import("original");
    stage.plan(&request).unwrap();
    assert_eq!(stage.slice(20_000), Some(SliceOutcome::Waiting { wait_millis: MINUTE - LEAD }));
    let began = stage.began();
    // Another process, half a minute later.
    stage.clock.pass(30_000);
    let runner = Runner { execution: "another", alone: true, deadline: None };
    stage.clock.run(begin(&stage.engine, &stage.id, Wish::Start(&request), runner)).unwrap();
    stage.drive(&stage.id, &request, &Pacing::default());
    assert_eq!(stage.began(), began);
    stage.check(1_000, TOLERANCE);
    let other = Request::Import(paced("10x"));
    let refused = stage.plan(&other).unwrap_err();
    assert_eq!(refused.code, sluice_operations::Code::RequestDiffers, "the pace is part of the request");
}
