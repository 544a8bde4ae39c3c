//! Which next tokens a direction in the residual stream speaks for, by itself: the direct logit effect W_U (γ ⊙ d) of a decoder
//! row d, with the gain γ of the final norm. Later layers may do otherwise.

use lapidary_lm::Model;
use lapidary_lm::spec::NormKind;

/// The `most` tokens whose logits the direction `[D]` raises most, the strongest first, each with its share of the strongest
/// effect. None for a model whose final norm has a mean and a bias: there the effect of a direction alone says less.
pub fn promoted(model: &Model, direction: &[f32], most: usize) -> Option<Vec<(u32, f64)>> {
    if model.spec.norm != NormKind::Rms || direction.iter().all(|&x| x == 0.0) {
        return None;
    }
    // An RMS norm only scales a direction, and a soft-cap is monotone: the order of the logits is that of the effects.
    let logits = model.unembed(direction);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
    let best = order.first().map_or(1.0, |&t| f64::from(logits[t as usize]));
    Some(order.into_iter().take(most).map(|t| (t, f64::from(logits[t as usize]) / best)).collect())
}
