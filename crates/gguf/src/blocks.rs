//! One block of each type → f32, with the operations of ggml's reference (`dequantize_row_*` in `ggml-quants.c`) in their order,
//! each rounded by itself, so that the bits are its bits. Formats of the blocks: `ggml-common.h` there.
//!
//! d, m: scale and minimum. A block of 32 keeps two elements in a byte, i and i + 16. A "K" block of 256 has a scale for every
//! 16 or 32 elements, itself a small integer, times a scale of the block.

use half::f16;

fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

pub(crate) fn f32(b: &[u8], out: &mut [f32]) {
    out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
}

pub(crate) fn f16(b: &[u8], out: &mut [f32]) {
    out[0] = half(b);
}

pub(crate) fn bf16(b: &[u8], out: &mut [f32]) {
    out[0] = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
}

/// d (q − 8).
pub(crate) fn q4_0(b: &[u8], out: &mut [f32]) {
    let (d, q) = (half(b), &b[2..]);
    for i in 0..16 {
        out[i] = d * f32::from((q[i] & 15) as i8 - 8);
        out[i + 16] = d * f32::from((q[i] >> 4) as i8 - 8);
    }
}

/// d q + m.
pub(crate) fn q4_1(b: &[u8], out: &mut [f32]) {
    let (d, m, q) = (half(b), half(&b[2..]), &b[4..]);
    for i in 0..16 {
        out[i] = d * f32::from(q[i] & 15) + m;
        out[i + 16] = d * f32::from(q[i] >> 4) + m;
    }
}

/// d (q − 16); the fifth bits are in a word of their own.
pub(crate) fn q5_0(b: &[u8], out: &mut [f32]) {
    let (d, q) = (half(b), &b[6..]);
    for i in 0..16 {
        out[i] = d * f32::from((q[i] & 15 | fifth(&b[2..], i)) as i8 - 16);
        out[i + 16] = d * f32::from((q[i] >> 4 | fifth(&b[2..], i + 16)) as i8 - 16);
    }
}

/// d q + m, five bits.
pub(crate) fn q5_1(b: &[u8], out: &mut [f32]) {
    let (d, m, q) = (half(b), half(&b[2..]), &b[8..]);
    for i in 0..16 {
        out[i] = d * f32::from(q[i] & 15 | fifth(&b[4..], i)) + m;
        out[i + 16] = d * f32::from(q[i] >> 4 | fifth(&b[4..], i + 16)) + m;
    }
}

/// 16 where bit `i` is set.
fn fifth(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}

/// d q.
pub(crate) fn q8_0(b: &[u8], out: &mut [f32]) {
    let (d, q) = (half(b), &b[2..]);
    for i in 0..32 {
        out[i] = f32::from(q[i] as i8) * d;
    }
}

/// Bits `2j` and `2j + 1` of 32 bytes are elements 32j to 32j + 31 of each half of the block.
fn two_bits(q: &[u8], e: usize) -> u8 {
    q[32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4)) & 3
}

/// (d s) q − (dmin m), two bits; s and m of 16 elements share a byte.
pub(crate) fn q2_k(b: &[u8], out: &mut [f32]) {
    let (scales, q, d, dmin) = (&b[..16], &b[16..80], half(&b[80..]), half(&b[82..]));
    for (part, &s) in scales.iter().enumerate() {
        let (scale, minimum) = (d * f32::from(s & 15), dmin * f32::from(s >> 4));
        for e in 16 * part..16 * part + 16 {
            out[e] = scale * f32::from(two_bits(q, e)) - minimum;
        }
    }
}

/// (d (s − 32)) (q − 4), three bits: the third is in a mask, inverted, so that a zero there takes 4 away.
pub(crate) fn q3_k(b: &[u8], out: &mut [f32]) {
    let (mask, q, scales, d) = (&b[..32], &b[32..96], &b[96..108], half(&b[108..]));
    for part in 0..16 {
        // Four low bits: a half byte of the first eight. Two high ones: a quarter of the last four.
        let low = scales[part % 8] >> (4 * (part / 8)) & 15;
        let high = scales[8 + part % 4] >> (2 * (part / 4)) & 3;
        let scale = d * f32::from((low | high << 4) as i8 - 32);
        for e in 16 * part..16 * part + 16 {
            let third = mask[e % 32] >> (e / 32) & 1;
            out[e] = scale * f32::from(two_bits(q, e) as i8 - 4 * (1 - third as i8));
        }
    }
}

/// Six-bit scale and minimum of part `j` of eight: of the first four in bytes j and j + 4; of the others four bits in byte
/// j + 4, and two on top of the bytes of the first four.
fn scale_and_minimum(s: &[u8], j: usize) -> (u8, u8) {
    match j {
        0..4 => (s[j] & 63, s[j + 4] & 63),
        _ => (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4),
    }
}

/// (d s) q − (dmin m), four bits; s and m of 32 elements.
pub(crate) fn q4_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin, scales, q) = (half(b), half(&b[2..]), &b[4..16], &b[16..144]);
    for part in 0..8 {
        let (s, m) = scale_and_minimum(scales, part);
        let (scale, minimum) = (d * f32::from(s), dmin * f32::from(m));
        for i in 0..32 {
            let four = q[32 * (part / 2) + i] >> (4 * (part % 2)) & 15;
            out[32 * part + i] = scale * f32::from(four) - minimum;
        }
    }
}

/// The same with a fifth bit: bit `part` of 32 bytes.
pub(crate) fn q5_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin, scales, high, q) = (half(b), half(&b[2..]), &b[4..16], &b[16..48], &b[48..176]);
    for part in 0..8 {
        let (s, m) = scale_and_minimum(scales, part);
        let (scale, minimum) = (d * f32::from(s), dmin * f32::from(m));
        for i in 0..32 {
            let four = q[32 * (part / 2) + i] >> (4 * (part % 2)) & 15;
            let five = four | (high[i] >> part & 1) << 4;
            out[32 * part + i] = scale * f32::from(five) - minimum;
        }
    }
}

/// (d s) (q − 32), six bits; s of 16 elements, signed.
pub(crate) fn q6_k(b: &[u8], out: &mut [f32]) {
    let (low, high, scales, d) = (&b[..128], &b[128..192], &b[192..208], half(&b[208..]));
    for (part, &s) in scales.iter().enumerate() {
        let scale = d * f32::from(s as i8);
        for e in 16 * part..16 * part + 16 {
            let four = low[64 * (e / 128) + e % 64] >> (4 * (e / 64 % 2)) & 15;
            out[e] = scale * f32::from((four | two_bits(high, e) << 4) as i8 - 32);
        }
    }
}
