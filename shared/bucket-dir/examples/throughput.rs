//! How fast the bucket writes, against writing and syncing the same bytes plainly, in turns.
//!
//! `cargo run --release -p sluice-bucket-dir --example throughput -- DIRECTORY [MIB] [ROUNDS]`
#![allow(clippy::print_stdout, reason = "it is what this is for")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, CompleteAnswer, Metadata, PartAnswer};
use sluice_transfer::Checksum;
use sluice_transfer::record::PartEntry;

const PART: u64 = 8 << 20;

/// With the checksum that whoever packs bytes knows.
type Part = (Bytes, Checksum);

fn filled(seed: u64) -> Part {
    let mut state = seed | 1;
    let words = (0..PART / 8).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    });
    let bytes: Bytes = words.collect::<Vec<u8>>().into();
    let checksum = Checksum::of(&bytes);
    (bytes, checksum)
}

fn plain(path: &Path, parts: &[Part]) -> Result<(), Box<dyn Error>> {
    let mut file = File::create(path)?;
    for (part, _) in parts {
        file.write_all(part)?;
        file.sync_data()?;
    }
    Ok(())
}

async fn upload(bucket: &DirBucket, key: &str, parts: &[Part]) -> Result<(), Box<dyn Error>> {
    let id = bucket.create_upload(key, &Metadata::new()).await?;
    let (mut ledger, mut whole) = (Vec::new(), Checksum::default());
    for (number, (part, checksum)) in (1..).zip(parts) {
        match bucket.upload_part(key, &id, number, whole.len, part.clone(), *checksum).await? {
            PartAnswer::Stored { etag } => ledger.push(PartEntry { etag, checksum: *checksum }),
            PartAnswer::NoSuchUpload => return Err("the upload is gone".into()),
        }
        whole = whole.then(*checksum);
    }
    match bucket.complete(key, &id, &ledger, whole).await? {
        CompleteAnswer::Completed { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

async fn puts(bucket: &DirBucket, prefix: &str, parts: &[Part]) -> Result<(), Box<dyn Error>> {
    for (number, (part, checksum)) in parts.iter().enumerate() {
        bucket.put(&format!("{prefix}/{number}"), part.clone(), *checksum, &Metadata::new()).await?;
    }
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let within = arguments.next().ok_or("name a directory to write to")?;
    let mib: u64 = arguments.next().map_or(Ok(512), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let dir = tempfile::tempdir_in(within)?;
    let parts: Vec<Part> = (0..(mib << 20) / PART).map(filled).collect();
    let mb = parts.len() as f64 * PART as f64 / 1e6;
    let bucket = DirBucket::create(dir.path().join("bucket"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        // All write where the one before has made room, also in memory.
        let mut took = [0.0; 3];
        for (at, took) in took.iter_mut().enumerate() {
            let start = Instant::now();
            match at {
                0 => plain(&bucket.path().join("made"), &parts)?,
                1 => runtime.block_on(upload(&bucket, "made", &parts))?,
                _ => runtime.block_on(puts(&bucket, "folder", &parts))?,
            }
            *took = start.elapsed().as_secs_f64();
            match at {
                0 | 1 => fs::remove_file(bucket.path().join("made"))?,
                _ => fs::remove_dir_all(bucket.path().join("folder"))?,
            }
        }
        // The first round warms up.
        for (rates, took) in rates.iter_mut().zip(took).filter(|_| round > 0) {
            rates.push(mb / took);
        }
    }
    println!(
        "{mb:.0} MB in parts of {PART} bytes, medians of {rounds} rounds; each round also against its own plain one"
    );
    for (what, of) in ["plain write and sync", "upload and complete", "an object a part"].iter().zip(&rates) {
        let against = of.iter().zip(&rates[0]).map(|(rate, plain)| rate / plain).collect();
        println!("{what:<21} {:>5.0} MB/s, {:.2} of plain", median(of.clone()), median(against));
    }
    Ok(())
}
