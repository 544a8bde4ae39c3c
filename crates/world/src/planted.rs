//! Planted dictionaries (rung gt0): rows whose true sparse code is known. x = bias + Σ_f c_f · direction_f, where few c_f
//! are not 0. After SynthSAEBench (Chanin et al. 2026, arXiv 2602.14687; numbers of its model "16k"): near-orthogonal unit
//! directions, Zipf rates, firing correlated by a Gaussian copula of low rank, trees of features with exclusive siblings.
//!
//! Who fires. A row has z ~ N(0, 1) `[R]`. The *drive* of j is g_j = w_j·z + s_j·e_j, e_j ~ N(0, 1), s_j² = 1 − ‖w_j‖². A root, a free
//! feature or a circle fires iff its g exceeds the quantile of its rate. A feature that fires chooses at most one child: the
//! real line is cut into intervals with the children's conditional rates, and the g of the *sibling group* falls into one.
//! A group's w is orthogonal to those above it in its tree, so these g are independent and every rate is exact.
//!
//! Differs from the paper in: 1) the paper thresholds all features and then deletes orphans and all but one sibling, which meets
//! the asked rates to first order only; 2) a magnitude is never below `least_magnitude` (the paper clips at 0: no firing);
//! 3) circles are added. Siblings that together ask for more than their parent share the parent's rate, here as there.
//!
//! Row i is a function of (seed, i) alone, by + − × ÷ √ only: the same bytes on every machine, in any order and batch size.

mod config;
mod normal;
mod orthogonal;

pub use config::{PlantedConfig, Size};
use normal::{direction_in_plane, finer, normal, normals, stream, upper};
use orthogonal::{dot, orthogonalise, scale_to};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// Drives whose thresholds are computed side by side.
const LANES: usize = 32;
/// Above any error of `upper` and any rounding to f32, so that the screen by a byte never loses a firing.
const SCREEN_MARGIN: f64 = 1e-4;

/// One planted feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// The feature without which it never fires.
    pub parent: Option<u32>,
    /// Exclusive group: of the features with one group at most one fires. (Its number is the parent's.)
    pub group: Option<u32>,
    /// Circle: two features share one, fire together, and have coefficients r·cos φ and r·sin φ, φ uniform.
    pub circle: Option<u32>,
    /// Probability asked of it.
    pub asked: f64,
    /// Probability that it has: `asked`, or less where siblings ask for more than their parent gives.
    pub rate: f64,
    /// Mean of its magnitude (of r for a circle) before scaling by the parent.
    pub mean: f32,
    /// Standard deviation of its magnitude, likewise.
    pub spread: f32,
    /// Row of `loadings` that decides whether it fires; siblings share one, and so do the two of a circle.
    pub drive: u32,
}

/// True coefficients of n rows: row i has `indices[starts[i]..starts[i + 1]]`, ascending, with their `values`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coefficients {
    /// `[n + 1]`
    pub starts: Vec<usize>,
    /// `[nnz]`, features
    pub indices: Vec<u32>,
    /// `[nnz]`, positive but on circles
    pub values: Vec<f32>,
}

/// A planted dictionary, and all that a row needs. The private fields restate the public ones in the form that is fast.
#[derive(Clone, Debug)]
pub struct Planted {
    /// Its numbers.
    pub config: PlantedConfig,
    /// What it is drawn from.
    pub seed: u64,
    /// The table `[M]`.
    pub features: Vec<Feature>,
    /// Unit directions `[M, D]`; the two of a circle are orthogonal.
    pub directions: Vec<f32>,
    /// `[D]`
    pub bias: Vec<f32>,
    /// w of every drive `[roots + free + circles + parents, R]`; the last `parents` are the sibling groups.
    pub loadings: Vec<f32>,
    /// s of every drive.
    pub own: Vec<f32>,
    /// For drives that fire alone: w/s in blocks `[blocks, R, LANES]`, and threshold/s `[blocks · LANES]`, ∞ beyond the end.
    screen: Vec<f32>,
    thresholds: Vec<f32>,
    /// First drive that is a sibling group.
    first_group: usize,
    /// Child j of a group is chosen iff cut j is the first that g exceeds `[parents, branching]`.
    cuts: Vec<f32>,
    /// Above every e whose first byte is the index.
    ceilings: Vec<f32>,
    rng: ChaCha8Rng,
}

