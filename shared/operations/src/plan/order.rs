//! The order that an import's events keep in its target, and how fast that can be.

use sluice_ports::{Appends, Intake, StreamStore};
use sluice_transfer::{Counts, Order, StreamUri, counted};

use crate::error::{Code, OperationError};

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

/// Whether the target keeps events for as long as it takes to write all of them, `at_least` this number of seconds in their
/// rhythm, and to read them back, if that cannot be done meanwhile. Refused is what cannot be, with shards that are filled evenly and as fast as they take
/// events; a doubt is noted.
pub(super) fn in_time(
    counts: Counts,
    intake: Intake,
    at_least: u64,
    retention_millis: u64,
    uri: &StreamUri,
    shards: usize,
) -> Result<Option<String>, OperationError> {
    let shards = shards.max(1) as u64;
    let events = counts.events.div_ceil(shards * intake.events.max(1));
    // Reading takes half of what a shard gives, which is what it takes.
    let reading = events.max(counts.bytes.div_ceil(shards * intake.bytes.max(1)));
    let writing = reading.max(at_least);
    let hours = |seconds: u64| seconds.div_ceil(3_600);
    let both = writing.saturating_add(reading);
    let kept = retention_millis / 1_000;
    if both <= kept {
        return Ok(None);
    }
    let what = format!(
        "retention: {uri} keeps events for {} h, and all of these take {} h at least to be written, and {} h more to be \
         read back if a pause or a split leaves that to the end; raise its retention to {} h or more{}",
        kept / 3_600,
        hours(writing),
        hours(reading),
        // With room for a pause.
        hours(both).saturating_mul(2),
        if at_least > reading { ", or import at a faster pace" } else { "" }
    );
    if writing > kept { Err(OperationError::new(Code::OutOfRange, what)) } else { Ok(Some(what)) }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sluice_kit::{Layered, StreamLayer};
    use sluice_memory::MemoryStream;

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
    fn what_a_target_forgets_before_it_is_read_back_is_refused_or_told() {
        let (uri, day) = ("memory:target".parse().unwrap(), 86_400_000);
        let intake = Intake { events: 1_000, bytes: 1_000_000 };
        let of = |events, bytes, shards| in_time(Counts::new(events, bytes), intake, 0, day, &uri, shards);
        // A shard takes 86.4 GB a day, or 86.4 million events.
        assert_eq!(of(43_200_000, 43_200_000_000, 1), Ok(None));
        for (events, bytes) in [(43_201_000, 1), (1, 43_201_000_000)] {
            let told = of(events, bytes, 1).unwrap().unwrap();
            assert!(told.contains("for 24 h") && told.contains("to 50 h or more"), "{told}");
            assert_eq!(of(events, bytes, 2), Ok(None));
        }
        for (events, bytes) in [(86_401_000, 1), (1, 86_401_000_000)] {
            let refused = of(events, bytes, 1).unwrap_err();
            assert_eq!(refused.code, Code::OutOfRange);
            assert!(refused.message.contains("take 25 h at least"), "{refused:?}");
        }
        assert_eq!(of(0, 0, 0), Ok(None));
        // In its rhythm it is written for longer, and read back as fast as ever.
        let paced = |hours: u64| in_time(Counts::new(3_600_000, 1), intake, hours * 3_600, day, &uri, 1);
        assert_eq!(paced(23), Ok(None));
        assert!(paced(24).unwrap().unwrap().contains("take 24 h at least to be written, and 1 h more to be read back"));
        let refused = paced(25).unwrap_err();
        assert!(
            refused.code == Code::OutOfRange && refused.message.ends_with("or import at a faster pace"),
            "{refused}"
        );
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
