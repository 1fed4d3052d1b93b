//! The main job on real bytes: a file becomes a stream, goes to a bucket twice and comes back twice, with a pause in
//! the middle, and what came back is compared with what went in, event by event.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Code, Engine, Report, Runner, Wish, begin, describe};
use sluice_ports::{Read, ReadLimit, StreamAdmin, StreamReader};
use sluice_transfer::{
    BucketUri, Compression, Counts, Event, ExportRequest, Format, ImportRequest, Kind, Position, Request, ShardId,
    State, StreamUri, TransferId,
};

use crate::append::append_file;
use crate::args::{Demo, HostArgs, absolute};
use crate::clock::now;
use crate::drive::{Driver, SliceBounds};
use crate::failure::Failure;
use crate::home::{Home, quoted};
use crate::output::{self, Output, bytes, grouped, rate};
use crate::transfer::new_id;
use crate::verify::findings;

/// Events to cut the file into, about.
const EVENTS: u64 = 5_000;
/// Bytes of an event, at least and at most.
const EVENT_SIZE: (u64, u64) = (64, 1 << 20);
/// Parts to send the file in, about, and bytes of a part, at least and at most.
const PARTS: u64 = 16;
const PART_SIZE: (u64, u64) = (4 << 10, 8 << 20);
/// Parts of an object.
const PARTS_PER_OBJECT: u64 = 3;
/// It holds the lock of each transfer that it runs.
const RUNNER: Runner<'static> = Runner { execution: "demo", alone: true, deadline: None };

/// What a step did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: String,
    events: u64,
    bytes: u64,
    objects: Option<u64>,
    seconds: f64,
}

/// The one object of `--output json`.
#[derive(Serialize)]
struct Told {
    equal: bool,
    /// All of it lies there.
    folder: String,
    home: String,
    bucket: String,
    steps: Vec<Step>,
    findings: Vec<String>,
}

pub(crate) async fn run(args: &Demo, output: Output) -> Result<ExitCode, Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => {
            std::env::current_exe().map_err(|error| Failure::of_io(&error, "this command's own file is not known"))?
        }
    };
    let folder = std::env::temp_dir().join(new_id(Kind::Export)?.as_str().replacen("export", "sluice-demo", 1));
    fs::create_dir(&folder).map_err(|error| Failure::of_io(&error, format!("{} cannot be made", folder.display())))?;
    if output == Output::Text {
        output::note(&format!(
            "Sluice moves events between streams and buckets, exactly: it exports a stream's history, imports it again, \
             and proves that nothing was lost.\nThis shows it in {}, with the bytes of {} as events.",
            folder.display(),
            file.display()
        ));
    }
    let mut demo = Stage::new(&folder, output).await?;
    demo.play(&file).await?;
    let equal = demo.findings.is_empty();
    match output {
        Output::Json => output::print_json(&Told {
            equal,
            folder: demo.folder.display().to_string(),
            home: demo.home.path().display().to_string(),
            bucket: demo.bucket.to_string(),
            steps: demo.steps,
            findings: demo.findings,
        })?,
        Output::Text => output::print(&demo.text())?,
    }
    if equal {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(Code::VerificationFailed, "not all of it came back equal"))
    }
}

/// Where the demo plays.
struct Stage {
    folder: PathBuf,
    home: Home,
    engine: Engine,
    bucket: BucketUri,
    output: Output,
    steps: Vec<Step>,
    findings: Vec<String>,
}

impl Stage {
    async fn new(folder: &Path, output: Output) -> Result<Self, Failure> {
        let home = Home::create(&HostArgs { home: folder.join("home"), bucket_owner: None })?;
        let engine = home.engine(SliceBounds::default().settings()).await?;
        let rest = absolute(&folder.join("bucket")).map_err(|why| Failure::new(Code::Invalid, why))?;
        let bucket = BucketUri { scheme: "dir".to_owned(), rest };
        Ok(Self { folder: folder.to_owned(), home, engine, bucket, output, steps: Vec::new(), findings: Vec::new() })
    }

