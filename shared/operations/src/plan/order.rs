//! The order that an import's events keep in its target, and how fast that can be.

use sluice_ports::{Appends, StreamStore};
use sluice_transfer::{Order, StreamUri, counted};

/// What one request takes, in milliseconds, as it is told: near the target it is about that.
const PUT_MILLIS: u64 = 10;

/// The order as slices need to know it: none where it is that of keys, or the target keeps all of it anyway.
pub(super) fn resolved(asked: Option<Order>, stream: &dyn StreamStore) -> Option<Order> {
    asked.filter(|order| *order != Order::Key && stream.promises().appends == Appends::ByKey)
}

/// What is told of the order: how fast it can be in this many shards of the target, and what another one would be.
pub(super) fn note(asked: Option<Order>, stream: &dyn StreamStore, uri: &StreamUri, shards: usize) -> Option<String> {
    if stream.promises().appends == Appends::Conditional {
        return asked.map(|order| {
            let order = order.name();
            format!("order: {uri} takes a batch of events at once and keeps all their order, whether {order} is asked for or not")
        });
    }
    let intake = stream.intake()?;
    let (shards, one) = (shards as u64, 1_000 / PUT_MILLIS);
    let most = format!(
        "{} and {} MB a second into {}",
        counted(shards * intake.events, "event"),
        shards * intake.bytes / 1_000_000,
        counted(shards, "shard")
    );
    let at = format!("at {PUT_MILLIS} ms a put");
    Some(match asked.unwrap_or_default() {
        Order::Key => format!(
            "order: key: at most {most}, and {one} a second of any one key, since its events go one at a time ({at}); with \
             none no key waits, with shard it is {} a second",
            shards * one
        ),
        Order::None => format!(
            "order: none: at most {most}, whatever the keys are, since no event waits for another; with key it is {one} a \
             second of any one key ({at})"
        ),
        Order::Shard => format!(
            "order: shard: at most {} a second into {}, since the events of a shard go one at a time ({at}); with key it \
             is up to {most}",
            counted(shards * one, "event"),
            counted(shards, "shard")
        ),
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sluice_kit::{Layered, StreamLayer};
    use sluice_memory::MemoryStream;
    use sluice_ports::Intake;

    use super::*;

    struct Limited(MemoryStream);

    #[async_trait]
    impl StreamLayer for Limited {
        fn inner(&self) -> &dyn StreamStore {
            &self.0
        }

        fn intake(&self) -> Option<Intake> {
            Some(Intake { events: 1_000, bytes: 1_000_000 })
        }
    }

    fn told(asked: Option<Order>, stream: &dyn StreamStore) -> Option<String> {
        note(asked, stream, &"memory:target".parse().unwrap(), 4)
    }

    #[test]
    fn each_order_is_told_with_its_speed_and_why() {
        let stream = Layered(Limited(MemoryStream::by_key()));
        let by_key = told(None, &stream).unwrap();
        assert_eq!(told(Some(Order::Key), &stream), Some(by_key.clone()));
        for part in ["4000 events and 4 MB a second into 4 shards", "100 a second of any one key", "it is 400 a second"]
        {
            assert!(by_key.contains(part), "{part}: {by_key}");
        }
        let none = told(Some(Order::None), &stream).unwrap();
        assert!(none.contains("4000 events") && none.contains("no event waits"), "{none}");
        let shard = told(Some(Order::Shard), &stream).unwrap();
        assert!(shard.contains("at most 400 events a second") && shard.contains("one at a time"), "{shard}");
        let orders = [None, Some(Order::Key), Some(Order::None), Some(Order::Shard)];
        assert_eq!(orders.map(|order| resolved(order, &stream)), [None, None, Some(Order::None), Some(Order::Shard)]);
    }

    #[test]
    fn a_target_that_keeps_all_of_it_needs_no_order() {
        let stream = MemoryStream::new();
        assert_eq!(told(None, &stream), None);
        assert!(told(Some(Order::None), &stream).unwrap().contains("keeps all their order"));
        assert_eq!(resolved(Some(Order::Shard), &stream), None);
        assert_eq!(told(None, &MemoryStream::by_key()), None, "nothing is known to limit it");
    }
}
