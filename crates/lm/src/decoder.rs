//! The layers, once for all families: x ← x + post(attention(norm x)), x ← x + post(mlp(norm x)), or both from the same x,
//! with a tap at every place that [`SiteKind`] names. Which norms there are, what they are and all else in which families
//! differ is asked of the [`crate::spec::Spec`], never of the family.
//!
//! Work is cut into tiles of rows for the products and into rows of one sequence for attention; no value depends on
//! either cut, nor on the number of threads.

use crate::attention::{Attention, KeyValues};
use crate::model::Model;
use crate::rope::Rotations;
use crate::site::{Site, SiteKind};
use crate::spec::{Activation, NormKind};
use crate::weights::{LayerWeights, Linear, Norm};
use lapidary_kernels::{Matrix, Term};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Rows that one task multiplies (the kernels' own panel).
const TILE_ROWS: usize = 48;

/// The caller's sites and closure.
pub(crate) struct Taps<'a> {
    sites: Vec<Site>, // each once, in order of execution
    met: usize,
    tap: &'a mut dyn FnMut(Site, &mut [f32]),
    stops: bool,
}

impl<'a> Taps<'a> {
    /// `stops`: the run ends after the last of `sites`.
    pub(crate) fn new(sites: &[Site], tap: &'a mut dyn FnMut(Site, &mut [f32]), stops: bool) -> Taps<'a> {
        let mut sites = sites.to_vec();
        sites.sort_by_key(|s| s.rank());
        sites.dedup();
        Taps { sites, met: 0, tap, stops }
    }

    /// Forgets the sites before `layer`, which a run that starts there never meets.
    pub(crate) fn start_at(&mut self, layer: usize) {
        self.met = self.sites.partition_point(|s| s.kind == SiteKind::Embed || s.layer < layer);
    }

    /// The run is at `site`: breaks if nothing more is wanted.
    pub(crate) fn visit(&mut self, layer: usize, kind: SiteKind, rows: &mut [f32]) -> ControlFlow<()> {
        let site = Site::new(layer, kind);
        if self.sites.get(self.met) == Some(&site) {
            (self.tap)(site, rows);
            self.met += 1;
        }
        match self.stops && self.met == self.sites.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Where the rows of a batch stand, and the keys and values before them.
pub(crate) struct Run<'a> {
    /// Sequence b is rows `starts[b]..starts[b + 1]`.
    pub(crate) starts: &'a [usize],
    /// Position of each row in its sequence [N].
    pub(crate) positions: Vec<usize>,
    rotations: Option<Rotations>,
    local_rotations: Option<Rotations>, // of the layers with a window, where they are others
}

impl<'a> Run<'a> {
    /// A batch whose sequences begin at position `past`.
    pub(crate) fn new(model: &Model, starts: &'a [usize], past: usize) -> Run<'a> {
        let positions: Vec<usize> = starts.windows(2).flat_map(|s| past..past + s[1] - s[0]).collect();
        let end = positions.iter().max().map_or(past, |p| p + 1);
        let spec = &model.spec;
        let [rotations, local_rotations] = [&spec.rope, &spec.local_rope]
            .map(|rope| rope.as_ref().map(|rope| Rotations::new(rope, spec.d_head, past..end)));
        Run { starts, positions, rotations, local_rotations }
    }

    fn rotations(&self, window: Option<usize>) -> Option<&Rotations> {
        let local = window.and(self.local_rotations.as_ref());
        local.or(self.rotations.as_ref())
    }
}

/// Buffers that all layers share.
pub(crate) struct Buffers {
    q: Vec<f32>,      // [N, H·A]
    k: Vec<f32>,      // [N, G·A]
    v: Vec<f32>,      // [N, G·A]
    z: Vec<f32>,      // [N, H·A]
    delta: Vec<f32>,  // [N, D], what is added to the stream
    normed: Vec<f32>, // [N, D]
}

impl Buffers {
    pub(crate) fn new(model: &Model, n: usize) -> Buffers {
        let s = &model.spec;
        let zeros = |width: usize| vec![0.0; n * width];
        let (q, kv, d) = (s.heads * s.d_head, s.kv_heads * s.d_head, s.d_model);
        Buffers { q: zeros(q), k: zeros(kv), v: zeros(kv), z: zeros(q), delta: zeros(d), normed: zeros(d) }
    }
}

impl Model {
    /// One layer: x [N, D] goes from the stream that enters to the stream that leaves. `stores` [B] hold the earlier keys
    /// and values of each sequence in this layer.
    pub(crate) fn layer(
        &self,
        l: usize,
        run: &Run<'_>,
        x: &mut [f32],
        stores: &mut [KeyValues],
        buffers: &mut Buffers,
        taps: &mut Taps<'_>,
    ) -> ControlFlow<()> {
        let Buffers { q, k, v, z, delta, normed } = buffers;
        let w = &self.weights.layers[l];
        let window = self.spec.windows[l];
        self.project(w, run, run.rotations(window), x, [q, k, v]);
        let attention = Attention { spec: &self.spec, device: self.device, window, starts: run.starts };
        attention.run(q, k, v, stores, z);
        taps.visit(l, SiteKind::Att, z)?;
        self.output(&w.o, w.attn_post_norm.as_ref(), z, delta);
        taps.visit(l, SiteKind::Attn, delta)?;
        if self.spec.parallel {
            self.mlp_input(x, normed);
            add(x, delta);
        } else {
            add(x, delta);
            taps.visit(l, SiteKind::Mid, x)?;
            self.mlp_input(x, normed);
        }
        taps.visit(l, SiteKind::MlpIn, normed)?;
        self.mlp(w, normed, delta);
        taps.visit(l, SiteKind::Mlp, delta)?;
        add(x, delta);
        taps.visit(l, SiteKind::Res, x)
    }

    /// x [N, D] → norm → normed and rotated q [N, H·A] and k [N, G·A], v [N, G·A].
    fn project(
        &self,
        w: &LayerWeights,
        run: &Run<'_>,
        rotations: Option<&Rotations>,
        x: &[f32],
        [q, k, v]: [&mut [f32]; 3],
    ) {
        let (d, rows) = (self.spec.d_model, run.positions.len());
        let (wide, narrow) = (self.spec.heads * self.spec.d_head, self.spec.kv_heads * self.spec.d_head);
        let [wq, wk, wv] = [&w.q, &w.k, &w.v].map(|w| self.product(w, d, rows));
        let (share, t) = wq.cut(rows);
        let inputs = x.par_chunks(t * d).zip(run.positions.par_chunks(t));
        let outputs =
            q.par_chunks_mut(t * wide).zip(k.par_chunks_mut(t * narrow)).zip(v.par_chunks_mut(t * narrow));
        inputs.zip(outputs).for_each_init(
            Vec::new,
            |normed: &mut Vec<f32>, ((x, positions), ((q, k), v))| {
                let x = match &w.attn_norm {
                    Some(norm) => {
                        normed.resize(x.len(), 0.0);
                        self.norm_tile(x, Some(norm), normed);
                        normed
                    }
                    None => x,
                };
                self.multiply(share, x, [(&wq, &mut *q), (&wk, &mut *k), (&wv, v)]);
                for (rows, width, gain) in [(q, wide, &w.q_norm), (k, narrow, &w.k_norm)] {
                    gain.iter().for_each(|gain| self.rms_in_place(rows, gain));
                    for (row, &position) in rows.chunks_exact_mut(width).zip(positions) {
                        rotations.iter().for_each(|rotations| rotations.apply(row, position));
                    }
                }
            },
        );
    }

    /// What the MLP reads, without the norm's gain: x [N, D] → normed [N, D].
    fn mlp_input(&self, x: &[f32], normed: &mut [f32]) {
        match self.spec.pre_norms {
            true => self.norm(x, None, normed),
            false => normed.copy_from_slice(x),
        }
    }

    /// A product and, in families with post-norms, the norm after it: x [N, in] → out [N, D].
    fn output(&self, w: &Linear, post: Option<&Norm>, x: &[f32], out: &mut [f32]) {
        let (d, width) = (self.spec.d_model, w.weight.len() / self.spec.d_model);
        let w = self.product(w, width, out.len() / d);
        let (share, t) = w.cut(out.len() / d);
        x.par_chunks(t * width).zip(out.par_chunks_mut(t * d)).for_each(|(x, out)| {
            self.multiply(share, x, [(&w, &mut *out)]);
            self.post_norm_tile(post, out);
        });
    }

    /// normed [N, D], still without gain → what the MLP adds to the stream [N, D].
    fn mlp(&self, w: &LayerWeights, normed: &[f32], out: &mut [f32]) {
        let (d, m, device) = (self.spec.d_model, self.spec.d_mlp, self.device);
        let rows = out.len() / d;
        let to_gate = w.gate.as_ref().map(|gate| self.product(gate, d, rows));
        let (to_up, down) = (self.product(&w.up, d, rows), self.product(&w.down, m, rows));
        let (share, t) = to_up.cut(rows);
        let tiles = normed.par_chunks(t * d).zip(out.par_chunks_mut(t * d));
        tiles.for_each_init(
            Default::default,
            |(x, gate, up): &mut (Vec<f32>, Vec<f32>, Vec<f32>), (normed, out)| {
                x.resize(normed.len(), 0.0);
                x.copy_from_slice(normed);
                w.mlp_norm.iter().for_each(|norm| x.chunks_exact_mut(d).for_each(|row| scale(row, norm)));
                gate.resize(x.len() / d * m, 0.0);
                up.resize(x.len() / d * m, 1.0);
                match &to_gate {
                    Some(to_gate) => self.multiply(share, x, [(to_gate, &mut *gate), (&to_up, &mut *up)]),
                    None => self.multiply(share, x, [(&to_up, &mut *gate)]), // f(up x) · 1
                }
                match self.spec.activation {
                    Activation::Silu => device.silu_mul(gate, up),
                    Activation::Gelu => device.gelu_mul(gate, up),
                    Activation::GeluTanh => device.gelu_tanh_mul(gate, up),
                }
                self.multiply(share, gate, [(&down, &mut *out)]);
                self.post_norm_tile(w.mlp_post_norm.as_ref(), out);
            },
        );
    }

    /// x [N, D] → its norm [N, D], with gain and bias if they are given.
    pub(crate) fn norm(&self, x: &[f32], gain: Option<&Norm>, out: &mut [f32]) {
        let d = self.spec.d_model;
        let t = tile_rows(x.len() / d);
        let tiles = x.par_chunks(t * d).zip(out.par_chunks_mut(t * d));
        tiles.for_each(|(x, out)| self.norm_tile(x, gain, out));
    }

    fn norm_tile(&self, x: &[f32], gain: Option<&Norm>, out: &mut [f32]) {
        let (d, eps) = (self.spec.d_model, self.spec.norm_eps);
        for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            match self.spec.norm {
                NormKind::Rms => self.device.rms_norm(x, eps, out),
                NormKind::Layer => self.device.centred_norm(x, eps, out),
            }
            gain.iter().for_each(|gain| scale(out, gain));
        }
    }

    fn post_norm_tile(&self, gain: Option<&Norm>, rows: &mut [f32]) {
        let Some(gain) = gain else { return };
        let mut normed = vec![0.0; rows.len()];
        self.norm_tile(rows, Some(gain), &mut normed);
        rows.copy_from_slice(&normed);
    }

    /// RMSNorm of every piece of `gain`'s width, in place: heads, or all heads of a row.
    fn rms_in_place(&self, rows: &mut [f32], gain: &[f32]) {
        let mut normed = vec![0.0; gain.len()];
        for piece in rows.chunks_exact_mut(gain.len()) {
            self.device.rms_norm(piece, self.spec.norm_eps, &mut normed);
            piece.iter_mut().zip(&normed).zip(gain).for_each(|((x, n), g)| *x = n * g);
        }
    }
}

/// Few rows are cut finer, so that every thread has some.
fn tile_rows(n: usize) -> usize {
    n.div_ceil(rayon::current_num_threads()).clamp(1, TILE_ROWS)
}

/// A linear map, made ready once for all tiles of a batch.
struct Product<'a> {
    matrix: Matrix<'a>,
    bias: Option<&'a [f32]>,
}

impl Product<'_> {
    /// Do the threads share the columns of n rows, which are then one tile? And rows of a tile.
    fn cut(&self, n: usize) -> (bool, usize) {
        if self.matrix.is_wide(n) { (true, n) } else { (false, tile_rows(n)) }
    }
}

impl Model {
    /// For `rows` rows of width `d` in all.
    fn product<'a>(&self, w: &'a Linear, d: usize, rows: usize) -> Product<'a> {
        let matrix = self.device.matrix(w.weight.operand(self.precision), d, rows);
        Product { matrix, bias: w.bias.as_deref() }
    }

    /// x [n, D] → each out [n, M], a tile: on this thread, or, if they `share`, on all of them.
    fn multiply<'a, const K: usize>(
        &self,
        share: bool,
        x: &[f32],
        maps: [(&'a Product<'a>, &'a mut [f32]); K],
    ) {
        let terms = maps.map(|(map, out)| Term { matrix: &map.matrix, bias: map.bias, out });
        match share {
            true => self.device.multiply_wide(x, terms.into()),
            false => terms.into_iter().for_each(|t| self.device.linear_tile(x, t.matrix, t.bias, t.out)),
        }
    }
}

fn scale(row: &mut [f32], norm: &Norm) {
    row.iter_mut().zip(&norm.gain).for_each(|(x, g)| *x *= g);
    norm.bias.iter().for_each(|bias| add(row, bias));
}

fn add(x: &mut [f32], delta: &[f32]) {
    x.iter_mut().zip(delta).for_each(|(x, d)| *x += d);
}