    async fn play(&mut self, file: &Path) -> Result<(), Failure> {
        let len = fs::metadata(file).map_err(|error| Failure::of_io(&error, file.display()))?.len();
        let event_size = (len / EVENTS).clamp(EVENT_SIZE.0, EVENT_SIZE.1);
        let source = uri("source")?;
        self.append(file, &source, event_size).await?;

        let (avro, raw) = (id("demo-avro")?, id("demo-raw")?);
        let export = |format| {
            let part_size = (len / PARTS).clamp(PART_SIZE.0, PART_SIZE.1);
            let object_size = Some(part_size * PARTS_PER_OBJECT);
            Request::Export(ExportRequest {
                format,
                // So that parts fill while the file is read, and a pause comes in the middle.
                compression: Some(Compression::Plain),
                object_size,
                part_size: Some(part_size),
                ..ExportRequest::new(source.clone(), self.bucket.clone())
            })
        };
        let (first, second) = (export(None), export(Some(Format::Raw)));
        self.half(&avro, &first, len / 2).await?;
        self.whole("export as avro, resumed", &avro, &first).await?;
        self.whole("export as raw", &raw, &second).await?;

        let (from_avro, from_raw) = (uri("from-avro")?, uri("from-raw")?);
        let (to_avro, to_raw) = (id("demo-from-avro")?, id("demo-from-raw")?);
        let first = self.import(&avro, &from_avro, None);
        self.whole("import of the avro", &to_avro, &first).await?;
        let second = self.import(&raw, &from_raw, Some(event_size));
        self.whole("import of the raw", &to_raw, &second).await?;

        self.verify(&avro, "verify the avro").await?;
        self.verify(&raw, "verify the raw").await?;
        self.verify(&to_avro, "verify the avro's import").await?;
        self.verify(&to_raw, "verify the raw's import").await?;
        self.compare("compare events, avro", &source, &from_avro, whole_events).await?;
        self.compare("compare bytes, raw", &source, &from_raw, payloads).await?;
        self.compare_file(file, &from_raw).await
    }

    fn import(&self, export: &TransferId, stream: &StreamUri, event_size: Option<u64>) -> Request {
        let rest = format!("{}/{export}", self.bucket.rest);
        Request::Import(ImportRequest {
            event_size,
            ..ImportRequest::new(BucketUri { scheme: self.bucket.scheme.clone(), rest }, stream.clone())
        })
    }

    async fn append(&mut self, file: &Path, uri: &StreamUri, event_size: u64) -> Result<(), Failure> {
        let since = now();
        let stream = self.home.stream(uri)?;
        stream.create(1).await?;
        let counts = append_file(&stream, uri, file, event_size).await?;
        self.done("append", counts, None, since.micros());
        Ok(())
    }

    /// Runs one slice of some bytes, and pauses behind it.
    async fn half(&mut self, id: &TransferId, request: &Request, size: u64) -> Result<(), Failure> {
        let since = now();
        let lock = self.home.lock(id).await?;
        begin(&self.engine, id, Wish::Start(request), RUNNER).await?;
        let bounds = SliceBounds { bytes: Some(size.max(1)), ..SliceBounds::default() };
        let driver = Driver::new(&self.engine, id, request.kind(), bounds, &lock);
        driver.slice().await?;
        sluice_operations::pause(&self.engine, id).await?;
        driver.settle().await?;
        let report = describe(&self.engine, id).await?;
        if report.state != State::Paused {
            self.findings.push(format!("{id} is {} where it should be PAUSED", report.state));
        }
        self.tell("export as avro, paused", &report, since.micros());
        Ok(())
    }

