//! ferrokinesis on `127.0.0.1`: `sluice-test-ferrokinesis PORT`.
//!
//! Its own command listens on every interface, so the library is served here. What a shard takes in a second is
//! enforced; all else is ferrokinesis's own.

use std::net::Ipv4Addr;

use axum::extract::DefaultBodyLimit;
use ferrokinesis::create_app;
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;

/// Bytes of the largest request: what Kinesis takes, in base64.
const LARGEST_REQUEST: usize = 16 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| std::io::Error::other("sluice-test-ferrokinesis PORT"))?;
    let options = StoreOptions {
        enforce_limits: true,
        shard_limit: 1_000,
        create_stream_ms: 50,
        update_stream_ms: 50,
        delete_stream_ms: 50,
        ..StoreOptions::default()
    };
    let (app, _store) = create_app(options);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, app.layer(DefaultBodyLimit::max(LARGEST_REQUEST))).await
}
