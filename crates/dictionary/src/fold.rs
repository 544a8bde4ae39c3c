//! From training units to raw units, once, at release, in f64 (NUMERICS §6; Gemma Scope, appendix A).
//!
//! Training sees x' = x/C − b_dec (an SAE) or x/C (a transcoder): z = W_enc x' + b_enc, x̂/C = W_decᵀ f + b_dec. So with
//!
//!   b_enc' = C·(b_enc − W_enc b_dec)   (a transcoder: C·b_enc)      b_dec' = C·b_dec      θ' = C·θ      W' = W
//!
//! the same features are active on x itself, and f and x̂ come out C times larger: in the model's units.
//! Each value is computed in f64 and rounded once. The other convention (scaling W, leaving θ) is not ours.

use crate::Dictionary;

/// The units that a dictionary was trained in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    /// C, the norm that inputs and outputs were divided by: √E‖x‖² of the input.
    pub c: f64,
    /// Was b_dec taken off the input? True for an SAE, false for a transcoder.
    pub pre_bias: bool,
}

/// Parameters in training units, as [`Dictionary`] lays them out (`w_enc` `[F, D]`, `w_dec` `[F, D_out]`), become a
/// dictionary in raw units.
pub fn fold(
    w_enc: &[f32],
    b_enc: &[f32],
    threshold: &[f32],
    w_dec: &[f32],
    b_dec: &[f32],
    units: Units,
) -> Dictionary {
    let (f_total, d_out) = (b_enc.len(), b_dec.len());
    assert!(f_total > 0 && w_enc.len().is_multiple_of(f_total), "fold: w_enc [F, D], b_enc [F]");
    assert!(
        threshold.len() == f_total && w_dec.len() == f_total * d_out,
        "fold: threshold [F], w_dec [F, D_out]"
    );
    let d_in = w_enc.len() / f_total;
    assert!(!units.pre_bias || d_in == d_out, "fold: a pre-encoder bias needs D = D_out");
    let scaled = |v: &[f32]| v.iter().map(|&v| (units.c * f64::from(v)) as f32).collect();
    let unbiased = if units.pre_bias { without_pre_bias(w_enc, b_enc, b_dec) } else { widen(b_enc) };
    Dictionary {
        w_enc: w_enc.to_vec(),
        b_enc: unbiased.iter().map(|b| (units.c * b) as f32).collect(),
        threshold: scaled(threshold),
        w_dec: w_dec.to_vec(),
        b_dec: scaled(b_dec),
        d_in,
        d_out,
    }
}