    /// Runs a transfer to its end, from wherever it is.
    async fn whole(&mut self, step: &str, id: &TransferId, request: &Request) -> Result<(), Failure> {
        let since = now();
        let lock = self.home.lock(id).await?;
        let begun = begin(&self.engine, id, Wish::Start(request), RUNNER).await?;
        let before = if begun.before {
            let before = describe(&self.engine, id).await?;
            (Counts::new(before.events, before.bytes), before.objects)
        } else {
            (Counts::default(), 0)
        };
        Driver::new(&self.engine, id, request.kind(), SliceBounds::default(), &lock).run(begun.call).await?;
        let mut report = describe(&self.engine, id).await?;
        if report.state != State::Completed {
            let why = report.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
            self.findings.push(format!("{id} is {} where it should be COMPLETED {why}", report.state));
        }
        // What this step did, not those before it.
        report.events -= before.0.events;
        report.bytes -= before.0.bytes;
        report.objects -= before.1;
        self.tell(step, &report, since.micros());
        Ok(())
    }

    async fn verify(&mut self, id: &TransferId, step: &str) -> Result<(), Failure> {
        let since = now();
        let (counts, found) = findings(&self.engine, id).await?;
        self.findings.extend(found);
        self.done(step, counts, None, since.micros());
        Ok(())
    }

    /// Compares two streams shard by shard, as `same` does.
    async fn compare(
        &mut self,
        step: &str,
        a: &StreamUri,
        b: &StreamUri,
        same: fn(&Event, &Event) -> bool,
    ) -> Result<(), Failure> {
        let since = now();
        let (one, other) = (self.home.stream(a)?, self.home.stream(b)?);
        let shard = shard(&one).await?;
        let (mut left, mut right) = (Events::new(&one, &shard), Events::new(&other, &shard));
        let mut counts = Counts::default();
        loop {
            match (left.next().await?, right.next().await?) {
                (None, None) => break,
                (Some(x), Some(y)) if same(&x, &y) => counts += Counts::new(1, x.payload.len() as u64),
                (x, y) => {
                    let at =
                        |event: Option<Event>| event.map_or("nothing".to_owned(), |event| event.sequence.to_string());
                    self.findings.push(format!("{a} and {b} differ: event {} and {}", at(x), at(y)));
                    break;
                }
            }
        }
        self.done(step, counts, None, since.micros());
        Ok(())
    }

    /// Compares a stream's payloads with the file they once were.
    async fn compare_file(&mut self, file: &Path, uri: &StreamUri) -> Result<(), Failure> {
        use std::io::Read as _;
        let since = now();
        let failed = |error: std::io::Error| Failure::of_io(&error, format!("{} cannot be read", file.display()));
        let mut input = std::io::BufReader::with_capacity(1 << 20, fs::File::open(file).map_err(failed)?);
        let stream = self.home.stream(uri)?;
        let shard = shard(&stream).await?;
        let mut events = Events::new(&stream, &shard);
        let (mut counts, mut expected) = (Counts::default(), Vec::new());
        while let Some(event) = events.next().await? {
            let payload = event.payload.as_slice();
            expected.clear();
            input.by_ref().take(payload.len() as u64).read_to_end(&mut expected).map_err(failed)?;
            if expected != payload {
                self.findings.push(format!("{uri} differs from {}: event {}", file.display(), event.sequence));
                return Ok(());
            }
            counts += Counts::new(1, payload.len() as u64);
        }
        if input.read(&mut [0]).map_err(failed)? > 0 {
            self.findings.push(format!("{uri} ends before {} does", file.display()));
        }
        self.done("compare with the file", counts, None, since.micros());
        Ok(())
    }

    fn tell(&mut self, step: &str, report: &Report, since: i64) {
        let counts = Counts::new(report.events, report.bytes);
        self.done(step, counts, Some(report.objects), since);
    }

