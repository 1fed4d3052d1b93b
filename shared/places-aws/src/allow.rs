//! Lists of what may be touched.

use wildmatch::WildMatch;

/// Patterns in which `*` stands for any characters and `?` for one, as in the resources of an IAM policy (IAM user
/// guide, "Resource").
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// None: everything.
    patterns: Option<Vec<WildMatch>>,
}

impl Allowed {
    /// Everything: for a person's own command, whose rights are the person's.
    pub fn everything() -> Self {
        Self::default()
    }

    /// What one of these patterns matches; an empty list allows nothing.
    pub fn only<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { patterns: Some(patterns.into_iter().map(WildMatch::new).collect()) }
    }

    /// Whether the name is on the list.
    pub fn allows(&self, name: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_policies() {
        let list = Allowed::only(["arn:aws:kinesis:*:1:stream/*", "archive-??"]);
        for name in ["arn:aws:kinesis:eu-west-1:1:stream/a", "archive-eu"] {
            assert!(list.allows(name), "{name}");
        }
        for name in ["arn:aws:kinesis:eu-west-1:2:stream/a", "archive-eu1", "archive", "", "x-archive-eu"] {
            assert!(!list.allows(name), "{name}");
        }
        assert!(!Allowed::only([]).allows("a"));
        assert!(Allowed::everything().allows("a"));
    }
}
