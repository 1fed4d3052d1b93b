//! The head of a frame of Zstandard (RFC 8878, section 3.1.1.1), as far as it tells why a frame that may be sound
//! cannot be inflated here.
//!
//! Why: the library only reports that such a frame failed, and "broken" makes a person look for damage.

/// Bytes that an inflating process may have to look back to, as a power of two: 128 MiB, which every reader of
/// Zstandard takes (RFC 8878, section 3.1.1.1.2, recommends 8 MiB at least; `zstd --long` writes 128).
pub(crate) const WINDOW_LOG: u32 = 27;

/// The longest head, with its magic.
pub(crate) const HEAD_BYTES: usize = 18;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a frame that may be sound cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It was compressed with a dictionary.
    Dictionary,
    /// It needs more to look back to than `1 << WINDOW_LOG` bytes.
    Window,
}

/// What a frame's first bytes say of that; none where they say nothing.
pub(crate) fn trouble(frame: &[u8]) -> Option<Trouble> {
    let rest = frame.strip_prefix(&MAGIC)?;
    let (&descriptor, mut rest) = rest.split_first()?;
    let is_single = descriptor & 0x20 != 0;
    let mut window = 0;
    if !is_single {
        let (&byte, behind) = rest.split_first()?;
        let base = 1_u64 << (10 + (byte >> 3));
        window = base + base / 8 * u64::from(byte & 7);
        rest = behind;
    }
    let id = rest.get(..[0, 1, 2, 4][usize::from(descriptor & 3)])?;
    if id.iter().any(|byte| *byte != 0) {
        return Some(Trouble::Dictionary);
    }
    if is_single {
        let size = rest.get(id.len()..)?.get(..[1, 2, 4, 8][usize::from(descriptor >> 6)])?;
        let little_endian = |sum, byte: &u8| sum << 8 | u64::from(*byte);
        // A size of two bytes counts from 256.
        window = size.iter().rev().fold(0, little_endian) + if size.len() == 2 { 256 } else { 0 };
    }
    (window > 1 << WINDOW_LOG).then_some(Trouble::Window)
}

#[cfg(test)]
mod tests {
    use zstd::stream::raw::CParameter;

    use super::*;

    #[test]
    fn frames_of_the_library_are_told_apart() {
        let plain = zstd::encode_all(&b"some text"[..], 3).unwrap();
        assert_eq!(trouble(&plain), None);
        for len in 0..plain.len() {
            assert_eq!(trouble(&plain[..len]), None);
        }
        let long = |log| {
            let mut writer = zstd::Encoder::new(Vec::new(), 3).unwrap();
            writer.set_parameter(CParameter::WindowLog(log)).unwrap();
            std::io::Write::write_all(&mut writer, &[7; 100]).unwrap();
            writer.finish().unwrap()
        };
        assert_eq!(trouble(&long(27)), None);
        assert_eq!(trouble(&long(28)), Some(Trouble::Window));
        // An id of one byte: 7.
        assert_eq!(trouble(&[0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 3]), Some(Trouble::Dictionary));
        assert_eq!(trouble(&[0x28, 0xb5, 0x2f, 0xfd, 0x21, 0, 3]), None);
        let single = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1_u64 << 40).to_le_bytes()].concat();
        assert_eq!(trouble(&single), Some(Trouble::Window));
        assert_eq!(trouble(b"no frame at all"), None);
    }
}
