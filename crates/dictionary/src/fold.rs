//! From training units to raw units at release, and back to train on; in f64 (docs/numerics.md §6; Gemma Scope, appendix A).
//!
//! Training sees u = x/C_in, x' = u − b_dec (an SAE) or u (a transcoder), and rebuilds the target over C_out:
//! z = W_enc x' + b_enc, ŝ = W_decᵀ f + b_dec + W_skip u. So with
//!
//!   b_enc' = C_in·(b_enc − W_enc b_dec)   (a transcoder: C_in·b_enc)     θ' = C_in·θ     W_enc' = W_enc
//!   W_dec' = W_dec·C_out/C_in     W_skip' = W_skip·C_out/C_in     b_dec' = C_out·b_dec
//!
//! the same features are active on x itself, f comes out in the input's units and x̂ in the output's. For an SAE C_in = C_out
//! and no weight changes. Each value is computed in f64 and rounded once. The other convention (scaling W_enc, leaving θ) is
//! not ours. A TopK encoder chooses the same features at any scale. A gated one has no b_enc: what would be one goes into θ and
//! b_mag, θ' = C_in·(θ + W_enc b_dec), b_mag' = C_in·(b_mag − e^r W_enc b_dec), and r stays.

use crate::{Activation, Dictionary};

/// The units that a dictionary was trained in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    /// C of the input site, √E‖x‖², by which inputs were divided.
    pub c_in: f64,
    /// The same of the output site, for targets. An SAE has one C.
    pub c_out: f64,
    /// Was b_dec taken off the input? True for an SAE, false for a transcoder.
    pub pre_bias: bool,
}

impl Units {
    /// An SAE's: one C, and b_dec comes off the input.
    pub fn sae(c: f64) -> Units {
        Units { c_in: c, c_out: c, pre_bias: true }
    }

    /// Factor of the arrays that turn what is read into what is written: C_out/C_in, exactly 1 where they are equal.
    fn ratio(self) -> f64 {
        self.c_out / self.c_in
    }
}

/// `trained`, whose parameters are in training units, in raw units.
pub fn fold(trained: Dictionary, units: Units) -> Dictionary {
    check(&trained, units);
    let bias = input_bias(&trained, units.pre_bias, &widen(&trained.b_dec));
    let scaled = |v: f32, bias: f64| (units.c_in * (f64::from(v) + bias)) as f32;
    let moved = |values: &[f32], sign: f64| -> Vec<f32> {
        values.iter().zip(&bias).map(|(&v, bias)| scaled(v, sign * bias)).collect()
    };
    let (b_enc, threshold, activation) = match trained.activation {
        Activation::Gated { r_mag, b_mag } => {
            let terms = b_mag.iter().zip(&bias).zip(Activation::scales(&r_mag));
            let b_mag = terms.map(|((&b, bias), scale)| scaled(b, -scale * bias)).collect();
            (trained.b_enc, moved(&trained.threshold, 1.0), Activation::Gated { r_mag, b_mag })
        }
        other => (moved(&trained.b_enc, -1.0), times(trained.threshold, units.c_in), other),
    };
    Dictionary {
        b_enc,
        threshold,
        activation,
        w_dec: times(trained.w_dec, units.ratio()),
        b_dec: times(trained.b_dec, units.c_out),
        w_skip: trained.w_skip.map(|w| times(w, units.ratio())),
        ..trained
    }
}

/// The inverse of [`fold`], but for rounding: `raw` as training with these units would have it.
pub fn unfold(raw: Dictionary, units: Units) -> Dictionary {
    check(&raw, units);
    let b_dec: Vec<f32> = raw.b_dec.iter().map(|&b| (f64::from(b) * (1.0 / units.c_out)) as f32).collect();
    let bias = input_bias(&raw, units.pre_bias, &widen(&b_dec)); // what `fold` will take off
    let scaled = |v: f32, bias: f64| (f64::from(v) / units.c_in + bias) as f32;
    let moved = |values: &[f32], sign: f64| -> Vec<f32> {
        values.iter().zip(&bias).map(|(&v, bias)| scaled(v, sign * bias)).collect()
    };
    let (b_enc, threshold, activation) = match raw.activation {
        Activation::Gated { r_mag, b_mag } => {
            let terms = b_mag.iter().zip(&bias).zip(Activation::scales(&r_mag));
            let b_mag = terms.map(|((&b, bias), scale)| scaled(b, scale * bias)).collect();
            (raw.b_enc, moved(&raw.threshold, -1.0), Activation::Gated { r_mag, b_mag })
        }
        other => (moved(&raw.b_enc, 1.0), times(raw.threshold, 1.0 / units.c_in), other),
    };
    Dictionary {
        b_enc,
        threshold,
        activation,
        w_dec: times(raw.w_dec, 1.0 / units.ratio()),
        w_skip: raw.w_skip.map(|w| times(w, 1.0 / units.ratio())),
        b_dec,
        ..raw
    }
}

