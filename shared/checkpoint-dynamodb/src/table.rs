//! The table itself. On AWS the stack's template makes the same one.

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableDescription,
};
use sluice_ports::{Error, ErrorKind, Result};

use crate::key::{PARTITION, SORT};
use crate::{DynamoCheckpoints, fault};

/// The index of transfers: partition `state`, sort key `createdAt` (microseconds, a number), all attributes.
pub const BY_STATE: &str = "byState";
/// Its partition key.
pub(crate) const STATE: &str = "state";
/// Its sort key.
pub(crate) const CREATED: &str = "createdAt";

impl DynamoCheckpoints {
    /// Makes the table and its index, if they are not there. Meant for the embedded server, where a table can be used
    /// as soon as it is made; others may do the same at the same time. A table without the index is `Invalid`.
    pub async fn ensure_table(&self) -> Result<()> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(described) => self.check(described.table()),
            Err(error) if error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception) => {
                self.create_table().await
            }
            Err(error) => Err(fault::reading(error, format!("describing the table {}", self.table))),
        }
    }

    fn check(&self, table: Option<&TableDescription>) -> Result<()> {
        let indexes = table.map(TableDescription::global_secondary_indexes).unwrap_or_default();
        if indexes.iter().any(|index| index.index_name() == Some(BY_STATE)) {
            return Ok(());
        }
        let what = format!("the table {} has no index {BY_STATE}, so it was not made for checkpoints", self.table);
        Err(Error::new(ErrorKind::Invalid, what))
    }

    async fn create_table(&self) -> Result<()> {
        let cannot = |error| Error::with(ErrorKind::Invalid, format!("the table {}", self.table), error);
        let key = |name: &str, key_type| KeySchemaElement::builder().attribute_name(name).key_type(key_type).build();
        let mut request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        let types = [
            (PARTITION, ScalarAttributeType::S),
            (SORT, ScalarAttributeType::S),
            (STATE, ScalarAttributeType::S),
            (CREATED, ScalarAttributeType::N),
        ];
        for (name, kind) in types {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
            request = request.attribute_definitions(attribute.map_err(cannot)?);
        }
        for (name, key_type) in [(PARTITION, KeyType::Hash), (SORT, KeyType::Range)] {
            request = request.key_schema(key(name, key_type).map_err(cannot)?);
        }
        let index = GlobalSecondaryIndex::builder()
            .index_name(BY_STATE)
            .key_schema(key(STATE, KeyType::Hash).map_err(cannot)?)
            .key_schema(key(CREATED, KeyType::Range).map_err(cannot)?)
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .map_err(cannot)?;
        match request.global_secondary_indexes(index).send().await {
            Ok(_) => Ok(()),
            // Another was faster.
            Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                Ok(())
            }
            Err(error) => {
                Err(fault::writing(error, format!("making the table {}", self.table), &fault::Tries::default()))
            }
        }
    }
}
