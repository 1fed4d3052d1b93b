//! Words that go with a number.

/// A noun behind a number of things: `event` behind 1, else `events`.
pub fn noun(count: u64, one: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}

/// A number of things: `1 event` or `2 events`.
pub fn counted(count: u64, one: &str) -> String {
    format!("{count} {}", noun(count, one))
}

/// The verb behind a number of things: `is` or `are`.
pub fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A time that something takes, in its two largest units: `3 h 20 min`.
pub fn duration_in_words(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let (unit, name) = units[largest];
    let first = format!("{} {name}", seconds / unit);
    match units.get(largest + 1).map(|(next, name)| (seconds % unit / next, name)) {
        Some((more, name)) if more > 0 => format!("{first} {more} {name}"),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_units_at_most() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_599, "59 min 59 s"),
            (3_600, "1 h"),
            (12_005, "3 h 20 min"),
            (90_000, "1 d 1 h"),
            (86_400 * 400 + 59, "400 d"),
        ] {
            assert_eq!(duration_in_words(seconds), words);
        }
    }

    #[test]
    fn of_one_there_is_one() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "event")), ["0 events", "1 event", "2 events"]);
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
        assert_eq!(crate::Counts::new(1, 1_000).to_string(), "1 event of 1000 bytes");
    }
}
