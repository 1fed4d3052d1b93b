//! Checkpoints in one `DynamoDB` table.
//!
//! | `pk` | `sk` | what |
//! |---|---|---|
//! | `transfer#ID` | `META` | a transfer |
//! | `transfer#ID#shard#SHARD` | `SHARD` | a shard's record |
//! | the same | `PARTS#DESTINATION#INDEX` | a page of its ledger, the index in six digits |
//! | `stream#URI` | `WRITER` | the import that holds a stream |
//!
//! A shard is a partition of its own, so that no transfer makes a hot one. Records are native attributes, so that
//! others can query them (they must not write). Only transfers have a `state`, so the index [`BY_STATE`] on `state`
//! and `createdAt` holds just them; it trails the table by moments, everything else is read consistently.
//!
//! **Lost answers.** A conditional write whose answer is lost may have landed, and the SDK repeats it: the second try
//! then finds its own revision and is refused. So a refusal is never believed by itself: the item that refused
//! (`DynamoDB` sends it along) is compared with what was to be written, and if they are equal the write is done.
//! Pages lie in the same transaction as their record, so the record speaks for them. If others wrote since, the write
//! answers as a mismatch although it landed once: for its caller it is the same, the record is no longer its own.
//! For the same reason an error that says "it did not happen" is only passed on as such if no earlier try of the same
//! call went unanswered; else it is `Indeterminate`.
//!
//! **Invariant.** Each write is one request, and conditional wherever two could meet. No SDK type is in the port's
//! answers.

mod fault;
mod item;
mod key;
mod requests;
mod store;
mod sweep;
mod table;

use aws_sdk_dynamodb::Client;

pub use table::BY_STATE;

/// Checkpoints in one table; a clone is another handle on the same client.
#[derive(Clone, Debug)]
pub struct DynamoCheckpoints {
    client: Client,
    table: String,
}

impl DynamoCheckpoints {
    /// In that table, which has to exist, with its index [`BY_STATE`]: the stack's template makes it.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}
