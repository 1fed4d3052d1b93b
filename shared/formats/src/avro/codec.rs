//! Avro's codecs (Apache Avro specification, "Object Container Files", "Required Codecs" and "Optional Codecs").
//!
//! **Invariant.** What is inflated comes from outside: memory follows what comes out, up to a limit, never what a
//! length promises.

use flate2::{Decompress, FlushDecompress, Status};
use sluice_transfer::Compression;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::varint::Fault;

/// The names that Avro has for them.
pub(crate) const ALL_CODECS: [(Compression, &str); 3] =
    [(Compression::Plain, "null"), (Compression::Zstd, "zstandard"), (Compression::Deflate, "deflate")];

/// The checksum that zlib puts behind what it compressed (RFC 1950).
const ZLIB_TAIL: usize = 4;
/// What is asked of a codec at once.
const STEP: usize = 128 << 10;
/// Bytes of a frame that an inflating process may have to look back to, as a power of two: blocks are not larger.
const WINDOW_LOG: u32 = 26;

/// A codec as Avro names it.
pub(crate) fn codec_name(compression: Compression) -> &'static str {
    ALL_CODECS.iter().find(|(one, _)| *one == compression).map_or("null", |(_, name)| name)
}

/// What Avro means by a name.
pub(crate) fn codec_of(name: &[u8]) -> Option<Compression> {
    ALL_CODECS.iter().find(|(_, known)| known.as_bytes() == name).map(|(compression, _)| *compression)
}

/// Inflates a block: all of it is one stream, which gives at most `most` bytes.
pub(crate) fn inflate(compression: Compression, block: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let read = match compression {
        Compression::Plain => {
            out.extend_from_slice(block);
            block.len()
        }
        Compression::Zstd => inflate_zstd(block, most, &mut out)?,
        Compression::Deflate => inflate_deflate(block, most, &mut out)?,
        Compression::Gzip => return Err(BROKEN),
    };
    // Writers that go by way of zlib leave bytes of its checksum behind the block (PyPI's fastavro three of four).
    let beside = if compression == Compression::Deflate { ZLIB_TAIL } else { 0 };
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
    let mut decoder = Decoder::new().map_err(|_| BROKEN)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| BROKEN)?;
    let mut input = InBuffer::around(block);
    loop {
        out.reserve(STEP);
        let (filled, read) = (out.len(), input.pos());
        let left = decoder.run(&mut input, &mut OutBuffer::around_pos(out, filled)).map_err(|_| BROKEN)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::Compressor;

    const BOTH: [Compression; 2] = [Compression::Zstd, Compression::Deflate];

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
