//! A function's life: one cold start, then one invocation after the other.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_checkpoint_dynamodb::DynamoCheckpoints;
use sluice_operations::{Engine, SliceOrder};
use sluice_places_aws::{Aws, Connection, Profile, SdkConfig};
use sluice_ports::{Executions, Scheme, Schemes, SweepStore};
use sluice_transfer::record::Proof;
use sluice_transfer::{Budget, ShardId, Timestamp, TransferId};
use tracing::{Span, field};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::error::Refused;
use crate::logs;

/// So long before its end an invocation has answered, in milliseconds.
const MARGIN_MILLIS: u64 = 3_000;

/// What all invocations of a process share.
pub struct Host {
    /// The engine over this stack's table, and over all streams and buckets that may be touched.
    pub engine: Engine,
    /// The same table, as a sweep sees it.
    pub sweep: Arc<dyn SweepStore>,
    /// The executions of the stack's workflow, where the function links them.
    pub executions: Option<Arc<dyn Executions>>,
    /// As deployed.
    pub config: Config,
}

/// Makes the client of the executions of the state machine with this ARN.
pub type OpenExecutions = fn(&SdkConfig, &str) -> Arc<dyn Executions>;

/// What a function links, as its `main` names it.
#[derive(Clone, Copy)]
pub struct Function<'a> {
    schemes: &'a [Scheme<Aws>],
    executions: Option<OpenExecutions>,
}

impl<'a> Function<'a> {
    /// Over the stores of these schemes.
    pub fn over(schemes: &'a [Scheme<Aws>]) -> Self {
        Self { schemes, executions: None }
    }

    /// One that looks at executions of the stack's workflow, or starts them.
    #[must_use]
    pub fn with_executions(self, open: OpenExecutions) -> Self {
        Self { executions: Some(open), ..self }
    }
}

/// One invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's own name for it.
    pub request: String,
    /// When Lambda ends it.
    pub deadline: Timestamp,
}

impl Invocation {
    /// Around the work on a transfer: whatever is logged there names both. The operations add the generation.
    pub(crate) fn span(&self, id: &TransferId) -> Span {
        tracing::error_span!("invocation", transfer = %id, slice = self.request, generation = field::Empty)
    }
}

impl Host {
    /// Reads the environment and makes the clients of what the function links. No call is made.
    pub async fn start(function: Function<'_>) -> Result<Self, lambda_runtime::Error> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let connection = Connection::open(Profile::Function).await;
        let clock = Arc::new(SystemClock);
        let checkpoints = Arc::new(DynamoCheckpoints::new(Client::new(connection.config()), config.table.clone()));
        let rules = Arc::new(config.rules.clone());
        let work = rules.work.clone();
        let executions = function.executions.map(|open| open(connection.config(), &config.machine));
        let places = Schemes::new(&Aws { connection, rules, clock: clock.clone() }, function.schemes, work);
        let settings = config.settings();
        let engine = Engine { checkpoints: checkpoints.clone(), places: Arc::new(places), clock, settings };
        Ok(Self { engine, sweep: checkpoints, executions, config })
    }

    /// The order for what runs until the invocation's end, or until the slice's, if `sliced`.
    pub(crate) fn order(&self, id: &TransferId, invocation: &Invocation, slice: String, sliced: bool) -> SliceOrder {
        let end = invocation.deadline.minus_millis(MARGIN_MILLIS);
        let slice_end = self.engine.clock.now().plus_millis(self.config.slice_seconds * 1_000);
        let deadline = if sliced { end.min(slice_end) } else { end };
        let budget = Budget { events: None, bytes: None, deadline };
        SliceOrder { id: id.clone(), lane: Vec::<ShardId>::new(), slice, budget, proof: Proof::None }
    }
}

impl Function<'_> {
    /// Starts the function and answers its invocations by `handler`, for ever.
    pub async fn serve<I, O, H>(self, handler: H) -> Result<(), lambda_runtime::Error>
    where
        I: DeserializeOwned + 'static,
        O: Serialize,
        H: AsyncFn(&Host, I, &Invocation) -> Result<O, Refused>,
    {
        logs::begin();
        let host = Host::start(self).await?;
        let (host, handler) = (&host, &handler);
        lambda_runtime::run(service_fn(move |event: LambdaEvent<I>| async move {
            let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
            let deadline = Timestamp::from_millis(deadline);
            let invocation = Invocation { request: event.context.request_id, deadline };
            handler(host, event.payload, &invocation).await.inspect_err(|Refused(error)| {
                tracing::error!(slice = invocation.request, code = %error.code, "{}", error.message);
            })
        }))
        .await
    }
}
