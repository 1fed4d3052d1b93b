//! The function `settle`; what it does stands in `shared/host`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    sluice_host::serve(sluice_host::settle).await
}
