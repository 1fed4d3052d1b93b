//! The port's suite, on the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sluice_conformance::stream::run_except;
use sluice_ports::{Clock, StreamStore};

use crate::world::{SystemClock, client, open, properties_left_out};

#[tokio::test]
async fn keeps_the_promises_of_the_port() {
    let Some(client) = client() else { return };
    let without = properties_left_out();
    let (client, streams) = (&client, &AtomicU32::new(0));
    let begun = SystemClock.now().micros();
    let fresh = |_| async move {
        let name = format!("sluice-suite-{begun}-{}", streams.fetch_add(1, Ordering::Relaxed));
        Arc::new(open(client, &name)) as Arc<dyn StreamStore>
    };
    run_except(fresh, &without).await;
}
