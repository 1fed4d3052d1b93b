//! Cases made of other cases. The same seed, the same cases.

/// Marsaglia's xorshift64* (Vigna 2014): quick, and random enough to throw bytes about.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed; any will do.
    pub const fn new(seed: u64) -> Self {
        // Neighbouring seeds are not to begin alike, and zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number.
    pub const fn any(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.any() >> 16).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.any().to_be_bytes()[0]
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// No case is longer.
pub const LONGEST: usize = 64 << 10;

/// Where lengths, counts and their sums go wrong.
const NUMBERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// One of `corpus`, changed here and there; often by what stands in another of them, or by one of `tokens`.
pub fn mutated(random: &mut Random, corpus: &[Vec<u8>], tokens: &[&str]) -> Vec<u8> {
    let mut case = random.pick(corpus).cloned().unwrap_or_default();
    // Most often one change: what is changed everywhere is refused at once.
    let changes = 1 + (random.any().trailing_zeros() as usize).min(6);
    for _ in 0..changes {
        change(random, &mut case, corpus, tokens);
        case.truncate(LONGEST);
    }
    case
}

fn change(random: &mut Random, case: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[&str]) {
    let at = random.below(case.len() + 1);
    match random.below(12) {
        0 | 1 => {
            if let Some(byte) = case.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            let byte = random.byte();
            if let Some(there) = case.get_mut(at) {
                *there = byte;
            }
        }
        3 => case.truncate(at),
        4 => {
            let end = (at + stretch(random, case.len())).min(case.len());
            case.drain(at..end);
        }
        5 => {
            // Something that is there, once more: entries, blocks, frames.
            let end = (at + stretch(random, case.len())).min(case.len());
            let again = case[at..end].to_vec();
            let to = random.below(case.len() + 1);
            put(case, to, &again, false);
        }
        6 => {
            let other = random.pick(corpus).map_or(&[][..], Vec::as_slice);
            let begin = random.below(other.len() + 1);
            let end = (begin + stretch(random, other.len())).min(other.len());
            let over = random.below(2) == 0;
            put(case, at, &other[begin..end], over);
        }
        7 => {
            let bytes = number(random);
            let over = random.below(2) == 0;
            put(case, at, &bytes, over);
        }
        8 => digits(random, case, at),
        9 | 10 => {
            let token = random.pick(tokens).map_or(&[][..], |token| token.as_bytes());
            let over = random.below(2) == 0;
            put(case, at, token, over);
        }
        _ => {
            let run = vec![random.byte(); 1 + stretch(random, 4_096)];
            put(case, at, &run, false);
        }
    }
}

/// A length: mostly short.
fn stretch(random: &mut Random, most: usize) -> usize {
    let bits = random.below(17);
    random.below(1 << bits).min(most)
}

/// Into the case, or over what stands there.
fn put(case: &mut Vec<u8>, at: usize, bytes: &[u8], over: bool) {
    let end = if over { (at + bytes.len()).min(case.len()) } else { at };
    case.splice(at..end, bytes.iter().copied());
}

/// A number as formats write it: either end first, of 1 to 8 bytes, in zigzag and groups of seven bits.
fn number(random: &mut Random) -> Vec<u8> {
    let near = random.below(3) as u64;
    let number = random.pick(&NUMBERS).copied().unwrap_or(0).wrapping_add(near).wrapping_sub(1);
    let len = 1 << random.below(4);
    match random.below(4) {
        0 => number.to_le_bytes()[..len].to_vec(),
        1 => number.to_be_bytes()[8 - len..].to_vec(),
        2 => groups(number),
        _ => groups(number << 1 ^ (number >> 63).wrapping_neg()),
    }
}

fn groups(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
    out
}

/// Another number in place of one that is written in digits, from `at` on.
fn digits(random: &mut Random, case: &mut Vec<u8>, at: usize) {
    let Some(begin) = (at..case.len()).find(|at| case[*at].is_ascii_digit()) else { return };
    let end = (begin..case.len()).find(|at| !case[*at].is_ascii_digit()).unwrap_or(case.len());
    let near = random.below(3) as u64;
    let number = match random.below(3) {
        0 => random.below(16) as u64,
        1 => random.any() >> random.below(64),
        _ => random.pick(&NUMBERS).copied().unwrap_or(0).wrapping_add(near).wrapping_sub(1),
    };
    case.splice(begin..end, number.to_string().into_bytes());
}
