//! The log of an upload's parts: which stretches of its data hold a whole part.
//!
//! Lines of text, each with a checksum of its own. `begin` says that a stretch is about to be written over: parts that
//! touch it are parts no more. `part` says that a part is whole and durable. So what the log calls a part is one,
//! however the writer ended, also if lines are missing: a `begin` is made durable before anything is written over,
//! and without its own line a part is merely not there.
//!
//! A line also begins with a line feed, so that a torn line in front of it cannot spoil it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sluice_transfer::Checksum;
use sluice_transfer::record::PartEntry;

/// Where a part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Where in the object it begins.
    pub(crate) offset: u64,
    /// Its bytes.
    pub(crate) len: u64,
}

/// A part that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) checksum: Checksum,
}

impl Part {
    /// Of the bytes alone, as S3's usual one is: the same part written again is the same part.
    pub(crate) fn entry(&self) -> PartEntry {
        PartEntry { etag: self.checksum.to_string(), checksum: self.checksum }
    }
}

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// These bytes are about to be written over.
    Begin { offset: u64, len: u64 },
    /// This part is whole.
    Part { number: u64, part: Part },
}

impl Line {
    fn to_text(self) -> String {
        let mut text = match self {
            Self::Begin { offset, len } => format!("\nbegin {offset} {len}"),
            Self::Part { number, part } => format!("\npart {number} {} {}", part.offset, part.checksum),
        };
        let sum = Checksum::of(&text.as_bytes()[1..]);
        // Writing into a string does not fail.
        let _ = writeln!(text, " {:016x}", sum.crc);
        text
    }

    /// None if the line is torn.
    fn from_text(text: &str) -> Option<Self> {
        let (line, sum) = text.rsplit_once(' ')?;
        if format!("{:016x}", Checksum::of(line.as_bytes()).crc) != sum {
            return None;
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["begin", offset, len] => Some(Self::Begin { offset: offset.parse().ok()?, len: len.parse().ok()? }),
            ["part", number, offset, checksum] => {
                let part = Part { offset: offset.parse().ok()?, checksum: checksum.parse().ok()? };
                Some(Self::Part { number: number.parse().ok()?, part })
            }
            _ => None,
        }
    }
}

/// Adds a line.
pub(crate) fn append(log: &Path, line: Line) -> io::Result<File> {
    let mut file = File::options().append(true).open(log)?;
    file.write_all(line.to_text().as_bytes())?;
    Ok(file)
}

fn lines(log: &[u8]) -> impl Iterator<Item = Line> {
    let lines = log.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter_map(Line::from_text)
}

/// The parts that are whole, after all lines.
pub(crate) fn replay(log: &[u8]) -> BTreeMap<u64, Part> {
    let mut parts = Parts::default();
    lines(log).for_each(|line| parts.apply(line));
    parts.by_number
}

/// Whether one of the lines gives up bytes of a stretch.
pub(crate) fn gives_up(log: &[u8], offset: u64, len: u64) -> bool {
    let end = offset.saturating_add(len);
    len > 0
        && lines(log).any(|line| match line {
            Line::Begin { offset: from, len } => len > 0 && from < end && from.saturating_add(len) > offset,
            Line::Part { .. } => false,
        })
}

#[derive(Default)]
struct Parts {
    by_number: BTreeMap<u64, Part>,
    /// Number by offset and end, of parts that are not empty; they do not overlap.
    by_offset: BTreeMap<u64, (u64, u64)>,
}

impl Parts {
    fn apply(&mut self, line: Line) {
        match line {
            Line::Begin { offset, len } => self.clear(offset, len),
            Line::Part { number, part } => {
                self.clear(part.offset, part.checksum.len);
                self.drop_number(number);
                self.by_number.insert(number, part);
                if part.checksum.len > 0 {
                    self.by_offset.insert(part.offset, (part.offset.saturating_add(part.checksum.len), number));
                }
            }
        }
    }

    /// Drops all parts that touch a stretch.
    fn clear(&mut self, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        let before_end = ..offset.saturating_add(len);
        let touching = self.by_offset.range(before_end).rev().take_while(|(_, (end, _))| *end > offset);
        let numbers: Vec<u64> = touching.map(|(_, (_, number))| *number).collect();
        for number in numbers {
            self.drop_number(number);
        }
    }

