//! Avro's codecs (Apache Avro specification, "Object Container Files", "Required Codecs" and "Optional Codecs").
//!
//! Sluice writes three of them and reads all six that the specification names.
//!
//! **Invariant.** A block comes from outside: memory follows what comes out, up to a limit, never what a length
//! promises.

use bzip2::{Decompress as Bunzip, Status as BzipStatus};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use sluice_transfer::Compression;
use xz4rust::{XzDecoder, XzError};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::varint::Fault;
use crate::frame_head::{Trouble, WINDOW_LOG, trouble};

/// The compression of a file's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// One that is also written.
    Ours(Compression),
    /// Snappy's raw format, and a CRC-32 behind it.
    Snappy,
    Bzip2,
    Xz,
}

/// The names that Avro has for them.
const ALL_CODECS: [(Codec, &str); 6] = [
    (Codec::Ours(Compression::Plain), "null"),
    (Codec::Ours(Compression::Deflate), "deflate"),
    (Codec::Ours(Compression::Zstd), "zstandard"),
    (Codec::Snappy, "snappy"),
    (Codec::Bzip2, "bzip2"),
    (Codec::Xz, "xz"),
];

/// The checksum that zlib puts behind what it compressed (RFC 1950).
const ZLIB_TAIL: usize = 4;
/// Bytes of the checksum behind a block of Snappy.
const SNAPPY_TAIL: usize = 4;
/// Bytes that come out of a byte of Snappy, at most: three of them copy up to 64.
const SNAPPY_EXPANDS: usize = 22;
/// The largest dictionary of xz that is allocated. No block is larger, so none needs more.
const XZ_DICTIONARY: usize = 64 << 20;
/// What is asked of a codec at once.
const STEP: usize = 128 << 10;

impl Codec {
    /// True if blocks are not compressed.
    pub(crate) fn is_plain(self) -> bool {
        self == Self::Ours(Compression::Plain)
    }

    /// The codec of a name in a file's header.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        ALL_CODECS.iter().find(|(_, known)| known.as_bytes() == name).map(|(codec, _)| *codec)
    }

    /// All names, for a message.
    pub(crate) fn names() -> String {
        ALL_CODECS.map(|(_, name)| name).join(", ")
    }
}

/// The name that Avro has for a compression.
pub(crate) fn codec_name(compression: Compression) -> &'static str {
    ALL_CODECS.iter().find(|(one, _)| *one == Codec::Ours(compression)).map_or("null", |(_, name)| name)
}

/// Inflates a block: all of it is one stream, which gives at most `most` bytes.
pub(crate) fn inflate(codec: Codec, block: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let read = match codec {
        Codec::Ours(Compression::Plain) => {
            out.extend_from_slice(block);
            block.len()
        }
        Codec::Ours(Compression::Zstd) => inflate_zstd(block, most, &mut out)?,
        Codec::Ours(Compression::Deflate) => inflate_deflate(block, most, &mut out)?,
        Codec::Ours(Compression::Gzip) => return Err(BROKEN),
        Codec::Snappy => inflate_snappy(block, most, &mut out)?,
        Codec::Bzip2 => inflate_bzip2(block, most, &mut out)?,
        Codec::Xz => inflate_xz(block, most, &mut out)?,
    };
    // Writers that go by way of zlib leave bytes of its checksum behind the block (PyPI's fastavro three of four).
    let beside = if codec == Codec::Ours(Compression::Deflate) { ZLIB_TAIL } else { 0 };
    if read + beside < block.len() {
        return Err(Fault::Damaged("a compressed block goes on behind its end"));
    }
    Ok(out)
}

const BROKEN: Fault = Fault::Damaged("a compressed block is broken");
const CUT_OFF: Fault = Fault::Damaged("a compressed block ends too early");
const EXPANDS: Fault = Fault::TooLarge("a block has more than 64 MiB once it is inflated");

