//! The port of rules.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, Select, TransactWriteItem,
};
use serde::{Deserialize, Serialize};
use sluice_ports::{Enqueued, Error, ErrorKind, Result, RuleStore, Stored};
use sluice_transfer::record::FIRST_VERSION;
use sluice_transfer::rule::{Arrivals, RuleRecord, Waiting};
use sluice_transfer::{RuleName, Timestamp};

use crate::fault::Tries;
use crate::item::{Item, from_item, key_of, to_item};
use crate::key::{Key, PARTITION, RULE, SORT, WAITING};
use crate::requests::{Condition, REFUSED, Written, kind_of_reasons, reasons};
use crate::{DynamoCheckpoints, fault};

/// The mark of an object that was put into an inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeenRecord {
    /// Version of this record's shape.
    pub(crate) version: u32,
    /// Seconds since the epoch, as the table's time to live takes them: [`crate::EXPIRES_AT`].
    pub(crate) expires_at: i64,
}

/// ARRIVALS as it is stored: others may add fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counted {
    changes: u64,
    repeated: u64,
    ignored: u64,
    refused: u64,
}

/// Stands for a place in a partition only.
fn within(name: &RuleName) -> Key<'_> {
    Key::Arrivals(name)
}

fn condition_of(revision: u64) -> Condition {
    match revision.wrapping_sub(1) {
        0 => Condition::Absent,
        before => Condition::Revision(before),
    }
}

impl DynamoCheckpoints {
    /// Items of a partition whose sort keys begin so, as of now, in order; at most `limit`.
    async fn beginning(&self, of: Key<'_>, sort: &str, limit: usize) -> Result<Vec<Item>> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :sort)")
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":pk", AttributeValue::S(of.partition()))
            .expression_attribute_values(":sort", AttributeValue::S(sort.to_owned()));
        let (mut items, mut start) = (Vec::new(), None);
        let what = || self.about("listing what is beside", of);
        while items.len() < limit {
            let missing = i32::try_from(limit - items.len()).unwrap_or(i32::MAX);
            let answer = request.clone().limit(missing).set_exclusive_start_key(start.clone()).send().await;
            let answer = answer.map_err(|error| fault::reading(error, what()))?;
            items.extend(answer.items.unwrap_or_default());
            start = fault::further(start.as_ref(), answer.last_evaluated_key, what)?;
            if start.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// The check of a transaction that nothing was counted since.
    fn unchanged(&self, name: &RuleName, changes: u64) -> Result<ConditionCheck> {
        let key = Key::Arrivals(name);
        let expression =
            if changes == 0 { "attribute_not_exists(#changes) OR #changes = :changes" } else { "#changes = :changes" };
        ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key_of(key)))
            .condition_expression(expression)
            .expression_attribute_names("#changes", "changes")
            .expression_attribute_values(":changes", AttributeValue::N(changes.to_string()))
            .build()
            .map_err(|error| Error::with(ErrorKind::Invalid, self.about("writing", key), error))
    }
}

