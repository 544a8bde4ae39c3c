//! What a small dictionary misses, added back: features of a wide one, or its error along given directions. Each is a dictionary again, so that it
//! is scored as any other.

use super::{ADDED, GIVEN};
use crate::LabError;
use crate::measure::unit;
use crate::rung::Rung;
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::truth::Truth;
use lapidary_kernels::{Csr, Device};
use lapidary_stats::{Ridge, pca};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;

/// x − x̂ [N, D].
pub(super) fn error(dictionary: &Dictionary, device: Device, x: &[f32], features: &Csr) -> Vec<f32> {
    let recon = dictionary.reconstruct(device, x, features);
    x.iter().zip(recon).map(|(x, r)| x - r).collect()
}

/// g_j [F]: by how much the squared error falls if feature j of the wide dictionary is added.
pub(super) fn gains(wide: &Dictionary, features: &Csr, error: &[f32]) -> Vec<f64> {
    let d = wide.d_out;
    let mut gains = vec![0.0; wide.width()];
    let norm: Vec<f64> = wide.w_dec.chunks_exact(d).map(|row| dot(row, row)).collect();
    for n in 0..features.rows() {
        let (index, value) = features.row(n);
        for (&j, &f) in index.iter().zip(value) {
            let (j, f) = (j as usize, f64::from(f));
            gains[j] += 2.0 * f * dot(&wide.w_dec[j * d..][..d], &error[n * d..][..d]) - f * f * norm[j];
        }
    }
    gains
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Orthonormal directions [m, D] of the most frequent missing variables: the planted ones, or those of linear probes.
pub(super) fn directions(
    rung: &Rung,
    truth: &Truth,
    x: &[f32],
    kept: &[u32],
    missing: &[usize],
) -> Result<Vec<f32>, LabError> {
    let d = rung.d();
    let mut rows: BTreeMap<u32, Vec<u32>> = missing.iter().map(|&v| (kept[v], Vec::new())).collect();
    for n in 0..truth.rows() {
        for v in truth.row(n) {
            rows.entry(*v).and_modify(|rows| rows.push(n as u32));
        }
    }
    let mut order: Vec<(u32, Vec<u32>)> = rows.into_iter().collect();
    order.sort_by_key(|(v, rows)| (std::cmp::Reverse(rows.len()), *v));
    order.truncate(GIVEN);
    let raw: Vec<f32> = match rung.planted() {
        Some(planted) => {
            order.iter().flat_map(|(v, _)| &planted.directions()[*v as usize * d..][..d]).copied().collect()
        }
        None => {
            let Some(ridge) = Ridge::new(x, d, 1e-4) else { return Ok(Vec::new()) };
            // Where the variable shows is the difference of means; the probe's direction only reads it.
            let mean = &ridge.moments.mean;
            let of = |rows: &[u32]| -> Vec<f32> {
                let sum =
                    |k: usize| rows.iter().map(|&n| f64::from(x[n as usize * d + k]) - mean[k]).sum::<f64>();
                (0..d).map(|k| (sum(k) / rows.len() as f64) as f32).collect()
            };
            order.iter().flat_map(|(_, rows)| of(rows)).collect()
        }
    };
    Ok(orthonormal(&raw, d))
}

/// Gram and Schmidt; what is left of a row that the others span is dropped.
fn orthonormal(rows: &[f32], d: usize) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::new();
    for row in unit(rows, d).chunks_exact(d) {
        let mut rest = row.to_vec();
        for _ in 0..2 {
            for base in out.chunks_exact(d) {
                let along = dot(&rest, base) as f32;
                rest.iter_mut().zip(base).for_each(|(r, b)| *r -= along * b);
            }
        }
        if dot(&rest, &rest) > 1e-4 {
            out.extend(unit(&rest, d));
        }
    }
    out
}

