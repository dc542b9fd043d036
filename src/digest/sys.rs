//! SHA-256 of two streams at once with the processor's own instructions: the call that needs `unsafe`.

/// Advances both states over equally many blocks; `false`, and nothing done, where the processor has no such
/// instructions.
#[cfg(target_arch = "x86_64")]
pub(super) fn compress_both(a: &mut [u32; 8], x: &[[u8; 64]], b: &mut [u32; 8], y: &[[u8; 64]]) -> bool {
    if !(is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")) {
        return false;
    }
    // SAFETY: the processor has the instructions that the function is compiled for, as was just asked.
    unsafe { x86::compress_both(a, x, b, y) };
    true
}

/// See above: other processors hash one after the other.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn compress_both(_: &mut [u32; 8], _: &[[u8; 64]], _: &mut [u32; 8], _: &[[u8; 64]]) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::many_single_char_names, reason = "the letters of FIPS 180-4")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    /// FIPS 180-4, 4.2.2.
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// A state as the instructions want it: (A B E F) and (C D G H), the first word highest.
    #[derive(Clone, Copy)]
    struct State {
        abef: __m128i,
        cdgh: __m128i,
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn compress_both(a: &mut [u32; 8], x: &[[u8; 64]], b: &mut [u32; 8], y: &[[u8; 64]]) {
        let (mut first, mut second) = (load(a), load(b));
        for (x, y) in x.iter().zip(y) {
            let (old_first, old_second) = (first, second);
            let (mut w, mut v) = (words(x), words(y));
            for (at, k) in K.iter().enumerate() {
                let k = quad(*k);
                if at >= 4 {
                    w = scheduled(w);
                    v = scheduled(v);
                }
                let [current_w, current_v] = if at >= 4 { [w[3], v[3]] } else { [pick(w, at), pick(v, at)] };
                // Written one beside the other, so that neither waits for itself.
                let (kw, kv) = (_mm_add_epi32(current_w, k), _mm_add_epi32(current_v, k));
                first.cdgh = _mm_sha256rnds2_epu32(first.cdgh, first.abef, kw);
                second.cdgh = _mm_sha256rnds2_epu32(second.cdgh, second.abef, kv);
                first.abef = _mm_sha256rnds2_epu32(first.abef, first.cdgh, _mm_shuffle_epi32(kw, 0x0e));
                second.abef = _mm_sha256rnds2_epu32(second.abef, second.cdgh, _mm_shuffle_epi32(kv, 0x0e));
            }
            first = sum(first, old_first);
            second = sum(second, old_second);
        }
        store(first, a);
        store(second, b);
    }

    /// The next four words of the schedule, behind the last twelve.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn scheduled([w0, w1, w2, w3]: [__m128i; 4]) -> [__m128i; 4] {
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
        [w1, w2, w3, _mm_sha256msg2_epu32(sum, w3)]
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn pick([w0, w1, w2, w3]: [__m128i; 4], at: usize) -> __m128i {
        match at {
            0 => w0,
            1 => w1,
            2 => w2,
            _ => w3,
        }
    }

    /// The sixteen words of a block, which are big-endian.
    #[inline]
    #[target_feature(enable = "ssse3")]
    fn words(block: &[u8; 64]) -> [__m128i; 4] {
        let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let mut words = [order; 4];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
            let value = u128::from_le_bytes(*bytes);
            let loaded = _mm_set_epi64x(((value >> 64) as u64).cast_signed(), (value as u64).cast_signed());
            *word = _mm_shuffle_epi8(loaded, order);
        }
        words
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quad([a, b, c, d]: [u32; 4]) -> __m128i {
        _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load([a, b, c, d, e, f, g, h]: &[u32; 8]) -> State {
        State { abef: quad([*f, *e, *b, *a]), cdgh: quad([*h, *g, *d, *c]) }
    }

    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn store(state: State, words: &mut [u32; 8]) {
        let State { abef, cdgh } = state;
        *words = [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ]
        .map(i32::cast_unsigned);
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn sum(a: State, b: State) -> State {
        State { abef: _mm_add_epi32(a.abef, b.abef), cdgh: _mm_add_epi32(a.cdgh, b.cdgh) }
    }
}
