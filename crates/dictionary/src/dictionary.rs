//! A dictionary and its two verbs (JumpReLU SAEs: Rajamanoharan et al. 2024, arXiv 2407.14435; definitions: NUMERICS §2, §3).
//!
//!   z = W_enc x + b_enc        f = z·1[z > θ]        x̂ = W_decᵀ f + b_dec
//!
//! where x `[D]` is a row in the model's own units, z and f `[F]`, x̂ `[D_out]`. There is no ReLU: θ may be negative, and
//! then f may be. A product is the kernels' one dot product, so an active set never depends on batch, thread or machine.
//! Decoding starts from b_dec and adds the active features in ascending order by fused multiply-add.
//! Leaves out: other activations, skip connections, anything about training.

use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;

/// An SAE or a transcoder of one site, in raw units, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    /// W_enc, one row per feature `[F, D]`.
    pub w_enc: Vec<f32>,
    /// `[F]`
    pub b_enc: Vec<f32>,
    /// θ `[F]`; negative is allowed, +∞ switches a feature off.
    pub threshold: Vec<f32>,
    /// W_dec, one row per feature `[F, D_out]`.
    pub w_dec: Vec<f32>,
    /// `[D_out]`
    pub b_dec: Vec<f32>,
    /// D, width of what it reads.
    pub d_in: usize,
    /// D_out, width of what it writes; D for an SAE.
    pub d_out: usize,
}

impl Dictionary {
    /// F, the number of features.
    pub fn width(&self) -> usize {
        self.b_enc.len()
    }

    /// The active features of x `[N, D]`: (f, z) where z > θ, strictly. A NaN z is not above θ and so not active.
    pub fn encode(&self, device: Device, x: &[f32]) -> Csr {
        let mut kept = device.encode(x, &self.w_enc, &self.b_enc, &self.threshold, self.d_in);
        if kept.value.iter().any(|z| z.is_nan()) {
            drop_nan(&mut kept); // the kernel keeps what is not below θ, NaN included
        }
        kept
    }

    /// x̂ `[N, D_out]` of active features `[N, F]`. Rows in parallel.
    pub fn decode(&self, device: Device, features: &Csr) -> Vec<f32> {
        assert_eq!(features.columns, self.width(), "decode: features [N, F]");
        assert!(
            self.w_dec.len() == self.width() * self.d_out && self.b_dec.len() == self.d_out,
            "decode: w_dec, b_dec"
        );
        let mut out = vec![0.0; features.rows() * self.d_out];
        out.par_chunks_mut(self.d_out).enumerate().for_each(|(n, out)| {
            out.copy_from_slice(&self.b_dec);
            let (index, value) = features.row(n);
            for (&f, &v) in index.iter().zip(value) {
                device.axpy(v, &self.w_dec[f as usize * self.d_out..][..self.d_out], out);
            }
        });
        out
    }
}

fn drop_nan(csr: &mut Csr) {
    let mut clean = Csr::with_columns(csr.columns);
    for n in 0..csr.rows() {
        let (index, value) = csr.row(n);
        let active = index.iter().zip(value).filter(|(_, z)| !z.is_nan());
        for (&f, &z) in active {
            clean.index.push(f);
            clean.value.push(z);
        }
        clean.row_start.push(clean.index.len());
    }
    *csr = clean;
}

/// The same two verbs written for reading; the fast ones must return these bits.
pub mod naive {
    use super::Dictionary;
    use lapidary_kernels::{Csr, naive::dot};

    /// See [`Dictionary::encode`].
    pub fn encode(dictionary: &Dictionary, x: &[f32]) -> Csr {
        let Dictionary { w_enc, b_enc, threshold, d_in, .. } = dictionary;
        let mut out = Csr::with_columns(b_enc.len());
        for x in x.chunks_exact(*d_in) {
            for f in 0..b_enc.len() {
                let z = dot(x, &w_enc[f * d_in..][..*d_in]) + b_enc[f];
                if z > threshold[f] {
                    out.index.push(f as u32);
                    out.value.push(z);
                }
            }
            out.row_start.push(out.index.len());
        }
        out
    }

    /// See [`Dictionary::decode`].
    pub fn decode(dictionary: &Dictionary, features: &Csr) -> Vec<f32> {
        let d_out = dictionary.d_out;
        let mut out = Vec::new();
        for n in 0..features.rows() {
            let (index, value) = features.row(n);
            for d in 0..d_out {
                let mut sum = dictionary.b_dec[d];
                for (&f, &v) in index.iter().zip(value) {
                    sum = v.mul_add(dictionary.w_dec[f as usize * d_out + d], sum);
                }
                out.push(sum);
            }
        }
        out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lapidary_kernels::Isa;
    use proptest::prelude::*;

    pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    /// Numbers in [-1, 1) from a seed (splitmix64).
    pub(crate) fn noise(seed: u64, n: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    pub(crate) fn random(seed: u64, f: usize, d_in: usize, d_out: usize) -> Dictionary {
        Dictionary {
            w_enc: noise(seed, f * d_in),
            b_enc: noise(seed + 1, f),
            threshold: noise(seed + 2, f),
            w_dec: noise(seed + 3, f * d_out),
            b_dec: noise(seed + 4, d_out),
            d_in,
            d_out,
        }
    }

    proptest! {
        /// Fast and naive agree to the bit on odd sizes, with NaN and infinities in x, on every instruction set.
        #[test]
        fn fast_is_naive(seed in 0u64..1000, f in 1usize..70, d_in in 1usize..40, d_out in 1usize..40, n in 0usize..60,
                         odd in prop::sample::select(vec![0.0, f32::NAN, f32::INFINITY, 1e30])) {
            let dictionary = random(seed, f, d_in, d_out);
            let mut x = noise(seed + 9, n * d_in);
            if let Some(first) = x.first_mut() { *first = odd; }
            let expected = naive::encode(&dictionary, &x);
            let recon = naive::decode(&dictionary, &expected);
            for isa in Isa::available() {
                let active = dictionary.encode(Device::Cpu(isa), &x);
                prop_assert_eq!(&active.row_start, &expected.row_start);
                prop_assert_eq!(&active.index, &expected.index);
                prop_assert_eq!(bits(&active.value), bits(&expected.value));
                prop_assert_eq!(bits(&dictionary.decode(Device::Cpu(isa), &active)), bits(&recon));
            }
        }
    }

    /// By hand: z = θ exactly is not active, a negative z above a negative θ is, and NaN is not.
    #[test]
    fn active_means_strictly_above() {
        let dictionary = Dictionary {
            w_enc: vec![1.0, 2.0, -1.0],
            b_enc: vec![0.0, 0.0, 0.25],
            threshold: vec![0.5, 0.5, -0.5],
            w_dec: vec![10.0, 100.0, 1000.0],
            b_dec: vec![1.0],
            d_in: 1,
            d_out: 1,
        };
        let active = dictionary.encode(Device::detect(), &[0.5, f32::NAN]);
        assert_eq!(active.row(0), (&[1, 2][..], &[1.0, -0.25][..]));
        assert_eq!(active.row(1).0.len(), 0);
        assert_eq!(dictionary.decode(Device::detect(), &active), [1.0 + 100.0 - 250.0, 1.0]);
    }
}
