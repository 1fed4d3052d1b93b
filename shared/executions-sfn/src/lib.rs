//! Executions of one state machine of Step Functions.
//!
//! **Invariant.** No input, output or cause of an execution is logged here; a cause is cut before it is handed on.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::types::ExecutionStatus;
use sluice_ports::{Error, ErrorKind, Execution, Executions, Launched, Result};
use sluice_transfer::limits::excerpt;

/// The executions of one state machine.
#[derive(Clone, Debug)]
pub struct SfnExecutions {
    client: Client,
    machine: String,
}

impl SfnExecutions {
    /// Of the state machine with this ARN.
    pub fn new(client: Client, machine: impl Into<String>) -> Self {
        Self { client, machine: machine.into() }
    }
}

/// The executions of the state machine with this ARN, for a host that links them. No call is made.
pub fn open(config: &SdkConfig, machine: &str) -> Arc<dyn Executions> {
    Arc::new(SfnExecutions::new(Client::new(config), machine))
}

#[async_trait]
impl Executions for SfnExecutions {
    async fn look(&self, execution: &str) -> Result<Execution> {
        // Records of other hosts hold other names: no call for these.
        if !execution.starts_with("arn:") {
            return Ok(Execution::Gone);
        }
        let asked = self.client.describe_execution().execution_arn(execution).send().await;
        let said = match asked {
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => return Ok(Execution::Gone),
            // No execution can have such a name.
            Err(error) if error.code() == Some("InvalidArn") => return Ok(Execution::Gone),
            answer => answer.map_err(|error| failed(error, &format!("looking at {execution}")))?,
        };
        Ok(match said.status {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Execution::Runs,
            status => {
                let why: Vec<String> = [said.error, said.cause].into_iter().flatten().map(excerpt).collect();
                Execution::Ended { status: status.as_str().to_owned(), why: why.join(": ") }
            }
        })
    }

    async fn launch(&self, name: &str, input: &str) -> Result<Launched> {
        let begun = self.client.start_execution().state_machine_arn(&self.machine).name(name).input(input).send().await;
        match begun {
            Ok(begun) => Ok(Launched::Now(begun.execution_arn)),
            // With the same input the service answers the execution that runs; this is one with another, or one that
            // has ended (API reference, `StartExecution`).
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(Launched::Before),
            Err(error) => Err(failed(error, &format!("starting an execution {name}"))),
        }
    }
}

/// Both calls may be made twice: a start names its execution.
fn failed<E>(error: SdkError<E>, what: &str) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        SdkError::ServiceError(service) => of_answer(service.err().code(), service.raw().status().as_u16()),
        _ => ErrorKind::Indeterminate,
    };
    let said = error.message().map(excerpt);
    let what = said.map_or_else(|| what.to_owned(), |said| format!("{what}: {said}"));
    Error::with(kind, what, error.into_source().unwrap_or_else(Into::into))
}

fn of_answer(code: Option<&str>, status: u16) -> ErrorKind {
    match code {
        Some(code) if THROTTLING_ERRORS.contains(&code) || code == "ExecutionLimitExceeded" => ErrorKind::Throttled,
        Some(code) if TRANSIENT_ERRORS.contains(&code) => ErrorKind::Indeterminate,
        Some("AccessDeniedException" | "ExpiredTokenException" | "UnrecognizedClientException") => ErrorKind::Denied,
        Some("StateMachineDoesNotExist" | "StateMachineDeleting") => ErrorKind::NotFound,
        _ if status == 429 => ErrorKind::Throttled,
        _ if (400..500).contains(&status) => ErrorKind::Invalid,
        _ => ErrorKind::Indeterminate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_says_what_to_do() {
        assert_eq!(of_answer(Some("ThrottlingException"), 400), ErrorKind::Throttled);
        assert_eq!(of_answer(Some("ExecutionLimitExceeded"), 400), ErrorKind::Throttled);
        assert_eq!(of_answer(Some("AccessDeniedException"), 400), ErrorKind::Denied);
        assert_eq!(of_answer(Some("StateMachineDoesNotExist"), 400), ErrorKind::NotFound);
        assert_eq!(of_answer(Some("InvalidName"), 400), ErrorKind::Invalid);
        assert_eq!(of_answer(Some("SomethingNew"), 500), ErrorKind::Indeterminate);
        assert_eq!(of_answer(None, 503), ErrorKind::Indeterminate);
    }
}
