//! One method for each call to Kinesis, in the core's own words.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, ShardIteratorType, StreamStatus};
use aws_smithy_types::DateTime;
use sluice_ports::{Clock, Error, ErrorKind, Made, Result};
use sluice_transfer::{ShardId, Timestamp};

use crate::answer::{Answer, decoded, nearest_micro};
use crate::arn::arn;
use crate::body::Bodies;
use crate::fault::{Call, is_refused_argument};
use crate::held::Facts;
use crate::pace::{Pace, Usage};
use crate::put::{self, Entry};
use crate::shards::Shard;

/// Tries at a read that is throttled or does not answer, and what is waited before the second.
const TRIES: u32 = 5;
const FIRST_WAIT_MILLIS: u64 = 100;
/// What a record may have where the stream does not say (API reference, `MaxRecordSizeInKiB`): 1 MiB.
const LARGEST_KIB: i32 = 1_024;
/// Records in one answer (API reference, `GetRecords`).
pub(crate) const RECORDS: usize = 10_000;

/// Where an iterator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the oldest record.
    Horizon,
    /// At the record of that number, as the server writes it.
    At(String),
    /// At the first record of that time or later.
    Time(Timestamp),
}

/// The calls on one stream. All but [`Self::put`] are tried again where that may help.
pub(crate) struct Wire {
    client: Client,
    /// As it was given: a name or an ARN.
    name: String,
    /// Where Kinesis is looked for, if not at Amazon's own endpoint.
    endpoint: Option<String>,
    is_arn: bool,
    clock: Arc<dyn Clock>,
    pace: Pace,
}

