//! Lists of what may be touched.

use wildmatch::WildMatch;

/// The value of a parameter that means all of the own account.
const OWN: &str = "own";
/// The value of a parameter that means nothing at all.
const NONE: &str = "none";

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

    /// As a parameter of the stack says it: ARNs with commas between them; `own` alone for what `own` matches; `none`
    /// alone for nothing.
    ///
    /// # Errors
    /// Why it is none of these. A word among ARNs is refused: the policies of the stack would mean something else.
    pub fn read(list: &str, own: &str) -> Result<Self, String> {
        let entries: Vec<&str> = list.split(',').map(str::trim).collect();
        match entries[..] {
            [OWN] => return Ok(Self::only([own])),
            [NONE] => return Ok(Self::only([])),
            _ => {}
        }
        match entries.iter().find(|entry| !entry.starts_with("arn:")) {
            Some(word) if [OWN, NONE].contains(word) => Err(format!("has '{word}' among others, which stands alone")),
            Some(other) => Err(format!("has '{other}', which is no ARN")),
            None => Ok(Self::only(entries)),
        }
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

    #[test]
    fn a_parameter_is_a_list_of_arns_or_one_word() {
        let read = |list| Allowed::read(list, "arn:aws:s3:::*");
        assert!(read("own").unwrap().allows("arn:aws:s3:::archive/a"));
        assert!(!read("own").unwrap().allows("arn:aws:kinesis:r:1:stream/a"));
        assert!(!read("none").unwrap().allows("none"));
        let two = read("arn:aws:s3:::a/*, arn:aws:s3:::b/x/*").unwrap();
        assert!(two.allows("arn:aws:s3:::b/x/") && !two.allows("arn:aws:s3:::b/y"));
        for (wrong, why) in [("own,arn:aws:s3:::a/*", "alone"), ("arn:aws:s3:::a/*,none", "alone"), ("", "no ARN")] {
            assert!(read(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