/// What one row needs while it is made.
struct Scratch {
    z: Vec<f32>,             // [R]
    bytes: Vec<u8>,          // [blocks · LANES]
    active: Vec<(u32, f32)>, // feature, coefficient
}

impl Planted {
    /// Draws the dictionary. Panics if the numbers contradict each other (fewer features than trees and circles need).
    pub fn new(seed: u64, config: PlantedConfig) -> Planted {
        config.check();
        let first_group = config.roots + (config.first_circle() - config.tree_features()) + config.circles;
        let (loadings, own) = draw_loadings(&config, first_group, &mut stream(seed, "loadings"));
        let features = table(&config, first_group, &mut stream(seed, "spreads"));
        let directions = draw_directions(&config, &mut stream(seed, "directions"));
        let mut bias = normals(config.d, &mut stream(seed, "bias"));
        scale_to(&mut bias, config.bias_norm);
        let (screen, thresholds) = screen(&config, &features, &loadings, &own, first_group);
        let cuts = cuts(&config, &features);
        let ceiling = |byte: u32| (upper(f64::from(byte) / 256.0) + SCREEN_MARGIN) as f32;
        let ceilings = (0..256).map(|b| if b == 0 { f32::INFINITY } else { ceiling(b) }).collect();
        let rng = stream(seed, "rows");
        Planted {
            config,
            seed,
            features,
            directions,
            bias,
            loadings,
            own,
            screen,
            thresholds,
            first_group,
            cuts,
            ceilings,
            rng,
        }
    }

    /// The unit directions `[M, D]`.
    pub fn directions(&self) -> &[f32] {
        &self.directions
    }

    /// Mean number of coefficients of a row that are not 0.
    pub fn mean_l0(&self) -> f64 {
        self.features.iter().map(|f| f.rate).sum()
    }

    /// Rows first .. first + n into `out` `[n, D]`; their true coefficients replace what `coefficients` held.
    pub fn rows(&self, first: u64, n: usize, out: &mut [f32], mut coefficients: Option<&mut Coefficients>) {
        let d = self.config.d;
        assert_eq!(out.len(), n * d, "out must be [{n}, {d}]");
        if let Some(c) = coefficients.as_deref_mut() {
            *c = Coefficients { starts: vec![0], ..Coefficients::default() };
        }
        let mut scratch = Scratch {
            z: vec![0.0; self.config.correlation_rank],
            bytes: vec![0; self.thresholds.len()],
            active: Vec::new(),
        };
        for (i, row) in (first..).zip(out.chunks_exact_mut(d)) {
            self.draw(i, &mut scratch);
            self.sum(&scratch.active, row);
            if let Some(c) = coefficients.as_deref_mut() {
                c.indices.extend(scratch.active.iter().map(|a| a.0));
                c.values.extend(scratch.active.iter().map(|a| a.1));
                c.starts.push(c.indices.len());
            }
        }
    }

    /// Who fires in row i, and how much. The order of the draws is part of the definition: z, a byte for each drive that
    /// fires alone, then by drive the rest of its e where the byte leaves it open, and what follows from its firing.
    fn draw(&self, i: u64, scratch: &mut Scratch) {
        let mut rng = self.rng.clone();
        rng.set_stream(i);
        scratch.z.iter_mut().for_each(|z| *z = normal(&mut rng));
        rng.fill_bytes(&mut scratch.bytes);
        scratch.active.clear();
        let block_len = self.config.correlation_rank * LANES;
        let blocks = self.screen.chunks_exact(block_len).zip(self.thresholds.chunks_exact(LANES));
        for (block, (weights, thresholds)) in blocks.enumerate() {
            let needed = needed_noise(weights, thresholds, &scratch.z);
            let bytes = &scratch.bytes[block * LANES..][..LANES];
            let mut open = 0u32;
            for l in 0..LANES {
                open |= u32::from(self.ceilings[bytes[l] as usize] > needed[l]) << l;
            }
            while open != 0 {
                let l = open.trailing_zeros() as usize;
                open &= open - 1;
                if finer(bytes[l], &mut rng) > needed[l] {
                    self.fire(block * LANES + l, &scratch.z, &mut rng, &mut scratch.active);
                }
            }
        }
        scratch.active.sort_unstable_by_key(|a| a.0);
    }

