//! Requests as JSON, and the calls that they stand for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::encode;
use crate::counts::Operation;
use crate::refused::{Answer, Code, Refused};
use crate::{Call, Entry, Filter, Millis, Mode, Start};

/// The input of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a>(pub &'a Value);

impl<'a> Body<'a> {
    fn maybe_text(self, field: &str) -> Answer<Option<&'a str>> {
        match &self.0[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(Refused::new(Code::Serialization, format!("{field} is no text"))),
        }
    }

    fn text(self, field: &str) -> Answer<&'a str> {
        self.maybe_text(field)?.ok_or_else(|| missing(field))
    }

    fn maybe_number(self, field: &str) -> Answer<Option<u32>> {
        match &self.0[field] {
            Value::Null => Ok(None),
            value => value
                .as_u64()
                .and_then(|number| number.try_into().ok())
                .map(Some)
                .ok_or_else(|| Refused::new(Code::Serialization, format!("{field} is no number that it could be"))),
        }
    }

    fn number(self, field: &str) -> Answer<u32> {
        self.maybe_number(field)?.ok_or_else(|| missing(field))
    }

    /// Seconds with decimals, as milliseconds.
    fn time(self, field: &str) -> Answer<Millis> {
        let seconds = self.0[field].as_f64().ok_or_else(|| missing(field))?;
        let time = std::time::Duration::try_from_secs_f64(seconds + 0.000_5);
        let millis = time.ok().and_then(|time| time.as_millis().try_into().ok());
        millis.ok_or_else(|| Refused::new(Code::Serialization, format!("{field} is no time")))
    }

    fn hash(self, field: &str) -> Answer<Option<u128>> {
        let Some(text) = self.maybe_text(field)? else { return Ok(None) };
        let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|digit| digit.is_ascii_digit()));
        text.parse().ok().filter(|_| plain).map(Some).ok_or_else(|| {
            let range = "must be in the range: [0, 2^128-1]";
            Refused::argument(format!("Invalid {field}. {field} {range}. Specified value was {text}"))
        })
    }

    /// A name or an ARN.
    pub(super) fn stream(self) -> Answer<String> {
        match (self.maybe_text("StreamName")?, self.maybe_text("StreamARN")?) {
            (None, None) => Err(Refused::argument("Either StreamName or StreamARN has to be given.")),
            (Some(name), Some(arn)) if !arn.ends_with(&format!("/{name}")) => {
                Err(Refused::argument("StreamName and StreamARN are not of one stream."))
            }
            (_, Some(named)) | (Some(named), None) => Ok(named.to_owned()),
        }
    }

    pub(super) fn entry(self) -> Answer<Entry> {
        let data = STANDARD.decode(self.text("Data")?);
        let data = data.map_err(|_| Refused::new(Code::Serialization, "Data is no base64"))?;
        let key = self.text("PartitionKey")?.to_owned();
        Ok(Entry { key, data: data.into(), explicit_hash: self.hash("ExplicitHashKey")? })
    }

    pub(super) fn entries(self) -> Answer<Vec<Entry>> {
        let records = self.0["Records"].as_array().ok_or_else(|| missing("Records"))?;
        records.iter().map(|record| Body(record).entry()).collect()
    }

    fn start(self) -> Answer<Start> {
        self.start_at("ShardIteratorType", "StartingSequenceNumber")
    }

    /// The shard of a subscription, the consumer's ARN, and where it begins.
    pub(super) fn subscription(self) -> Answer<(&'a str, &'a str, Start)> {
        let position = Body(&self.0["StartingPosition"]);
        Ok((self.text("ConsumerARN")?, self.text("ShardId")?, position.start_at("Type", "SequenceNumber")?))
    }

    fn start_at(self, kind: &str, numbered: &str) -> Answer<Start> {
        let number = || Ok(self.text(numbered)?.to_owned());
        match self.text(kind)? {
            "TRIM_HORIZON" => Ok(Start::TrimHorizon),
            "LATEST" => Ok(Start::Latest),
            "AT_SEQUENCE_NUMBER" => number().map(Start::AtSequenceNumber),
            "AFTER_SEQUENCE_NUMBER" => number().map(Start::AfterSequenceNumber),
            "AT_TIMESTAMP" => self.time("Timestamp").map(Start::AtTimestamp),
            other => Err(Refused::validation(other, "shardIteratorType", "satisfy enum value set")),
        }
    }

    fn filter(self) -> Answer<Filter> {
        let filter = Body(&self.0["ShardFilter"]);
        if filter.0.is_null() {
            return Ok(Filter::default());
        }
        match filter.text("Type")? {
            "FROM_TRIM_HORIZON" => Ok(Filter::FromTrimHorizon),
            "AT_TRIM_HORIZON" => Ok(Filter::AtTrimHorizon),
            "AT_LATEST" => Ok(Filter::AtLatest),
            "AT_TIMESTAMP" => filter.time("Timestamp").map(Filter::AtTimestamp),
            "FROM_TIMESTAMP" => filter.time("Timestamp").map(Filter::FromTimestamp),
            "AFTER_SHARD_ID" => Ok(Filter::AfterShardId(filter.text("ShardId")?.to_owned())),
            other => Err(Refused::validation(other, "shardFilter.type", "satisfy enum value set")),
        }
    }

    fn mode(self) -> Answer<Mode> {
        match self.0["StreamModeDetails"]["StreamMode"].as_str() {
            None | Some("PROVISIONED") => Ok(Mode::Provisioned),
            Some("ON_DEMAND") => Ok(Mode::OnDemand),
            Some(other) => Err(Refused::validation(other, "streamMode", "satisfy enum value set")),
        }
    }

    /// A consumer by name, with the ARN of its stream, or by its own ARN.
    fn consumer(self) -> Answer<(String, String)> {
        if let Some((stream, consumer)) = self.maybe_text("ConsumerARN")?.and_then(|arn| arn.split_once("/consumer/")) {
            let name = consumer.split_once(':').map_or(consumer, |(name, _)| name);
            return Ok((stream.to_owned(), name.to_owned()));
        }
        Ok((self.text("StreamARN")?.to_owned(), self.text("ConsumerName")?.to_owned()))
    }
}