    fn drop_number(&mut self, number: u64) {
        if let Some(old) = self.by_number.remove(&number)
            && old.checksum.len > 0
        {
            self.by_offset.remove(&old.offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> impl Strategy<Value = Line> {
        let begin = (0..40_u64, 0..12_u64).prop_map(|(offset, len)| Line::Begin { offset, len });
        let part = (1..6_u64, 0..40_u64, any::<u64>(), 0..12_u64).prop_map(|(number, offset, crc, len)| Line::Part {
            number,
            part: Part { offset, checksum: Checksum { crc, len } },
        });
        prop_oneof![begin, part]
    }

    /// Every byte of the data knows the line that last wrote it; a part is whole while all of its bytes know its line.
    fn model(lines: &[Line]) -> BTreeMap<u64, Part> {
        let mut bytes = [usize::MAX; 64];
        let mut parts = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let (offset, len) = match line {
                Line::Begin { offset, len } => (*offset, *len),
                Line::Part { number, part } => {
                    parts.insert(*number, (at, *part));
                    (part.offset, part.checksum.len)
                }
            };
            (offset..offset + len).for_each(|byte| bytes[usize::try_from(byte).unwrap()] = at);
        }
        let whole = |at: usize, part: &Part| {
            (part.offset..part.offset + part.checksum.len).all(|byte| bytes[usize::try_from(byte).unwrap()] == at)
        };
        parts.into_iter().filter(|(_, (at, part))| whole(*at, part)).map(|(number, (_, part))| (number, part)).collect()
    }

    fn text(lines: &[Line]) -> Vec<u8> {
        lines.iter().flat_map(|line| line.to_text().into_bytes()).collect()
    }

    #[test]
    fn the_form_of_a_line() {
        let part = Part { offset: 7, checksum: Checksum::of(b"x") };
        let line = Line::Part { number: 2, part }.to_text();
        let body = format!("part 2 7 {}", Checksum::of(b"x"));
        assert_eq!(line, format!("\n{body} {:016x}\n", Checksum::of(body.as_bytes()).crc));
        assert_eq!(part.entry().etag, Checksum::of(b"x").to_string());
    }

    proptest! {
        #[test]
        fn a_part_is_whole_until_it_is_written_over(lines in proptest::collection::vec(line(), 0..30)) {
            prop_assert_eq!(replay(&text(&lines)), model(&lines));
        }

        #[test]
        fn a_stretch_is_given_up_where_a_line_begins_to_write_over_it(
            before in line(),
            lines in proptest::collection::vec(line(), 0..6),
            offset in 0..40_u64,
            len in 0..12_u64,
            cut in 1_usize..30,
        ) {
            // What stands in front, and torn, is of no account: lines begin anew.
            let torn = before.to_text();
            let log = [&torn.as_bytes()[..torn.len() - 1 - cut.min(torn.len() - 1)], &text(&lines)].concat();
            let touched = |line: &Line| match line {
                Line::Begin { offset: from, len: given_up } => {
                    (offset..offset + len).any(|at| (*from..from + given_up).contains(&at))
                }
                Line::Part { .. } => false,
            };
            prop_assert_eq!(gives_up(&log, offset, len), lines.iter().any(touched));
        }

        #[test]
        fn a_torn_line_spoils_no_other(
            lines in proptest::collection::vec(line(), 1..12),
            more in proptest::collection::vec(line(), 0..12),
            cut in 1_usize..30,
        ) {
            let (last, before) = lines.split_last().unwrap();
            let torn = last.to_text();
            let mut log = text(before);
            log.extend_from_slice(&torn.as_bytes()[..torn.len() - 1 - cut.min(torn.len() - 1)]);
            log.extend_from_slice(&text(&more));
            prop_assert_eq!(replay(&log), model(&[before, more.as_slice()].concat()));
        }

        #[test]
        fn any_bytes_are_read(log in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(replay(&log), BTreeMap::new());
        }
    }
}
