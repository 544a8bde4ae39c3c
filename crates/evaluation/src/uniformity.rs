//! Is a prediction carried by a few of the active features, or by all alike? (Gemma Scope, §4 and Eqs. 12–14.)
//!
//!   y_i = f_i ⟨d_i, ∇_x L⟩        p = |y|/Σ|y|        r = exp(−Σ p ln p)/‖y‖₀
//!
//! of the active features of a row x, where L is the logit of the next token less the mean of all logits: r is 1 where all have the same
//! effect, and 1/L0 where one has all of it. There is no backward pass here: f_i ⟨d_i, ∇L⟩ is the derivative of L along f_i d_i, taken by
//! central differences, (L(x + h f_i d_i) − L(x − h f_i d_i))/2h with h = [`STEP`], one forward of the suffix for each sign of each
//! feature. So a sample of rows is looked at. Beside r stands the same of |f_i|‖d_i‖, which knows nothing of the model. Special tokens are
//! no targets; rows with fewer than two active features are left out.

use crate::{Interval, Subject};
use lapidary_lm::{Model, Spec};
use lapidary_splice::{Base, Splice};
use lapidary_stats::bootstrap;
use lapidary_text::Window;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// h: small enough for a derivative, large enough for f32.
pub const STEP: f32 = 0.05;

/// r of attributions y; None with fewer than two that are not 0.
pub fn ratio(y: &[f64]) -> Option<f64> {
    let sizes: Vec<f64> = y.iter().map(|y| y.abs()).filter(|y| *y > 0.0).collect();
    let total: f64 = sizes.iter().sum();
    let entropy: f64 = sizes.iter().map(|size| size / total).map(|p| -p * p.ln()).sum();
    (sizes.len() >= 2 && total.is_finite()).then(|| entropy.exp() / sizes.len() as f64)
}

/// Of one dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Rows that were looked at.
    pub n: u64,
    /// Mean r of effects on the logit.
    #[serde(with = "crate::number")]
    pub effect: f64,
    /// 95 %, bootstrap over rows, each of another window where there are enough.
    pub interval: Interval,
    /// Mean r of |f_i|‖d_i‖.
    #[serde(with = "crate::number")]
    pub size: f64,
    /// Mean active features of these rows.
    #[serde(with = "crate::number")]
    pub l0: f64,
}

/// Of `rows` rows, one of each of as many windows.
pub fn uniformity(
    model: &Model,
    windows: &[Window],
    subject: Subject<'_>,
    rows: usize,
    (resamples, seed): (usize, u64),
) -> Uniformity {
    let found: Vec<[f64; 3]> = (places(windows, &model.spec, rows, seed).into_iter())
        .filter_map(|(window, position)| at(model, window, position, subject))
        .collect();
    let flat: Vec<f64> = found.iter().flat_map(|[effect, ..]| [*effect, 1.0]).collect();
    let [interval] = bootstrap(&flat, 2, resamples, seed, |sums| [sums[0] / sums[1]]);
    let mean = |k: usize| found.iter().map(|f| f[k]).sum::<f64>() / found.len() as f64;
    Uniformity {
        n: found.len() as u64,
        effect: mean(0),
        interval: interval.into(),
        size: mean(1),
        l0: mean(2),
    }
}

/// Windows and a row of each, whose next token is no special one.
fn places<'a>(windows: &'a [Window], spec: &Spec, rows: usize, seed: u64) -> Vec<(&'a Window, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<(u64, usize)> = (0..windows.len()).map(|w| (rng.next_u64(), w)).collect();
    order.sort_unstable();
    let mut place = |(_, w): (u64, usize)| {
        let window = &windows[w];
        let fit = |&p: &usize| window.tokens.get(p + 1).is_some_and(|&next| !spec.is_special(next));
        let fit: Vec<usize> = window.row_positions(spec).filter(fit).collect();
        let chosen = rng.next_u64() as usize % fit.len().max(1);
        fit.get(chosen).map(|&position| (window, position))
    };
    order.into_iter().filter_map(&mut place).take(rows).collect()
}

/// r of effects, r of sizes, and L0 of a row.
fn at(model: &Model, window: &Window, position: usize, subject: Subject<'_>) -> Option<[f64; 3]> {
    let y = attributions(model, window, position, subject, STEP)?;
    let effects: Vec<f64> = y.iter().map(|y| y.effect).collect();
    let sizes: Vec<f64> = y.iter().map(|y| y.size).collect();
    Some([ratio(&effects)?, ratio(&sizes)?, y.len() as f64])
}

/// An active feature's effect on L, and its length.
struct Attribution {
    effect: f64,
    size: f64,
}

