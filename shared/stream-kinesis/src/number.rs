//! Sequence numbers, as they are sent.

use sluice_transfer::Sequence;

/// Numbers of one shard as texts of one length. Kinesis' own have no zeros in front (API reference, `SequenceNumber`:
/// `0|([1-9]\d{0,128})`), and nothing is added to them; servers that imitate it may pad theirs, and compare texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// The number that the shard begins with, as the server writes it.
    start: String,
}

impl Numbering {
    pub(crate) fn new(start: &str) -> Self {
        Self { start: start.to_owned() }
    }

    /// A number as the server writes it.
    pub(crate) fn text(&self, sequence: &Sequence) -> String {
        format!("{sequence:0>width$}", width = self.start.len())
    }

    /// Where to look for the boundary behind `number`: at the record of that number, or in front of the one that is
    /// one larger; the likelier first. Only numbers of records may be sent, and which of both is one is not known
    /// when a boundary was made from the record behind it.
    ///
    /// The last four bits of a shard's numbers are the same, those of its first one (a format version; not
    /// documented, seen on every number): if they fit one candidate alone, that is it. A wrong guess costs a call.
    pub(crate) fn candidates(&self, number: &Sequence) -> [Sequence; 2] {
        let next = number.next();
        let format = last_bits(&self.start);
        let fits = |candidate: &Sequence| last_bits(&candidate.to_string()) == format;
        if fits(&next) && !fits(number) { [next, number.clone()] } else { [number.clone(), next] }
    }
}

/// A decimal number modulo 16, which its last four digits decide.
fn last_bits(digits: &str) -> u32 {
    let tail = digits.len().saturating_sub(4);
    digits.get(tail..).and_then(|tail| tail.parse::<u32>().ok()).unwrap_or(0) % 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(text: &str) -> Sequence {
        text.parse().unwrap()
    }

    #[test]
    fn padded_where_the_server_pads() {
        let real = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(Numbering::new(real).text(&sequence(real)), real);
        let padded = Numbering::new("000000017950000000000000000001");
        assert_eq!(padded.text(&sequence("17950000000000000000002")), "000000017950000000000000000002");
        assert_eq!(padded.text(&sequence(real)), real, "a longer one is left as it is");
    }

    #[test]
    fn the_number_of_a_record_is_tried_first() {
        let numbering = Numbering::new("49590338271490256608559692538361571095921575989136588898");
        let record = sequence("49590338271490256608559692540925702759324208523137515618");
        let before = record.before().unwrap();
        assert_eq!(numbering.candidates(&record)[0], record);
        assert_eq!(numbering.candidates(&before)[0], record);
        assert_eq!(Numbering::new("0").candidates(&Sequence::new(5)), [Sequence::new(5), Sequence::new(6)]);
    }

    proptest! {
        #[test]
        fn bits_are_those_of_the_number(number in any::<u64>()) {
            prop_assert_eq!(u64::from(last_bits(&number.to_string())), number % 16);
        }
    }
}
