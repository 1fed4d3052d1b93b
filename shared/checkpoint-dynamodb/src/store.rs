//! The port.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_ports::{CheckpointStore, Created, Error, ErrorKind, Result, Stored, WriterAnswer};
use sluice_transfer::record::{FIRST_VERSION, LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use crate::item::{WriterRecord, from_item, to_item};
use crate::key::{Key, LAST_PAGE};
use crate::requests::{Condition, Written};
use crate::table::{BY_STATE, STATE};
use crate::{DynamoCheckpoints, fault};

impl DynamoCheckpoints {
    pub(crate) async fn read<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>> {
        self.get(key).await?.map(from_item).transpose()
    }

    async fn create<T: Serialize + DeserializeOwned>(&self, key: Key<'_>, record: &T) -> Result<Created<T>> {
        match self.put(key, to_item(key, record)?, Condition::Absent).await? {
            Written::Done => Ok(Created::Now),
            Written::Refused(Some(item)) => from_item(item).map(Created::Before),
            // Nothing of ours deletes a record, so somebody else did, just now.
            Written::Refused(None) => Err(Error::new(ErrorKind::Throttled, self.about("making", key))),
        }
    }

    pub(crate) async fn update<T>(
        &self,
        key: Key<'_>,
        record: &T,
        condition: Condition,
        pages: &[(Key<'_>, &LedgerPage)],
    ) -> Result<Stored>
    where
        T: Serialize + DeserializeOwned + PartialEq + Sync,
    {
        let item = to_item(key, record)?;
        let written = if pages.is_empty() {
            self.put(key, item, condition).await?
        } else {
            let mut items = Vec::with_capacity(pages.len());
            for (key, page) in pages {
                self.check_page(*key)?;
                items.push(to_item(*key, page)?);
            }
            self.put_all(key, item, condition, items).await?
        };
        // Our own write may be what refuses it: see the crate's head. What cannot be read is not ours.
        let done = match written {
            Written::Done => true,
            Written::Refused(Some(item)) => from_item::<T>(item).is_ok_and(|found| found == *record),
            Written::Refused(None) => false,
        };
        Ok(if done { Stored::Done } else { Stored::Mismatch })
    }

    /// The youngest of a state's transfers.
    async fn transfers_in(&self, state: State, limit: usize) -> Result<Vec<TransferRecord>> {
        self.transfers_of(state, limit, None).await
    }

    /// The youngest of a state's transfers that do not have an attribute, if one is named.
    pub(crate) async fn transfers_of(
        &self,
        state: State,
        limit: usize,
        without: Option<&str>,
    ) -> Result<Vec<TransferRecord>> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_STATE)
            .key_condition_expression("#state = :state")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_values(":state", AttributeValue::S(state.to_string()))
            .scan_index_forward(false);
        let request = match without {
            Some(name) => {
                request.filter_expression("attribute_not_exists(#without)").expression_attribute_names("#without", name)
            }
            None => request,
        };
        let (mut records, mut start) = (Vec::new(), None);
        while records.len() < limit {
            // A filter passes over what was read, and the limit is one of reading.
            let missing = if without.is_some() { limit } else { limit - records.len() };
            let missing = i32::try_from(missing).unwrap_or(i32::MAX);
            let answer = request.clone().limit(missing).set_exclusive_start_key(start.clone()).send().await;
            let what = || format!("listing transfers that are {state} in the table {}", self.table);
            let answer = answer.map_err(|error| fault::reading(error, what()))?;
            for item in answer.items.unwrap_or_default() {
                records.push(from_item(item)?);
            }
            start = fault::further(start.as_ref(), answer.last_evaluated_key, what)?;
            if start.is_none() {
                break;
            }
        }
        records.truncate(limit);
        Ok(records)
    }
}

#[async_trait]
impl CheckpointStore for DynamoCheckpoints {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.create(Key::Meta(&record.id), record).await
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        self.read(Key::Meta(id)).await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        // Nothing is ever stored under the revision 0, so nothing follows it.
        let condition = Condition::Revision(record.revision.wrapping_sub(1));
        self.update(Key::Meta(&record.id), record, condition, &[]).await
    }

    /// One query a state. A transfer that changes its state meanwhile may be found in both, or, going back to an
    /// earlier one, in neither, until it is asked for again.
    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        let mut found: BTreeMap<TransferId, TransferRecord> = BTreeMap::new();
        let of = if of.is_empty() { &State::ALL[..] } else { of };
        for &state in of {
            for record in self.transfers_in(state, limit).await? {
                if found.get(&record.id).is_none_or(|other| other.revision < record.revision) {
                    found.insert(record.id.clone(), record);
                }
            }
        }
        let mut records: Vec<_> = found.into_values().collect();
        // Stable: those of one age stay in the order of their ids.
        records.sort_by_key(|record| Reverse(record.created_at));
        records.truncate(limit);
        Ok(records)
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        self.create(Key::Shard(&record.transfer, &record.shard), record).await
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        self.read(Key::Shard(id, shard)).await
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        let key = Key::Shard(&record.transfer, &record.shard);
        let page = |(destination, page)| Key::Page(&record.transfer, &record.shard, destination, page);
        let pages: Vec<_> = pages.iter().map(|(destination, of)| (page((destination, of.index)), of)).collect();
        let condition = Condition::Fenced { revision: record.revision.wrapping_sub(1), epoch: record.epoch };
        self.update(key, record, condition, &pages).await
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        let Some(last) = pages.checked_sub(1) else { return Ok(Vec::new()) };
        let key = |index| Key::Page(id, shard, destination, index);
        let items = self.pages(key(0), key(last.min(LAST_PAGE))).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        let key = Key::Shard(id, shard);
        let keys = self.page_keys(key).await?;
        self.delete_all(key, keys).await
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        let key = Key::Writer(stream);
        let record = WriterRecord { version: FIRST_VERSION, stream: stream.clone(), writer: writer.clone() };
        let condition = Condition::AbsentOrWriter(writer.to_string());
        match self.put(key, to_item(key, &record)?, condition).await? {
            Written::Done => Ok(WriterAnswer::Held),
            Written::Refused(Some(item)) => {
                let holder = from_item::<WriterRecord>(item)?.writer;
                Ok(if holder == *writer { WriterAnswer::Held } else { WriterAnswer::HeldBy(holder) })
            }
            // Given back between the refusal and the look at it: free at the next try.
            Written::Refused(None) => Err(Error::new(ErrorKind::Throttled, self.about("reserving", key))),
        }
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        self.delete_if_writer(Key::Writer(stream), writer.as_str()).await
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        self.read(Key::Readers(stream)).await
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        let condition = match record.revision.wrapping_sub(1) {
            0 => Condition::Absent,
            before => Condition::Revision(before),
        };
        self.update(Key::Readers(&record.stream), record, condition, &[]).await
    }
}
