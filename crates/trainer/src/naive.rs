//! One training step as the formulas read: dense [N, F] arrays, f64, moments that decay in every step. Nothing here is fast; `step.rs` must
//! agree with it, and finite differences and PyTorch must agree with both.

use crate::schedule::{learning_rate, sparsity};
use crate::{DictionaryPlan, Parameters, Recipe, Threshold};

/// Parameters, or their gradients, or their moments, in f64; shapes as in [`Parameters`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// [F, D]
    pub w_enc: Vec<f64>,
    /// [F]
    pub b_enc: Vec<f64>,
    /// [F], θ or log θ.
    pub threshold: Vec<f64>,
    /// [F, D]
    pub w_dec: Vec<f64>,
    /// [D]
    pub b_dec: Vec<f64>,
}

impl Dense {
    /// Widened.
    pub fn from(p: &Parameters) -> Dense {
        let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect();
        Dense {
            w_enc: wide(&p.w_enc),
            b_enc: wide(&p.b_enc),
            threshold: wide(&p.threshold),
            w_dec: wide(&p.w_dec),
            b_dec: wide(&p.b_dec),
        }
    }

    /// Zeros of the same shapes.
    pub fn zeros(&self) -> Dense {
        let zero = |v: &Vec<f64>| vec![0.0; v.len()];
        Dense {
            w_enc: zero(&self.w_enc),
            b_enc: zero(&self.b_enc),
            threshold: zero(&self.threshold),
            w_dec: zero(&self.w_dec),
            b_dec: zero(&self.b_dec),
        }
    }

    /// The five tensors in a fixed order.
    pub fn tensors_mut(&mut self) -> [&mut Vec<f64>; 5] {
        [&mut self.w_enc, &mut self.b_enc, &mut self.threshold, &mut self.w_dec, &mut self.b_dec]
    }

    /// θ [F].
    pub fn theta(&self, parameterisation: Threshold) -> Vec<f64> {
        match parameterisation {
            Threshold::Raw => self.threshold.clone(),
            Threshold::Log => self.threshold.iter().map(|t| t.exp()).collect(),
        }
    }
}

/// A forward pass, dense.
pub struct Forward {
    /// x' [N, D]
    pub input: Vec<f64>,
    /// Pre-activations [N, F]
    pub z: Vec<f64>,
    /// Activations [N, F]
    pub f: Vec<f64>,
    /// ŝ − s [N, D]
    pub error: Vec<f64>,
    /// Mean of ‖ŝ − s‖² + λ‖f‖₀
    pub loss: f64,
}

/// z, f, ŝ and the loss of raw rows x [N, D]; λ as it is in this step.
pub fn forward(p: &Dense, x: &[f32], plan: &DictionaryPlan, recipe: &Recipe, lambda: f64) -> Forward {
    let (d, f_total) = (plan.d, plan.width);
    let n_total = x.len() / d;
    let theta = p.theta(recipe.threshold);
    let s: Vec<f64> = x.iter().map(|&x| f64::from(x) / plan.c).collect();
    let input: Vec<f64> = s.iter().enumerate().map(|(i, s)| s - p.b_dec[i % d]).collect();
    let (mut z, mut f, mut error) =
        (vec![0.0; n_total * f_total], vec![0.0; n_total * f_total], vec![0.0; s.len()]);
    let mut loss = 0.0;
    for n in 0..n_total {
        for j in 0..f_total {
            let at = n * f_total + j;
            z[at] = p.b_enc[j] + (0..d).map(|i| p.w_enc[j * d + i] * input[n * d + i]).sum::<f64>();
            if z[at] > theta[j] {
                f[at] = z[at];
                loss += lambda;
            }
        }
        for i in 0..d {
            let decoded = (0..f_total).map(|j| f[n * f_total + j] * p.w_dec[j * d + i]).sum::<f64>();
            error[n * d + i] = p.b_dec[i] + decoded - s[n * d + i];
            loss += error[n * d + i].powi(2);
        }
    }
    Forward { input, z, f, error, loss: loss / n_total as f64 }
}

