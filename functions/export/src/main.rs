//! x
#[tokio::main(flavor="current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await;
    let s3 = aws_sdk_s3::Client::new(&config);
    let k = aws_sdk_kinesis::Client::new(&config);
    let d = aws_sdk_dynamodb::Client::new(&config);
    lambda_runtime::run(lambda_runtime::service_fn(|e: lambda_runtime::LambdaEvent<serde_json::Value>| { let (s3,k,d)=(s3.clone(),k.clone(),d.clone()); async move {
        let a = s3.upload_part().send().await.is_ok();
        let b = k.get_records().send().await.is_ok();
        let c = d.get_item().send().await.is_ok();
        let f = s3.complete_multipart_upload().send().await.is_ok();
        let g = d.transact_write_items().send().await.is_ok();
        Ok::<_, lambda_runtime::Error>(serde_json::json!([a,b,c,f,g,e.payload]))
    }})).await
}
