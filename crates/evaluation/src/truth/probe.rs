//! Which indicators does the model represent at a site at all? A linear probe per indicator, on the raw rows.
//!
//! Documents are divided in two halves by the seed. On one a ridge regression is fitted per indicator (all share one
//! covariance: `lapidary_stats::ridge`), on the other its AUROC is taken. A dictionary cannot be blamed for what no linear
//! readout finds; that nonlinear ones might is left out.

use super::matching::{Kept, kept};
use super::{Options, Truth};
use crate::halves;
use lapidary_kernels::Device;
use lapidary_stats::{Ridge, auroc};

/// AUROCs of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    /// On the held-out half [V]. NaN: left out, too rare in one of the halves, or rows that admit no regression.
    pub auroc: Vec<f64>,
    /// Rows of the half that was fitted.
    pub fitted_rows: usize,
    /// Rows of the half that was scored.
    pub scored_rows: usize,
}

/// Indicators per product: bounds memory to a few MB per ten thousand rows.
const BLOCK: usize = 128;

/// Probes of all kept indicators on rows x [N, D].
pub fn probe(truth: &Truth, x: &[f32], d: usize, device: Device, options: &Options) -> Probes {
    truth.assert_sizes();
    assert_eq!(x.len(), truth.rows() * d, "probe: x [N, {d}]");
    let is_fitted = halves(&truth.documents, options.seed);
    let (fitted, scored) = (Half::new(x, d, &is_fitted, true), Half::new(x, d, &is_fitted, false));
    let mut aurocs = vec![f64::NAN; truth.indicators.len()];
    let ridge = Ridge::new(&fitted.x, d, options.ridge).filter(|_| x.iter().all(|x| x.is_finite()));
    if let Some(ridge) = ridge {
        let (kept, _, _) = kept(truth, options);
        let enough = |kept: &&Kept| {
            let count = kept.rows.iter().filter(|&&n| is_fitted[n as usize]).count();
            count >= options.min_positives && kept.rows.len() - count >= options.min_positives
        };
        let probed: Vec<&Kept> = kept.iter().filter(enough).collect();
        let centred = centred(&scored.x, &ridge.moments.mean);
        for block in probed.chunks(BLOCK) {
            let w: Vec<f32> = block.iter().flat_map(|kept| direction(&ridge, &fitted, kept)).collect();
            let mut scores = vec![0.0; block.len() * scored.count];
            device.linear(&w, &centred, None, d, &mut scores); // [indicators, rows]: an indicator's scores lie together
            for (kept, scores) in block.iter().zip(scores.chunks_exact(scored.count)) {
                aurocs[kept.indicator as usize] = auroc(scores, &scored.own(&kept.rows));
            }
        }
    }
    Probes { auroc: aurocs, fitted_rows: fitted.count, scored_rows: scored.count }
}

/// The rows of one half.
struct Half {
    x: Vec<f32>, // [count, D]
    count: usize,
    place: Vec<Option<u32>>, // [N]: row n here
}

impl Half {
    fn new(x: &[f32], d: usize, is_fitted: &[bool], which: bool) -> Half {
        let mut half = Half { x: Vec::new(), count: 0, place: vec![None; is_fitted.len()] };
        for (n, row) in x.chunks_exact(d).enumerate().filter(|(n, _)| is_fitted[*n] == which) {
            half.place[n] = Some(half.count as u32);
            half.count += 1;
            half.x.extend_from_slice(row);
        }
        half
    }

    /// Those of `rows` that are in this half, by their place in it.
    fn own(&self, rows: &[u32]) -> Vec<u32> {
        rows.iter().filter_map(|&n| self.place[n as usize]).collect()
    }
}

/// x − μ: rows may lie far from 0, and f32 scores would lose what differs between them.
fn centred(x: &[f32], mean: &[f64]) -> Vec<f32> {
    let row = |row: &[f32]| row.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m) as f32).collect::<Vec<_>>();
    x.chunks_exact(mean.len()).flat_map(row).collect()
}

/// w [D], of length 1.
fn direction(ridge: &Ridge, fitted: &Half, kept: &Kept) -> Vec<f32> {
    let w = ridge.direction(&fitted.x, &fitted.own(&kept.rows));
    let norm = w.iter().map(|w| w * w).sum::<f64>().sqrt();
    w.into_iter().map(|w| if norm > 0.0 { (w / norm) as f32 } else { 0.0 }).collect()
}
