//! Causal attention of grouped heads over a store of keys and values; the same code for prefill and for decoding.
//!
//! For the row at position i, head h, group g = h / (H/G), over the visible keys j = first..=i:
//! s_j = cap(scale · q·k_j), p = softmax(s), z = Σ_j p_j v_j. `first` is 0, or i − window + 1 in a sliding layer.
//! Both products begin at the first visible key, so no bit depends on what else is in the batch or in the store.
//! (<https://arxiv.org/abs/1706.03762>; grouped heads: <https://arxiv.org/abs/2305.13245>.)

use crate::spec::Spec;
use lapidary_kernels::Device;
use lapidary_kernels::naive::LANES;
use rayon::prelude::*;

/// Rows of one sequence that one task attends from.
const TASK_ROWS: usize = 32;

/// Keys and values of one sequence in one layer, both transposed: the scores of a query are then a weighted sum of rows that
/// runs along the keys, and each output component is one dot product over the keys. Both vectorise whatever A is.
#[derive(Clone, Debug)]
pub(crate) struct KeyValues {
    /// Positions that are filled.
    pub(crate) len: usize,
    capacity: usize,  // C, with room to read on to a whole register of keys
    keys: Vec<f32>,   // [G, A, C]
    values: Vec<f32>, // [G, A, C]
}

impl KeyValues {
    pub(crate) fn new(spec: &Spec, capacity: usize) -> KeyValues {
        let capacity = capacity + LANES;
        let zeros = || vec![0.0; spec.kv_heads * spec.d_head * capacity];
        KeyValues { len: 0, capacity, keys: zeros(), values: zeros() }
    }

    /// Appends rows of (rotated) keys and of values, both [n, G·A].
    fn append(&mut self, spec: &Spec, keys: &[f32], values: &[f32]) {
        let width = spec.kv_heads * spec.d_head;
        for (k, v) in keys.chunks_exact(width).zip(values.chunks_exact(width)) {
            for c in 0..width {
                self.keys[c * self.capacity + self.len] = k[c];
                self.values[c * self.capacity + self.len] = v[c];
            }
            self.len += 1;
        }
    }
}

/// What attention needs besides numbers.
pub(crate) struct Attention<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) device: Device,
    pub(crate) window: Option<usize>,
    /// Sequence b is rows `starts[b]..starts[b + 1]`.
    pub(crate) starts: &'a [usize],
}

impl Attention<'_> {
    /// Appends the batch's keys and values [N, G·A] to the stores of its sequences, then attends: q [N, H·A] → z [N, H·A].
    pub(crate) fn run(&self, q: &[f32], k: &[f32], v: &[f32], stores: &mut [KeyValues], z: &mut [f32]) {
        let kv = self.spec.kv_heads * self.spec.d_head;
        stores.par_iter_mut().enumerate().for_each(|(b, store)| {
            let rows = self.starts[b] * kv..self.starts[b + 1] * kv;
            store.append(self.spec, &k[rows.clone()], &v[rows]);
        });
        let longest = stores.iter().map(|s| s.len).max().unwrap_or(0);
        let group = self.spec.heads / self.spec.kv_heads;
        let scores = || vec![0.0; group * longest.next_multiple_of(LANES)];
        let tasks = self.tasks(stores, q, z).into_par_iter();
        tasks.for_each_init(scores, |scores, task| self.attend(task, scores));
    }

    /// The batch in pieces of at most `TASK_ROWS` rows of one sequence.
    fn tasks<'t>(&self, stores: &'t [KeyValues], q: &'t [f32], mut z: &'t mut [f32]) -> Vec<Task<'t>> {
        let width = self.spec.heads * self.spec.d_head;
        let mut tasks = Vec::new();
        for (b, store) in stores.iter().enumerate() {
            let (start, end) = (self.starts[b], self.starts[b + 1]);
            for row in (start..end).step_by(TASK_ROWS) {
                let rows = TASK_ROWS.min(end - row);
                let (out, rest) = z.split_at_mut(rows * width);
                z = rest;
                let position = store.len - (end - row);
                tasks.push(Task { store, position, q: &q[row * width..][..rows * width], z: out });
            }
        }
        tasks
    }

    fn attend(&self, task: Task<'_>, scores: &mut [f32]) {
        let (spec, device, a) = (self.spec, self.device, self.spec.d_head);
        let (store, width, group) = (task.store, spec.heads * spec.d_head, spec.heads / spec.kv_heads);
        for (n, (q, z)) in task.q.chunks_exact(width).zip(task.z.chunks_exact_mut(width)).enumerate() {
            let i = task.position + n;
            let first = self.window.map_or(0, |w| (i + 1).saturating_sub(w));
            let (keys, wide) = (i - first + 1, (i - first + 1).next_multiple_of(LANES));
            for (g, (q, z)) in q.chunks_exact(group * a).zip(z.chunks_exact_mut(group * a)).enumerate() {
                let at = g * a * store.capacity + first;
                let scores = &mut scores[..group * wide]; // what is past `keys` is computed and not used
                // The heads of a group read the same keys and values.
                device.weighted_sums(group, q, &store.keys[at..], store.capacity, scores);
                for scores in scores.chunks_exact_mut(wide) {
                    let scores = &mut scores[..keys];
                    scores.iter_mut().for_each(|s| *s *= spec.attn_scale);
                    if let Some(cap) = spec.attn_cap {
                        device.softcap(scores, cap);
                    }
                    device.softmax(scores);
                }
                device.dot_block(scores, wide, keys, &store.values[at..], store.capacity, z);
            }
        }
    }
}

/// Consecutive rows of one sequence.
struct Task<'a> {
    store: &'a KeyValues,
    position: usize,  // of the first row
    q: &'a [f32],     // [n, H·A]
    z: &'a mut [f32], // [n, H·A]
}
