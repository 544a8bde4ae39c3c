//! A dictionary and its two verbs (JumpReLU SAEs: Rajamanoharan et al. 2024, arXiv 2407.14435; TopK: Gao et al. 2024, arXiv
//! 2406.04093; skip transcoders: Paulo et al. 2025, arXiv 2501.18823; definitions: docs/numerics.md §2, §3).
//!
//!   z = W_enc x + b_enc        f = z·1[z > θ], or relu of the k largest z        x̂ = W_decᵀ f + b_dec + W_skip x
//!
//! or, gated (Rajamanoharan et al. 2024, arXiv 2404.16014), f = relu(e^r z + b_mag)·1[z > θ], where x `[D]` is a row in the
//! model's own units, z and f `[F]`, x̂ `[D_out]`. JumpReLU has no ReLU: θ may be negative, and then f may be. A product is the kernels' one dot product, so an active set never depends on batch, thread or machine.
//! Decoding starts from b_dec and adds the active features in ascending order by fused multiply-add; the skip comes last.
//! Leaves out: ReLU encoders, which are JumpReLU ones (`architecture.rs`), and anything about training.

use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;

/// Values above 0 that a TopK encoder holds at most, before it has chosen among them (128 MiB with their indices).
const HELD: usize = 1 << 24;

/// The smallest e^r that is folded into W_enc: it costs the gate four bits of b_mag at most.
pub const LEAST_SCALE: f64 = 1.0 / 16.0;

/// Which of the pre-activations z of a row are features.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// Those above their θ. A ReLU is θ = 0.
    JumpRelu,
    /// Those above 0 among the k largest; of equal ones the lower index first. Every θ is 0.
    TopK {
        /// Most features per row.
        k: usize,
    },
    /// Those above their θ, which is −b_gate, with the value relu(e^r z + b_mag), computed in f64. Every b_enc is 0. That is a
    /// JumpReLU with W_enc' = e^r W_enc, but where e^r is small no f32 of its pre-activation b_mag + e^r z tells the gate's two
    /// sides apart.
    Gated {
        /// r `[F]`
        r_mag: Vec<f32>,
        /// `[F]`
        b_mag: Vec<f32>,
    },
}

impl Activation {
    /// e^r `[F]` of a gated encoder.
    pub(crate) fn scales(r_mag: &[f32]) -> Vec<f64> {
        r_mag.iter().map(|&r| f64::from(r).exp()).collect()
    }
}