fn check(dictionary: &Dictionary, units: Units) {
    let Dictionary { w_enc, b_enc, threshold, w_dec, b_dec, w_skip, d_in, d_out, .. } = dictionary;
    let f = b_enc.len();
    assert!(w_enc.len() == f * d_in && threshold.len() == f, "fold: w_enc [F, D], b_enc [F], threshold [F]");
    assert!(w_dec.len() == f * d_out && b_dec.len() == *d_out, "fold: w_dec [F, D_out], b_dec [D_out]");
    assert!(w_skip.as_ref().is_none_or(|w| w.len() == d_out * d_in), "fold: w_skip [D_out, D]");
    assert!(!units.pre_bias || d_in == d_out, "fold: a pre-encoder bias needs D = D_out");
    let gated = matches!(dictionary.activation, Activation::Gated { .. });
    assert!(!gated || b_enc.iter().all(|&b| b == 0.0), "fold: a gated encoder has b_enc = 0");
}

fn times(mut values: Vec<f32>, by: f64) -> Vec<f32> {
    values.iter_mut().for_each(|v| *v = (f64::from(*v) * by) as f32);
    values
}

/// W_enc b_dec `[F]`, which an encoder with a pre-encoder bias takes off its pre-activations; else zeros.
fn input_bias(dictionary: &Dictionary, pre_bias: bool, b_dec: &[f64]) -> Vec<f64> {
    if !pre_bias {
        return vec![0.0; dictionary.width()];
    }
    let product = |row: &[f32]| row.iter().zip(b_dec).map(|(&w, b)| f64::from(w) * b).sum();
    dictionary.w_enc.chunks_exact(dictionary.d_in).map(product).collect()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Gemma Scope's embedding SAEs read the embedding before the model scales it by √d; ours read it after. So W_enc/√d,
/// W_dec·√d, b_dec·√d, θ and b_enc as they are: the same features with the same values, x̂ √d times larger.
pub fn unscale_embedding(dictionary: &Dictionary) -> Dictionary {
    let root = (dictionary.d_in as f64).sqrt();
    Dictionary {
        w_enc: dictionary.w_enc.iter().map(|&w| (f64::from(w) / root) as f32).collect(),
        w_dec: times(dictionary.w_dec.clone(), root),
        b_dec: times(dictionary.b_dec.clone(), root),
        ..dictionary.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::tests::{noise, random, random_top_k};
    use lapidary_kernels::naive::dot;
    use lapidary_kernels::{Csr, Device};

    fn norm(v: &[f32]) -> f64 {
        v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
    }

    /// Two encoders compared as docs/numerics.md §3 says: active sets where |z − θ| > 1e-5·‖x‖·‖w‖ (in the units of `a`), values
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

    /// Features and ŝ in training units, as the trainer computes them: x' = fl(fl(x/C) − b_dec).
    fn in_training_units(trained: &Dictionary, units: Units, x: &[f32]) -> (Csr, Vec<f32>, Vec<f32>) {
        let u: Vec<f32> = x.iter().map(|x| x / units.c_in as f32).collect();
        let bias = |k: usize| if units.pre_bias { trained.b_dec[k % trained.d_in] } else { 0.0 };
        let x: Vec<f32> = u.iter().enumerate().map(|(k, u)| u - bias(k)).collect();
        let active = crate::naive::encode(trained, &x);
        let target = crate::naive::reconstruct(trained, &u, &active);
        (active, x, target)
    }

    #[test]
    #[allow(clippy::print_stderr)]
    fn folded_and_training_encoders_agree() {
        let transcoder = Units { c_in: 7.3125, c_out: 0.6, pre_bias: false };
        for (units, d_out) in [
            (Units::sae(7.3125), 24),
            (Units { c_out: 7.3125, ..transcoder }, 24),
            (transcoder, 24),
            (transcoder, 17),
        ] {
            let mut trained = random(5, 300, 24, d_out);
            trained.threshold.iter_mut().for_each(|t| *t += 1.5);
            trained.w_skip = (!units.pre_bias).then(|| noise(6, d_out * 24));
            let x: Vec<f32> = noise(77, 500 * 24).iter().map(|x| x * 10.0).collect();
            let (expected, x_training, target) = in_training_units(&trained, units, &x);
            let folded = fold(trained.clone(), units);
            let active = folded.encode(Device::detect(), &x);
            assert!(active.index.len() > 10_000 && active.index.len() < 120_000, "{}", active.index.len());
            let share = agree(&expected, &active, &x_training, &trained, units.c_in);
            eprintln!("{units:?}, D_out {d_out}: excluded share {share:.1e}");
            assert!(share < 1e-4);
            // x̂ is C_out times the reconstruction in training units.
            let raw = folded.reconstruct(Device::detect(), &x, &active);
            let error: Vec<f32> = raw.iter().zip(&target).map(|(r, t)| r - t * units.c_out as f32).collect();
            assert!(norm(&error) < 1e-5 * norm(&raw), "{} of {}", norm(&error), norm(&raw));
        }
    }

    /// A TopK encoder chooses the same features in both units.
    #[test]
    fn folding_leaves_top_k_its_choice() {
        let trained = random_top_k(8, 5, 60, 12, 9);
        let units = Units { c_in: 4.0, c_out: 0.5, pre_bias: false }; // powers of two: no rounding, so ties stay
        let x = noise(9, 50 * 12);
        let (expected, _, target) = in_training_units(&trained, units, &x);
        let folded = fold(trained, units);
        let active = folded.encode(Device::detect(), &x);
        assert_eq!((&active.row_start, &active.index), (&expected.row_start, &expected.index));
        assert!(active.value.iter().zip(&expected.value).all(|(raw, t)| *raw == 4.0 * t));
        let raw = folded.reconstruct(Device::detect(), &x, &active);
        assert!(raw.iter().zip(&target).all(|(raw, t)| *raw == 0.5 * t));
    }

    fn one_feature(w_dec: &[f32], b_dec: &[f32], w_skip: Option<Vec<f32>>) -> Dictionary {
        Dictionary {
            w_enc: vec![1.0, 2.0],
            b_enc: vec![0.5],
            threshold: vec![0.25],
            w_dec: w_dec.to_vec(),
            b_dec: b_dec.to_vec(),
            w_skip,
            activation: crate::Activation::JumpRelu,
            d_in: 2,
            d_out: b_dec.len(),
        }
    }

    /// By hand, with numbers that are exact in f32.
    #[test]
    fn fold_scales_biases_and_thresholds_but_not_an_sae_s_weights() {
        let dictionary = fold(one_feature(&[3.0, 4.0], &[0.5, -1.0], None), Units::sae(4.0));
        assert_eq!(dictionary.b_enc, [4.0 * (0.5 - (0.5 - 2.0))]);
        assert_eq!((&dictionary.threshold[..], &dictionary.b_dec[..]), (&[1.0][..], &[2.0, -4.0][..]));
        assert_eq!((&dictionary.w_enc[..], &dictionary.w_dec[..]), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
        let trained = one_feature(&[3.0], &[0.5], Some(vec![5.0, 6.0]));
        let units = Units { c_in: 4.0, c_out: 2.0, pre_bias: false };
        let transcoder = fold(trained.clone(), units);
        assert_eq!((transcoder.b_enc[0], transcoder.threshold[0], transcoder.b_dec[0]), (2.0, 1.0, 1.0));
        assert_eq!((&transcoder.w_enc[..], &transcoder.w_dec[..]), (&[1.0, 2.0][..], &[1.5][..]));
        assert_eq!(transcoder.w_skip, Some(vec![2.5, 3.0]));
        assert_eq!(unfold(transcoder, units), trained);
    }

    /// There and back: an SAE's weights keep their bits, all else comes back within rounding.
    #[test]
    fn unfold_undoes_fold() {
        let transcoder = Units { c_in: 7.3, c_out: 0.31, pre_bias: false };
        for (units, d_out) in [(Units::sae(7.3), 24), (transcoder, 24), (transcoder, 17)] {
            let mut raw = random(5, 300, 24, d_out);
            raw.w_skip = (!units.pre_bias).then(|| noise(6, d_out * 24));
            let back = fold(unfold(raw.clone(), units), units);
            assert_eq!(back.w_enc, raw.w_enc);
            assert!(!units.pre_bias || back.w_dec == raw.w_dec);
            let ulps = |a: &[f32], b: &[f32]| {
                let error = a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs() / f32::EPSILON);
                error.fold(0.0, f32::max)
            };
            assert!(ulps(&back.w_dec, &raw.w_dec) <= 2.0 && ulps(&back.b_dec, &raw.b_dec) <= 2.0);
            assert!(ulps(&back.threshold, &raw.threshold) <= 2.0);
            let (skip, raw_skip) = (back.w_skip.unwrap_or_default(), raw.w_skip.unwrap_or_default());
            assert!(skip.len() == raw_skip.len() && ulps(&skip, &raw_skip) <= 2.0);
            // b_enc passes through b_enc + W_enc b_dec, of 1 + 24 terms below 1.
            let error = back.b_enc.iter().zip(&raw.b_enc).map(|(a, b)| (a - b).abs());
            assert!(error.fold(0.0, f32::max) <= 25.0 * f32::EPSILON);
        }
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
