//! The function `export`; what it does stands in `shared/host`. It links the stores that it names here.

use sluice_host::Function;
use sluice_places_aws::{KINESIS, S3};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    Function::over(&[KINESIS, S3]).serve(sluice_host::export).await
}