/// b_enc − W_enc b_dec, in f64 `[F]`.
pub(crate) fn without_pre_bias(w_enc: &[f32], b_enc: &[f32], b_dec: &[f32]) -> Vec<f64> {
    let dot = |w: &[f32]| w.iter().zip(b_dec).map(|(&w, &b)| f64::from(w) * f64::from(b)).sum::<f64>();
    w_enc.chunks_exact(b_dec.len()).zip(b_enc).map(|(w, &b)| f64::from(b) - dot(w)).collect()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Gemma Scope's embedding SAEs read the embedding before the model scales it by √d; ours read it after. So W_enc/√d,
/// W_dec·√d, b_dec·√d, θ and b_enc as they are: the same features with the same values, x̂ √d times larger.
pub fn unscale_embedding(dictionary: &Dictionary) -> Dictionary {
    let root = (dictionary.d_in as f64).sqrt();
    let times = |v: &[f32], by: f64| v.iter().map(|&v| (f64::from(v) * by) as f32).collect();
    Dictionary {
        w_enc: dictionary.w_enc.iter().map(|&w| (f64::from(w) / root) as f32).collect(),
        w_dec: times(&dictionary.w_dec, root),
        b_dec: times(&dictionary.b_dec, root),
        ..dictionary.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::tests::{noise, random};
    use lapidary_kernels::naive::dot;
    use lapidary_kernels::{Csr, Device};

    fn norm(v: &[f32]) -> f64 {
        v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    /// Two encoders compared as NUMERICS §3 says: active sets where |z − θ| > 1e-5·‖x‖·‖w‖ (in the units of `a`), values
    /// where the sets agree. `scale` = values of b per value of a. Returns the excluded share.
    fn agree(a: &Csr, b: &Csr, x: &[f32], a_of: &Dictionary, scale: f64) -> f64 {
        let (d, f_total) = (a_of.d_in, a_of.width());
        let mut excluded = 0;
        for (n, x) in x.chunks_exact(d).enumerate() {
            for f in 0..f_total {
                let w = &a_of.w_enc[f * d..][..d];
                let reach = norm(x) * norm(w);
                let z = dot(x, w) + a_of.b_enc[f];
                let find = |csr: &Csr| csr.row(n).0.binary_search(&(f as u32)).ok().map(|i| csr.row(n).1[i]);
                match (find(a), find(b)) {
                    _ if f64::from(z - a_of.threshold[f]).abs() <= 1e-5 * reach => excluded += 1,
                    (None, None) => {}
                    (Some(a), Some(b)) => {
                        let difference = (f64::from(a) * scale - f64::from(b)).abs();
                        assert!(difference <= 1e-5 * reach * scale, "row {n} feature {f}: {a} and {b}");
                    }
                    (a, b) => panic!("row {n} feature {f}: {a:?} and {b:?}, z = {z}"),
                }
            }
        }
        excluded as f64 / (x.len() / d * f_total) as f64
    }

    /// The encoder in training units, as the trainer computes it: x' = fl(fl(x/C) − b_dec).
    fn in_training_units(trained: &Dictionary, units: Units, x: &[f32]) -> (Csr, Vec<f32>) {
        let c = units.c as f32;
        let bias = |k: usize| if units.pre_bias { trained.b_dec[k % trained.d_in] } else { 0.0 };
        let x: Vec<f32> = x.iter().enumerate().map(|(k, x)| x / c - bias(k)).collect();
        (crate::naive::encode(trained, &x), x)
    }

    #[test]
    #[allow(clippy::print_stderr)]
    fn folded_and_training_encoders_agree() {
        for (pre_bias, d_out) in [(true, 24), (false, 24), (false, 17)] {
            let mut trained = random(5, 300, 24, d_out);
            trained.threshold.iter_mut().for_each(|t| *t += 1.5);
            let units = Units { c: 7.3125, pre_bias };
            let x: Vec<f32> = noise(77, 500 * 24).iter().map(|x| x * 10.0).collect();
            let (expected, x_training) = in_training_units(&trained, units, &x);
            let Dictionary { w_enc, b_enc, threshold, w_dec, b_dec, .. } = &trained;
            let folded = fold(w_enc, b_enc, threshold, w_dec, b_dec, units);
            let active = folded.encode(Device::detect(), &x);
            assert!(active.index.len() > 10_000 && active.index.len() < 120_000, "{}", active.index.len());
            let share = agree(&expected, &active, &x_training, &trained, units.c);
            eprintln!("pre_bias {pre_bias}, D_out {d_out}: excluded share {share:.1e}");
            assert!(share < 1e-4);
            // x̂ is C times the reconstruction in training units.
            let raw = folded.decode(Device::detect(), &active);
            let training = crate::naive::decode(&trained, &expected);
            let error: Vec<f32> = raw.iter().zip(&training).map(|(r, t)| r - t * units.c as f32).collect();
            assert!(norm(&error) < 1e-5 * norm(&raw), "{} of {}", norm(&error), norm(&raw));
        }
    }

    /// By hand, with numbers that are exact in f32.
    #[test]
    fn fold_scales_biases_and_thresholds_but_not_weights() {
        let dictionary =
            fold(&[1.0, 2.0], &[0.5], &[0.25], &[3.0, 4.0], &[0.5, -1.0], Units { c: 4.0, pre_bias: true });
        assert_eq!(dictionary.b_enc, [4.0 * (0.5 - (0.5 - 2.0))]);
        assert_eq!((&dictionary.threshold[..], &dictionary.b_dec[..]), (&[1.0][..], &[2.0, -4.0][..]));
        assert_eq!((&dictionary.w_enc[..], &dictionary.w_dec[..]), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
        let transcoder =
            fold(&[1.0, 2.0], &[0.5], &[0.25], &[3.0], &[0.5], Units { c: 4.0, pre_bias: false });
        assert_eq!((transcoder.b_enc[0], transcoder.d_in, transcoder.d_out), (2.0, 2, 1));
    }

    /// A Gemma Scope embedding SAE on e and the converted one on √d·e: same features, x̂ scaled by √d.
    #[test]
    #[allow(clippy::print_stderr)]
    fn embedding_conversion_reads_the_scaled_embedding() {
        let original = random(9, 200, 12, 12);
        let converted = unscale_embedding(&original);
        let e = noise(3, 400 * 12);
        let scaled: Vec<f32> = e.iter().map(|e| e * 12f32.sqrt()).collect();
        let (a, b) = (original.encode(Device::detect(), &e), converted.encode(Device::detect(), &scaled));
        let share = agree(&a, &b, &e, &original, 1.0);
        eprintln!("embedding: excluded share {share:.1e}");
        assert!(share < 1e-4);
        let (before, after) = (original.decode(Device::detect(), &a), converted.decode(Device::detect(), &b));
        let error: Vec<f32> = before.iter().zip(&after).map(|(x, y)| x * 12f32.sqrt() - y).collect();
        assert!(norm(&error) < 1e-5 * norm(&after));
    }
}
