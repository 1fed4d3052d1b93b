//! A loop that puts the events of files into a stream, request after request, one sender for each file.

use std::fs;
use std::path::PathBuf;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use futures::future::try_join_all;

use super::TARGET;
use crate::Result;
use crate::measure::{Job, tell};
use crate::upload::configuration;

/// Records of a request, and bytes of their payloads.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// A folder of files that are nothing but payloads of one length
    #[arg(long)]
    folder: PathBuf,
    /// Bytes of an event's payload
    #[arg(long)]
    event: usize,
}

pub(crate) fn import(job: &Import) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(&job.folder)? {
        files.push(fs::read(entry?.path())?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Job::begin();
        let client = aws_sdk_kinesis::Client::new(&configuration().await);
        let bytes = try_join_all(files.iter().map(|file| one_file(&client, job.event, file))).await?;
        tell(bytes.into_iter().sum(), begun.end(), &[])
    })
}

/// Answers the bytes of its payloads.
async fn one_file(client: &aws_sdk_kinesis::Client, event: usize, file: &[u8]) -> Result<usize> {
    let mut key = 0;
    for request in file.chunks(event * RECORDS.min(BYTES / event).max(1)) {
        let entries = request.chunks(event).map(|payload| {
            key = (key + 1) % 1_000;
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(payload));
            entry.partition_key(format!("key-{key}")).build()
        });
        let entries = entries.collect::<std::result::Result<Vec<_>, _>>()?;
        let answer = client.put_records().stream_name(TARGET).set_records(Some(entries)).send().await?;
        if answer.failed_record_count.is_some_and(|failed| failed > 0) {
            return Err("records were refused: this loop cannot send them again".into());
        }
    }
    Ok(file.len())
}
