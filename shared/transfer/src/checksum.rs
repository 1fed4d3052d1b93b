//! Checksums that can be taken in pieces.

use std::fmt;
use std::str::FromStr;

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Event, Header, Timestamp, Value};

/// CRC64NVME of some bytes and their number; the checksum S3 keeps for whole objects (Amazon S3 user guide,
/// "Checking object integrity"). Written as 16 hexadecimal digits, a dash and the length, so that pieces can be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum {
    /// The CRC.
    pub crc: u64,
    /// The number of bytes under the checksum.
    pub len: u64,
}

impl Default for Checksum {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { crc: crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes), len: bytes.len() as u64 }
    }

    /// The checksum of the bytes so far, followed by these. The same as joining the two, and as fast as reading the
    /// bytes: a CRC goes on from where it was, while joining two that are known multiplies polynomials.
    #[must_use]
    fn followed_by(self, bytes: &[u8]) -> Self {
        if self.len == 0 {
            return Self::of(bytes);
        }
        // This CRC begins with all ones and is written inverted (the catalogue of parametrised CRC algorithms).
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Nvme, !self.crc);
        digest.update(bytes);
        Self { crc: digest.finalize(), len: self.len.saturating_add(bytes.len() as u64) }
    }

    /// The checksum of these bytes followed by the other ones. The lengths may come from a foreign document,
    /// so their sum saturates.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        if other.len == 0 {
            return self;
        }
        if self.len == 0 {
            return other;
        }
        Self { crc: shifted(self.crc, other.len) ^ other.crc, len: self.len.saturating_add(other.len) }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.crc, self.len)
    }
}