    fn done(&mut self, step: &str, counts: Counts, objects: Option<u64>, since: i64) {
        let seconds = (now().micros() - since).max(1) as f64 / 1e6;
        if self.output == Output::Text {
            output::note(&format!("  {step}: {seconds:.1} s"));
        }
        let Counts { events, bytes } = counts;
        self.steps.push(Step { name: step.to_owned(), events, bytes, objects, seconds });
    }

    fn text(&self) -> String {
        let mut rows = vec![["STEP", "EVENTS", "BYTES", "OBJECTS", "SECONDS", "RATE"].map(str::to_owned)];
        rows.extend(self.steps.iter().map(|step| {
            [
                step.name.clone(),
                grouped(step.events),
                bytes(step.bytes),
                step.objects.map(grouped).unwrap_or_default(),
                format!("{:.2}", step.seconds),
                rate(step.bytes as f64 / step.seconds),
            ]
        }));
        let mut text = output::table(&rows, &[1, 2, 3, 4, 5]);
        let (home, bucket) = (quoted(self.home.path()), quoted(&PathBuf::from(&self.bucket.rest)));
        text.push('\n');
        if self.findings.is_empty() {
            text.push_str("Everything that came back equals what went in: events, order, keys, times and bytes.\n");
        }
        for finding in &self.findings {
            let _ = writeln!(text, "DIFFERENT: {finding}");
        }
        // Writing to a string has no way to fail.
        let _ = writeln!(text, "\nstreams and records  {home}\nobjects              {bucket}\n\nTry next:");
        for command in [
            "list".to_owned(),
            "status demo-avro".to_owned(),
            "verify demo-raw".to_owned(),
            "streams".to_owned(),
            "read local:from-avro --limit 1".to_owned(),
            "export local:source dir:more --from 0@100 --id demo-tail".to_owned(),
        ] {
            let _ = writeln!(text, "  {}", self.home.hint(&command));
        }
        let _ = writeln!(text, "\nAll of it lies in one folder, which this removes:\n  rm -r {}", quoted(&self.folder));
        text
    }
}

fn whole_events(a: &Event, b: &Event) -> bool {
    a.time == b.time && a.key == b.key && a.headers == b.headers && a.payload == b.payload
}

/// Raw keeps payload bytes only; cut to the same size they are the same events.
fn payloads(a: &Event, b: &Event) -> bool {
    a.payload == b.payload
}

/// The events of a shard, one by one.
struct Events<'a> {
    stream: &'a dyn StreamReader,
    shard: &'a ShardId,
    position: Position,
    read: std::vec::IntoIter<Event>,
    ended: bool,
}

impl<'a> Events<'a> {
    fn new(stream: &'a dyn StreamReader, shard: &'a ShardId) -> Self {
        Self { stream, shard, position: Position::Beginning, read: Vec::new().into_iter(), ended: false }
    }

    async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.read.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let limit = ReadLimit::new(1_024, 4 << 20);
            match self.stream.read(self.shard, &self.position, limit).await? {
                Read::Events { events, next, at_tail, .. } => {
                    self.read = events.into_iter();
                    self.position = next;
                    self.ended = at_tail;
                }
                Read::Trimmed { .. } => {
                    return Err(Failure::new(Code::SourceChanged, "somebody trimmed the demo's stream"));
                }
            }
        }
    }
}

/// The demo's streams have one shard.
async fn shard(stream: &dyn StreamReader) -> Result<ShardId, Failure> {
    let first = stream.describe().await?.shards.into_iter().next();
    first.map(|shard| shard.shard).ok_or_else(|| Failure::new(Code::Corrupt, "the demo's stream has no shard"))
}

fn uri(name: &str) -> Result<StreamUri, Failure> {
    format!("local:{name}").parse().map_err(|error| name_error(&error))
}

fn id(name: &str) -> Result<TransferId, Failure> {
    name.parse().map_err(|error| name_error(&error))
}

fn name_error(error: &sluice_transfer::NameError) -> Failure {
    Failure::new(Code::Defect, error.to_string())
}
