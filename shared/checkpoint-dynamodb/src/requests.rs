//! The few requests that everything is made of.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, DeleteRequest, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    WriteRequest,
};
use sluice_ports::{Error, ErrorKind, Result};

use crate::DynamoCheckpoints;
use crate::fault::{self, Tries};
use crate::item::{Item, key_of};
use crate::key::{Key, LAST_PAGE, PARTITION, PARTS, SORT};

/// Items in one transaction (Amazon `DynamoDB` API reference, `TransactWriteItems`).
const IN_ONE_TRANSACTION: usize = 100;
/// Items in one `BatchWriteItem` (Amazon `DynamoDB` API reference).
const IN_ONE_BATCH: usize = 25;
/// The one reason of a transaction's cancelling that is an answer.
pub(crate) const REFUSED: &str = "ConditionalCheckFailed";

/// When an item may be written. Names are given by placeholders, since some are reserved words.
pub(crate) enum Condition {
    /// There is none of its key.
    Absent,
    /// The stored one has this revision.
    Revision(u64),
    /// The stored one has this revision, and its epoch is not above this one.
    Fenced { revision: u64, epoch: u64 },
    /// There is none, or it names this writer.
    AbsentOrWriter(String),
}

impl Condition {
    /// The expression, the names behind its placeholders, and the values behind them.
    pub(crate) fn parts(self) -> (&'static str, Names, Values) {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let one = |name: &str| Names::from([("#name".to_owned(), name.to_owned())]);
        match self {
            Self::Absent => ("attribute_not_exists(#name)", one(PARTITION), Values::new()),
            Self::Revision(revision) => {
                ("#name = :value", one("revision"), [(":value".to_owned(), number(revision))].into())
            }
            Self::Fenced { revision, epoch } => {
                let mut names = one("revision");
                names.insert("#epoch".to_owned(), "epoch".to_owned());
                let values = [(":value".to_owned(), number(revision)), (":epoch".to_owned(), number(epoch))];
                ("#name = :value AND #epoch <= :epoch", names, values.into())
            }
            Self::AbsentOrWriter(writer) => {
                let values = [(":value".to_owned(), AttributeValue::S(writer))];
                ("attribute_not_exists(#name) OR #name = :value", one("writer"), values.into())
            }
        }
    }
}

pub(crate) type Names = HashMap<String, String>;
pub(crate) type Values = HashMap<String, AttributeValue>;

/// The answer to a conditional write.
pub(crate) enum Written {
    /// It is durable.
    Done,
    /// The condition did not hold; this is stored, if anything is.
    Refused(Option<Item>),
}

impl DynamoCheckpoints {
    pub(crate) fn about(&self, action: &str, key: Key<'_>) -> String {
        format!("{action} {key} in the table {}", self.table)
    }

    /// Reads an item, as of now.
    pub(crate) async fn get(&self, key: Key<'_>) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key_of(key))).consistent_read(true);
        let answer = request.send().await.map_err(|error| fault::reading(error, self.about("reading", key)))?;
        Ok(answer.item)
    }

