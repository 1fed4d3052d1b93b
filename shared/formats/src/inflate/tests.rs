use proptest::prelude::*;

use super::*;
use crate::compress::Compressor;

const FRAMED: [Compression; 2] = [Compression::Zstd, Compression::Gzip];

/// Frames of these bytes, one behind the other, and where each begins.
fn framed(compression: Compression, frames: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let mut compressor = Compressor::new(compression).unwrap();
    let (mut object, mut begins) = (Vec::new(), Vec::new());
    for frame in frames {
        begins.push(object.len() as u64);
        object.extend_from_slice(compressor.compress(frame));
    }
    (object, begins)
}

/// All pieces from a place on, fed in pieces of a size.
fn pieces(inflater: &mut Inflater, object: &[u8], from: Place, size: usize) -> Result<Vec<Piece>, UnpackError> {
    let mut all = Vec::new();
    inflater.seek(from);
    for chunk in object[usize::try_from(from.offset).unwrap()..].chunks(size) {
        inflater.feed(Bytes::copy_from_slice(chunk));
        while let Some(piece) = inflater.piece()? {
            all.push(piece);
        }
    }
    inflater.finish()?;
    Ok(all)
}

fn joined(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reading_goes_on_at_any_byte(
        frames in proptest::collection::vec((0_u8..4, 0_usize..400_000, 0_usize..40), 0..5),
        sizes in (1_usize..300, 1_usize..200_000),
        at in any::<prop::sample::Index>(),
    ) {
        let frames: Vec<Vec<u8>> = frames.into_iter().map(|(byte, same, mixed)| {
            let mixed = (0..mixed).map(|n| u8::try_from(n * 31 % 251).unwrap());
            mixed.chain(std::iter::repeat_n(byte, same)).collect()
        }).collect();
        let content = frames.concat();
        for compression in FRAMED {
            let (object, begins) = framed(compression, &frames);
            let mut inflater = Inflater::new(compression);
            let whole = pieces(&mut inflater, &object, Place::default(), sizes.1).unwrap();
            prop_assert!(joined(&whole) == content);
            prop_assert!(whole.iter().all(|piece| (1..=STEP).contains(&piece.bytes.len())));
            prop_assert!(joined(&pieces(&mut inflater, &object, Place::default(), sizes.0).unwrap()) == content);
            for (begin, until) in begins.iter().zip(1..) {
                let rest = pieces(&mut inflater, &object, Place { offset: *begin, within: 0 }, sizes.1).unwrap();
                prop_assert!(joined(&rest) == frames[until - 1..].concat());
            }
            // Ends of pieces are ends of frames wherever these are.
            let ends = whole.iter().map(|piece| piece.place(piece.bytes.len())).filter(|place| place.within == 0);
            let full = frames.iter().filter(|frame| !frame.is_empty()).count();
            prop_assert_eq!(ends.count(), full);
            if !content.is_empty() {
                let at = at.index(content.len());
                let mut before = 0;
                for piece in &whole {
                    if at < before + piece.bytes.len() {
                        let rest = pieces(&mut inflater, &object, piece.place(at - before), sizes.1).unwrap();
                        prop_assert!(joined(&rest) == content[at..]);
                        break;
                    }
                    before += piece.bytes.len();
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_found(
        frame in proptest::collection::vec(any::<u8>(), 1..2_000),
        cut in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
        size in 1_usize..3_000,
    ) {
        for compression in FRAMED {
            let (object, _) = framed(compression, &[frame.clone(), frame.clone()]);
            let whole = [&frame[..], &frame[..]].concat();
            let mut inflater = Inflater::new(compression);
            let cut = cut.index(object.len());
            let found = pieces(&mut inflater, &object[..cut], Place::default(), size);
            prop_assert!(found.is_err() || found.is_ok_and(|found| cut == 0 || joined(&found) == frame));
            let mut changed = object.clone();
            let bit = bit.index(8 * object.len());
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = pieces(&mut inflater, &changed, Place::default(), size);
            if let Ok(found) = found {
                // What a head says of time and system is of no weight.
                prop_assert!(joined(&found) == whole);
            } else {
                inflater.feed(Bytes::from_static(b"more"));
                prop_assert_eq!(inflater.piece().err(), found.err());
            }
        }
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), flags in 0_u8..64) {
        let gzip = [&[0x1f, 0x8b, 8, flags][..], &bytes].concat();
        let zstd = [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat();
        for (compression, object) in [(Compression::Gzip, gzip), (Compression::Zstd, zstd), (Compression::Gzip, bytes)] {
            let _ = pieces(&mut Inflater::new(compression), &object, Place::default(), 7);
        }
    }
}

#[test]
fn plain_bytes_are_handed_through() {
    let mut inflater = Inflater::new(Compression::Plain);
    let all = pieces(&mut inflater, b"0123456789", Place { offset: 2, within: 0 }, 3).unwrap();
    assert_eq!(joined(&all), b"23456789");
    assert_eq!((all[1].place(0), all[1].place(1)), (Place { offset: 5, within: 0 }, Place { offset: 6, within: 0 }));
}

#[test]
fn heads_of_other_writers() {
    let mut crc = Crc::new();
    let body = framed(Compression::Gzip, &[b"content".to_vec()]).0.split_off(10);
    for (flags, extra) in [
        (0, &b""[..]),
        (1, b""),
        (4, b"\x03\x00abc"),
        (8, b"orders.csv\0"),
        (16, b"a comment\0"),
        (4 | 8 | 16, b"\x00\x00name\0comment\0"),
    ] {
        let head = [&[0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3][..], extra].concat();
        let object = [&head[..], &body].concat();
        let mut inflater = Inflater::new(Compression::Gzip);
        let found = pieces(&mut inflater, &object, Place::default(), 1).unwrap();
        assert_eq!(joined(&found), b"content", "{flags}");
        crc.reset();
        let mut head = head;
        head[3] |= 2;
        crc.update(&head);
        let sum = crc.sum().to_le_bytes();
        let object = [&head[..], &sum[..2], &body].concat();
        assert_eq!(joined(&pieces(&mut inflater, &object, Place::default(), 5).unwrap()), b"content");
        let object = [&head[..], &[sum[0] ^ 1, sum[1]], &body].concat();
        assert!(pieces(&mut inflater, &object, Place::default(), 5).is_err());
    }
    let endless = [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0][..], &vec![b'n'; 200 << 10]].concat();
    let error = pieces(&mut Inflater::new(Compression::Gzip), &endless, Place::default(), 9_000).unwrap_err();
    assert!(error.to_string().contains("longer than 128 KiB"), "{error}");
}

#[test]
fn a_frame_that_is_shorter_than_before_is_told() {
    for compression in FRAMED {
        let (object, _) = framed(compression, &[b"twelve bytes".to_vec()]);
        let mut inflater = Inflater::new(compression);
        for (within, fine) in [(11, true), (12, true), (13, false)] {
            let found = pieces(&mut inflater, &object, Place { offset: 0, within }, 100);
            assert_eq!(found.is_ok(), fine, "{within}: {found:?}");
        }
    }
    let error = pieces(&mut Inflater::new(Compression::Deflate), b"x", Place::default(), 1).unwrap_err();
    assert!(error.to_string().contains("only Avro's blocks"));
}

#[test]
fn what_expands_without_end_comes_in_pieces() {
    for compression in FRAMED {
        let (object, _) = framed(compression, &[vec![0; 64 << 20]]);
        assert!(object.len() < 100 << 10);
        let mut inflater = Inflater::new(compression);
        inflater.feed(object.into());
        let mut len = 0;
        while let Some(piece) = inflater.piece().unwrap() {
            assert!(inflater.ready.len() <= 1 && piece.bytes.len() <= STEP);
            len += piece.bytes.len();
        }
        assert_eq!(len, 64 << 20);
    }
}
