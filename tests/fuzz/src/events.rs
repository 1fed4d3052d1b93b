//! Objects that hold events: Avro's container files, and lines of JSON.

use bytes::Bytes;
use sluice_formats::{AvroDecoder, AvroEncoder, JsonlEncoder, ObjectSeed, decoder};
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{
    Compression, Decoded, Decoder, DestinationName, Encoding, Event, Format, Header, Place, Sequence, Timestamp,
    UnitEncoder, UnpackError, Unpacked, Value,
};

/// Events of one reading, at most, and bytes in them: what goes on for ever is left off. Compressed input can make
/// thousands of times its own bytes.
const MOST_EVENTS: usize = 20_000;
const MOST_BYTES: usize = 16 << 20;

/// What an error may say: it goes on record.
const LONGEST_ERROR: usize = 2_000;

/// How a file is fed: whole, and in pieces that fall everywhere.
const SPLITS: [&[usize]; 3] = [&[usize::MAX], &[1, 7, 3, 100, 2], &[997]];

/// What reading came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    events: Vec<Decoded>,
    /// Places at which it was said that reading can go on, and how many events came before: the first one and the last.
    passed: Vec<(usize, Place)>,
    /// How it ended; none if it was left off.
    end: Option<Result<(), UnpackError>>,
}

impl Outcome {
    fn is_whole(&self) -> bool {
        matches!(self.end, Some(Ok(())))
    }
}

/// Avro: the header, blocks, their codecs, events.
pub fn avro(bytes: &[u8]) {
    let new = || Box::new(AvroDecoder::new()) as Box<dyn Decoder>;
    let outcome = read_everyhow(&new, bytes, true);
    if outcome.is_whole() {
        let (transfer, shard) = ("fuzz".parse().expect("a plain name"), "0".parse().expect("a plain name"));
        let seed = ObjectSeed { transfer, destination: DestinationName::only(), shard };
        writes_back(&outcome.events, &mut AvroEncoder::new(seed, Compression::Plain), new());
    }
}

/// Lines of JSON: compressed if they begin as such files do.
pub fn jsonl(bytes: &[u8]) {
    let compression = match bytes.first() {
        Some(0x28) => Compression::Zstd,
        Some(0x1f) => Compression::Gzip,
        _ => Compression::Plain,
    };
    let new = || lines_of(compression);
    let outcome = read_everyhow(&new, bytes, compression.is_plain());
    if outcome.is_whole() {
        let shard = "0".parse().expect("a plain name");
        let decoder = lines_of(Compression::Plain);
        writes_back(&outcome.events, &mut JsonlEncoder::new(&shard, Compression::Plain), decoder);
    }
}

fn lines_of(compression: Compression) -> Box<dyn Decoder> {
    decoder(Encoding { format: Format::Jsonl, compression }).expect("it has one")
}

/// Reads in all splits and from places in between. `exact` if the bytes alone decide which events come before an
/// error; a codec that fails may keep what it had made in the same call.
pub(crate) fn read_everyhow(new: &dyn Fn() -> Box<dyn Decoder>, bytes: &[u8], exact: bool) -> Outcome {
    let file = Bytes::copy_from_slice(bytes);
    let whole = read(new(), &file, None, SPLITS[0]);
    whole.events.iter().for_each(within_limits);
    for split in &SPLITS[1..] {
        let other = read(new(), &file, None, split);
        let both = whole.events.len().min(other.events.len());
        assert_eq!(whole.events[..both], other.events[..both], "pieces give other events");
        if whole.end.is_some() && other.end.is_some() {
            if exact || whole.is_whole() || other.is_whole() {
                assert_eq!(whole.end, other.end, "pieces give another end");
            }
            if exact || whole.is_whole() {
                assert_eq!(whole.events.len(), other.events.len(), "pieces give more events or fewer");
            }
        }
    }
    goes_on(new, &file, &whole);
    whole
}

/// Reading goes on behind any event, and wherever it is said that it can, as if it had never been left off.
fn goes_on(new: &dyn Fn() -> Box<dyn Decoder>, file: &Bytes, whole: &Outcome) {
    let count = whole.events.len();
    let behind = |at: usize| whole.events.get(at).map(|event| (at + 1, event.after));
    let mut places: Vec<_> = [0, count / 2, count.saturating_sub(1)].into_iter().filter_map(behind).collect();
    places.extend(&whole.passed);
    places.dedup();
    for (before, place) in places {
        let rest = read(new(), file, Some(place), SPLITS[2]);
        let both = rest.events.len().min(count - before);
        assert_eq!(rest.events[..both], whole.events[before..before + both], "behind {before} events are others");
        if whole.is_whole() && rest.end.is_some() {
            assert_eq!(rest.end, whole.end, "behind {before} events is another end");
            assert_eq!(rest.events.len(), count - before, "behind {before} events are more or fewer");
        }
    }
}

