//! What a checkpoint costs on a file in the working folder:
//! `cargo run --release -p sluice-checkpoint-sqlite --example latency`.
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it is what this is for")]

use std::time::Instant;

use sluice_checkpoint_sqlite::SqliteCheckpoints;
use sluice_ports::{CheckpointStore, Stored};
use sluice_transfer::record::{LedgerPage, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range};

const WRITES: u32 = 1_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let store = SqliteCheckpoints::open(dir.path().join("checkpoints.sqlite")).await?;
    let range = Range { from: Position::Beginning, until: Position::End };
    let mut record = ShardRecord::new("t".parse()?, "0".parse()?, range, None, Work::Export([].into()));
    store.create_shard(&record).await?;
    let page = LedgerPage { version: 1, object: 0, incarnation: 0, index: 0, entries: Vec::new() };
    for (what, pages) in [("a conditional write", vec![]), ("one with a page", vec![(DestinationName::only(), page)])] {
        let start = Instant::now();
        for _ in 0..WRITES {
            record.revision += 1;
            if store.update_shard(&record, &pages).await? != Stored::Done {
                return Err("a write was refused".into());
            }
        }
        println!("{what}: {} µs", start.elapsed().as_micros() / u128::from(WRITES));
    }
    let start = Instant::now();
    for _ in 0..WRITES {
        store.shard(&record.transfer, &record.shard).await?;
    }
    println!("a read: {} µs", start.elapsed().as_micros() / u128::from(WRITES));
    Ok(())
}