impl FromStr for Checksum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(crc, len)| {
            let crc = (crc.len() == 16).then(|| u64::from_str_radix(crc, 16).ok()).flatten()?;
            Some(Self { crc, len: len.parse().ok()? })
        });
        parsed.ok_or_else(|| format!("'{}' is not a checksum", text.chars().take(60).collect::<String>()))
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// The CRC's polynomial. Here and below the highest bit is the lowest power, as in the CRC itself.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// x to the power of 8 · 2^k, by k: what 2^k bytes of zeros behind a message multiply its CRC with.
const SHIFTS: [u64; 64] = {
    let mut powers = [1 << (63 - 8); 64];
    let mut k = 1;
    while k < 64 {
        powers[k] = product(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
};

/// The product of two polynomials, reduced.
const fn product(a: u64, mut b: u64) -> u64 {
    let mut sum = 0;
    let mut bit = 64;
    while bit > 0 {
        bit -= 1;
        sum ^= b & (a >> bit & 1).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
    }
    sum
}

/// The CRC of the same bytes followed by `len` zeros. The library joins CRCs by squaring matrices, which takes some 100
/// µs: too long for each event.
fn shifted(crc: u64, len: u64) -> u64 {
    (0..64).filter(|k| len >> k & 1 == 1).fold(crc, |crc, k| product(SHIFTS[k], crc))
}

/// A running digest of the events' content: key, time, headers and payload, not their sequence numbers, so that a
/// source and its copy can be compared. It is one of their order too, unless it was begun as [`Self::unordered`].
///
/// Written as a [`Checksum`]; without order `sum:` stands in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventDigest {
    unordered: bool,
    sum: Checksum,
}

impl EventDigest {
    /// The digest of no events, which ignores their order: a sum of what each of them comes to. For targets that keep
    /// order within a key only.
    pub fn unordered() -> Self {
        Self { unordered: true, sum: Checksum::default() }
    }

    /// The digest of no events, of the same kind as this one.
    #[must_use]
    pub fn begun_anew(self) -> Self {
        Self { sum: Checksum::default(), ..self }
    }

    /// With one more event.
    #[must_use]
    pub fn with(self, time: Timestamp, key: &Value, headers: &[Header], payload: &Value) -> Self {
        // Lengths before bytes, so that no two events share an encoding.
        let mut head = Head { short: [0; SHORT_HEAD], len: 0, long: Vec::new() };
        head.push(&time.micros().to_le_bytes());
        head.push_value(key);
        head.push(&(headers.len() as u64).to_le_bytes());
        for header in headers {
            head.push(&(header.name.len() as u64).to_le_bytes());
            head.push(header.name.as_bytes());
            head.push_value(&header.value);
        }
        head.push_tag(payload);
        let head = head.bytes();
        let payload = payload.as_slice();
        let sum = if self.unordered {
            let event = Checksum::of(head).followed_by(payload);
            let crc = self.sum.crc.wrapping_add(scattered(event.crc));
            Checksum { crc, len: self.sum.len.saturating_add(event.len) }
        } else {
            self.sum.followed_by(head).followed_by(payload)
        };
        Self { sum, ..self }
    }

    /// With one more event of a stream.
    #[must_use]
    pub fn with_event(self, event: &Event) -> Self {
        self.with(event.time, &event.key, &event.headers, &event.payload)
    }
}

/// CRCs are linear: what one event has too much another could have too little, and their sum would be the same. So
/// each is scattered first, with the finisher of `SplitMix64` (Steele, Lea and Flood 2014), which loses nothing.
const fn scattered(crc: u64) -> u64 {
    let crc = (crc ^ (crc >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let crc = (crc ^ (crc >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    crc ^ (crc >> 31)
}

/// Bytes of the head of an event with a key and headers of no unusual length.
const SHORT_HEAD: usize = 256;

/// In front of a digest without order.
const UNORDERED: &str = "sum:";

impl TryFrom<String> for EventDigest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix(UNORDERED) {
            Some(sum) => Ok(Self { unordered: true, sum: sum.parse()? }),
            None => Ok(Self { unordered: false, sum: text.parse()? }),
        }
    }
}

impl From<EventDigest> for String {
    fn from(digest: EventDigest) -> Self {
        let kind = if digest.unordered { UNORDERED } else { "" };
        format!("{kind}{}", digest.sum)
    }
}

/// What of an event stands in front of its payload.
struct Head {
    /// All of it, up to `len`, unless it is long: nothing is allocated for an event then.
    short: [u8; SHORT_HEAD],
    len: usize,
    /// All of it if it is long, else empty.
    long: Vec<u8>,
}

impl Head {
    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.short.get_mut(self.len..end).filter(|_| self.long.is_empty()) {
            room.copy_from_slice(bytes);
            self.len = end;
            return;
        }
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.len]);
        }
        self.long.extend_from_slice(bytes);
    }

    fn push_tag(&mut self, value: &Value) {
        let tag = match value {
            Value::Absent => 0_u8,
            Value::Null => 1,
            Value::Bytes(_) => 2,
        };
        self.push(&[tag]);
        self.push(&(value.len() as u64).to_le_bytes());
    }

    fn push_value(&mut self, value: &Value) {
        self.push_tag(value);
        self.push(value.as_slice());
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        use fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_check_value() {
        // CRC-64/NVME in the catalogue of parametrised CRC algorithms: check 0xae8b14860a799888.
        assert_eq!(Checksum::of(b"123456789").crc, 0xae8b_1486_0a79_9888);
    }

    proptest! {
        /// However long keys and headers are.
        #[test]
        fn a_digest_is_that_of_its_encoding(
            key in prop_oneof![0..300_usize, 240..260_usize],
            headers in prop::collection::vec((0..200_usize, 0..200_usize), 0..4),
        ) {
            let value = |len: usize| Value::from(vec![b'v'; len]);
            let header = |(name, len): &(usize, usize)| Header { name: "n".repeat(*name), value: value(*len) };
            let event = Event {
                sequence: crate::Sequence::new(1),
                time: Timestamp::from_micros(7),
                key: value(key),
                headers: headers.iter().map(header).collect(),
                payload: Value::Null,
            };
            let sized = |len: usize| [&[2][..], &(len as u64).to_le_bytes()].concat();
            let mut encoding = 7_i64.to_le_bytes().to_vec();
            encoding.extend([sized(key), vec![b'v'; key], (headers.len() as u64).to_le_bytes().to_vec()].concat());
            for (name, len) in headers {
                encoding.extend((name as u64).to_le_bytes());
                encoding.extend([vec![b'n'; name], sized(len), vec![b'v'; len]].concat());
            }
            encoding.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
            prop_assert_eq!(EventDigest::default().with_event(&event).sum, Checksum::of(&encoding));
        }
    }

    #[test]
    fn lengths_that_somebody_else_says_do_not_end_the_process() {
        let most: Checksum = format!("0123456789abcdef-{}", u64::MAX).parse().unwrap();
        assert_eq!(most.then(most).len, u64::MAX);
        let digest = EventDigest::try_from(format!("sum:{most}")).unwrap();
        let more = digest.with(Timestamp::from_millis(1), &Value::Null, &[], &Value::from("x"));
        assert!(String::from(more).ends_with(&format!("-{}", u64::MAX)));
    }

    fn digest(begun: EventDigest, payloads: &[Vec<u8>]) -> EventDigest {
        payloads.iter().fold(begun, |digest, payload| {
            digest.with(Timestamp::from_millis(1), &Value::Null, &[], &Value::from(payload.clone()))
        })
    }

    #[test]
    fn a_bit_that_moves_from_one_event_to_another_is_seen() {
        let begun = EventDigest::unordered();
        let before = digest(begun, &[vec![0b01], vec![0b10]]);
        assert_ne!(before, digest(begun, &[vec![0b00], vec![0b11]]));
        assert_ne!(before, digest(begun, &[vec![0b11], vec![0b00]]));
        assert_ne!(digest(begun, &[vec![1]]), digest(begun, &[vec![1], vec![]]), "an empty event counts");
    }

    proptest! {
        #[test]
        fn only_a_digest_with_order_knows_it(
            events in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..9),
            by in 1_usize..8,
        ) {
            let mut turned = events.clone();
            turned.rotate_left(by % events.len());
            let (ordered, unordered) = (EventDigest::default(), EventDigest::unordered());
            prop_assert_eq!(digest(unordered, &events), digest(unordered, &turned));
            prop_assert_eq!(digest(ordered, &events) == digest(ordered, &turned), events == turned);
            prop_assert_ne!(digest(unordered, &events), digest(unordered, &events[1..]));
            for digest in [digest(ordered, &events), digest(unordered, &events)] {
                prop_assert_eq!(EventDigest::try_from(String::from(digest)), Ok(digest));
            }
            prop_assert_eq!(digest(unordered, &events).begun_anew(), unordered);
        }

        #[test]
        fn pieces_join_as_the_library_joins_them(a in any::<u64>(), b in any::<u64>(), len in 1_u64.., shift in 0_u32..64) {
            let len = (len >> shift).max(1);
            let joined = Checksum { crc: a, len: 1 }.then(Checksum { crc: b, len: len.min(u64::MAX - 1) });
            let expected = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, a, b, len.min(u64::MAX - 1));
            prop_assert_eq!(joined.crc, expected);
        }

        #[test]
        fn pieces_join(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
            let at = at.min(bytes.len());
            let (a, b) = bytes.split_at(at);
            prop_assert_eq!(Checksum::of(a).then(Checksum::of(b)), Checksum::of(&bytes));
            prop_assert_eq!(Checksum::of(a).followed_by(b), Checksum::of(&bytes));
            let text = Checksum::of(&bytes).to_string();
            prop_assert_eq!(text.parse::<Checksum>(), Ok(Checksum::of(&bytes)));
        }
    }
}
