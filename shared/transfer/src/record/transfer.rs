//! A transfer as a whole.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use super::{BY_TIME, COMPRESSED, HIDDEN_FILES, ORDERED, PLACED, PlanProgress, SERIES, TOLD_HOW};
use crate::{
    Anchor, BucketUri, Compression, Counts, DestinationName, Encoding, ForeignFiles, Format, Illegal, Kind, LeftOut,
    OnMisfit, Order, PackSpec, Placement, ReadShare, Request, Rhythm, Schedule, SeriesRun, ShardId, SourceFormat,
    State, Step, StreamUri, Timestamp, TransferId, Wanted,
};

/// The root of a transfer's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// Its key in the destination's bucket; an import's lies in the host's own.
    pub key: String,
    /// The SHA-256 of its whole bytes.
    pub sha256: String,
}

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable name.
    pub code: String,
    /// For a person: the thing, and the way out.
    pub message: String,
}

/// One destination of an export as resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationConfig {
    /// The bucket.
    pub bucket: BucketUri,
    /// Prefix in it, without slashes at its ends.
    pub prefix: String,
    /// The format of the objects.
    pub format: Format,
    /// The compression of the objects; what does not say so has none.
    #[serde(default, skip_serializing_if = "Compression::is_plain")]
    pub compression: Compression,
    /// Encoded bytes of a part.
    pub part_size: u64,
    /// Encoded bytes of an object.
    pub object_size: u64,
}

impl DestinationConfig {
    /// Format and compression.
    pub fn encoding(&self) -> Encoding {
        Encoding { format: self.format, compression: self.compression }
    }

    /// The sizes to pack to.
    pub fn pack(&self) -> PackSpec {
        PackSpec { part_size: self.part_size, object_size: self.object_size }
    }
}

/// An export as resolved; fixed at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportConfig {
    /// The source.
    pub stream: StreamUri,
    /// The destinations.
    pub destinations: BTreeMap<DestinationName, DestinationConfig>,
    /// Bytes of payload a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Whether bounds of shards are times until reading finds their numbers.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub by_time: bool,
    /// Whether events are taken out of aggregates, each of them on its own.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub deaggregate: bool,
    /// When the source was made, as its store tells it; none if it does not. A stream that was made at another time is
    /// another stream, whatever its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_created: Option<Timestamp>,
    /// How long the source kept events when this was planned, in milliseconds; none for one that drops none by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_millis: Option<u64>,
    /// The part of a shard's reading limits that this export and all others of its stream may take together; none for a
    /// source without limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_share: Option<ReadShare>,
    /// The name of the reader that this export registers for itself; none for one that shares the source with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// The run of a series that this export is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Box<SeriesRun>>,
}

impl ExportConfig {
    /// Of a stream, with all defaults.
    pub fn new(stream: StreamUri, destinations: BTreeMap<DestinationName, DestinationConfig>) -> Self {
        Self {
            stream,
            destinations,
            rate: None,
            by_time: false,
            deaggregate: false,
            source_created: None,
            retention_millis: None,
            read_share: None,
            reader: None,
            series: None,
        }
    }

    /// True if it is a run of a series whose source may have lost events that no number tells of.
    pub fn has_hole(&self) -> bool {
        self.series.as_ref().is_some_and(|run| run.hole.is_some())
    }
}

/// An import as resolved; fixed at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportConfig {
    /// The bucket that holds the sources.
    pub bucket: BucketUri,
    /// The bucket that holds the list of sources and, at the end, the import's own manifest.
    pub work: BucketUri,
    /// Key of the list's root in the work bucket.
    pub list: String,
    /// The target.
    pub stream: StreamUri,
    /// The format of the sources.
    pub format: Format,
    /// The compression of the sources; what does not say so has none.
    #[serde(default, skip_serializing_if = "Compression::is_plain")]
    pub compression: Compression,
    /// Files that no export wrote, where they are more than any bytes; then the two above are of no weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<ForeignFiles>>,
    /// Bytes of an event, for raw.
    pub event_size: u64,
    /// Bytes of payload, key and headers that the target takes of one event; none in records of before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_event: Option<u64>,
    /// True if events continue from one source in the next, for raw.
    pub pack: bool,
    /// Which shard of the target takes an event. None where keys neither decide that nor are given to events that have
    /// none, as in all records of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The order that events keep where the target does not keep all of it anyway; none for that of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What is done with an event that the target cannot hold.
    #[serde(default, skip_serializing_if = "OnMisfit::is_fail")]
    pub on_misfit: OnMisfit,
    /// Time of events that have none of their own: when the import was planned.
    pub time: Timestamp,
    /// The rhythm in which events are appended; none for as fast as they can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rhythm: Option<Rhythm>,
    /// Bytes of payload a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
}

