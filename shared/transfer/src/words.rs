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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_there_is_one() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "event")), ["0 events", "1 event", "2 events"]);
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
        assert_eq!(crate::Counts::new(1, 1_000).to_string(), "1 event of 1000 bytes");
    }
}
