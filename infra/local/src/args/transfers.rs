//! Words and options of what starts, looks at, or ends transfers.

use clap::Args as ClapArgs;
use sluice_transfer::{
    BucketUri, Compression, Format, Inflate, OnMisfit, Order, Placement, PositionSpec, ReadMode, ReadShare, SeriesName,
    SourceFormat, State, StreamUri, Tempo, TransferId,
};

use super::SLICES;
use super::values::{
    Limit, bucket, compression, format, inflate, limit, on_misfit, order, placement, positive_size, proof, read_mode,
    size, source, source_format, state, stream,
};

#[derive(Debug, ClapArgs)]
pub(crate) struct Remove {
    /// The transfer
    pub id: TransferId,
    /// Also what its manifest names in its bucket
    #[arg(long)]
    pub objects: bool,
    /// Do not ask; without --objects nobody does
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// A place such as `dir:/backup` or `s3://archive/orders`: lists the exports that lie there by their manifests, in
    /// place of the transfers of this home
    #[arg(value_name = "PLACE", value_parser = source, conflicts_with_all = ["states", "limit"])]
    pub place: Option<BucketUri>,
    /// Only those in this state; may be given again [default: all]
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    pub states: Vec<State>,
    /// At most N transfers [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Bounds of each slice.
#[expect(clippy::struct_field_names, reason = "the fields' names are the options'")]
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct SliceArgs {
    /// End a slice after N events [default: no bound]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = SLICES)]
    pub slice_events: Option<u64>,
    /// End a slice after N bytes of payload [default: no bound]
    #[arg(long, value_name = "N", value_parser = positive_size, help_heading = SLICES)]
    pub slice_bytes: Option<u64>,
    /// End a slice after S seconds
    #[arg(
        long,
        value_name = "S",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        help_heading = SLICES
    )]
    pub slice_seconds: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Such as `local:orders` or `kinesis:orders`
    #[arg(value_parser = stream)]
    pub stream: StreamUri,
    /// Such as `dir:/backup` (it is made if it is not there) or `s3://archive/orders`
    #[arg(value_parser = bucket)]
    pub bucket: BucketUri,
    /// How events become bytes [default: avro]
    #[arg(long, value_name = "avro|jsonl|raw", value_parser = format)]
    pub format: Option<Format>,
    /// Compression: deflate is for avro, gzip for the others [default: zstd for avro, else none]
    #[arg(long, value_name = "none|zstd|gzip|deflate", value_parser = compression)]
    pub compression: Option<Compression>,
    /// Encoded bytes at which an object is closed [default: 256MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub object_size: Option<u64>,
    /// Encoded bytes at which a part is uploaded [default: 8MiB, or what the object size needs]
    #[arg(long, value_name = "N", value_parser = size)]
    pub part_size: Option<u64>,
    /// Take events out of aggregates of the Kinesis Producer Library, each of them with its own key
    #[arg(long)]
    pub deaggregate: bool,
    /// Part of a shard's reading limits, from 0.001 to 1, that all exports of the stream take together; the rest is left
    /// to other consumers. For Kinesis [default: 0.5]
    #[arg(long, value_name = "PART")]
    pub read_share: Option<ReadShare>,
    /// By calls, within limits that all readers share, or as a registered consumer of its own (enhanced fan-out), for
    /// which AWS charges by the hour and the byte. For Kinesis [default: polling]
    #[arg(long, value_name = "polling|fanout", value_parser = read_mode)]
    pub read: Option<ReadMode>,
    /// Make the next run of the series of that name: it begins exactly where the last one ended, and has an id of its
    /// own, such as nightly-2026-11-29. The series is on record in the bucket, so any machine can go on with it
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub series: Option<SeriesName>,
    /// Take the place of the series' last run, which another home began, if that home is lost for good
    #[arg(long, requires = "series")]
    pub take_over: bool,
    /// First event, inclusive; of a series only for its first run [default: earliest]
    #[arg(long, value_name = "P")]
    pub from: Option<PositionSpec>,
    /// End, exclusive [default: latest, as of now]
    #[arg(long, value_name = "P")]
    pub until: Option<PositionSpec>,
    /// Bytes of payload a second, at most; none for no limit. `sluice rate` changes it while it runs
    #[arg(long, value_name = "BYTES/s", value_parser = limit)]
    pub rate: Option<Limit>,
    #[command(flatten)]
    pub slices: SliceArgs,
    /// The transfer's name [default: one is made]
    #[arg(long, value_name = "ID")]
    pub id: Option<TransferId>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// Such as `dir:/backup/orders-2026` or `s3://archive/orders/ID`; a slash at its end means a folder
    #[arg(value_parser = source)]
    pub source: BucketUri,
    /// Such as `local:orders-copy` or `kinesis:orders-copy`
    #[arg(value_parser = stream)]
    pub stream: StreamUri,
    /// Import all complete runs of the series of that name in the place, in their order, each as a transfer of its own,
    /// called ID-1 and so on. The same command takes what was added to the series since
    #[arg(long, value_name = "NAME")]
    pub series: Option<SeriesName>,
    /// First event of an export, inclusive, by its sequence number or time there [default: earliest]
    #[arg(long, value_name = "P")]
    pub from: Option<PositionSpec>,
    /// End, exclusive [default: latest]
    #[arg(long, value_name = "P")]
    pub until: Option<PositionSpec>,
    /// What files are that are no export's [default: raw]
    #[arg(long, value_name = "raw|lines|jsonl|avro", value_parser = source_format)]
    pub format: Option<SourceFormat>,
    /// Whether such files are inflated that are gzip or zstd [default: auto, but none for raw]
    #[arg(long, value_name = "auto|none", value_parser = inflate)]
    pub compression: Option<Inflate>,
    /// The field of a record that is the payload, `a.b` for one within [default, jsonl: the whole line; where no field
    /// is named at all, lines are Sluice's own]
    #[arg(long, value_name = "NAME")]
    pub payload_field: Option<String>,
    /// The field that is the key [default: events have none]
    #[arg(long, value_name = "NAME")]
    pub key_field: Option<String>,
    /// The field that is the time: RFC 3339, or a number since 1970, of s below 10^11, of ms below 10^14, of us below
    /// 10^17, else of ns [default: now]
    #[arg(long, value_name = "NAME")]
    pub time_field: Option<String>,
    /// Bytes of an event, where the source has no events of its own [default: 1MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub event_size: Option<u64>,
    /// Take hidden files of a folder too, names with . or _ in front, and unfinished ones, such as a.tmp
    #[arg(long)]
    pub all_files: bool,
    /// Fill each event to its size across files
    #[arg(long)]
    pub pack: bool,
    /// The target may hold events already; they stay
    #[arg(long)]
    pub append: bool,
    /// Make a missing stream of Kinesis, with as many shards as the source needs; those of the home are made anyway
    #[arg(long)]
    pub create_target: bool,
    /// Which shard takes an event: by `key`, the one to which the key's hash leads; or `as-source`, shard by shard
    /// [default: as-source for as many shards as the source has, else key; key into Kinesis]
    #[arg(long, value_name = "key|as-source", value_parser = placement)]
    pub placement: Option<Placement>,
    /// The order that events keep in a stream of Kinesis: of each `key`, of each `shard`, or `none`, the fastest; the
    /// plan says how fast each can be [default: key]
    #[arg(long, value_name = "key|shard|none", value_parser = order)]
    pub order: Option<Order>,
    /// When events are appended: in the `original` rhythm of their times, a factor faster or slower such as 10x or 0.5x,
    /// or as fast as it goes. Events must have times [default: max]
    #[arg(long, value_name = "original|10x|max")]
    pub pace: Option<Tempo>,
    /// What is done with an event that the target cannot hold: `fail` in front of it, or `store` it beside the import's
    /// manifest and go on, for at most 10,000 events a shard [default: fail]
    #[arg(long, value_name = "fail|store", value_parser = on_misfit)]
    pub on_misfit: Option<OnMisfit>,
    /// Bytes of payload a second, at most; none for no limit. `sluice rate` changes it while it runs
    #[arg(long, value_name = "BYTES/s", value_parser = limit)]
    pub rate: Option<Limit>,
    #[command(flatten)]
    pub slices: SliceArgs,
    /// The transfer's name [default: one is made]
    #[arg(long, value_name = "ID")]
    pub id: Option<TransferId>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// The transfer; the latest one unless given
    pub id: Option<TransferId>,
    /// Go on until the transfer is at rest or at its end
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Named {
    /// The transfer
    pub id: TransferId,
}

/// What is to be proved.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// A transfer of this home.
    Transfer(TransferId),
    /// Exports in a place, or one by its manifest.
    Place(BucketUri),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    /// A transfer's id, or a place such as `dir:/backup` or `s3://archive/orders`; or a manifest there
    #[arg(value_name = "ID|PLACE", value_parser = proof)]
    pub what: Proof,
    /// Only the series of that name in the place
    #[arg(long, value_name = "NAME")]
    pub series: Option<SeriesName>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// The transfer
    pub id: TransferId,
    /// Bytes of payload a second, at most, from now on; none for no limit [default: as before]
    #[arg(long, value_name = "BYTES/s", value_parser = limit)]
    pub rate: Option<Limit>,
    #[command(flatten)]
    pub slices: SliceArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rate {
    /// The transfer
    pub id: TransferId,
    /// Bytes of payload a second, at most; none for no limit
    #[arg(value_name = "BYTES/s", value_parser = limit)]
    pub rate: Limit,
}