impl ImportConfig {
    /// The format and compression of an export's objects.
    pub fn encoding(&self) -> Encoding {
        Encoding { format: self.format, compression: self.compression }
    }

    /// The folder of the import in its work bucket: of its manifest, and of events that its target cannot hold.
    pub fn folder(&self) -> &str {
        self.list.rsplitn(3, '/').nth(2).unwrap_or_default()
    }

    /// True if its sources' bytes are cut into events, which have no keys.
    pub fn is_cut(&self) -> bool {
        self.format == Format::Raw && self.foreign.as_ref().is_none_or(|files| files.format == SourceFormat::Raw)
    }
}

/// A resolved configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Config {
    /// Stream to bucket.
    Export(ExportConfig),
    /// Bucket to stream.
    Import(ImportConfig),
}

/// Sums over a transfer's shards, as of the last slice's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Events and bytes that arrived.
    pub moved: Counts,
    /// Events and bytes of the whole range, where the source can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Counts>,
    /// Complete objects of an export, consumed ones of an import.
    pub objects: u64,
    /// Slices that ran.
    pub slices: u64,
    /// Gaps on record.
    pub gaps: u64,
    /// Events that an import's target cannot hold and that are stored.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub misfits: u64,
    /// Shards that are not through. None before the transfer was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// META: one item a transfer, never touched by a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferRecord {
    /// Version of this record's shape.
    pub version: u32,
    /// The transfer.
    pub id: TransferId,
    /// Raised by each write; a write is conditional on the one before.
    pub revision: u64,
    /// Which way.
    pub kind: Kind,
    /// The state.
    pub state: State,
    /// What the user wants.
    pub wanted: Wanted,
    /// Raised by each resume.
    pub generation: u32,
    /// The execution that runs it: an execution's name, or a host's.
    pub execution: String,
    /// The time of planning.
    pub created_at: Timestamp,
    /// When this record was last written while the transfer was at work. At rest: when the rest began.
    pub updated_at: Timestamp,
    /// The request as given.
    pub request: Request,
    /// The request as resolved.
    pub config: Config,
    /// Its shards, in order; none before it is planned.
    pub shards: Vec<ShardId>,
    /// Of an import whose plan goes on: what was found so far. The configuration is preliminary then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planning: Option<PlanProgress>,
    /// Sums as of the last slice's end.
    pub totals: Totals,
    /// The manifest, once written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The limit of bytes of payload a second, if it was changed after planning; 0 for no limit. Absent: as it was
    /// planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Milliseconds that it was at rest between two runs.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub rested_millis: u64,
    /// Of an import in rhythm: when writing began. Absent before, and without a rhythm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// Entries of an import's source that are not imported.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// Notes for a person: the plan's on the request, such as bounds that mean less than they seem to, and what the
    /// transfer could not give back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_nothing(count: &u64) -> bool {
    *count == 0
}

impl Config {
    /// The first version that can go on with it. Every slice reads the transfer's record before anything else, so it
    /// is enough that this one says so.
    fn version(&self) -> u32 {
        match self {
            Self::Export(ExportConfig { deaggregate: true, .. })
            | Self::Import(ImportConfig { placement: Some(_), .. }) => return PLACED,
            Self::Export(ExportConfig { by_time: true, .. }) => return BY_TIME,
            _ => {}
        }
        let old = match self {
            Self::Export(config) => config.destinations.values().all(|one| one.encoding().is_of_version_1()),
            Self::Import(config) => config.encoding().is_of_version_1() && config.foreign.is_none(),
        };
        if old { 1 } else { COMPRESSED }
    }
}

