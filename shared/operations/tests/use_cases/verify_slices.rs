//! A verification that is interrupted anywhere comes to the same as one that is not, damage or no damage.

use bytes::Bytes;
use proptest::prelude::*;
use sluice_kit::{Rig, append, shard};
use sluice_memory::now;
use sluice_operations::{Code, Progress, Settings, Verdict, Verification, verify, verify_slice};
use sluice_ports::{NewEvent, StreamAdmin};
use sluice_transfer::{ExportRequest, Format, ImportRequest, Position, Request, Timestamp, TransferId, Value};

const SHARDS: usize = 2;
/// A block of Avro ends at the first event past 64 KiB: an object has several.
const EVENT: usize = 10_000;

/// A complete export and a complete import of it.
fn moved(format: Format, events: u64, object_size: u64, read_bytes: usize) -> Rig {
    let shards: Vec<Vec<NewEvent>> =
        (0..SHARDS as u64).map(|number| (number..events + number).map(event).collect()).collect();
    let settings = Settings { read_bytes, read_events: 5, wind_down_millis: 0, ..Settings::default() };
    let rig = Rig::new(settings, &shards);
    rig.transfer("export", &export(format, object_size), 1_000_000_000).unwrap();
    rig.transfer("import", &import(format), 1_000_000_000).unwrap();
    rig
}

/// What is looked at of a rig, and done to it.
trait Verified {
    /// In one go.
    fn whole(&self, id: &str) -> (Verification, u64);

    /// In slices of these numbers of steps, over and over; what goes from one to the next goes through JSON. Answers
    /// the number of slices too.
    fn sliced(&self, id: &str, steps: &[u64]) -> (Verification, usize);

    fn damage(&self, damage: &Damage);
}

impl Verified for Rig {
    fn whole(&self, id: &str) -> (Verification, u64) {
        let mut bytes = 0;
        let verification = now(verify(&self.engine, &id.parse().unwrap(), &mut |more| bytes += more)).unwrap();
        (verification, bytes)
    }

    fn sliced(&self, id: &str, steps: &[u64]) -> (Verification, usize) {
        let id: TransferId = id.parse().unwrap();
        let mut progress: Option<Progress> = None;
        for (slice, steps) in steps.iter().cycle().take(10_000).enumerate() {
            let deadline = self.engine.clock.now().plus_millis(1 + steps);
            let after = now(verify_slice(&self.engine, &id, progress, deadline, &mut |_| {})).unwrap();
            let json = serde_json::to_string(&after).unwrap();
            assert!(json.len() < 50_000, "{} bytes", json.len());
            let after: Progress = serde_json::from_str(&json).unwrap();
            if after.done {
                return (after.verification, slice + 1);
            }
            progress = Some(after);
        }
        panic!("it does not end");
    }

