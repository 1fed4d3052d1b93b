//! Making, changing, describing and deleting streams.

use std::collections::BTreeMap;
use std::fmt;

use super::{Call, Mode, Status, Stream};
use crate::Millis;
use crate::counts::Operation;
use crate::hash::Hashes;
use crate::refused::{Answer, Code, Refused};

/// Hours that records are kept at least, and at most: a day and a year.
const RETENTION_HOURS: std::ops::RangeInclusive<u32> = 24..=8_760;
/// Shards of a new on-demand stream.
const ON_DEMAND_SHARDS: u32 = 4;
/// KiB that a record may have, and that an owner may allow.
const RECORD_KIB: std::ops::RangeInclusive<u32> = 1_024..=10_240;
/// Characters of a stream's name.
const NAME_CHARACTERS: usize = 128;

/// What `DescribeStreamSummary` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The stream's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its state.
    pub status: Status,
    /// Who decides on its shards.
    pub mode: Mode,
    /// Hours that records are kept.
    pub retention_hours: u32,
    /// When it was made: a stream that was made again under its name has another (row 10).
    pub created: Millis,
    /// Shards that take records.
    pub open_shards: u32,
    /// Registered consumers.
    pub consumers: u32,
    /// KiB that a record may have.
    pub largest_kib: u32,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "CREATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
        })
    }
}

impl Call<'_> {
    /// Makes a stream. `shards` counts for provisioned ones only.
    pub fn create_stream(&mut self, name: &str, shards: u32, mode: Mode) -> Answer<()> {
        self.counted(Operation::CreateStream, |service, now| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.is_empty() || name.len() > NAME_CHARACTERS || !name.bytes().all(plain) {
                let rule = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
                return Err(Refused::validation(name, "streamName", rule));
            }
            if shards == 0 && mode == Mode::Provisioned {
                return Err(Refused::validation(shards, "shardCount", "have value greater than or equal to 1"));
            }
            if service.streams.contains_key(name) {
                let message = format!("Stream {name} under account {} already exists.", service.account);
                return Err(Refused::new(Code::ResourceInUse, message));
            }
            let changing = service.faults.changing;
            let mut stream = Stream {
                name: name.to_owned(),
                arn: service.arn(name),
                created: now,
                mode,
                retention_hours: *RETENTION_HOURS.start(),
                largest_kib: *RECORD_KIB.start(),
                change: (changing > 0).then_some((Status::Creating, now + changing)),
                shards: Vec::new(),
                consumers: Vec::new(),
                issued: 0,
                under_way: BTreeMap::new(),
            };
            for hashes in Hashes::equal(if mode == Mode::OnDemand { ON_DEMAND_SHARDS } else { shards }) {
                stream.open(now, hashes, [None, None]);
            }
            service.streams.insert(name.to_owned(), stream);
            Ok(())
        })
    }

    /// Deletes a stream and what it holds.
    pub fn delete_stream(&mut self, stream: &str) -> Answer<()> {
        self.counted(Operation::DeleteStream, |service, now| {
            let changing = service.faults.changing;
            let found = service.stream_mut(stream)?;
            found.change = Some((Status::Deleting, now + changing));
            service.settle(now);
            Ok(())
        })
    }

    /// What concerns the whole stream.
    pub fn describe_stream_summary(&mut self, stream: &str) -> Answer<Summary> {
        self.counted(Operation::DescribeStreamSummary, |service, now| {
            let stream = service.stream(stream)?;
            Ok(Summary {
                name: stream.name.clone(),
                arn: stream.arn.clone(),
                status: stream.status(now),
                mode: stream.mode,
                retention_hours: stream.retention_hours,
                created: stream.created,
                open_shards: u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX),
                consumers: u32::try_from(stream.consumers.len()).unwrap_or(u32::MAX),
                largest_kib: stream.largest_kib,
            })
        })
    }

    /// Keeps records for longer: 365 days at most.
    pub fn increase_stream_retention_period(&mut self, stream: &str, hours: u32) -> Answer<()> {
        self.retain_for(Operation::IncreaseStreamRetentionPeriod, stream, hours, |hours, now| hours >= now)
    }

    /// Keeps records for less long: a day at least. What is older goes.
    pub fn decrease_stream_retention_period(&mut self, stream: &str, hours: u32) -> Answer<()> {
        self.retain_for(Operation::DecreaseStreamRetentionPeriod, stream, hours, |hours, now| hours <= now)
    }

    fn retain_for(&mut self, operation: Operation, stream: &str, hours: u32, fits: fn(u32, u32) -> bool) -> Answer<()> {
        self.counted(operation, |service, now| {
            let before = service.stream(stream)?.retention_hours;
            if !RETENTION_HOURS.contains(&hours) || !fits(hours, before) {
                let message = format!(
                    "Requested retention period ({hours} hours) for stream {stream} does not fit \
                    its existing retention period ({before} hours), or lies outside 24 to 8760 hours."
                );
                return Err(Refused::argument(message));
            }
            service.changeable(stream, now)?.retention_hours = hours;
            Ok(())
        })
    }

    /// Lets records of a stream have more bytes: 1,024 to 10,240 KiB, payload and key. Not counted.
    pub fn allow_records_of(&mut self, stream: &str, kib: u32) -> Answer<()> {
        if !RECORD_KIB.contains(&kib) {
            return Err(Refused::validation(kib, "maxRecordSizeInKiB", "have value between 1024 and 10240"));
        }
        self.service.stream_mut(stream)?.largest_kib = kib;
        Ok(())
    }
}