    /// What follows when a drive that is not a sibling group fires.
    fn fire(&self, drive: usize, z: &[f32], rng: &mut ChaCha8Rng, active: &mut Vec<(u32, f32)>) {
        let first_circle_drive = self.first_group - self.config.circles;
        if drive < self.config.roots {
            self.descend(drive, z, rng, active);
        } else if drive < first_circle_drive {
            let f = drive - self.config.roots + self.config.tree_features();
            active.push((f as u32, self.magnitude(f, rng)));
        } else {
            let f = self.config.first_circle() + 2 * (drive - first_circle_drive);
            let radius = self.magnitude(f, rng);
            let (x, y) = direction_in_plane(rng);
            active.extend([(f as u32, radius * x), (f as u32 + 1, radius * y)]);
        }
    }

    /// A root and the chosen path below it; a child's magnitude is scaled by its parent's coefficient over its mean.
    fn descend(&self, root: usize, z: &[f32], rng: &mut ChaCha8Rng, active: &mut Vec<(u32, f32)>) {
        let (mut f, mut value) = (root, self.magnitude(root, rng));
        loop {
            active.push((f as u32, value));
            if f >= self.config.parents() {
                return;
            }
            let Some(child) = self.choose(f, z, rng) else { return };
            value = self.magnitude(child, rng) * (value / self.features[f].mean);
            f = child;
        }
    }

    /// The child that fires with `parent`, if any.
    fn choose(&self, parent: usize, z: &[f32], rng: &mut ChaCha8Rng) -> Option<usize> {
        let drive = self.first_group + parent;
        let w = &self.loadings[drive * z.len()..][..z.len()];
        let g = dot(w, z) + self.own[drive] * normal(rng);
        let children = self.config.children(parent);
        let cuts = &self.cuts[parent * children.len()..][..children.len()];
        cuts.iter().position(|&cut| g > cut).map(|j| children.start + j)
    }

    fn magnitude(&self, f: usize, rng: &mut ChaCha8Rng) -> f32 {
        let Feature { mean, spread, .. } = self.features[f];
        (mean + spread * normal(rng)).max(self.config.least_magnitude)
    }

    /// bias + Σ coefficient · direction, features ascending.
    fn sum(&self, active: &[(u32, f32)], row: &mut [f32]) {
        row.copy_from_slice(&self.bias);
        for &(f, value) in active {
            let direction = &self.directions[f as usize * row.len()..][..row.len()];
            row.iter_mut().zip(direction).for_each(|(x, v)| *x += value * v);
        }
    }
}

/// The e that each drive of a block needs in order to fire: threshold/s − (w/s)·z. weights `[R, LANES]`.
fn needed_noise(weights: &[f32], thresholds: &[f32], z: &[f32]) -> [f32; LANES] {
    let mut needed = [0.0; LANES];
    needed.copy_from_slice(thresholds);
    for (weights, &z) in weights.chunks_exact(LANES).zip(z) {
        for l in 0..LANES {
            needed[l] -= weights[l] * z;
        }
    }
    needed
}

/// The table, spreads drawn in the order of features.
fn table(config: &PlantedConfig, first_group: usize, rng: &mut ChaCha8Rng) -> Vec<Feature> {
    let mut features: Vec<Feature> =
        (0..config.features).map(|i| feature(config, first_group, i, rng)).collect();
    for parent in 0..config.parents() {
        let given = features[parent].rate;
        let siblings = &mut features[config.children(parent)];
        let asked: f64 = siblings.iter().map(|f| f.asked).sum();
        siblings.iter_mut().for_each(|f| f.rate = f.asked * (given / asked).min(1.0));
    }
    features
}

fn feature(config: &PlantedConfig, first_group: usize, i: usize, rng: &mut ChaCha8Rng) -> Feature {
    let (tree, first_circle) = (config.tree_features(), config.first_circle());
    let parent = (config.roots <= i && i < tree).then(|| (i - config.roots) / config.branching);
    let circle = (i >= first_circle).then(|| (i - first_circle) / 2);
    let drive = match (parent, circle) {
        (Some(parent), _) => first_group + parent,
        (_, Some(circle)) => first_group - config.circles + circle,
        _ if i < config.roots => i,
        _ => config.roots + i - tree,
    };
    let asked = circle.map_or_else(|| config.zipf(i), |c| config.circle_rate(c));
    let along = i as f32 / (config.features - 1) as f32;
    let (first, last) = config.magnitude_means;
    let (mean, deviation) = config.magnitude_spread;
    Feature {
        parent: parent.map(|p| p as u32),
        group: parent.map(|p| p as u32),
        circle: circle.map(|c| c as u32),
        asked,
        rate: asked,
        mean: first + (last - first) * along,
        spread: (mean + deviation * normal(rng)).abs(),
        drive: drive as u32,
    }
}