    /// Writes an item, if the condition holds.
    pub(crate) async fn put(&self, key: Key<'_>, item: Item, condition: Condition) -> Result<Written> {
        let (expression, names, values) = condition.parts();
        let tries = Tries::default();
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.customize().interceptor(tries.clone()).send().await {
            Ok(_) => Ok(Written::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(found)) => {
                    self.refused(key, found.item.clone()).await
                }
                _ => Err(fault::writing(error, self.about("writing", key), &tries)),
            },
        }
    }

    /// Writes an item, if the condition holds, and others together with it.
    pub(crate) async fn put_all(
        &self,
        key: Key<'_>,
        item: Item,
        condition: Condition,
        others: Vec<Item>,
    ) -> Result<Written> {
        if others.len() >= IN_ONE_TRANSACTION {
            let what =
                format!("{}: {} pages, more than one transaction takes", self.about("writing", key), others.len());
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let cannot = |error| Error::with(ErrorKind::Invalid, self.about("writing", key), error);
        let (expression, names, values) = condition.parts();
        let first = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut puts = vec![first.build().map_err(cannot)?];
        for other in others {
            puts.push(Put::builder().table_name(&self.table).set_item(Some(other)).build().map_err(cannot)?);
        }
        let tries = Tries::default();
        let items = puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build()).collect();
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        match request.customize().interceptor(tries.clone()).send().await {
            Ok(_) => Ok(Written::Done),
            Err(error) => match reasons(&error) {
                Some([first, ..]) if first.code() == Some(REFUSED) => self.refused(key, first.item.clone()).await,
                Some(reasons) => {
                    let kind = kind_of_reasons(reasons);
                    Err(Error::with(
                        fault::settled(kind, &tries),
                        self.about("writing", key),
                        error.into_service_error(),
                    ))
                }
                None => Err(fault::writing(error, self.about("writing", key), &tries)),
            },
        }
    }

    /// What refused a write, read again if it was not sent along.
    pub(crate) async fn refused(&self, key: Key<'_>, found: Option<Item>) -> Result<Written> {
        match found {
            Some(item) => Ok(Written::Refused(Some(item))),
            None => self.get(key).await.map(Written::Refused),
        }
    }

    /// Takes an item away, if it names that writer.
    pub(crate) async fn delete_if_writer(&self, key: Key<'_>, writer: &str) -> Result<()> {
        let tries = Tries::default();
        let (expression, names, values) = Condition::AbsentOrWriter(writer.to_owned()).parts();
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key_of(key)))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        match request.customize().interceptor(tries.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(fault::writing(error, self.about("deleting", key), &tries)),
        }
    }

    /// The items from `from` to `to`, both included, in a shard's partition, as of now, in order.
    pub(crate) async fn pages(&self, from: Key<'_>, to: Key<'_>) -> Result<Vec<Item>> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":pk", AttributeValue::S(from.partition()))
            .expression_attribute_values(":from", AttributeValue::S(from.sort()))
            .expression_attribute_values(":to", AttributeValue::S(to.sort()));
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let answer = request.clone().set_exclusive_start_key(start.clone()).send().await;
            let answer = answer.map_err(|error| fault::reading(error, self.about("reading from", from)))?;
            items.extend(answer.items.unwrap_or_default());
            start = fault::further(start.as_ref(), answer.last_evaluated_key, || self.about("reading from", from))?;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// The keys of all pages in a shard's partition, as of now.
    pub(crate) async fn page_keys(&self, shard: Key<'_>) -> Result<Vec<Item>> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .projection_expression("#pk, #sk")
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :parts)")
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":pk", AttributeValue::S(shard.partition()))
            .expression_attribute_values(":parts", AttributeValue::S(PARTS.to_owned()));
        let (mut keys, mut start) = (Vec::new(), None);
        loop {
            let answer = request.clone().set_exclusive_start_key(start.clone()).send().await;
            let answer = answer.map_err(|error| fault::reading(error, self.about("listing the pages of", shard)))?;
            keys.extend(answer.items.unwrap_or_default());
            start = fault::further(start.as_ref(), answer.last_evaluated_key, || {
                self.about("listing the pages of", shard)
            })?;
            if start.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Takes items away. Those that a batch leaves over go into the next; one that takes none at all is throttled.
    pub(crate) async fn delete_all(&self, shard: Key<'_>, keys: Vec<Item>) -> Result<()> {
        let cannot = |error| Error::with(ErrorKind::Invalid, self.about("deleting pages of", shard), error);
        let mut left = Vec::with_capacity(keys.len());
        for key in keys {
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(cannot)?;
            left.push(WriteRequest::builder().delete_request(delete).build());
        }
        while !left.is_empty() {
            let batch = left.split_off(left.len().saturating_sub(IN_ONE_BATCH));
            let sent = batch.len();
            let tries = Tries::default();
            let request = self.client.batch_write_item().request_items(&self.table, batch);
            let answer = request.customize().interceptor(tries.clone()).send().await;
            let answer =
                answer.map_err(|error| fault::writing(error, self.about("deleting pages of", shard), &tries))?;
            let over: Vec<_> = answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
            if over.len() >= sent {
                return Err(Error::new(ErrorKind::Throttled, self.about("deleting pages of", shard)));
            }
            left.extend(over);
        }
        Ok(())
    }

    /// A page's index has a fixed number of digits, so that texts sort like numbers.
    pub(crate) fn check_page(&self, key: Key<'_>) -> Result<()> {
        match key {
            Key::Page(_, _, _, index) if index > LAST_PAGE => {
                Err(Error::new(ErrorKind::Invalid, format!("{}: too many pages", self.about("writing", key))))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn reasons(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// A cancelled transaction did nothing. The reason that needs most of the caller decides what to do about it.
pub(crate) fn kind_of_reasons(reasons: &[CancellationReason]) -> ErrorKind {
    let kinds = reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
    let mut kinds = kinds.map(|code| fault::kind_of_code(code).unwrap_or(ErrorKind::Throttled));
    kinds.find(|kind| *kind != ErrorKind::Throttled).unwrap_or(ErrorKind::Throttled)
}
