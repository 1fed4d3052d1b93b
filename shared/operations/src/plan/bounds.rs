//! What bounds mean in the shards of a stream, and which of them are refused.

use sluice_ports::{ShardInfo, StreamInfo, StreamReader};
use sluice_transfer::{Cut, Position, PositionSpec, ShardId, Timestamp};

use crate::engine::Engine;
use crate::error::{Code, OperationError};

/// Shards that a message names.
const SHOWN: usize = 20;

fn out_of_range<T>(what: String) -> Result<T, OperationError> {
    Err(OperationError::new(Code::OutOfRange, what))
}

/// The time that a bound is; none if it is no time.
pub(super) fn time_of(spec: &PositionSpec, now: Timestamp) -> Option<Timestamp> {
    match spec {
        PositionSpec::Time(time) => Some(*time),
        PositionSpec::Ago(millis) => Some(now.minus_millis(*millis)),
        _ => None,
    }
}

/// The shards that a bound names.
fn named(spec: &PositionSpec) -> Vec<&ShardId> {
    match spec {
        PositionSpec::Sequence { shard, .. } => vec![shard],
        PositionSpec::Cut(cut) => cut.0.keys().collect(),
        _ => Vec::new(),
    }
}

/// A position in a shard as a person writes it.
fn place(shard: &ShardId, position: &Position) -> String {
    Cut::of(shard.clone(), position.clone()).to_string().replacen(Cut::PREFIX, "", 1)
}

/// Refuses bounds between which nothing can lie, whatever the stream holds.
///
/// # Errors
/// `OutOfRange` if both are times and `from` is not the earlier one, or both name numbers of a shard and `from` names
/// the larger one.
pub fn check_bounds(
    from: Option<&PositionSpec>,
    until: Option<&PositionSpec>,
    now: Timestamp,
) -> Result<(), OperationError> {
    let (Some(from), Some(until)) = (from, until) else { return Ok(()) };
    if let (Some(from), Some(until)) = (time_of(from, now), time_of(until, now))
        && from >= until
    {
        return out_of_range(format!("from: nothing lies between {from} and {until}: from is to be the earlier one"));
    }
    for shard in named(from) {
        if let (Some(start), Some(end)) = (from.number_in(shard), until.number_in(shard)) {
            check_order((from, &start), (until, &end), shard)?;
        }
    }
    Ok(())
}

/// Refuses a beginning behind the end, in one shard.
///
/// # Errors
/// `OutOfRange` if it is.
pub fn check_order(
    (from, start): (&PositionSpec, &Position),
    (until, end): (&PositionSpec, &Position),
    shard: &ShardId,
) -> Result<(), OperationError> {
    if start <= end {
        return Ok(());
    }
    out_of_range(format!(
        "from: {from} lies behind until, {until}, in shard {shard} ({start} and {end}): nothing lies between"
    ))
}

/// Refuses a number behind the end of its shard, which no event has yet. `way_out` says what to do instead.
///
/// Why: such a number is a slip of the pen, or was kept from a stream that was deleted and made anew. What is written
/// there next would silently lie in front of it.
///
/// # Errors
/// `OutOfRange` if there is one.
pub fn check_ends(field: &str, spec: &PositionSpec, shards: &[ShardInfo], way_out: &str) -> Result<(), OperationError> {
    for ShardInfo { shard, tail, .. } in shards {
        if let Some(position) = spec.number_in(shard).filter(|position| position > tail) {
            let (said, end) = (place(shard, &position), place(shard, tail));
            return out_of_range(format!(
                "{field}: {said} lies behind the end of shard {shard}: the stream ends at {end} there. {way_out}"
            ));
        }
    }
    Ok(())
}

/// Refuses a place between two events of one record, where records are not taken apart.
pub(super) fn check_whole(field: &str, spec: &PositionSpec, shards: &[&ShardId]) -> Result<(), OperationError> {
    let within = |shard: &&&ShardId| match spec.number_in(shard) {
        Some(Position::After(sequence)) => sequence.sub().is_some(),
        _ => false,
    };
    match shards.iter().find(within) {
        None => Ok(()),
        Some(shard) => Err(OperationError::new(
            Code::Invalid,
            format!(
                "{field}: {spec} lies within a record of shard {shard}: such a place is there where aggregates are \
                     taken apart (deaggregate)"
            ),
        )),
    }
}

