//! The function `sweep`; what it does stands in `shared/host`. It links the stores that it names here.

use sluice_host::Function;
use sluice_places_aws::{KINESIS, S3};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Function::over(&[KINESIS, S3]).with_executions(sluice_executions_sfn::open).serve(sluice_host::sweep).await
}