fn missing(field: &str) -> Refused {
    Refused::validation("null", field, "not be null")
}

/// Calls what a request stands for, and answers what Kinesis would write.
pub(super) fn carry_out(call: &mut Call<'_>, operation: Operation, body: Body<'_>) -> Answer<Value> {
    let nothing = |()| Value::Null;
    match operation {
        Operation::CreateStream => {
            let (mode, shards) = (body.mode()?, body.maybe_number("ShardCount")?.unwrap_or(1));
            call.create_stream(body.text("StreamName")?, shards, mode).map(nothing)
        }
        Operation::DeleteStream => call.delete_stream(&body.stream()?).map(nothing),
        Operation::DescribeStreamSummary => {
            call.describe_stream_summary(&body.stream()?).map(|summary| encode::summary(&summary))
        }
        Operation::ListShards => list_shards(call, body),
        Operation::GetShardIterator => {
            let iterator = call.get_shard_iterator(&body.stream()?, body.text("ShardId")?, &body.start()?)?;
            Ok(json!({ "ShardIterator": iterator }))
        }
        Operation::GetRecords => {
            let limit = body.maybe_number("Limit")?.unwrap_or(10_000);
            call.get_records(body.text("ShardIterator")?, limit).map(|answer| encode::records(&answer))
        }
        Operation::PutRecord => call.put_record(&body.stream()?, body.entry()?).map(|landed| encode::landed(&landed)),
        Operation::PutRecords => {
            call.put_records(&body.stream()?, body.entries()?).map(|results| encode::results(&results))
        }
        Operation::SplitShard => {
            let start = body.hash("NewStartingHashKey")?.ok_or_else(|| missing("NewStartingHashKey"))?;
            call.split_shard(&body.stream()?, body.text("ShardToSplit")?, start).map(nothing)
        }
        Operation::MergeShards => {
            let (shard, adjacent) = (body.text("ShardToMerge")?, body.text("AdjacentShardToMerge")?);
            call.merge_shards(&body.stream()?, shard, adjacent).map(nothing)
        }
        Operation::UpdateShardCount => {
            let (stream, target) = (body.stream()?, body.number("TargetShardCount")?);
            call.update_shard_count(&stream, target)?;
            Ok(json!({ "StreamName": stream, "TargetShardCount": target }))
        }
        Operation::IncreaseStreamRetentionPeriod => {
            call.increase_stream_retention_period(&body.stream()?, body.number("RetentionPeriodHours")?).map(nothing)
        }
        Operation::DecreaseStreamRetentionPeriod => {
            call.decrease_stream_retention_period(&body.stream()?, body.number("RetentionPeriodHours")?).map(nothing)
        }
        Operation::RegisterStreamConsumer => {
            let (stream, name) = body.consumer()?;
            let consumer = call.register_stream_consumer(&stream, &name)?;
            Ok(json!({ "Consumer": encode::consumer(&consumer) }))
        }
        Operation::DeregisterStreamConsumer => {
            let (stream, name) = body.consumer()?;
            call.deregister_stream_consumer(&stream, &name).map(nothing)
        }
        Operation::DescribeStreamConsumer => {
            let (stream, name) = body.consumer()?;
            let mut described = encode::consumer(&call.describe_stream_consumer(&stream, &name)?);
            described["StreamARN"] = json!(stream);
            Ok(json!({ "ConsumerDescription": described }))
        }
        // Where nobody listens to it.
        Operation::SubscribeToShard => {
            let (consumer, shard, start) = body.subscription()?;
            call.subscribe_to_shard(consumer, shard, &start)?;
            Ok(Value::Null)
        }
        Operation::ListStreamConsumers => {
            let consumers = call.list_stream_consumers(body.text("StreamARN")?)?;
            Ok(json!({ "Consumers": consumers.iter().map(encode::consumer).collect::<Vec<_>>() }))
        }
    }
}

fn list_shards(call: &mut Call<'_>, body: Body<'_>) -> Answer<Value> {
    let page = body.maybe_number("MaxResults")?;
    let page = match body.maybe_text("NextToken")? {
        Some(_) if body.maybe_text("StreamName")?.is_some() => {
            return Err(Refused::argument("NextToken and StreamName cannot be provided together."));
        }
        Some(token) => call.list_more_shards(token, page)?,
        None => call.list_shards(&body.stream()?, body.filter()?, page)?,
    };
    Ok(encode::shards(&page))
}