fn read(mut decoder: Box<dyn Decoder>, file: &Bytes, from: Option<Place>, split: &[usize]) -> Outcome {
    let mut outcome = Outcome { events: Vec::new(), passed: Vec::new(), end: None };
    let head = usize::try_from(decoder.head_len()).unwrap_or(usize::MAX).min(file.len());
    let first = match decoder.head(&file[..head]) {
        Ok(first) => first,
        Err(error) => return Outcome { end: Some(Err(error)), ..outcome },
    };
    let from = from.unwrap_or(Place { offset: first, within: 0 });
    let begin = usize::try_from(from.offset).unwrap_or(usize::MAX);
    assert!(begin <= file.len(), "a place behind the file's end: {from:?}");
    decoder.seek(from);
    let end = read_into(&mut *decoder, from, file.slice(begin..), split, &mut outcome);
    if let Err(error) = &end {
        let said = error.to_string();
        assert!(!said.is_empty() && said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
        assert_eq!(decoder.finish().err().as_ref(), Some(error), "an error stays");
    }
    Outcome { end: end.map(|whole| whole.then_some(())).transpose(), ..outcome }
}

/// True at the file's end, false if reading was left off.
fn read_into(
    decoder: &mut dyn Decoder,
    from: Place,
    mut rest: Bytes,
    split: &[usize],
    outcome: &mut Outcome,
) -> Result<bool, UnpackError> {
    let (mut sizes, mut bytes, mut reached) = (split.iter().cycle(), 0, from);
    loop {
        match decoder.step()? {
            Unpacked::Event(event) => {
                assert!(event.after > reached, "an event ends at {:?}, not behind {reached:?}", event.after);
                reached = event.after;
                bytes += event.payload.len() + event.key.len();
                outcome.events.push(event);
                if outcome.events.len() == MOST_EVENTS || bytes > MOST_BYTES {
                    return Ok(false);
                }
                continue;
            }
            Unpacked::Passed(place) => {
                assert!(place >= reached, "from {place:?}, in front of {reached:?}");
                reached = place;
                outcome.passed.truncate(1);
                outcome.passed.push((outcome.events.len(), place));
                continue;
            }
            Unpacked::Hungry => {}
        }
        if rest.is_empty() {
            return decoder.finish().map(|last| {
                outcome.events.extend(last);
                true
            });
        }
        let size = sizes.next().copied().unwrap_or(1).min(rest.len());
        decoder.feed(rest.split_to(size));
    }
}

fn within_limits(event: &Decoded) {
    assert!(event.headers.len() <= HEADERS, "{} headers", event.headers.len());
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    assert!(event.payload.len() + event.key.len() + headers <= EVENT_BYTES, "an event past the limit");
}

/// What was read can be written, and is read as it was.
fn writes_back(events: &[Decoded], encoder: &mut dyn UnitEncoder, decoder: Box<dyn Decoder>) {
    let mut file = Vec::new();
    encoder.begin(0, &mut file);
    for (number, event) in events.iter().enumerate() {
        let event = Event {
            sequence: Sequence::new(number as u64),
            time: event.time.expect("formats with events keep their times"),
            key: event.key.clone(),
            headers: event.headers.clone(),
            payload: event.payload.clone(),
        };
        encoder.push(&event, &mut file).expect("what was read is within the limits");
    }
    encoder.end_unit(&mut file);
    let again = read(decoder, &Bytes::from(file), None, SPLITS[0]);
    assert!(again.is_whole(), "what was written is not read: {:?}", again.end);
    let carried = |events: &[Decoded]| -> Vec<Carried> { events.iter().map(carried).collect() };
    assert_eq!(carried(&again.events), carried(events), "written and read again they are others");
}

/// What a stream holds goes through the formats of events, and comes out as it was.
pub(crate) fn carried_by_formats(events: &[Event]) {
    let decoded = |event: &Event| Decoded {
        sequence: Some(event.sequence.clone()),
        time: Some(event.time),
        key: event.key.clone(),
        headers: event.headers.clone(),
        payload: event.payload.clone(),
        after: Place::default(),
    };
    let events: Vec<Decoded> = events.iter().map(decoded).collect();
    let (transfer, shard) = ("fuzz".parse().expect("a plain name"), "0".parse().expect("a plain name"));
    let mut lines = JsonlEncoder::new(&shard, Compression::Plain);
    let seed = ObjectSeed { transfer, destination: DestinationName::only(), shard };
    writes_back(&events, &mut AvroEncoder::new(seed, Compression::Plain), Box::new(AvroDecoder::new()));
    writes_back(&events, &mut lines, lines_of(Compression::Plain));
}

type Carried = (Option<Timestamp>, Value, Vec<Header>, Value);

/// All but where it stood.
fn carried(event: &Decoded) -> Carried {
    (event.time, event.key.clone(), event.headers.clone(), event.payload.clone())
}