/// w `[drives, R]` and s `[drives]`.
fn draw_loadings(config: &PlantedConfig, first_group: usize, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
    let rank = config.correlation_rank;
    let mut loadings = normals((first_group + config.parents()) * rank, rng);
    loadings.iter_mut().for_each(|w| *w *= config.correlation_scale as f32);
    for parent in 0..config.parents() {
        let (above, own) = loadings.split_at_mut((first_group + parent) * rank);
        let mut ancestor = parent;
        while ancestor >= config.roots {
            ancestor = (ancestor - config.roots) / config.branching;
            remove_component(&mut own[..rank], &above[(first_group + ancestor) * rank..][..rank]);
        }
        // After the loop `ancestor` is the root, which fires by its own drive.
        remove_component(&mut own[..rank], &above[ancestor * rank..][..rank]);
    }
    let own = loadings.chunks_exact_mut(rank).map(own_deviation).collect();
    (loadings, own)
}

/// s = √(1 − ‖w‖²); w is shortened where the common part would take more than 99 % of the variance, as published.
fn own_deviation(w: &mut [f32]) -> f32 {
    if dot(w, w) > 0.99 {
        scale_to(w, 0.99f32.sqrt());
    }
    (1.0 - dot(w, w)).sqrt()
}

/// The thresholds of the drives that fire alone, divided by s, in blocks of `LANES`.
fn screen(
    config: &PlantedConfig,
    features: &[Feature],
    loadings: &[f32],
    own: &[f32],
    first_group: usize,
) -> (Vec<f32>, Vec<f32>) {
    let (rank, blocks) = (config.correlation_rank, first_group.div_ceil(LANES));
    let (mut screen, mut thresholds) =
        (vec![0.0; blocks * rank * LANES], vec![f32::INFINITY; blocks * LANES]);
    for f in features.iter().filter(|f| f.parent.is_none()) {
        let drive = f.drive as usize;
        thresholds[drive] = (upper(f.rate) / f64::from(own[drive])) as f32;
        for r in 0..rank {
            let at = (drive / LANES * rank + r) * LANES + drive % LANES;
            screen[at] = loadings[drive * rank + r] / own[drive];
        }
    }
    (screen, thresholds)
}

/// The cuts of each group `[parents, branching]`: child j's interval ends at the quantile of what children 0 ..= j take.
fn cuts(config: &PlantedConfig, features: &[Feature]) -> Vec<f32> {
    let mut cuts = Vec::with_capacity(config.parents() * config.branching);
    for parent in 0..config.parents() {
        let mut taken = 0.0;
        for child in &features[config.children(parent)] {
            taken += child.rate / features[parent].rate;
            // Full within rounding: the rest of the line, so that a parent shared out fully never stays alone.
            cuts.push(if taken > 1.0 - 1e-9 { f32::NEG_INFINITY } else { upper(taken) as f32 });
        }
    }
    cuts
}

/// Unit directions `[M, D]`, made more orthogonal; then the second of each circle exactly orthogonal to the first.
fn draw_directions(config: &PlantedConfig, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let d = config.d;
    let mut directions = normals(config.features * d, rng);
    directions.chunks_exact_mut(d).for_each(|v| scale_to(v, 1.0));
    orthogonalise(&mut directions, d, config.orthogonal_steps, config.orthogonal_lr);
    for pair in directions[config.first_circle() * d..].chunks_exact_mut(2 * d) {
        let (first, second) = pair.split_at_mut(d);
        remove_component(second, first);
        scale_to(second, 1.0);
    }
    directions
}

/// v minus its component along u.
fn remove_component(v: &mut [f32], u: &[f32]) {
    let share = dot(v, u) / dot(u, u);
    v.iter_mut().zip(u).for_each(|(v, u)| *v -= share * u);
}
