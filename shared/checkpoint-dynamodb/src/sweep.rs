//! What a sweep keeps, and marks of ended transfers: attributes beside their records, which nothing else reads. A record
//! that is written again has none, since it is written whole.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use sluice_ports::{Result, Stored, SweepStore};
use sluice_transfer::record::{SweepRecord, TransferRecord};
use sluice_transfer::{State, Timestamp};

use crate::key::Key;
use crate::requests::Condition;
use crate::table::EXPIRES_AT;
use crate::{DynamoCheckpoints, fault};

/// When a transfer was gone through, in microseconds.
const SWEPT_AT: &str = "sweptAt";

impl DynamoCheckpoints {
    /// Sets attributes of an item that is there and has that revision, if one is named.
    async fn set(&self, key: Key<'_>, values: &[(&str, i64)], revision: Option<u64>) -> Result<Stored> {
        let mut request = self.client.update_item().table_name(&self.table).set_key(Some(crate::item::key_of(key)));
        let mut sets = Vec::new();
        for (index, (name, value)) in values.iter().enumerate() {
            sets.push(format!("#name{index} = :value{index}"));
            request = request
                .expression_attribute_names(format!("#name{index}"), *name)
                .expression_attribute_values(format!(":value{index}"), AttributeValue::N(value.to_string()));
        }
        request = match revision {
            Some(revision) => request
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":revision", AttributeValue::N(revision.to_string())),
            // An update would make an item that is not there.
            None => request
                .condition_expression("attribute_exists(#key)")
                .expression_attribute_names("#key", crate::key::PARTITION),
        };
        match request.update_expression(format!("SET {}", sets.join(", "))).send().await {
            Ok(_) => Ok(Stored::Done),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_dynamodb::operation::update_item::UpdateItemError::is_conditional_check_failed_exception,
                ) =>
            {
                Ok(Stored::Mismatch)
            }
            // It sets what is set already, if it is sent again.
            Err(error) => Err(fault::reading(error, self.about("marking", key))),
        }
    }
}

#[async_trait]
impl SweepStore for DynamoCheckpoints {
    async fn swept(&self) -> Result<Option<SweepRecord>> {
        self.read(Key::Sweep).await
    }

    async fn update_swept(&self, record: &SweepRecord) -> Result<Stored> {
        let condition = match record.revision.wrapping_sub(1) {
            0 => Condition::Absent,
            before => Condition::Revision(before),
        };
        self.update(Key::Sweep, record, condition, &[]).await
    }

    async fn unmarked(&self, limit: usize) -> Result<Vec<TransferRecord>> {
        let mut found = Vec::new();
        for state in State::FINAL {
            found.extend(self.transfers_of(state, limit - found.len().min(limit), Some(SWEPT_AT)).await?);
        }
        Ok(found)
    }

    /// The transfer last: as long as it is not marked, its shards are found again.
    async fn mark(&self, ended: &TransferRecord, at: Timestamp, expires: Option<Timestamp>) -> Result<Stored> {
        let mut marks = vec![(SWEPT_AT, at.micros())];
        if let Some(expires) = expires {
            let expires = (EXPIRES_AT, expires.micros() / 1_000_000);
            for shard in &ended.shards {
                // One that is gone has nothing to forget.
                self.set(Key::Shard(&ended.id, shard), &[expires], None).await?;
            }
            marks.push(expires);
        }
        self.set(Key::Meta(&ended.id), &marks, Some(ended.revision)).await
    }
}
