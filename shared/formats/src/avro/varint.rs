//! Avro's numbers (Apache Avro specification, "Binary Encoding": zig-zag, then 7 bits a byte, low ones first), and
//! a reader over bytes that came from outside.
//!
//! **Invariant.** A [`Reader`] never reads past its bytes, and never moves when it answers [`Fault::Short`] for a
//! single number.

/// Bytes of the longest number.
pub(crate) const LONGEST: usize = 10;

/// Number of bytes of a number.
pub(crate) fn long_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Number of bytes of a length.
pub(crate) fn size_len(size: usize) -> usize {
    long_len(as_long(size))
}

/// Writes a number.
pub(crate) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

/// Writes a length.
pub(crate) fn put_size(out: &mut Vec<u8>, size: usize) {
    put_long(out, as_long(size));
}

/// A length in memory, which is at most `isize::MAX`.
fn as_long(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They end too early.
    Short,
    /// They are not what they should be.
    Damaged(&'static str),
    /// They ask for more than the limits allow.
    TooLarge(&'static str),
    /// They may be sound, but are not read.
    Unsupported(&'static str),
}

/// Reads from the front of some bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From `at`, which lies in `bytes` or at its end.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bytes in front of what is read next.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// One byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.bytes.get(self.at).ok_or(Fault::Short)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Fault> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(unzigzag(u64::from(byte)))
            }
            _ => self.long_of_several(),
        }
    }

    fn long_of_several(&mut self) -> Result<i64, Fault> {
        let mut value = 0;
        for (i, &byte) in self.bytes[self.at..].iter().take(LONGEST).enumerate() {
            if i + 1 == LONGEST && byte > 1 {
                return Err(Fault::Damaged("a number has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(unzigzag(value));
            }
        }
        Err(Fault::Short)
    }

    /// A length: a number that is not negative. Nothing says that this many bytes follow.
    #[inline]
    pub(crate) fn size(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.long()?).map_err(|_| Fault::Damaged("a length is negative"))
    }

    /// This many bytes; where they lie.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) -> Result<std::ops::Range<usize>, Fault> {
        if len > self.left() {
            return Err(Fault::Short);
        }
        let from = self.at;
        self.at += len;
        Ok(from..self.at)
    }

    /// A length and this many bytes: Avro's `bytes` and `string`.
    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.size()?;
        let range = self.skip(len)?;
        Ok(&self.bytes[range])
    }

    /// Number of the items that follow in an array or a map, and, where the writer gives it, of their bytes. Zero
    /// items end it.
    pub(crate) fn items(&mut self) -> Result<(u64, Option<usize>), Fault> {
        let count = self.long()?;
        let size = if count < 0 { Some(self.size()?) } else { None };
        if size.is_some_and(|size| size > self.left()) {
            return Err(Fault::Short);
        }
        Ok((count.unsigned_abs(), size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<i64, Fault> {
        Reader::new(bytes, 0).long()
    }

    #[test]
    fn the_specification_s_examples() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-64, vec![0x7f]), (64, vec![0x80, 1])] {
            let mut out = Vec::new();
            put_long(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn too_long_is_damage_and_too_short_is_not() {
        assert_eq!(read(&[0x80; 9]), Err(Fault::Short));
        assert_eq!(read(&[]), Err(Fault::Short));
        assert!(matches!(read(&[0x80; 10]), Err(Fault::Damaged(_))));
        assert!(matches!(read(&[0xff; 11]), Err(Fault::Damaged(_))));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&most), Ok(i64::MIN));
        let mut beyond = most;
        beyond[9] = 2;
        assert!(matches!(read(&beyond), Err(Fault::Damaged(_))));
    }

    #[test]
    fn lengths_are_checked() {
        assert!(matches!(Reader::new(&[1], 0).size(), Err(Fault::Damaged(_))));
        assert_eq!(Reader::new(&[4, b'a'], 0).sized(), Err(Fault::Short));
        assert_eq!(Reader::new(&[2, b'a'], 0).sized(), Ok(&b"a"[..]));
        // Three items in two bytes.
        assert_eq!(Reader::new(&[5, 4, 0, 0], 0).items(), Ok((3, Some(2))));
        assert_eq!(Reader::new(&[5, 4, 0], 0).items(), Err(Fault::Short));
        assert_eq!(Reader::new(&[6], 0).items(), Ok((3, None)));
    }

    proptest! {
        #[test]
        fn numbers_read_back(value in prop_oneof![any::<i64>(), -300_i64..300]) {
            let mut out = Vec::new();
            put_long(&mut out, value);
            prop_assert_eq!(out.len(), long_len(value));
            let mut reader = Reader::new(&out, 0);
            prop_assert_eq!(reader.long(), Ok(value));
            prop_assert_eq!(reader.left(), 0);
            for len in 0..out.len() {
                prop_assert_eq!(read(&out[..len]), Err(Fault::Short));
            }
        }
    }
}
