//! Whole objects that are compressed: frames of Zstandard, members of gzip.

use bytes::Bytes;
use sluice_formats::{Inflater, Piece};
use sluice_transfer::{Compression, Place, UnpackError};

/// Inflated bytes of one reading, at most: input can make thousands of times its own bytes, and more.
const MOST_BYTES: usize = 2 << 20;
/// What a piece may hold, whatever the input promises.
const LARGEST_PIECE: usize = 128 << 10;

/// Zstandard's frames.
pub fn zstd(bytes: &[u8]) {
    inflate_everyhow(Compression::Zstd, bytes);
}

/// Gzip's members.
pub fn gzip(bytes: &[u8]) {
    inflate_everyhow(Compression::Gzip, bytes);
}

struct Outcome {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    /// None if reading was left off.
    end: Option<Result<(), UnpackError>>,
}

fn inflate_everyhow(compression: Compression, bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    let whole = inflate(compression, &file, Place::default(), &[usize::MAX]);
    // A byte at a time would be most of the time of a large case.
    let splits: [&[usize]; 2] = if bytes.len() < 2_000 { [&[1], &[5, 1, 64]] } else { [&[61, 1], &[1_021]] };
    for split in splits {
        let other = inflate(compression, &file, Place::default(), split);
        same(compression, &whole, &other, 0);
    }
    let mut begin = 0;
    let picked = [0, whole.pieces.len() / 2, whole.pieces.len().saturating_sub(1)];
    for (at, piece) in whole.pieces.iter().enumerate() {
        if picked.contains(&at) {
            // In its middle, and behind its end.
            for len in [piece.bytes.len() / 2, piece.bytes.len()] {
                let rest = inflate(compression, &file, piece.place(len), &[usize::MAX]);
                same(compression, &whole, &rest, begin + len);
            }
        }
        begin += piece.bytes.len();
    }
}

/// `other` began `skipped` bytes into what `whole` read, and reads the same. An error may take with it what came out
/// in the call that found it, so bytes in front of one are only compared as far as both have them.
fn same(compression: Compression, whole: &Outcome, other: &Outcome, skipped: usize) {
    let expected = &whole.bytes[skipped..];
    let both = expected.len().min(other.bytes.len());
    assert!(expected[..both] == other.bytes[..both], "other bytes behind {skipped}");
    if let (Some(first), Some(second)) = (&whole.end, &other.end) {
        // Zstandard's library has two ways, for frames that it gets whole and in pieces: only the first takes a block
        // that repeats a byte no times, and the second takes an empty last block in front of the length that the frame
        // gives.
        if compression == Compression::Gzip {
            assert_eq!(first, second, "another end, begun behind {skipped}");
        }
        if first.is_ok() && second.is_ok() {
            assert_eq!(expected.len(), other.bytes.len(), "more bytes or fewer behind {skipped}");
        }
    }
}

fn inflate(compression: Compression, file: &Bytes, from: Place, split: &[usize]) -> Outcome {
    let begin = usize::try_from(from.offset).unwrap_or(usize::MAX);
    assert!(begin <= file.len(), "a place behind the file's end: {from:?}");
    let mut rest = file.slice(begin..);
    let mut inflater = Inflater::at(compression, from);
    let mut sizes = split.iter().cycle();
    let mut outcome = Outcome { pieces: Vec::new(), bytes: Vec::new(), end: None };
    loop {
        match inflater.piece() {
            Err(error) => {
                assert_eq!(inflater.finish(), Err(error.clone()), "an error stays");
                outcome.end = Some(Err(error));
                return outcome;
            }
            Ok(Some(piece)) => {
                assert!(!piece.bytes.is_empty() && piece.bytes.len() <= LARGEST_PIECE, "{} bytes", piece.bytes.len());
                outcome.bytes.extend_from_slice(&piece.bytes);
                outcome.pieces.push(piece);
                if outcome.bytes.len() > MOST_BYTES {
                    return outcome;
                }
            }
            Ok(None) if rest.is_empty() => {
                outcome.end = Some(inflater.finish());
                return outcome;
            }
            Ok(None) => {
                let size = sizes.next().copied().unwrap_or(1).min(rest.len());
                inflater.feed(rest.split_to(size));
            }
        }
    }
}
