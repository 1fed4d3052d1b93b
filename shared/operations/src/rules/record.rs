//! Reading and changing the record of a rule.

use sluice_ports::{RuleStore, Stored};
use sluice_transfer::limits::LISTED_OBJECTS;
use sluice_transfer::rule::{On, RuleRecord, Waiting};
use sluice_transfer::{BucketUri, ImportRequest, RuleName};

use crate::error::{Code, OperationError};

/// The rule of that name, which may be one that was removed.
pub(super) async fn read(store: &dyn RuleStore, name: &RuleName) -> Result<RuleRecord, OperationError> {
    store.rule(name).await?.ok_or_else(|| no_rule(name))
}

/// What to say where there is no rule of that name.
pub(super) fn no_rule(name: &RuleName) -> OperationError {
    let what = format!(r#"there is no rule '{name}'; {{"rules": {{}}}} lists all"#);
    OperationError::new(Code::NotFound, what)
}

/// Writes a changed record, if it still is as `before`. Answers none if somebody else was faster.
pub(super) async fn write(
    store: &dyn RuleStore,
    before: &RuleRecord,
    changed: RuleRecord,
) -> Result<Option<RuleRecord>, OperationError> {
    let record = RuleRecord { revision: before.revision + 1, ..changed };
    Ok((store.update_rule(&record).await? == Stored::Done).then_some(record))
}

/// Takes all objects out of an inbox. Answers their number.
pub(super) async fn clear(store: &dyn RuleStore, name: &RuleName) -> Result<u64, OperationError> {
    let mut taken = 0;
    loop {
        let head: Vec<Waiting> = store.head(name, LISTED_OBJECTS).await?;
        if head.is_empty() {
            return Ok(taken);
        }
        store.take(name, &head).await?;
        taken += head.len() as u64;
    }
}

/// The bucket that a rule watches.
pub(super) fn watched(request: &ImportRequest, on: &On) -> BucketUri {
    BucketUri { scheme: request.source.scheme.clone(), rest: format!("//{}", on.bucket) }
}