#[async_trait]
impl RuleStore for DynamoCheckpoints {
    async fn rules(&self) -> Result<Vec<RuleRecord>> {
        // Of a partition of its own, whichever rule stands for it.
        let any = "rules".parse().map_err(|error| Error::with(ErrorKind::Invalid, "a rule's name", error))?;
        let items = self.beginning(Key::Rule(&any), RULE, usize::MAX).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn rule(&self, name: &RuleName) -> Result<Option<RuleRecord>> {
        self.read(Key::Rule(name)).await
    }

    async fn update_rule(&self, record: &RuleRecord) -> Result<Stored> {
        self.update(Key::Rule(&record.name), record, condition_of(record.revision), &[]).await
    }

    async fn release_rule(&self, record: &RuleRecord, changes: u64) -> Result<Stored> {
        let key = Key::Rule(&record.name);
        let (expression, names, values) = condition_of(record.revision).parts();
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(to_item(key, record)?))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| Error::with(ErrorKind::Invalid, self.about("writing", key), error))?;
        let check = self.unchanged(&record.name, changes)?;
        let items = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().condition_check(check).build(),
        ];
        let tries = Tries::default();
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let Err(error) = request.customize().interceptor(tries.clone()).send().await else { return Ok(Stored::Done) };
        let refused = match reasons(&error) {
            // Our own write may be what refuses it: see the crate's head.
            Some([record, ..]) if record.code() == Some(REFUSED) => self.refused(key, record.item.clone()).await?,
            Some([_, check, ..]) if check.code() == Some(REFUSED) => return Ok(Stored::Mismatch),
            Some(reasons) => {
                let kind = fault::settled(kind_of_reasons(reasons), &tries);
                return Err(Error::with(kind, self.about("writing", key), error.into_service_error()));
            }
            None => return Err(fault::writing(error, self.about("writing", key), &tries)),
        };
        let is_ours = match refused {
            Written::Refused(Some(item)) => from_item::<RuleRecord>(item).is_ok_and(|found| found == *record),
            Written::Refused(None) | Written::Done => false,
        };
        Ok(if is_ours { Stored::Done } else { Stored::Mismatch })
    }

    async fn enqueue(&self, name: &RuleName, object: &Waiting, known_until: Timestamp) -> Result<Enqueued> {
        let key = Key::Seen(name, object);
        let seen = SeenRecord { version: FIRST_VERSION, expires_at: known_until.micros().div_euclid(1_000_000) };
        let waiting = to_item(Key::Waiting(name, object), object)?;
        Ok(match self.put_all(key, to_item(key, &seen)?, Condition::Absent, vec![waiting]).await? {
            Written::Done => Enqueued::Now,
            Written::Refused(_) => Enqueued::Before,
        })
    }

    async fn count(&self, name: &RuleName, more: Arrivals) -> Result<()> {
        let key = Key::Arrivals(name);
        let number = |number: u64| AttributeValue::N(number.to_string());
        let tries = Tries::default();
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key_of(key)))
            .update_expression(
                "SET #version = :version, #item = :item \
                 ADD #changes :changes, #repeated :repeated, #ignored :ignored, #refused :refused",
            )
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#item", crate::item::KIND)
            .expression_attribute_names("#changes", "changes")
            .expression_attribute_names("#repeated", "repeated")
            .expression_attribute_names("#ignored", "ignored")
            .expression_attribute_names("#refused", "refused")
            .expression_attribute_values(":version", number(FIRST_VERSION.into()))
            .expression_attribute_values(":item", AttributeValue::S(key.kind().to_owned()))
            .expression_attribute_values(":changes", number(more.changes))
            .expression_attribute_values(":repeated", number(more.repeated))
            .expression_attribute_values(":ignored", number(more.ignored))
            .expression_attribute_values(":refused", number(more.refused));
        let answer = request.customize().interceptor(tries.clone()).send().await;
        answer.map(drop).map_err(|error| fault::writing(error, self.about("counting", key), &tries))
    }

    async fn arrivals(&self, name: &RuleName) -> Result<Arrivals> {
        let Counted { changes, repeated, ignored, refused } = self.read(Key::Arrivals(name)).await?.unwrap_or_default();
        Ok(Arrivals { changes, repeated, ignored, refused })
    }

    async fn head(&self, name: &RuleName, limit: usize) -> Result<Vec<Waiting>> {
        let items = self.beginning(within(name), WAITING, limit).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn waiting(&self, name: &RuleName) -> Result<u64> {
        let of = within(name);
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .select(Select::Count)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :sort)")
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":pk", AttributeValue::S(of.partition()))
            .expression_attribute_values(":sort", AttributeValue::S(WAITING.to_owned()));
        let what = || self.about("counting what is beside", of);
        let (mut count, mut start) = (0, None);
        loop {
            let answer = request.clone().set_exclusive_start_key(start.clone()).send().await;
            let answer = answer.map_err(|error| fault::reading(error, what()))?;
            count += u64::try_from(answer.count).unwrap_or_default();
            start = fault::further(start.as_ref(), answer.last_evaluated_key, what)?;
            if start.is_none() {
                return Ok(count);
            }
        }
    }

    async fn take(&self, name: &RuleName, objects: &[Waiting]) -> Result<()> {
        let keys = objects.iter().map(|object| key_of(Key::Waiting(name, object))).collect();
        self.delete_all(within(name), keys).await
    }
}
