//! Does the model use a matched feature? It is taken out of the site (x − f·d in every row, the dictionary's error stays), and what the model believes of the
//! variable at its end is read by a linear probe.
//!
//!   effect = mean over rows with the variable of (⟨r, p⟩ − ⟨r', p⟩), over (mean of ⟨r, p⟩ with it − mean without it)
//!
//! r, r' are rows of the residual stream after the last layer before and after, p the probe's direction, fitted on one half of the documents; the effect is
//! of the other half. 1: what speaks for the variable is gone; 0: nothing changed. Beside it the same with the feature whose firings are nearest in number.

use crate::LabError;
use crate::rung::Rung;
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::probing::direction;
use lapidary_evaluation::{Labels, halves};
use lapidary_kernels::Csr;
use lapidary_lm::{Model, Site};
use lapidary_splice::{Base, Splice};
use serde::{Deserialize, Serialize};

/// Windows in a batch.
const BATCH: usize = 32;
/// Rows in which a variable must be on in each half.
const LEAST: usize = 10;

/// Effects of matched features and of others as frequent, variable by variable.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Causal {
    pub(super) matched: Vec<f64>,
    pub(super) random: Vec<f64>,
}

/// Of `matched` features, each with its variable; nothing on planted rows. On the first `windows` of the rung's fresh text.
///
/// # Errors
/// The model cannot be read or run.
pub(super) fn causal(
    rung: &Rung,
    dictionary: &Dictionary,
    matched: &[(u32, u32)],
    windows: usize,
    seed: u64,
) -> Result<Option<Causal>, LabError> {
    let (Some(model), [site, ..]) = (rung.model()?, rung.model_sites()) else { return Ok(None) };
    let known = rung.known()?;
    let Some(truth) = &known.truth else { return Ok(None) };
    let windows = &known.windows.windows[..windows.min(known.windows.windows.len())];
    let batches: Vec<Batch> = (windows.chunks(BATCH))
        .map(|windows| Batch::new(model, Base::run(model, windows, &[*site]), *site, dictionary))
        .collect();
    let before: Vec<f32> = batches.iter().flat_map(|b| b.last(model, &b.base.residual)).collect();
    let d = model.spec.d_model;
    let rows = before.len() / d;
    let all = Labels::of(truth);
    let is_fitted = halves(&truth.documents[..rows], seed);
    let mut counts = vec![0u64; dictionary.width()];
    batches.iter().flat_map(|b| &b.features.index).for_each(|&f| counts[f as usize] += 1);
    let mut out = Causal::default();
    for &(feature, variable) in matched {
        let on = &all.rows[variable as usize];
        let on = &on[..on.partition_point(|&n| (n as usize) < rows)];
        let fitted = on.iter().filter(|&&n| is_fitted[n as usize]).count();
        if fitted < LEAST || on.len() - fitted < LEAST {
            continue;
        }
        let Some((p, _)) = direction(&before, d, on, &is_fitted) else { continue };
        let of = |feature: u32| {
            let after = batches.iter().flat_map(|b| b.without(model, *site, dictionary, feature));
            effect((&before, &after.collect::<Vec<f32>>()), &p, on, &is_fitted)
        };
        out.matched.push(of(feature));
        out.random.push(of(as_frequent(&counts, feature)));
    }
    Ok(Some(out))
}

/// The other feature whose firings are nearest in number; of equals the first.
fn as_frequent(counts: &[u64], feature: u32) -> u32 {
    let own = counts[feature as usize];
    let others = (0..counts.len() as u32).filter(|&f| f != feature);
    others.min_by_key(|&f| counts[f as usize].abs_diff(own)).unwrap_or(feature)
}

/// Rows [N, D] before and after, along p [D], where the variable is `on`, of the half that is not fitted.
fn effect((before, after): (&[f32], &[f32]), p: &[f32], on: &[u32], is_fitted: &[bool]) -> f64 {
    let along = |rows: &[f32], n: usize| -> f64 {
        rows[n * p.len()..].iter().zip(p).map(|(&x, &p)| f64::from(x) * f64::from(p)).sum()
    };
    let (mut with, mut without, mut change) = ([0.0; 2], [0.0; 2], 0.0);
    for n in (0..is_fitted.len()).filter(|&n| !is_fitted[n]) {
        let score = along(before, n);
        let is_on = on.binary_search(&(n as u32)).is_ok();
        let sums = if is_on { &mut with } else { &mut without };
        (sums[0], sums[1]) = (sums[0] + score, sums[1] + 1.0);
        if is_on {
            change += score - along(after, n);
        }
    }
    change / with[1] / (with[0] / with[1] - without[0] / without[1])
}

/// Some windows, run once.
struct Batch {
    base: Base,
    /// x [n, D] of the site.
    x: Vec<f32>,
    features: Csr,
}

impl Batch {
    fn new(model: &Model, base: Base, site: Site, dictionary: &Dictionary) -> Batch {
        let x = base.x(model, site);
        let features = dictionary.encode(model.device, &x);
        Batch { base, x, features }
    }

    /// Rows of the residual stream after the last layer, special positions left out.
    fn last(&self, model: &Model, residual: &[f32]) -> Vec<f32> {
        let d = model.spec.d_model;
        self.base.rows.iter().flat_map(|&n| &residual[n * d..][..d]).copied().collect()
    }

    /// The same with a feature taken out of the site.
    fn without(&self, model: &Model, site: Site, dictionary: &Dictionary, feature: u32) -> Vec<f32> {
        let d = dictionary.d_out;
        let (mut x, direction) = (self.x.clone(), &dictionary.w_dec[feature as usize * d..][..d]);
        let mut fires = false;
        for (n, row) in x.chunks_exact_mut(d).enumerate() {
            let (index, value) = self.features.row(n);
            if let Some(place) = index.iter().position(|&f| f == feature) {
                row.iter_mut().zip(direction).for_each(|(x, d)| *x -= value[place] * d);
                fires = true;
            }
        }
        if !fires {
            return self.last(model, &self.base.residual);
        }
        self.last(model, &self.base.splice(model, site, Splice::Rows(&x)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Along p = e₀ rows with the variable are at 4, the others at 1; of the two of the measured half one falls to 1 and one to 3: a mean of 2
    /// of a gap of 3. The fitted half, in which everything falls to 0, does not count.
    #[test]
    fn an_effect_is_a_share_of_the_gap() {
        let before = [4.0, 9.0, 4.0, 9.0, 1.0, 0.0, 4.0, 0.0, 1.0, 0.0];
        let after = [1.0, 5.0, 3.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let is_fitted = [false, false, false, true, true];
        let found = effect((&before, &after), &[1.0, 0.0], &[0, 1, 3], &is_fitted);
        assert!((found - 2.0 / 3.0).abs() < 1e-12, "{found}");
        assert_eq!(effect((&before, &before), &[1.0, 0.0], &[0, 1, 3], &is_fitted), 0.0);
    }

    #[test]
    fn the_other_feature_is_as_frequent() {
        assert_eq!(as_frequent(&[5, 90, 7, 100], 0), 2);
        assert_eq!(as_frequent(&[5, 90, 7, 100], 3), 1);
    }
}