/// Answers how many bytes of the block were read.
fn inflate_zstd(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let refused = |_| match trouble(block) {
        Some(Trouble::Dictionary) => Fault::Unsupported(
            "a block is compressed with a dictionary of Zstandard, which is not in the file: write it anew without one",
        ),
        Some(Trouble::Window) => Fault::Unsupported(
            "a block is compressed with a window of Zstandard of more than 128 MiB: write it anew with a shorter one",
        ),
        None => BROKEN,
    };
    let mut decoder = Decoder::new().map_err(|_| BROKEN)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| BROKEN)?;
    let mut input = InBuffer::around(block);
    loop {
        out.reserve(STEP);
        let (filled, read) = (out.len(), input.pos());
        let left = decoder.run(&mut input, &mut OutBuffer::around_pos(out, filled)).map_err(refused)?;
        if out.len() > most {
            return Err(EXPANDS);
        }
        if left == 0 {
            return Ok(input.pos());
        }
        if out.len() == filled && input.pos() == read {
            return Err(CUT_OFF);
        }
    }
}

/// Answers how many bytes of the block were read.
fn inflate_deflate(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut state = Decompress::new(false);
    let read = |state: &Decompress| usize::try_from(state.total_in()).unwrap_or(usize::MAX);
    loop {
        out.reserve(STEP);
        let before = (out.len(), state.total_in());
        let rest = block.get(read(&state)..).unwrap_or_default();
        let status = state.decompress_vec(rest, out, FlushDecompress::None).map_err(|_| BROKEN)?;
        if out.len() > most {
            return Err(EXPANDS);
        }
        if status == Status::StreamEnd {
            return Ok(read(&state));
        }
        if (out.len(), state.total_in()) == before {
            return Err(CUT_OFF);
        }
    }
}

/// Answers how many bytes of the block were read. Snappy gives the length in front, and cannot be read in steps: it is
/// believed as far as its bytes can make so many.
fn inflate_snappy(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let Some((raw, sum)) = block.split_last_chunk::<SNAPPY_TAIL>() else { return Err(CUT_OFF) };
    let len = snap::raw::decompress_len(raw).map_err(|_| BROKEN)?;
    if len > most {
        return Err(EXPANDS);
    }
    if len > raw.len().saturating_mul(SNAPPY_EXPANDS) {
        return Err(BROKEN);
    }
    // A length of nothing is a block of its own: the library takes no input of no bytes.
    *out = snap::raw::Decoder::new().decompress_vec(raw).map_err(|_| BROKEN)?;
    let mut crc = Crc::new();
    crc.update(out);
    if crc.sum().to_be_bytes() != *sum {
        return Err(Fault::Damaged("the checksum of a compressed block is wrong"));
    }
    Ok(block.len())
}

/// Answers how many bytes of the block were read.
fn inflate_bzip2(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut state = Bunzip::new(false);
    let read = |state: &Bunzip| usize::try_from(state.total_in()).unwrap_or(usize::MAX);
    loop {
        out.reserve(STEP);
        let before = (out.len(), state.total_in());
        let rest = block.get(read(&state)..).unwrap_or_default();
        let status = state.decompress_vec(rest, out).map_err(|_| BROKEN)?;
        if out.len() > most {
            return Err(EXPANDS);
        }
        match status {
            BzipStatus::StreamEnd => return Ok(read(&state)),
            BzipStatus::MemNeeded => return Err(Fault::TooLarge("there is no memory for a block of bzip2")),
            _ if (out.len(), state.total_in()) == before => return Err(CUT_OFF),
            _ => {}
        }
    }
}