fn attributions(
    model: &Model,
    window: &Window,
    position: usize,
    subject: Subject<'_>,
    step: f32,
) -> Option<Vec<Attribution>> {
    let Subject { site, output, dictionary, .. } = subject;
    let prefix = Window { tokens: window.tokens[..=position].to_vec(), ..window.clone() };
    let once = Base::run(model, std::slice::from_ref(&prefix), &[site, output]);
    let (d_in, d) = (dictionary.d_in, dictionary.d_out);
    let (x, all) = (once.x(model, site), once.x(model, output));
    let features = dictionary.encode(model.device, &x[x.len() - d_in..]);
    let (index, value) = features.row(0);
    if index.len() < 2 {
        return None;
    }
    let copies = vec![prefix; 2 * index.len()];
    let base = Base::run(model, &copies, &[output]);
    let mut moved = all.repeat(copies.len());
    for (k, (&f, &v)) in index.iter().zip(value).enumerate() {
        let direction = &dictionary.w_dec[f as usize * d..][..d];
        for (copy, sign) in [(2 * k, step), (2 * k + 1, -step)] {
            let end = (copy + 1) * all.len();
            let row = &mut moved[end - d..end];
            row.iter_mut().zip(direction).for_each(|(x, w)| *x += sign * v * w);
        }
    }
    let logits = last_logits(model, &base, &base.splice(model, output, Splice::Rows(&moved)));
    let target = window.tokens[position + 1] as usize;
    let centred = |copy: usize| {
        let row = &logits[copy * logits.len() / copies.len()..][..logits.len() / copies.len()];
        f64::from(row[target]) - row.iter().map(|&l| f64::from(l)).sum::<f64>() / row.len() as f64
    };
    let attribution = |(k, (&f, &v)): (usize, (&u32, &f32))| {
        let direction = &dictionary.w_dec[f as usize * d..][..d];
        let length = direction.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
        Attribution {
            effect: (centred(2 * k) - centred(2 * k + 1)) / (2.0 * f64::from(step)),
            size: f64::from(v.abs()) * length,
        }
    };
    Some(index.iter().zip(value).enumerate().map(attribution).collect())
}

/// Logits [B, V] at the last position of every window.
fn last_logits(model: &Model, base: &Base, residual: &[f32]) -> Vec<f32> {
    let d = model.spec.d_model;
    let last = base.batch.starts[1..].iter().flat_map(|end| &residual[(end - 1) * d..end * d]);
    model.unembed(&last.copied().collect::<Vec<f32>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_dictionary::{Activation, Dictionary};
    use lapidary_kernels::Device;
    use std::path::Path;

    /// Four alike: 1. One with all but 3δ: exp(S)/4 by the formula. One alone is left out, and so is nothing.
    #[test]
    fn ratios_by_hand() {
        assert!((ratio(&[2.0, -2.0, 2.0, 2.0]).expect("four") - 1.0).abs() < 1e-12);
        let d: f64 = 0.01;
        let entropy = -(1.0 - 3.0 * d) * (1.0 - 3.0 * d).ln() - 3.0 * d * d.ln();
        let found = ratio(&[1.0 - 3.0 * d, d, -d, d]).expect("four");
        assert!((found - entropy.exp() / 4.0).abs() < 1e-12);
        assert_eq!((ratio(&[3.0, 0.0]), ratio(&[])), (None, None));
    }

    /// Features that read and write the numbers of a site one by one: the effects are x_k ∂L/∂x_k, and half a step
    /// must give the same within the curvature. A step along all features at once is the sum of their effects.
    #[test]
    fn effects_are_derivatives() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
        let model = Model::load(&folder, Device::detect()).expect("the fixture model");
        let site = "1.res".parse().expect("a site");
        let d = model.spec.width(site);
        let mut identity = vec![0.0; d * d];
        (0..d).for_each(|k| identity[k * (d + 1)] = 1.0);
        let dictionary = Dictionary {
            w_enc: identity.clone(),
            b_enc: vec![0.0; d],
            threshold: vec![f32::NEG_INFINITY; d],
            w_dec: identity,
            b_dec: vec![0.0; d],
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: d,
            d_out: d,
        };
        let window = Window { doc: 0, pos: 0, tokens: vec![1, 5, 9, 7, 6, 8] };
        let subject = Subject::sae("a", site, &dictionary);
        let effects = |step| -> Vec<f64> {
            let found = attributions(&model, &window, 3, subject, step).expect("active features");
            found.iter().map(|a| a.effect).collect()
        };
        let (whole, half) = (effects(0.02), effects(0.01));
        assert_eq!(whole.len(), d);
        let largest = whole.iter().fold(0.0f64, |m, e| m.max(e.abs()));
        assert!(largest > 1e-3);
        assert!(whole.iter().zip(&half).all(|(a, b)| (a - b).abs() < 0.02 * largest), "{whole:?} {half:?}");
        let found = uniformity(&model, &[window], subject, 3, (10, 0));
        assert_eq!((found.n, found.l0), (1, d as f64));
        assert!(found.effect > 0.0 && found.effect <= 1.0);
    }
}
