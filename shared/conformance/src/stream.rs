//! What a [`StreamStore`] must do.
//!
//! [`run`] asks the store what it promises ([`StreamStore::promises`]) and holds it to that. What is not promised is
//! not asked for, but what the store then answers instead is: nothing may be wrong.
//!
//! Each property gets a stream of its own. The last one ([`model`]) plays a long random run on the adapter and on
//! [`MemoryStream`](sluice_memory::MemoryStream) side by side.

mod any;
mod by_key;
mod dense;
mod model;
mod times;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use sluice_ports::{Appends, ErrorKind, Made, Result, StreamStore};
use sluice_transfer::{Event, TransferId};

type Store = Arc<dyn StreamStore>;

/// How often, and after what time each, a stream that is being made is looked at.
const LOOKS: u32 = 300;
const A_LOOK: Duration = Duration::from_millis(100);

/// The properties of every store, by name.
const OF_ALL: [&str; 10] = [
    "existence",
    "reads_are_bounded",
    "times",
    "measuring",
    "trimming",
    "reserving",
    "largest_event",
    "what_is_kept_stays",
    "appends_arrive_in_the_order_of_keys",
    "writers_are_opened_closed_and_dropped",
];
/// Those of a store that appends by key ([`Appends::ByKey`]).
const BY_KEY: [&str; 1] = ["the_expected_tail_is_not_looked_at"];
/// Those of a store that keeps every promise ([`Promises::dense`](sluice_ports::Promises::dense)).
const DENSE: [&str; 11] = [
    "dense_existence",
    "dense_what_is_written_is_read",
    "dense_appends_are_conditional",
    "dense_reads_are_bounded",
    "dense_edges_of_a_shard",
    "dense_trimming",
    "dense_times",
    "dense_measuring",
    "dense_reserving",
    "dense_largest_event",
    "dense_model",
];

/// Runs the suite, however the store names shards and numbers events, and whatever time it takes to show them.
///
/// `fresh` is told how many shards the stream needs, and answers another store at each call. The stream exists if the
/// store does not promise to create it, and does not exist if it does, or if no shards are needed.
///
/// # Panics
/// Where the adapter does something else than the trait says, or than it promises.
pub async fn run<F, Fut>(fresh: F)
where
    F: Fn(u32) -> Fut,
    Fut: Future<Output = Store>,
{
    run_except(fresh, &[]).await;
}

/// Runs all properties but those of these names: for an adapter that is tried against a server that cannot keep them.
///
/// # Panics
/// As [`run`], and if there is no property of a name.
pub async fn run_except<F, Fut>(fresh: F, except: &[&str])
where
    F: Fn(u32) -> Fut,
    Fut: Future<Output = Store>,
{
    let known = [&OF_ALL[..], &BY_KEY, &DENSE].concat();
    let unknown: Vec<_> = except.iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "there are no properties {unknown:?}");
    let promises = fresh(0).await.promises();
    let mut asked = OF_ALL.to_vec();
    if promises.appends == Appends::ByKey {
        asked.extend(BY_KEY);
    }
    if promises.dense {
        assert_eq!(promises, sluice_ports::Promises::ALL, "who keeps every event as it is keeps every other promise");
        asked.extend(DENSE);
    }
    for property in asked.into_iter().filter(|property| !except.contains(property)) {
        match property.strip_prefix("dense_") {
            None => of_all(property, &fresh).await,
            Some(property) => of_dense(property, &fresh).await,
        }
    }
}

async fn of_all<F, Fut>(property: &str, fresh: &F)
where
    F: Fn(u32) -> Fut,
    Fut: Future<Output = Store>,
{
    let there = async |shards: u32| {
        let store = fresh(shards).await;
        if store.promises().creates { made(store, shards).await } else { store }
    };
    match property {
        "existence" => any::existence(fresh(0).await, there(3).await).await,
        "reads_are_bounded" => any::reads_are_bounded(there(2).await).await,
        "times" => any::times(there(1).await).await,
        "measuring" => any::measuring(there(1).await).await,
        "trimming" => any::trimming(there(1).await).await,
        "reserving" => any::reserving(there(1).await).await,
        "largest_event" => any::largest_event(there(1).await).await,
        "what_is_kept_stays" => by_key::what_is_kept_stays(&there(1).await),
        "appends_arrive_in_the_order_of_keys" => by_key::appends_arrive_in_the_order_of_keys(there(2).await).await,
        "writers_are_opened_closed_and_dropped" => any::writers(there(2).await).await,
        "the_expected_tail_is_not_looked_at" => by_key::the_expected_tail_is_not_looked_at(there(1).await).await,
        other => panic!("{other} is named and not run"),
    }
}

async fn of_dense<F, Fut>(property: &str, fresh: &F)
where
    F: Fn(u32) -> Fut,
    Fut: Future<Output = Store>,
{
    let there = async |shards: u32| made(fresh(shards).await, shards).await;
    match property {
        "existence" => dense::existence(fresh(0).await).await,
        "what_is_written_is_read" => dense::what_is_written_is_read(there(2).await).await,
        "appends_are_conditional" => dense::appends_are_conditional(there(2).await).await,
        "reads_are_bounded" => dense::reads_are_bounded(there(1).await).await,
        "edges_of_a_shard" => dense::edges_of_a_shard(there(1).await).await,
        "trimming" => dense::trimming(there(2).await).await,
        "times" => {
            times::positions(there(2).await).await;
            times::reads_begin_at_a_time(there(1).await).await;
            times::positions_after_trimming(there(1).await).await;
        }
        "measuring" => dense::measuring(there(1).await).await,
        "reserving" => dense::reserving(there(1).await).await,
        "largest_event" => dense::largest_event(there(1).await).await,
        "model" => {
            for seed in 1..=4 {
                model::compare(there(2).await, seed).await;
            }
        }
        other => panic!("{other} is named and not run"),
    }
}

/// Makes the stream. Servers may take a while until it takes events: it is waited for.
#[expect(clippy::disallowed_methods, reason = "the server's clock is the machine's, or tokio's, paused")]
async fn made(store: Store, shards: u32) -> Store {
    assert_eq!(store.create(shards).await.expect("a stream can be created"), Made::Now, "a new stream is made now");
    for _ in 0..LOOKS {
        match store.describe().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => tokio::time::sleep(A_LOOK).await,
            _ => return store,
        }
    }
    panic!("a stream that was made never takes events");
}

fn import(name: &str) -> TransferId {
    name.parse().expect("a plain name is a transfer's id")
}

/// Bytes of payload, key and headers, as limits count them.
fn size(event: &Event) -> usize {
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    event.payload.len() + event.key.len() + headers
}

fn refused<T: Debug>(answer: Result<T>, kind: ErrorKind, what: &str) {
    match answer {
        Err(error) => assert_eq!(error.kind(), kind, "{what} is refused as {kind:?}, but as: {error}"),
        Ok(answer) => panic!("{what} is refused as {kind:?}, but it answered {answer:?}"),
    }
}
