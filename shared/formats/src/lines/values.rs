//! Where values of JSON end that follow each other in one line.
//!
//! Why: some writers (Firehose among them) put nothing between values, so a whole object is one line.

/// Finds the ends of objects and lists. Goes over each byte once, however often it is asked.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Bytes that were gone over.
    at: usize,
    /// Objects and lists that are open.
    depth: usize,
    in_text: bool,
    /// True if the current byte is escaped by a backslash.
    escaped: bool,
    /// A value ended, and nothing but spaces came behind it.
    ended: bool,
    /// Where the last value begins that came behind another.
    last: usize,
}

impl Scanner {
    /// Bytes of the values that are whole, up to where the next one begins; none if there is no next one. `line` is
    /// what it was before, and more. What is no JSON has ends too: a parser finds what is wrong in front of them.
    pub(super) fn values(&mut self, line: &[u8]) -> Option<usize> {
        for (at, byte) in line.iter().enumerate().skip(self.at) {
            self.take(at, *byte);
        }
        self.at = line.len();
        (self.last > 0).then_some(self.last)
    }

    fn take(&mut self, at: usize, byte: u8) {
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        if byte.is_ascii_whitespace() {
            return;
        }
        if std::mem::take(&mut self.ended) {
            self.last = at;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                self.ended = self.depth == 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_of_values() {
        for (line, end) in [
            ("", None),
            ("{}", None),
            ("{} ", None),
            ("{}{", Some(2)),
            ("{}\t {\"a\":[1]}\r[", Some(14)),
            (r#"{"}{":"\"}{"}"#, None),
            (r#"{"a":"\\"}{"#, Some(10)),
            ("{[}]{", Some(4)),
            ("}{", None),
            ("{}x", Some(2)),
            ("1 2 {}", None),
        ] {
            assert_eq!(Scanner::default().values(line.as_bytes()), end, "{line}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_line_comes(line in r#"[{}\[\]" \\a]{0,40}"#, cut in any::<prop::sample::Index>()) {
            let line = line.as_bytes();
            let mut scanner = Scanner::default();
            scanner.values(&line[..cut.index(line.len() + 1)]);
            prop_assert_eq!(scanner.values(line), Scanner::default().values(line));
        }
    }
}
