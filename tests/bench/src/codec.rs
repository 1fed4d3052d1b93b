//! The codecs alone, at the levels that Sluice has, in pieces like its frames; one context for all of them.

use std::hint::black_box;

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress};
use serde_json::json;
use zstd::bulk::{Compressor, Decompressor};

use crate::measure::{Job, tell};
use crate::{Load, Result};

/// Bytes that are compressed by themselves.
const PIECE: usize = 256 << 10;
const ZSTD_LEVEL: i32 = 3;
const DEFLATE_LEVEL: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Codec {
    Zstd,
    Deflate,
    Gzip,
}

/// Compressed, how long each piece was, and a checksum of it, where the codec has one.
type Pieces = Vec<(Vec<u8>, usize, u32)>;

fn zstd(joined: &[u8]) -> Result<Pieces> {
    let mut codec = Compressor::new(ZSTD_LEVEL)?;
    codec.include_checksum(true)?;
    joined.chunks(PIECE).map(|piece| Ok((codec.compress(piece)?, piece.len(), 0))).collect()
}

fn un_zstd(pieces: &Pieces) -> Result<()> {
    let mut codec = Decompressor::new()?;
    let mut out = Vec::with_capacity(PIECE);
    for (piece, len, _) in pieces {
        out.clear();
        if codec.decompress_to_buffer(piece, &mut out)? != *len {
            return Err("zstd did not give back what it got".into());
        }
        black_box(&out);
    }
    Ok(())
}

fn crc_of(codec: Codec, bytes: &[u8]) -> u32 {
    if codec != Codec::Gzip {
        return 0;
    }
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn deflate(joined: &[u8], codec: Codec) -> Result<Pieces> {
    let mut state = Compress::new(flate2::Compression::new(DEFLATE_LEVEL), false);
    let one = |piece: &[u8]| {
        state.reset();
        // Incompressible pieces grow, by five bytes a block of 64 KiB at the most.
        let mut out = Vec::with_capacity(piece.len() + (piece.len() >> 10) + 64);
        state.compress_vec(piece, &mut out, FlushCompress::Finish)?;
        Ok((out, piece.len(), crc_of(codec, piece)))
    };
    joined.chunks(PIECE).map(one).collect()
}

fn inflate(pieces: &Pieces, codec: Codec) -> Result<()> {
    let mut state = Decompress::new(false);
    let mut out = Vec::with_capacity(PIECE);
    for (piece, len, crc) in pieces {
        state.reset(false);
        out.clear();
        state.decompress_vec(piece, &mut out, FlushDecompress::Finish)?;
        if out.len() != *len || crc_of(codec, &out) != *crc {
            return Err("deflate did not give back what it got".into());
        }
        black_box(&out);
    }
    Ok(())
}

pub(crate) fn run(load: Load, codec: Codec) -> Result<()> {
    let joined = load.joined();
    let job = Job::begin();
    let pieces = match codec {
        Codec::Zstd => zstd(&joined)?,
        Codec::Deflate | Codec::Gzip => deflate(&joined, codec)?,
    };
    let there = job.end();
    let job = Job::begin();
    match codec {
        Codec::Zstd => un_zstd(&pieces)?,
        Codec::Deflate | Codec::Gzip => inflate(&pieces, codec)?,
    }
    let back = job.end();
    let stored: usize = pieces.iter().map(|(piece, _, _)| piece.len()).sum();
    tell(joined.len(), there, &[("stored", json!(stored)), ("back", back.to_json())])
}
