//! What a direction in the residual stream after the last layer adds to the logits by itself: W_U (γ ⊙ d), without the final norm's
//! scale, which depends on everything else in the stream, and without the soft-cap, which is monotone. A LayerNorm takes the mean
//! of d away first. And where in the stream a direction at a site points.

use crate::model::Model;
use crate::site::{Site, SiteKind};
use crate::spec::NormKind;
use lapidary_kernels::Operand;

impl Model {
    /// Direct logit effects [n, V] of directions d [n, D]; without γ, the final norm's gain, if not `with_gain`.
    pub fn logit_effects(&self, directions: &[f32], with_gain: bool) -> Vec<f32> {
        let (d, v) = (self.spec.d_model, self.spec.vocab);
        assert_eq!(directions.len() % d, 0, "logit effects: directions [n, {d}]");
        let mut rows = directions.to_vec();
        for row in rows.chunks_exact_mut(d) {
            if self.spec.norm == NormKind::Layer {
                let mean = row.iter().sum::<f32>() / d as f32;
                row.iter_mut().for_each(|x| *x -= mean);
            }
            if with_gain {
                row.iter_mut().zip(&self.weights.norm.gain).for_each(|(x, gain)| *x *= gain);
            }
        }
        let mut effects = vec![0.0; rows.len() / d * v];
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embed);
        let head = self.device.matrix(head.operand(self.precision), d, rows.len() / d);
        self.device.multiply(&rows, &head, None, &mut effects);
        effects
    }

    /// What directions [n, width] at `site` add to the residual stream [n, D], up to the scale of a post-norm: those of the heads go
    /// through W_O and the post-norm's gain. `None` at an MLP's input, which adds nothing by itself.
    pub fn to_stream(&self, site: Site, directions: &[f32]) -> Option<Vec<f32>> {
        match site.kind {
            SiteKind::Res | SiteKind::Mid | SiteKind::Embed | SiteKind::Mlp | SiteKind::Attn => {
                Some(directions.to_vec())
            }
            SiteKind::MlpIn => None,
            SiteKind::Att => {
                let (layer, wide) = (&self.weights.layers[site.layer], self.spec.width(site));
                let (d, rows) = (self.spec.d_model, directions.len() / wide);
                let mut out = vec![0.0; rows * d];
                let w = layer.o.weight.to_f32();
                let w = self.device.matrix(Operand::F32(&w), wide, rows);
                self.device.multiply(directions, &w, None, &mut out);
                if let Some(norm) = &layer.attn_post_norm {
                    let scale = |row: &mut [f32]| row.iter_mut().zip(&norm.gain).for_each(|(x, g)| *x *= g);
                    out.chunks_exact_mut(d).for_each(scale);
                }
                Some(out)
            }
        }
    }
}
