//! The size of a record, which decides what a write costs.

use super::*;

/// Bytes of an item as `DynamoDB` counts them (Amazon `DynamoDB` developer guide, "Item sizes and formats").
fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => {
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            digits.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
        }
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + size(map),
        other => panic!("records have no {other:?}"),
    }
}

#[test]
fn a_shard_of_one_destination_fits_4_kb() {
    let (id, shard) = (id(), shard_id());
    let bytes = |record: &ShardRecord| {
        let mut record = record.clone();
        if let Work::Export(destinations) = &mut record.work {
            for destination in destinations.values_mut() {
                destination.written = Some(1 << 40);
            }
        }
        size(&to_item(Key::Shard(&id, &shard), &record).unwrap())
    };
    let open = |tail, unlisted| bytes(&indexed(export(tail, unlisted, Vec::new())));
    // A full tail becomes a page with the write that closes, too.
    let closing = |again| bytes(&indexed(closing(LEDGER_TAIL - 1, SEGMENT_ENTRIES, again)));
    let (tail, unlisted) = (LEDGER_TAIL, SEGMENT_ENTRIES);
    println!(
        "SHARD: {} bytes, {} an entry of the tail, {} an unlisted object; full: {}, closing {}, for the second time {}",
        open(0, 0),
        open(1, 0) - open(0, 0),
        open(0, 1) - open(0, 0),
        open(tail, unlisted),
        closing(false),
        closing(true),
    );
    assert!(open(tail, unlisted) <= 4_096);
    assert!(closing(false) <= 4_096);
}