/// Answers how many bytes of the block were read.
fn inflate_xz(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut state = XzDecoder::in_heap_with_alloc_dict_size(0, XZ_DICTIONARY);
    let mut read = 0;
    loop {
        let filled = out.len();
        out.resize(filled + STEP, 0);
        let step = state.decode(block.get(read..).unwrap_or_default(), &mut out[filled..]);
        let step = step.map_err(|error| match error {
            XzError::DictionaryTooLarge(_) => Fault::Unsupported(
                "a block needs a dictionary of xz of more than 64 MiB: write it anew with xz -9 or less",
            ),
            XzError::NeedsLargerInputBuffer => CUT_OFF,
            _ => BROKEN,
        })?;
        out.truncate(filled + step.output_produced());
        read += step.input_consumed();
        if out.len() > most {
            return Err(EXPANDS);
        }
        if step.is_end_of_stream() {
            return Ok(read);
        }
        if !step.made_progress() {
            return Err(CUT_OFF);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::Compressor;

    const BOTH: [Compression; 2] = [Compression::Zstd, Compression::Deflate];

    /// Blocks of others: 3,000 bytes of 0 to 9, by the tools that the names say.
    const OTHERS: [(Codec, &[u8]); 2] = [
        (Codec::Bzip2, include_bytes!("../../../../tests/golden/foreign/digits.bz2")),
        (Codec::Xz, include_bytes!("../../../../tests/golden/foreign/digits.xz")),
    ];

    fn inflate(compression: Compression, block: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        super::inflate(Codec::Ours(compression), block, most)
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        let mut block = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
        let mut crc = Crc::new();
        crc.update(bytes);
        block.extend_from_slice(&crc.sum().to_be_bytes());
        block
    }

    #[test]
    fn blocks_of_the_optional_codecs() {
        let digits: Vec<u8> = (0..3_000_u32).map(|n| b'0' + u8::try_from(n % 10).unwrap()).collect();
        let snappy = snappy(&digits);
        for (codec, block) in OTHERS.into_iter().chain([(Codec::Snappy, &snappy[..])]) {
            assert_eq!(super::inflate(codec, block, 3_000), Ok(digits.clone()), "{codec:?}");
            assert_eq!(super::inflate(codec, block, 2_999), Err(EXPANDS), "{codec:?}");
            let longer = [block, b"more"].concat();
            assert!(super::inflate(codec, &longer, 3_000).is_err(), "{codec:?}");
            for len in 0..block.len() {
                assert!(super::inflate(codec, &block[..len], 3_000).is_err(), "{codec:?}, cut off at {len}");
            }
            for at in 0..block.len() {
                let mut changed = block.to_vec();
                changed[at] ^= 0x10;
                let found = super::inflate(codec, &changed, 1 << 20);
                assert!(found.is_err() || found == Ok(digits.clone()), "{codec:?}, changed at {at}");
            }
        }
        // A length without bytes behind it is not allocated.
        let promised = [&[0xff, 0xff, 0xff, 0x1f][..], &[0; 9]].concat();
        assert_eq!(super::inflate(Codec::Snappy, &promised, 64 << 20), Err(BROKEN));
        assert_eq!(super::inflate(Codec::Snappy, &snappy_of_nothing(), 9), Ok(Vec::new()));
    }

    fn snappy_of_nothing() -> Vec<u8> {
        snappy(b"")
    }

    fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        Compressor::new(compression).unwrap().compress(bytes).to_vec()
    }

    #[test]
    fn a_block_that_expands_without_end_is_refused() {
        for compression in BOTH {
            let bomb = compressed(compression, &vec![0; 4 << 20]);
            assert!(bomb.len() < 8 << 10, "{compression:?}: {}", bomb.len());
            assert_eq!(inflate(compression, &bomb, 4 << 20).map(|bytes| bytes.len()), Ok(4 << 20));
            assert_eq!(inflate(compression, &bomb, (4 << 20) - 1), Err(EXPANDS));
            assert_eq!(inflate(compression, &bomb, 1 << 10), Err(EXPANDS));
        }
    }

    proptest! {
        #[test]
        fn blocks_read_back_and_are_the_same_each_time(
            bytes in proptest::collection::vec(0_u8..9, 0..3_000),
            repeats in 1_usize..200,
            other in any::<u8>(),
        ) {
            let bytes = bytes.repeat(repeats);
            for compression in BOTH {
                let mut encoder = Compressor::new(compression).unwrap();
                encoder.compress(&[other; 1_000]);
                let block = encoder.compress(&bytes).to_vec();
                prop_assert_eq!(&block, &compressed(compression, &bytes));
                prop_assert!(inflate(compression, &block, bytes.len()).is_ok_and(|inflated| inflated == bytes));
                let longer = [&block[..], &[other; 5]].concat();
                prop_assert!(inflate(compression, &longer, usize::MAX).is_err());
            }
        }

        #[test]
        fn broken_blocks_are_errors(
            bytes in proptest::collection::vec(any::<u8>(), 1..500),
            cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            for compression in BOTH {
                let block = compressed(compression, &bytes);
                prop_assert!(inflate(compression, &block[..cut.index(block.len())], 1 << 20).is_err());
                let mut flipped = block.clone();
                flipped[at.index(block.len())] ^= flip;
                // Deflate has no checksum of its own; Zstandard's frames have.
                let found = inflate(compression, &flipped, 1 << 20);
                prop_assert!(compression == Compression::Deflate || found.is_err() || found.as_ref() == Ok(&bytes));
                let _ = inflate(compression, &bytes, 1 << 20);
            }
        }
    }
}
