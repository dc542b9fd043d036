//! Two SHA-256 that advance together.
//!
//! One SHA-256 waits for itself: each round needs the one before it, and the processor's SHA instructions are idle for
//! half of the time. Two that do not depend on each other fill that gap, so both take little longer than one.

use super::{Digest, sys};

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A SHA-256 under way, which [`update_both`] can advance beside another.
#[derive(Clone, Debug)]
pub struct Lane {
    state: [u32; 8],
    /// What was given of a block that is not full yet, in its first `length % 64` bytes.
    rest: [u8; 64],
    length: u64,
}

impl Default for Lane {
    fn default() -> Self {
        Self { state: INITIAL, rest: [0; 64], length: 0 }
    }
}

impl Lane {
    /// Hashes `bytes` too.
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = self.fill(bytes).as_chunks::<64>();
        sha2::block_api::compress256(&mut self.state, blocks);
        self.keep(blocks.len(), rest);
    }

    /// The digest of everything given.
    pub fn finish(mut self) -> Digest {
        // A one bit, zeros up to 8 bytes before the end of a block, the number of bits.
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let begun = (self.length % 64) as usize;
        let zeros = if begun < 56 { 55 - begun } else { 119 - begun };
        let mut padding = vec![0x80];
        padding.resize(1 + zeros, 0);
        padding.extend_from_slice(&bits);
        self.update(&padding);
        let mut raw = [0; 32];
        for (to, word) in raw.chunks_exact_mut(4).zip(self.state) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        Digest::from_bytes(raw)
    }

    /// Completes a block that was begun, and returns what is left of `bytes`.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begun = (self.length % 64) as usize;
        if begun == 0 {
            return bytes;
        }
        let (taken, left) = bytes.split_at(bytes.len().min(64 - begun));
        if let Some(space) = self.rest.get_mut(begun..begun + taken.len()) {
            space.copy_from_slice(taken);
        }
        self.length += taken.len() as u64;
        if self.length.is_multiple_of(64) && !taken.is_empty() {
            sha2::block_api::compress256(&mut self.state, &[self.rest]);
        }
        left
    }

    /// Counts hashed blocks, and keeps what is less than one.
    fn keep(&mut self, blocks: usize, rest: &[u8]) {
        self.length += (blocks * 64 + rest.len()) as u64;
        if let Some(space) = self.rest.get_mut(..rest.len())
            && !rest.is_empty()
        {
            space.copy_from_slice(rest);
        }
    }
}

/// Hashes `x` into `a` and `y` into `b`, as `a.update(x)` and `b.update(y)` would.
pub fn update_both(a: &mut Lane, x: &[u8], b: &mut Lane, y: &[u8]) {
    let (x, y) = (a.fill(x), b.fill(y));
    let ((blocks_x, _), (blocks_y, _)) = (x.as_chunks::<64>(), y.as_chunks::<64>());
    let both = blocks_x.len().min(blocks_y.len());
    let (Some(first_x), Some(first_y)) = (blocks_x.get(..both), blocks_y.get(..both)) else { return };
    if !sys::compress_both(&mut a.state, first_x, &mut b.state, first_y) {
        sha2::block_api::compress256(&mut a.state, first_x);
        sha2::block_api::compress256(&mut b.state, first_y);
    }
    a.keep(both, &[]);
    b.keep(both, &[]);
    a.update(x.get(both * 64..).unwrap_or_default());
    b.update(y.get(both * 64..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize, seed: u8) -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
    }

    #[test]
    fn two_lanes_say_what_one_says_whatever_the_pieces() {
        for (left, right, piece) in [
            (0, 0, 1),
            (1, 0, 1),
            (55, 56, 7),
            (63, 64, 63),
            (64, 65, 64),
            (119, 120, 13),
            (1000, 5000, 100),
            (70_000, 64_000, 4096),
            (123, 300_000, 65_537),
        ] {
            let (x, y) = (bytes(left, 1), bytes(right, 2));
            let (mut a, mut b) = (Lane::default(), Lane::default());
            let (mut pieces_x, mut pieces_y) = (x.chunks(piece), y.chunks(piece + 3));
            loop {
                let (next_x, next_y) = (pieces_x.next(), pieces_y.next());
                if next_x.is_none() && next_y.is_none() {
                    break;
                }
                update_both(&mut a, next_x.unwrap_or_default(), &mut b, next_y.unwrap_or_default());
            }
            assert_eq!((a.finish(), b.finish()), (Digest::of(&x), Digest::of(&y)), "{left} {right} {piece}");
        }
    }

    #[test]
    fn a_lane_alone_is_sha_256() {
        for length in [0, 1, 55, 56, 63, 64, 65, 1000] {
            let whole = bytes(length, 3);
            let mut lane = Lane::default();
            whole.chunks(10).for_each(|piece| lane.update(piece));
            assert_eq!(lane.finish(), Digest::of(&whole), "{length}");
        }
    }
}