/// A bound that names a shard must name one that is there, and a cut names one.
pub(super) fn check_shards(field: &str, spec: &PositionSpec, shards: &[&ShardId]) -> Result<(), OperationError> {
    if let PositionSpec::Cut(Cut(positions)) = spec
        && positions.is_empty()
    {
        let what =
            format!("{field}: {spec} is a cut that names no shard and bounds nothing: leave it out for everything");
        return Err(OperationError::new(Code::Invalid, what));
    }
    match named(spec).into_iter().find(|name| !shards.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let there: Vec<_> = shards.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = shards.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(OperationError::new(
                Code::NotFound,
                format!("{field}: there is no shard '{name}', but {}{more}", there.join(", ")),
            ))
        }
    }
}

/// The position of a bound in each shard of a stream, in their order; none where it does not bound it. `field` is what
/// messages call it.
pub async fn bounds(
    engine: &Engine,
    stream: &dyn StreamReader,
    info: &StreamInfo,
    field: &str,
    spec: &PositionSpec,
) -> Result<Vec<Option<Position>>, OperationError> {
    check_shards(field, spec, &info.shards.iter().map(|shard| &shard.shard).collect::<Vec<_>>())?;
    let now = engine.clock.now();
    let mut positions = Vec::with_capacity(info.shards.len());
    for shard in &info.shards {
        positions.push(position(stream, shard, spec, now).await?);
    }
    Ok(positions)
}

/// What a bound means for a shard; none if it does not bound it.
pub(super) async fn position(
    stream: &dyn StreamReader,
    shard: &ShardInfo,
    spec: &PositionSpec,
    now: Timestamp,
) -> Result<Option<Position>, OperationError> {
    if let Some(time) = time_of(spec, now) {
        let found = stream.position_at(&shard.shard, time).await?;
        // What was appended since the shard was looked at is behind its end.
        return Ok(Some(found.min(shard.tail.clone())));
    }
    Ok(match spec {
        PositionSpec::Earliest => Some(shard.earliest.clone()),
        PositionSpec::Latest => Some(shard.tail.clone()),
        named => named.number_in(&shard.shard),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_shards_some_are_named_and_all_are_counted() {
        let shards: Vec<ShardId> = (0..1_000).map(|n| format!("s{n}").parse().unwrap()).collect();
        let refused = check_shards("from", &"x@1".parse().unwrap(), &shards.iter().collect::<Vec<_>>()).unwrap_err();
        assert!(refused.message.ends_with("s18, s19 and 980 more") && refused.message.len() < 300, "{refused}");
    }

    #[test]
    fn a_cut_of_no_shards_is_no_bound() {
        let refused = check_shards("from", &PositionSpec::Cut(Cut::default()), &[]).unwrap_err();
        assert!(refused.code == Code::Invalid && refused.message.starts_with("from: cut: is a cut"), "{refused}");
    }

    #[test]
    fn the_end_itself_is_no_number_behind_it() {
        let number = |number: u64| Position::before(&sluice_transfer::Sequence::new(number));
        let shard = ShardInfo {
            shard: "0".parse().unwrap(),
            earliest: number(0),
            tail: number(6_000),
            parents: Vec::new(),
            hashes: None,
            closed: false,
        };
        let check = |spec: &str| {
            let answer = check_ends("from", &spec.parse().unwrap(), std::slice::from_ref(&shard), "Look.");
            answer.map_err(|error| (error.code, error.message))
        };
        for within in ["0@5", "0@6000", "cut:0@6000", "latest", "2999-01-01", "1@7000"] {
            assert_eq!(check(within), Ok(()), "{within}");
        }
        for behind in ["0@6001", "cut:0@7000", "cut:0@end"] {
            let (code, message) = check(behind).unwrap_err();
            let said = behind.trim_start_matches("cut:");
            let expected =
                format!("from: {said} lies behind the end of shard 0: the stream ends at 0@6000 there. Look.");
            assert_eq!((code, message), (Code::OutOfRange, expected));
        }
    }
}