/// The first version that understands a planned transfer.
pub(super) fn version_of(request: &Request, config: &Config) -> u32 {
    match request {
        // An older version would end a run without a word in the bucket.
        Request::Export(request) if request.series.is_some() => SERIES,
        Request::Import(request) if request.pace.is_some() || request.on_misfit.is_some() => TOLD_HOW,
        Request::Import(request) if request.create_target || request.order.is_some() => ORDERED,
        Request::Export(request) if request.read_share.is_some() || request.read.is_some() => ORDERED,
        Request::Import(request) if request.placement.is_some() => config.version().max(PLACED),
        Request::Export(request) if request.deaggregate => config.version().max(PLACED),
        Request::Import(request) if request.all_files => config.version().max(HIDDEN_FILES),
        _ => config.version(),
    }
}

impl TransferRecord {
    /// A transfer whose shards are not on record yet.
    pub fn new(
        id: TransferId,
        execution: String,
        request: Request,
        config: Config,
        shards: Vec<ShardId>,
        now: Timestamp,
    ) -> Self {
        Self {
            version: version_of(&request, &config),
            id,
            revision: 1,
            kind: request.kind(),
            state: State::Preparing,
            wanted: Wanted::Running,
            generation: 1,
            execution,
            created_at: now,
            updated_at: now,
            request,
            config,
            shards,
            planning: None,
            totals: Totals::default(),
            manifest: None,
            failure: None,
            rate: None,
            rested_millis: 0,
            anchor: None,
            left_out: LeftOut::default(),
            notes: Vec::new(),
        }
    }

    /// Bytes of payload a second, at most, that slices of it may move; none for no limit.
    pub fn rate(&self) -> Option<u64> {
        let planned = match &self.config {
            Config::Export(config) => config.rate,
            Config::Import(config) => config.rate,
        };
        match self.rate {
            None => planned,
            Some(0) => None,
            said => said,
        }
    }

    /// When each event of an import in rhythm is due; none without a rhythm, and before writing began.
    pub fn schedule(&self) -> Option<Schedule> {
        Some(Schedule { rhythm: self.rhythm()?, anchor: self.anchor? })
    }

    /// The rhythm of an import that has one.
    pub fn rhythm(&self) -> Option<Rhythm> {
        match &self.config {
            Config::Import(config) => config.rhythm,
            Config::Export(_) => None,
        }
    }

    /// True if it is at work and nobody wants it to rest.
    fn is_running(&self) -> bool {
        self.state.is_active() && self.wanted == Wanted::Running
    }

    /// Adds a note for a person, once.
    pub fn note(&mut self, note: Option<&str>) {
        if let Some(note) = note.filter(|note| !self.notes.iter().any(|known| known == note)) {
            self.notes.push(note.to_owned());
        }
    }

    /// Milliseconds from when it was planned to `now` or to when it came to rest, without those at rest.
    pub fn worked_millis(&self, now: Timestamp) -> u64 {
        let until = if self.state.is_active() { now } else { self.updated_at };
        until.millis_since(self.created_at).saturating_sub(self.rested_millis)
    }

    /// Keeps time: it was `before` until now. What passed at rest is no work, and a change at rest does not move the
    /// instant at which the rest began. A rhythm stands still from when a rest is wanted until the transfer goes on.
    pub fn changed_from(&mut self, before: &Self, now: Timestamp) {
        let (was_running, is_running) = (before.is_running(), self.is_running());
        if let Some(anchor) = &mut self.anchor {
            if is_running {
                anchor.go_on(now);
            } else if was_running && !self.state.is_final() {
                anchor.hold(now);
            }
        }
        let (was_active, is_active) = (before.state.is_active(), self.state.is_active());
        if is_active && !was_active {
            self.rested_millis += now.millis_since(before.updated_at);
        }
        if is_active || was_active {
            self.updated_at = now;
        }
    }

    /// Takes a step, with what belongs to it: a resume starts a new generation and forgets the failure.
    pub fn step(&mut self, step: Step) -> Result<(), Illegal> {
        self.state = self.state.after(step)?;
        match step {
            Step::Resumed => {
                self.generation += 1;
                self.wanted = Wanted::Running;
                self.failure = None;
            }
            Step::Failed => self.wanted = Wanted::Running,
            _ => {}
        }
        Ok(())
    }
}