/// Everything that is scored, by name.
pub(super) fn variants(
    small: &Dictionary,
    wide: &Dictionary,
    denser: &Dictionary,
    gains: &[f64],
    error: &[f32],
    back: &[f32],
    d: usize,
    seed: u64,
) -> Vec<(String, Dictionary)> {
    let mut order: Vec<usize> = (0..gains.len()).filter(|&j| gains[j] > 0.0).collect();
    order.sort_by(|&i, &j| gains[j].total_cmp(&gains[i]));
    let top = &order[..order.len().min(ADDED)];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let random = |n: usize, rng: &mut ChaCha8Rng| -> Vec<f32> {
        let mut one =
            || (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5).sum::<f64>() as f32;
        (0..n * d).map(|_| one()).collect()
    };
    let astray = random(top.len(), &mut rng);
    let subspace = orthonormal(&random(back.len() / d, &mut rng), d);
    let components: Vec<f32> = pca::eigen(&pca::moments(error, d).covariance, d).vectors[..back.len()]
        .iter()
        .map(|&v| v as f32)
        .collect();
    vec![
        ("small".into(), small.clone()),
        ("wide".into(), wide.clone()),
        (format!("small + {ADDED} novel"), joined(small, wide, top, None)),
        ("small + all novel".into(), joined(small, wide, &order, None)),
        ("small + astray".into(), joined(small, wide, top, Some(&astray))),
        ("denser small".into(), denser.clone()),
        ("+ missing, by truth".into(), given(small, back, d)),
        ("+ main components".into(), given(small, &components, d)),
        ("+ random subspace".into(), given(small, &subspace, d)),
    ]
}

/// The small dictionary with features of the wide one behind its own, along their directions or others of the same length [n, D].
fn joined(small: &Dictionary, wide: &Dictionary, features: &[usize], along: Option<&[f32]>) -> Dictionary {
    let d = small.d_in;
    let mut out = small.clone();
    let along = along.map(|rows| unit(rows, d));
    for (k, &j) in features.iter().enumerate() {
        out.w_enc.extend(&wide.w_enc[j * d..][..d]);
        out.b_enc.push(wide.b_enc[j]);
        out.threshold.push(wide.threshold[j]);
        let own = &wide.w_dec[j * d..][..d];
        match &along {
            None => out.w_dec.extend(own),
            Some(rows) => {
                let norm = dot(own, own).sqrt() as f32;
                out.w_dec.extend(rows[k * d..][..d].iter().map(|x| x * norm));
            }
        }
    }
    out
}

/// x̂ + P(x − x̂), P the projection on orthonormal rows [m, D]: a dictionary with a linear path.
fn given(small: &Dictionary, rows: &[f32], d: usize) -> Dictionary {
    let without = |vector: &[f32]| -> Vec<f32> {
        let mut rest = vector.to_vec();
        for row in rows.chunks_exact(d) {
            let along = dot(vector, row) as f32;
            rest.iter_mut().zip(row).for_each(|(r, x)| *r -= along * x);
        }
        rest
    };
    let mut skip = vec![0.0f32; d * d];
    for row in rows.chunks_exact(d) {
        for i in 0..d {
            (0..d).for_each(|k| skip[i * d + k] += row[i] * row[k]);
        }
    }
    Dictionary {
        w_dec: small.w_dec.chunks_exact(d).flat_map(without).collect(),
        b_dec: without(&small.b_dec),
        w_skip: Some(skip),
        ..small.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::encoded;

    #[test]
    fn giving_back_everything_leaves_no_error() {
        let small = Dictionary {
            w_enc: vec![1.0, 0.0],
            b_enc: vec![0.0],
            threshold: vec![0.5],
            w_dec: vec![0.6, 0.8],
            b_dec: vec![0.1, 0.2],
            w_skip: None,
            activation: lapidary_dictionary::Activation::JumpRelu,
            d_in: 2,
            d_out: 2,
        };
        let x = [2.0, -1.0, 0.1, 3.0];
        let whole = given(&small, &orthonormal(&[1.0, 1.0, 0.0, 2.0], 2), 2);
        let on = encoded(&whole, Device::detect(), &x, &x);
        assert!(on.fvu < 1e-9, "{}", on.fvu);
    }
}