    fn damage(&self, damage: &Damage) {
        let keys: Vec<String> = self.bucket.read_all().into_keys().collect();
        let pick = |what: &str, n: usize| {
            let of: Vec<&String> = keys.iter().filter(|key| key.contains(what)).collect();
            of[n % of.len()].clone()
        };
        match damage {
            Damage::None => {}
            Damage::Flip(n, at) => assert!(self.bucket.mutate(&pick("/data/", *n), |bytes| {
                let at = at % bytes.len();
                bytes[at] ^= 0x11;
            })),
            Damage::Cut(n, len) => {
                assert!(self.bucket.mutate(&pick("/data/", *n), |bytes| bytes.truncate(len % bytes.len())));
            }
            Damage::Remove(n) => assert!(self.bucket.remove(&pick("/data/", *n))),
            Damage::RemoveSegment(n) => assert!(self.bucket.remove(&pick("/manifest/", *n))),
            Damage::FlipSegment(n, at) => assert!(self.bucket.mutate(&pick("/manifest/", *n), |bytes| {
                let at = at % (bytes.len() - 1);
                bytes[at] ^= 0x11;
            })),
            Damage::More => {
                let tail = self.target.events(&shard(1)).last().unwrap().sequence.clone();
                append(&self.target, 1, &Position::After(tail), &[event(7)]);
            }
            Damage::Trim(n) => {
                let events = self.target.events(&shard(1));
                let before = Position::After(events[n % events.len()].sequence.clone());
                now(self.target.trim(&shard(1), &before)).unwrap();
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Damage {
    None,
    Flip(usize, usize),
    Cut(usize, usize),
    Remove(usize),
    RemoveSegment(usize),
    FlipSegment(usize, usize),
    /// Of the target: events behind its range, which are nobody's business, and the loss of some.
    More,
    Trim(usize),
}

impl Damage {
    /// What becomes of the verdicts of an export and an import.
    fn verdicts(&self) -> (Verdict, Verdict) {
        match self {
            Self::None | Self::More => (Verdict::Proved, Verdict::Proved),
            Self::Trim(_) => (Verdict::Proved, Verdict::Unproved),
            _ => (Verdict::Mismatch, Verdict::Proved),
        }
    }
}

fn event(n: u64) -> NewEvent {
    NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::Bytes(Bytes::from(vec![n.to_le_bytes()[0]; EVENT])),
    }
}

fn export(format: Format, object_size: u64) -> Request {
    Request::Export(ExportRequest {
        stream: "memory:source".parse().unwrap(),
        to: "memory:archive".parse().unwrap(),
        format: Some(format),
        compression: Some(sluice_transfer::Compression::Plain),
        series: None,
        from: None,
        until: None,
        object_size: Some(object_size),
        part_size: Some(50_000.min(object_size)),
        deaggregate: false,
        read_share: None,
        read: None,
        rate: None,
    })
}

fn import(format: Format) -> Request {
    Request::Import(ImportRequest {
        event_size: (format == Format::Raw).then_some(EVENT as u64),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    })
}

fn damages() -> impl Strategy<Value = Damage> {
    let n = any::<usize>;
    prop_oneof![
        2 => Just(Damage::None),
        3 => (n(), n()).prop_map(|(object, at)| Damage::Flip(object, at)),
        1 => (n(), n()).prop_map(|(object, len)| Damage::Cut(object, len)),
        1 => n().prop_map(Damage::Remove),
        1 => n().prop_map(Damage::RemoveSegment),
        2 => (n(), n()).prop_map(|(segment, at)| Damage::FlipSegment(segment, at)),
        1 => Just(Damage::More),
        1 => n().prop_map(Damage::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn slices_come_to_what_the_whole_does(
        raw in any::<bool>(),
        events in 1_u64..60,
        object_size in prop_oneof![Just(10_000_u64), Just(100_000), Just(400_000)],
        read_bytes in prop_oneof![Just(3_000_usize), Just(30_000), Just(1_000_000)],
        steps in proptest::collection::vec(0_u64..12, 1..6),
        damage in damages(),
    ) {
        let rig = moved(if raw { Format::Raw } else { Format::Avro }, events, object_size, read_bytes);
        rig.damage(&damage);
        let (of_export, of_import) = damage.verdicts();
        let (whole, _) = rig.whole("export");
        prop_assert_eq!(whole.verdict, of_export, "{:?}", &whole.findings);
        prop_assert_eq!(rig.sliced("export", &steps).0, whole);
        let (whole, _) = rig.whole("import");
        prop_assert_eq!(whole.verdict, of_import, "{:?}", &whole.findings);
        let expired = if let Damage::Trim(n) = damage { n as u64 % events + 1 } else { 0 };
        prop_assert_eq!((whole.expired, whole.counts.events), (expired, 2 * events - expired));
        prop_assert_eq!(rig.sliced("import", &steps).0, whole);
    }
}

/// One object that takes many slices, each as short as can be, in either format.
#[test]
fn an_object_longer_than_a_slice_comes_to_its_end() {
    for format in [Format::Raw, Format::Avro] {
        let rig = moved(format, 200, 4_000_000, 30_000);
        let (whole, bytes) = rig.whole("export");
        assert_eq!((whole.verdict, whole.read), (Verdict::Proved, SHARDS as u64));
        let objects: usize =
            rig.bucket.read_all().iter().filter(|(key, _)| key.contains("/data/")).map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(bytes, objects as u64, "every byte is read once");
        let (in_slices, count) = rig.sliced("export", &[0]);
        println!("{format:?}: 2 objects of {} bytes in {count} slices", objects / 2);
        assert_eq!(in_slices, whole);
        assert!(count > 20, "{count} slices");
    }
}

#[test]
fn what_changes_between_two_slices_is_found() {
    let rig = moved(Format::Avro, 100, 4_000_000, 30_000);
    let id: TransferId = "export".parse().unwrap();
    let slice = |before| {
        let deadline = rig.engine.clock.now();
        now(verify_slice(&rig.engine, &id, before, deadline, &mut |_| {}))
    };
    let first = slice(None).unwrap();
    assert!(!first.done);
    // In front of where the first slice left off, so that only the pin can tell.
    let key = rig.bucket.read_all().into_keys().find(|key| key.contains("/data/")).unwrap();
    rig.bucket.mutate(&key, |bytes| bytes[70] ^= 1);
    let mut progress = slice(Some(first.clone())).unwrap();
    while !progress.done {
        progress = slice(Some(progress)).unwrap();
    }
    assert_eq!(progress.verification.verdict, Verdict::Mismatch);
    assert_eq!(slice(Some(progress.clone())).unwrap(), progress, "what is done stays so");
    let other: TransferId = "import".parse().unwrap();
    let foreign = now(verify_slice(&rig.engine, &other, Some(first), rig.engine.clock.now(), &mut |_| {}));
    assert_eq!(foreign.unwrap_err().code, Code::Invalid);
}