/// An SAE or a transcoder of one site, in raw units, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    /// W_enc, one row per feature `[F, D]`.
    pub w_enc: Vec<f32>,
    /// `[F]`
    pub b_enc: Vec<f32>,
    /// θ `[F]`; negative is allowed, +∞ switches a JumpReLU's feature off. All 0 for TopK.
    pub threshold: Vec<f32>,
    /// W_dec, one row per feature `[F, D_out]`.
    pub w_dec: Vec<f32>,
    /// `[D_out]`
    pub b_dec: Vec<f32>,
    /// W_skip `[D_out, D]`, a transcoder's linear path past the features, if it has one.
    pub w_skip: Option<Vec<f32>>,
    /// What makes a feature active.
    pub activation: Activation,
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

    /// The active features of x `[N, D]` and their values. A NaN z is never active.
    pub fn encode(&self, device: Device, x: &[f32]) -> Csr {
        self.active(x, &|x| device.encode(x, &self.w_enc, &self.b_enc, &self.threshold, self.d_in))
    }

    /// Makes the encoder ready for `rows` rows in all, of which x `[N, D]` are the first.
    pub fn encoder(&self, device: Device, x: &[f32], rows: usize) -> Encoder<'_> {
        let product = device.encoder(x, rows, &self.w_enc, &self.b_enc, &self.threshold, self.d_in);
        Encoder { dictionary: self, product }
    }

    /// Of what `passes` θ.
    fn active(&self, x: &[f32], passes: &dyn Fn(&[f32]) -> Csr) -> Csr {
        match &self.activation {
            Activation::JumpRelu => without_nan(passes(x)), // the kernel keeps what is not below θ, NaN included
            Activation::TopK { k } => self.largest(x, *k, passes),
            Activation::Gated { r_mag, b_mag } => magnitudes(&passes(x), &Activation::scales(r_mag), b_mag),
        }
    }

    /// The JumpReLU that a gated dictionary is, W_enc' = e^r W_enc, b_enc' = b_mag, θ' = max(0, b_mag + e^r θ): as exact as f32
    /// where no e^r is below [`LEAST_SCALE`], and `None` where one is. Another dictionary as it is.
    pub fn without_gate(mut self) -> Option<Dictionary> {
        let Activation::Gated { r_mag, b_mag } = self.activation else { return Some(self) };
        let scales = Activation::scales(&r_mag);
        if scales.iter().any(|&scale| scale < LEAST_SCALE) {
            return None;
        }
        for (row, scale) in self.w_enc.chunks_exact_mut(self.d_in).zip(&scales) {
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        }
        for ((theta, &b), scale) in self.threshold.iter_mut().zip(&b_mag).zip(scales) {
            *theta = (f64::from(b) + scale * f64::from(*theta)).max(0.0) as f32;
        }
        Some(Dictionary { b_enc: b_mag, activation: Activation::JumpRelu, ..self })
    }

    /// Of what is above 0, the k largest of each row. Rows go in groups, so that what is above 0 never fills the memory.
    fn largest(&self, x: &[f32], k: usize, passes: &dyn Fn(&[f32]) -> Csr) -> Csr {
        assert!(self.threshold.iter().all(|&theta| theta == 0.0), "encode: TopK has θ = 0");
        let rows = (HELD / self.width().max(1)).max(1);
        let mut out = Csr::with_columns(self.width());
        for x in x.chunks(rows * self.d_in) {
            let above = without_nan(passes(x));
            let chosen: Vec<_> =
                (0..above.rows()).into_par_iter().map(|n| k_largest(above.row(n), k)).collect();
            chosen.into_iter().for_each(|row| push_row(&mut out, row.into_iter()));
        }
        out
    }

    /// x̂ `[N, D_out]` of x `[N, D]` and its active features: [`Dictionary::decode`], then W_skip x where there is one.
    pub fn reconstruct(&self, device: Device, x: &[f32], features: &Csr) -> Vec<f32> {
        assert_eq!(x.len(), features.rows() * self.d_in, "reconstruct: x [N, D]");
        let mut out = self.decode(device, features);
        if let Some(w_skip) = &self.w_skip {
            assert_eq!(w_skip.len(), self.d_out * self.d_in, "reconstruct: w_skip [D_out, D]");
            let mut skip = vec![0.0; out.len()];
            device.linear(x, w_skip, None, self.d_in, &mut skip);
            out.iter_mut().zip(&skip).for_each(|(out, skip)| *out += skip);
        }
        out
    }

    /// W_decᵀ f + b_dec `[N, D_out]` of active features `[N, F]`: x̂, but for a skip. Rows in parallel.
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

/// A dictionary that is ready to encode batch after batch: [`Dictionary::encode`] without preparing W_enc each time.
pub struct Encoder<'a> {
    dictionary: &'a Dictionary,
    product: lapidary_kernels::Encoder<'a>,
}

impl Encoder<'_> {
    /// See [`Dictionary::encode`].
    pub fn encode(&self, x: &[f32]) -> Csr {
        self.dictionary.active(x, &|x| self.product.encode(x))
    }
}

fn without_nan(csr: Csr) -> Csr {
    if !csr.value.iter().any(|z| z.is_nan()) {
        return csr;
    }
    let mut clean = Csr::with_columns(csr.columns);
    for n in 0..csr.rows() {
        let (index, value) = csr.row(n);
        let row = index.iter().copied().zip(value.iter().copied());
        push_row(&mut clean, row.filter(|(_, z)| !z.is_nan()));
    }
    clean
}

/// What a gated encoder makes of the z that are above θ: those whose relu(e^r z + b_mag) is above 0.
fn magnitudes(above: &Csr, scales: &[f64], b_mag: &[f32]) -> Csr {
    let mut out = Csr::with_columns(above.columns);
    for n in 0..above.rows() {
        let (index, value) = above.row(n);
        let row =
            index.iter().zip(value).map(|(&f, &z)| (f, magnitude(scales[f as usize], z, b_mag[f as usize])));
        push_row(&mut out, row.filter(|&(_, magnitude)| magnitude > 0.0)); // a NaN is not
    }
    out
}

fn magnitude(scale: f64, z: f32, b_mag: f32) -> f32 {
    (scale * f64::from(z) + f64::from(b_mag)) as f32
}

fn push_row(csr: &mut Csr, row: impl Iterator<Item = (u32, f32)>) {
    for (f, z) in row {
        csr.index.push(f);
        csr.value.push(z);
    }
    csr.row_start.push(csr.index.len());
}

