//! Bytes made fewer: blocks of Avro, frames of everything else.
//!
//! **Invariant.** The same bytes become the same fewer ones in every process and on every processor: one call, one
//! thread, a fixed level.

use flate2::{Compress, Crc, FlushCompress, Status};
use sluice_transfer::Compression;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// Part of the encoder's version, as all levels are.
const ZSTD_LEVEL: i32 = 3;
const DEFLATE_LEVEL: u32 = 6;
/// What is asked of a codec at once.
const STEP: usize = 128 << 10;
/// What stands in front of a member (RFC 1952, section 2.3): deflate, no flags, no time, no operating system, so that
/// it does not depend on when and where it was written.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Makes one piece after the other smaller, each by itself.
pub(crate) struct Compressor {
    state: State,
    out: Vec<u8>,
}

enum State {
    Zstd(Encoder<'static>),
    Deflate(Compress),
    Gzip(Compress),
}

impl Compressor {
    /// None where nothing is to be done.
    pub(crate) fn new(compression: Compression) -> Option<Self> {
        let deflate = || Compress::new(flate2::Compression::new(DEFLATE_LEVEL), false);
        let state = match compression {
            Compression::Plain => return None,
            Compression::Zstd => State::Zstd(zstd_encoder().expect("only a lack of memory refuses a context")),
            Compression::Deflate => State::Deflate(deflate()),
            Compression::Gzip => State::Gzip(deflate()),
        };
        Some(Self { state, out: Vec::new() })
    }

    /// All of it as one frame, member or block.
    pub(crate) fn compress(&mut self, bytes: &[u8]) -> &[u8] {
        self.out.clear();
        match &mut self.state {
            State::Zstd(encoder) => {
                zstd_frame(encoder, bytes, &mut self.out).expect("memory takes all that a codec gives");
            }
            State::Deflate(state) => deflate(state, bytes, &mut self.out),
            State::Gzip(state) => {
                self.out.extend_from_slice(&GZIP_HEAD);
                deflate(state, bytes, &mut self.out);
                let mut crc = Crc::new();
                crc.update(bytes);
                self.out.extend_from_slice(&crc.sum().to_le_bytes());
                self.out.extend_from_slice(&crc.amount().to_le_bytes());
            }
        }
        &self.out
    }
}

fn zstd_encoder() -> std::io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(ZSTD_LEVEL)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(encoder)
}

fn zstd_frame(encoder: &mut Encoder<'static>, bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    encoder.reinit()?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    let mut input = InBuffer::around(bytes);
    while input.pos() < bytes.len() {
        out.reserve(STEP);
        let filled = out.len();
        encoder.run(&mut input, &mut OutBuffer::around_pos(out, filled))?;
    }
    loop {
        out.reserve(STEP);
        let filled = out.len();
        if encoder.finish(&mut OutBuffer::around_pos(out, filled), true)? == 0 {
            return Ok(());
        }
    }
}

fn deflate(state: &mut Compress, bytes: &[u8], out: &mut Vec<u8>) {
    state.reset();
    loop {
        let read = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        out.reserve(STEP);
        let rest = bytes.get(read..).unwrap_or_default();
        let status = state.compress_vec(rest, out, FlushCompress::Finish);
        if status.expect("memory takes all that a codec gives") == Status::StreamEnd {
            return;
        }
    }
}