/// All gradients of the loss, with the straight-through gradient for the threshold parameter. Not yet projected.
pub fn gradients(p: &Dense, seen: &Forward, plan: &DictionaryPlan, recipe: &Recipe, lambda: f64) -> Dense {
    let (d, f_total) = (plan.d, plan.width);
    let n_total = seen.error.len() / d;
    let theta = p.theta(recipe.threshold);
    let epsilon = f64::from(recipe.bandwidth);
    let mut out = p.zeros();
    for n in 0..n_total {
        let g: Vec<f64> = (0..d).map(|i| 2.0 / n_total as f64 * seen.error[n * d + i]).collect();
        for i in 0..d {
            out.b_dec[i] += g[i];
        }
        for j in 0..f_total {
            let (z, w) = (seen.z[n * f_total + j], j * d..(j + 1) * d);
            let df: f64 = g.iter().zip(&p.w_dec[w.clone()]).map(|(g, w)| g * w).sum();
            if ((z - theta[j]) / epsilon).abs() < 0.5 {
                let d_theta = -theta[j] / epsilon * df - lambda / (epsilon * n_total as f64);
                out.threshold[j] += match recipe.threshold {
                    Threshold::Raw => d_theta,
                    Threshold::Log => d_theta * theta[j],
                };
            }
            if z > theta[j] {
                out.b_enc[j] += df;
                for i in 0..d {
                    out.w_dec[j * d + i] += z * g[i];
                    out.w_enc[j * d + i] += df * seen.input[n * d + i];
                    out.b_dec[i] -= df * p.w_enc[j * d + i];
                }
            }
        }
    }
    out
}

/// One whole step: gradients, projection, Adam over all rows, clamping, renormalisation. A frozen decoder has no
/// gradient and is not renormalised. Returns the loss.
pub fn step(
    p: &mut Dense,
    (m, v): (&mut Dense, &mut Dense),
    x: &[f32],
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
) -> f64 {
    let lambda = sparsity(recipe, plan.lambda, step);
    let seen = forward(p, x, plan, recipe, lambda);
    let mut g = gradients(p, &seen, plan, recipe, lambda);
    if !plan.trains_decoder() {
        g.w_dec.fill(0.0);
    }
    for (g, w) in g.w_dec.chunks_exact_mut(plan.d).zip(p.w_dec.chunks_exact(plan.d)) {
        let parallel: f64 = g.iter().zip(w).map(|(g, w)| g * w).sum();
        g.iter_mut().zip(w).for_each(|(g, w)| *g -= parallel * w);
    }
    let rows = [(plan.d, 1.0), (1, 1.0), (1, 1.0), (plan.d, recipe.lr_decoder), (plan.d, 1.0)]; // of the tensors in their order
    let moments = m.tensors_mut().into_iter().zip(v.tensors_mut());
    for (((p, (m, v)), g), (d, rate)) in
        p.tensors_mut().into_iter().zip(moments).zip(g.tensors_mut()).zip(rows)
    {
        let moments = m.chunks_exact_mut(d).zip(v.chunks_exact_mut(d));
        for ((p, (m, v)), g) in p.chunks_exact_mut(d).zip(moments).zip(g.chunks_exact(d)) {
            adam(p, m, v, g, recipe, learning_rate(recipe, step) * rate, step);
        }
    }
    if recipe.threshold == Threshold::Raw {
        p.threshold.iter_mut().for_each(|t| *t = t.max(0.0));
    }
    let trained = if !plan.trains_decoder() { &mut [] } else { p.w_dec.as_mut_slice() };
    for row in trained.chunks_exact_mut(plan.d) {
        let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
        row.iter_mut().for_each(|w| *w /= norm);
    }
    seen.loss
}

/// θ of BatchTopK: the (k·N + 1)-th largest of max(z, 0), z of N = `rows` rows; 0 where there are fewer numbers.
pub fn batch_threshold(z: &[f64], rows: usize, k: usize) -> f64 {
    let mut sorted: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(k * rows).copied().unwrap_or(0.0)
}

/// Adam on one row at rate `lr`. One without gradient stays where it is, and its moments decay.
fn adam(p: &mut [f64], m: &mut [f64], v: &mut [f64], g: &[f64], recipe: &Recipe, lr: f64, step: u64) {
    let Recipe { beta1, beta2, .. } = *recipe;
    let [first, second] = [beta1, beta2].map(|beta| 1.0 - beta.powi(step as i32 + 1));
    let lr = if g.iter().all(|&g| g == 0.0) { 0.0 } else { lr };
    for i in 0..p.len() {
        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
        p[i] -= lr * (m[i] / first) / ((v[i] / second).sqrt() + f64::from(recipe.adam_epsilon));
    }
}