/// The k largest of a row without NaN, columns ascending; of equal values the lower columns.
fn k_largest((index, value): (&[u32], &[f32]), k: usize) -> Vec<(u32, f32)> {
    let mut row: Vec<(u32, f32)> = index.iter().copied().zip(value.iter().copied()).collect();
    if row.len() > k {
        row.select_nth_unstable_by(k, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        row.truncate(k);
        row.sort_unstable_by_key(|&(f, _)| f);
    }
    row
}

/// The same two verbs written for reading; the fast ones must return these bits.
pub mod naive {
    use super::{Activation, Dictionary};
    use lapidary_kernels::{Csr, naive::dot};

    /// See [`Dictionary::encode`].
    pub fn encode(dictionary: &Dictionary, x: &[f32]) -> Csr {
        let Dictionary { w_enc, b_enc, threshold, d_in, .. } = dictionary;
        let mut out = Csr::with_columns(b_enc.len());
        for x in x.chunks_exact(*d_in) {
            let z: Vec<f32> =
                (0..b_enc.len()).map(|f| dot(x, &w_enc[f * d_in..][..*d_in]) + b_enc[f]).collect();
            for f in candidates(&z, &dictionary.activation) {
                let value = value(f, z[f], &dictionary.activation);
                if z[f] > threshold[f] && value.is_some() {
                    out.index.push(f as u32);
                    out.value.extend(value);
                }
            }
            out.row_start.push(out.index.len());
        }
        out
    }

    /// The value of feature f with the pre-activation z above θ, if it has one.
    fn value(f: usize, z: f32, activation: &Activation) -> Option<f32> {
        match activation {
            Activation::JumpRelu | Activation::TopK { .. } => Some(z),
            Activation::Gated { r_mag, b_mag } => {
                let magnitude = (f64::from(r_mag[f]).exp() * f64::from(z) + f64::from(b_mag[f])) as f32;
                (magnitude > 0.0).then_some(magnitude)
            }
        }
    }

    /// All features, or those with the k largest z, ascending.
    fn candidates(z: &[f32], activation: &Activation) -> Vec<usize> {
        let mut all: Vec<usize> = (0..z.len()).collect();
        if let Activation::TopK { k } = activation {
            all.retain(|&f| !z[f].is_nan());
            all.sort_by(|&a, &b| z[b].partial_cmp(&z[a]).expect("no NaN")); // stable: lower index first
            all.truncate(*k);
            all.sort_unstable();
        }
        all
    }

    /// See [`Dictionary::reconstruct`].
    pub fn reconstruct(dictionary: &Dictionary, x: &[f32], features: &Csr) -> Vec<f32> {
        let mut out = decode(dictionary, features);
        let Some(w_skip) = &dictionary.w_skip else { return out };
        let rows = x.chunks_exact(dictionary.d_in).zip(out.chunks_exact_mut(dictionary.d_out));
        for (x, out) in rows {
            for (out, w) in out.iter_mut().zip(w_skip.chunks_exact(dictionary.d_in)) {
                *out += dot(x, w);
            }
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
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in,
            d_out,
        }
    }

    /// The same with every second feature equal to the one before it (ties), θ = 0, TopK and a skip.
    pub(crate) fn random_top_k(seed: u64, k: usize, f: usize, d_in: usize, d_out: usize) -> Dictionary {
        let mut dictionary = random(seed, f, d_in, d_out);
        for f in (1..f).step_by(2) {
            dictionary.b_enc[f] = dictionary.b_enc[f - 1];
            dictionary.w_enc.copy_within((f - 1) * d_in..f * d_in, f * d_in);
        }
        Dictionary {
            threshold: vec![0.0; f],
            w_skip: Some(noise(seed + 5, d_out * d_in)),
            activation: Activation::TopK { k },
            ..dictionary
        }
    }

    /// A gated one with e^r from nothing to 20.
    pub(crate) fn random_gated(seed: u64, f: usize, d_in: usize, d_out: usize) -> Dictionary {
        let r_mag = noise(seed + 6, f).iter().map(|r| if *r < -0.8 { -30.0 } else { r * 3.0 }).collect();
        let b_mag = noise(seed + 7, f);
        let activation = Activation::Gated { r_mag, b_mag };
        Dictionary { b_enc: vec![0.0; f], activation, ..random(seed, f, d_in, d_out) }
    }

    proptest! {
        /// Fast and naive agree to the bit on odd sizes, with NaN and infinities in x, on every instruction set.
        #[test]
        fn fast_is_naive(seed in 0u64..1000, rows in prop::sample::select(vec![1usize, 1000]), f in 1usize..70, d_in in 1usize..40, d_out in 1usize..40, n in 0usize..60,
                         k in prop::sample::select(vec![None, Some(0), Some(1), Some(2), Some(7), Some(100)]), gated in any::<bool>(),
                         odd in prop::sample::select(vec![0.0, f32::NAN, f32::INFINITY, 1e30])) {
            let dictionary = match k {
                None if gated => random_gated(seed, f, d_in, d_out),
                None => random(seed, f, d_in, d_out),
                Some(k) => random_top_k(seed, k, f, d_in, d_out),
            };
            let mut x = noise(seed + 9, n * d_in);
            if let Some(first) = x.first_mut() { *first = odd; }
            let expected = naive::encode(&dictionary, &x);
            let recon = naive::reconstruct(&dictionary, &x, &expected);
            for isa in Isa::available() {
                let active = dictionary.encode(Device::Cpu(isa), &x);
                let encoder = dictionary.encoder(Device::Cpu(isa), &x, rows);
                let again = encoder.encode(&x);
                prop_assert_eq!((&again.row_start, &again.index), (&active.row_start, &active.index));
                prop_assert_eq!(bits(&again.value), bits(&active.value));
                prop_assert_eq!(&active.row_start, &expected.row_start);
                prop_assert_eq!(&active.index, &expected.index);
                prop_assert_eq!(bits(&active.value), bits(&expected.value));
                prop_assert_eq!(bits(&dictionary.reconstruct(Device::Cpu(isa), &x, &active)), bits(&recon));
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
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: 1,
            d_out: 1,
        };
        let active = dictionary.encode(Device::detect(), &[0.5, f32::NAN]);
        assert_eq!(active.row(0), (&[1, 2][..], &[1.0, -0.25][..]));
        assert_eq!(active.row(1).0.len(), 0);
        assert_eq!(dictionary.decode(Device::detect(), &active), [1.0 + 100.0 - 250.0, 1.0]);
    }

    /// By hand: z = (3, −1, 3, 3, 2) x. Of equal values the lower index first, never a negative one, however large k is.
    #[test]
    fn top_k_keeps_the_largest_positive() {
        let mut dictionary = Dictionary {
            w_enc: vec![3.0, -1.0, 3.0, 3.0, 2.0],
            b_enc: vec![0.0; 5],
            threshold: vec![0.0; 5],
            w_dec: vec![1.0, 10.0, 100.0, 1000.0, 10_000.0],
            b_dec: vec![0.5],
            w_skip: Some(vec![-2.0]),
            activation: Activation::TopK { k: 2 },
            d_in: 1,
            d_out: 1,
        };
        let x = [1.0, -1.0, 0.0, f32::NAN];
        let active = dictionary.encode(Device::detect(), &x);
        assert_eq!(active.row(0), (&[0, 2][..], &[3.0, 3.0][..]));
        assert_eq!(active.row(1), (&[1][..], &[1.0][..]));
        assert_eq!((active.row(2).0.len(), active.row(3).0.len()), (0, 0));
        let recon = dictionary.reconstruct(Device::detect(), &x, &active);
        assert_eq!(recon[..3], [303.0 + 0.5 - 2.0, 10.0 + 0.5 + 2.0, 0.5]);
        assert!(recon[3].is_nan(), "the skip passes a NaN on");
        dictionary.activation = Activation::TopK { k: 9 };
        assert_eq!(dictionary.encode(Device::detect(), &x).row(0).0, [0, 2, 3, 4]);
    }

    /// More rows than are held at a time: the groups join.
    #[test]
    fn top_k_joins_its_groups_of_rows() {
        let width = HELD / 3; // three rows at a time
        let dictionary = Dictionary {
            w_enc: (0..width).map(|f| f as f32 / width as f32).collect(),
            b_enc: vec![0.0; width],
            threshold: vec![0.0; width],
            w_dec: vec![],
            b_dec: vec![],
            w_skip: None,
            activation: Activation::TopK { k: 1 },
            d_in: 1,
            d_out: 0,
        };
        let active = dictionary.encode(Device::detect(), &[1.0, -1.0, 2.0, 3.0, 0.0, 1.0, 1.0]);
        assert_eq!(active.row_start, [0, 1, 1, 2, 3, 3, 4, 5]);
        assert_eq!(active.index, [width as u32 - 1; 5]);
    }
}
