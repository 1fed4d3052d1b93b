//! The function `import`; what it does stands in `shared/host`. It links the stores that it names here.

use sluice_places_aws::{KINESIS, S3};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    sluice_host::serve(&[KINESIS, S3], sluice_host::import).await
}
