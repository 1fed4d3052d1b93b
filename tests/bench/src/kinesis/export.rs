//! A loop that reads all shards at once and uploads each one's payloads, part after part, as the SDK's guide has it.

use aws_sdk_kinesis::types::ShardIteratorType;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::future::try_join_all;

use super::SOURCE;
use crate::Result;
use crate::measure::{Job, tell};
use crate::upload::configuration;

/// Bytes of a part.
const PART: usize = 8 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[arg(long)]
    bucket: String,
    /// What keys begin with
    #[arg(long)]
    key: String,
}

struct Clients {
    kinesis: aws_sdk_kinesis::Client,
    s3: aws_sdk_s3::Client,
}

pub(crate) fn export(job: &Export) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Job::begin();
        let config = configuration().await;
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let clients = Clients { kinesis: aws_sdk_kinesis::Client::new(&config), s3: aws_sdk_s3::Client::from_conf(s3) };
        let shards = clients.kinesis.list_shards().stream_name(SOURCE).send().await?.shards.unwrap_or_default();
        let each = shards.iter().map(|shard| one_shard(&clients, job, shard.shard_id()));
        let bytes = try_join_all(each).await?.into_iter().sum();
        tell(bytes, begun.end(), &[])
    })
}

/// Answers the bytes of its payloads.
async fn one_shard(clients: &Clients, job: &Export, shard: &str) -> Result<usize> {
    let Clients { kinesis, s3 } = clients;
    let key = format!("{}/{shard}", job.key);
    let begun = s3.create_multipart_upload().bucket(&job.bucket).key(&key).send().await?;
    let id = begun.upload_id.ok_or("the upload has no name")?;
    let iterator = kinesis.get_shard_iterator().stream_name(SOURCE).shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
    let mut next = iterator.shard_iterator;
    let (mut part, mut bytes, mut stored) = (Vec::with_capacity(PART), 0, Vec::new());
    while let Some(iterator) = next {
        let answer = kinesis.get_records().shard_iterator(iterator).limit(10_000).send().await?;
        let through = answer.millis_behind_latest == Some(0);
        for record in answer.records {
            bytes += record.data.as_ref().len();
            part.extend_from_slice(record.data.as_ref());
        }
        while part.len() >= PART || (through && !part.is_empty()) {
            let rest = part.split_off(part.len().min(PART));
            let full = std::mem::replace(&mut part, rest);
            let number = i32::try_from(stored.len() + 1)?;
            let request = s3.upload_part().bucket(&job.bucket).key(&key).upload_id(&id).part_number(number);
            let answer = request.body(ByteStream::from(full)).send().await?;
            stored.push(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build());
        }
        next = if through { None } else { answer.next_shard_iterator };
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(stored)).build();
    let request = s3.complete_multipart_upload().bucket(&job.bucket).key(&key).upload_id(&id);
    request.multipart_upload(parts).send().await?;
    Ok(bytes)
}