impl Wire {
    pub(crate) fn new(client: Client, name: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            name: name.to_owned(),
            endpoint: None,
            is_arn: arn(name).is_some(),
            pace: Pace::new(clock.clone(), Usage::of(None)),
            clock,
        }
    }

    pub(crate) fn at_endpoint(self, endpoint: Option<String>) -> Self {
        Self { pace: Pace::new(self.clock.clone(), Usage::of(endpoint.as_deref())), endpoint, ..self }
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// What makes the stream.
    pub(crate) fn create_command(&self, shards: u32) -> String {
        let (name, region) = match arn(&self.name) {
            Some(arn) => (arn.stream, format!(" --region {}", arn.region)),
            None => (self.name.clone(), String::new()),
        };
        format!("aws kinesis create-stream --stream-name {name} --shard-count {shards}{region}")
    }

    fn stream_name(&self) -> Option<String> {
        (!self.is_arn).then(|| self.name.clone())
    }

    fn stream_arn(&self) -> Option<String> {
        self.is_arn.then(|| self.name.clone())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn call(&self, operation: &'static str) -> Call<'_> {
        Call { operation, stream: &self.name, endpoint: self.endpoint.as_deref(), unanswered: ErrorKind::Unavailable }
    }

    /// Makes the stream, unless there is one of that name, be it on its way in or out.
    pub(crate) async fn create(&self, shards: u32) -> Result<Made> {
        // By its name alone: the account is the caller's.
        let name = &arn(&self.name).map_or_else(|| self.name.clone(), |arn| arn.stream);
        let count = i32::try_from(shards).unwrap_or(i32::MAX);
        let answer = self.patiently(move || async move {
            match self.client.create_stream().stream_name(name).shard_count(count).send().await {
                Ok(_) => Ok(Made::Now),
                Err(error) if error.code() == Some("ResourceInUseException") => Ok(Made::Before),
                Err(error) => Err(self.call("CreateStream").failed(error)),
            }
        });
        answer.await.map_err(|error| match error.kind() {
            // More shards than the account may have, or too many streams that are being made: for longer than a moment.
            ErrorKind::Throttled => Error::with(ErrorKind::Full, format!("no room for {shards} shards"), error),
            _ => error,
        })
    }

    /// The stream's ARN, which is asked for where only its name was given.
    pub(crate) async fn arn(&self) -> Result<String> {
        if self.is_arn {
            return Ok(self.name.clone());
        }
        let answer = self.patiently(move || async move {
            let request = self.client.describe_stream_summary().stream_name(&self.name);
            request.send().await.map_err(|error| self.call("DescribeStreamSummary").failed(error))
        });
        let answer = answer.await?.stream_description_summary;
        answer
            .map(|summary| summary.stream_arn)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{} has no summary", self.name)))
    }

    /// What concerns the whole stream. `NotFound` if it is not there, or will not be; `Unavailable` if not yet.
    pub(crate) async fn summary(&self) -> Result<Facts> {
        let answer = self.patiently(move || async move {
            let request = self.client.describe_stream_summary();
            let answer = request.set_stream_name(self.stream_name()).set_stream_arn(self.stream_arn()).send().await;
            answer.map_err(|error| self.call("DescribeStreamSummary").failed(error))
        });
        let answer = answer.await?.stream_description_summary;
        let summary = answer.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{} has no summary", self.name)))?;
        let refuse = |kind, is: &str| Err(Error::new(kind, format!("the stream {} is being {is}", self.name)));
        match summary.stream_status {
            StreamStatus::Creating => return refuse(ErrorKind::Unavailable, "made"),
            StreamStatus::Deleting => return refuse(ErrorKind::NotFound, "deleted"),
            _ => {}
        }
        let largest = summary.max_record_size_in_kib.unwrap_or(LARGEST_KIB);
        Ok(Facts {
            largest: u64::try_from(largest).unwrap_or(0) << 10,
            retention_millis: u64::try_from(summary.retention_period_hours).unwrap_or(0) * 3_600_000,
            scattered: summary.record_distribution_strategy == Some(RecordDistributionStrategy::Auto),
            // The SDK makes 1970 of an answer without it.
            created: Some(nearest_micro(summary.stream_creation_timestamp.as_secs_f64()))
                .filter(|time| time.micros() > 0),
        })
    }

    /// All shards that still have records or may get some.
    pub(crate) async fn shards(&self) -> Result<Vec<Shard>> {
        let (mut shards, mut token) = (Vec::new(), None::<String>);
        loop {
            let given = &token;
            let answer = self.patiently(move || async move {
                let request = self.client.list_shards();
                // A token names the stream: both may not be given.
                let request = match given {
                    Some(token) => request.next_token(token),
                    None => request.set_stream_name(self.stream_name()).set_stream_arn(self.stream_arn()),
                };
                request.send().await.map_err(|error| self.call("ListShards").failed(error))
            });
            let answer = answer.await?;
            for shard in answer.shards() {
                shards.push(Shard::of(shard)?);
            }
            if answer.next_token.is_none() {
                return Ok(shards);
            }
            if answer.next_token == token {
                return Err(Error::new(ErrorKind::Corrupt, format!("the shards of {} have no end", self.name)));
            }
            token = answer.next_token;
        }
    }

    /// An iterator; none if the start is none that Kinesis takes.
    pub(crate) async fn iterator(&self, shard: &ShardId, start: &Start) -> Result<Option<String>> {
        let answer = self.patiently(move || async move {
            let request = self.client.get_shard_iterator().shard_id(shard.as_str());
            let request = match start {
                Start::Horizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                Start::At(number) => {
                    request.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(number)
                }
                Start::Time(time) => request
                    .shard_iterator_type(ShardIteratorType::AtTimestamp)
                    .timestamp(DateTime::from_millis(millis_from(*time))),
            };
            match request.set_stream_name(self.stream_name()).set_stream_arn(self.stream_arn()).send().await {
                Ok(answer) => Ok(Some(answer.shard_iterator)),
                Err(error) if *start != Start::Horizon && is_refused_argument(&error) => Ok(None),
                Err(error) => Err(self.call("GetShardIterator").failed(error)),
            }
        });
        match answer.await? {
            None => Ok(None),
            Some(Some(iterator)) => Ok(Some(iterator)),
            Some(None) => Err(Error::new(ErrorKind::Corrupt, format!("{} answered no iterator", self.name))),
        }
    }

    /// At most this many records (1 to 10,000), at the shard's pace; none if the iterator has expired.
    pub(crate) async fn records(
        &self,
        shard: &ShardId,
        iterator: &str,
        count: usize,
        usage: Usage,
    ) -> Result<Option<Answer>> {
        let count = count.clamp(1, RECORDS);
        let answer = self.patiently(move || async move {
            self.pace.read(shard, usage).await;
            let asked = self.clock.now();
            let request = self.client.get_records().shard_iterator(iterator).set_stream_arn(self.stream_arn());
            let (request, body) = (request.limit(i32::try_from(count).unwrap_or(i32::MAX)), Bodies::default());
            match request.customize().interceptor(body.clone()).send().await {
                Ok(_) => Ok(Some((body.answer("GetRecords", ErrorKind::Unavailable, self.clock()).await?, asked))),
                Err(error)
                    if matches!(error.as_service_error(), Some(GetRecordsError::ExpiredIteratorException(_))) =>
                {
                    Ok(None)
                }
                Err(error) => Err(self.call("GetRecords").failed(error)),
            }
        });
        let Some((body, asked)) = answer.await? else { return Ok(None) };
        let answer = decoded(&body, count, asked)?;
        drop(body);
        self.pace.answered(
            shard,
            usage,
            asked,
            answer.events.iter().map(|event| event.payload.len() + event.key.len()).sum(),
        );
        Ok(Some(answer))
    }

    /// One request, once; its answer's body. An error that leaves open what happened is `Indeterminate`.
    pub(crate) async fn put<'a>(&self, entries: impl Iterator<Item = Entry<'a>> + Clone) -> Result<Vec<u8>> {
        let stream = (if self.is_arn { "StreamARN" } else { "StreamName" }, self.name.as_str());
        let bodies = Bodies::of_request(put::request(stream, entries));
        // What the SDK checks of its input, and takes the endpoint from.
        let input = self.client.put_records().set_records(Some(Vec::new()));
        let input = input.set_stream_name(self.stream_name()).set_stream_arn(self.stream_arn());
        match input.customize().interceptor(bodies.clone()).send().await {
            Ok(_) => bodies.answer("PutRecords", ErrorKind::Indeterminate, self.clock()).await,
            Err(error) => Err(Call { unanswered: ErrorKind::Indeterminate, ..self.call("PutRecords") }.failed(error)),
        }
    }

    pub(crate) async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        for attempt in 1..TRIES {
            match call().await {
                Err(error) if error.kind().is_transient() => {
                    tracing::debug!(%error, "trying again");
                    self.clock.sleep(FIRST_WAIT_MILLIS << attempt).await;
                }
                answer => return answer,
            }
        }
        call().await
    }
}

/// The first millisecond that does not lie before that time: Kinesis' times have no more.
pub(crate) fn millis_from(time: Timestamp) -> i64 {
    time.micros().saturating_add(999).div_euclid(1_000)
}
