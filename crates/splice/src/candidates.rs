//! What a model held likely at each token of an answer that it wrote: the log-probability of the token that was chosen, and those of
//! the likeliest ones, under the same interventions. Without temperature; nats; sums in f64.

use crate::sweep::log_sum;
use crate::{SpliceError, Steering};
use lapidary_lm::{Batch, Model};

/// Logits that are held at once.
const LOGITS: usize = 1 << 20;

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    /// Which was chosen.
    pub token: u32,
    /// ln p(token).
    pub logprob: f64,
    /// The likeliest tokens with theirs, the likeliest first; equal ones by id.
    pub top: Vec<(u32, f64)>,
}

/// Of each token of `answer` to `prompt` that the model, or the steered one, wrote; `most` of the likeliest.
///
/// # Errors
/// A sequence that the model cannot read.
pub fn candidates(
    model: &Model,
    steering: Option<&Steering<'_>>,
    (prompt, answer): (&[u32], &[u32]),
    most: usize,
) -> Result<Vec<Candidates>, SpliceError> {
    let whole = [prompt, answer].concat();
    let residual = match steering {
        Some(steering) => steering.forward(&whole, prompt.len())?,
        None => {
            model.spec.check_tokens(&whole)?;
            model.forward(&Batch::new([whole.as_slice()]), &[], &mut |_, _| ())
        }
    };
    let (d, v) = (model.spec.d_model, model.spec.vocab);
    let rows = &residual[(prompt.len() - 1) * d..(whole.len() - 1) * d];
    let at_once = (LOGITS / v).max(1);
    let mut out = Vec::with_capacity(answer.len());
    for (rows, tokens) in rows.chunks(at_once * d).zip(answer.chunks(at_once)) {
        let logits = model.unembed(rows);
        let of = |(logits, token): (&[f32], &u32)| at(logits, *token, most);
        out.extend(logits.chunks_exact(v).zip(tokens).map(of));
    }
    Ok(out)
}

fn at(logits: &[f32], token: u32, most: usize) -> Candidates {
    let z = log_sum(logits);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let better = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let most = most.min(order.len());
    if most < order.len() {
        order.select_nth_unstable_by(most, better);
        order.truncate(most);
    }
    order.sort_unstable_by(better);
    let logprob = |token: u32| f64::from(logits[token as usize]) - z;
    Candidates { token, logprob: logprob(token), top: order.into_iter().map(|t| (t, logprob(t))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Device;
    use std::path::Path;

    /// p = (1/8, 1/2, 1/4, 1/8).
    #[test]
    fn the_likeliest_by_hand() {
        let logits = [0.0, 4.0f32.ln(), 2.0f32.ln(), 0.0];
        let found = at(&logits, 3, 3);
        let expected = [(1, 0.5f64), (2, 0.25), (0, 0.125)];
        assert!((found.logprob - 0.125f64.ln()).abs() < 1e-7);
        for ((token, logprob), (id, p)) in found.top.iter().zip(expected) {
            assert!(*token == id && (logprob - p.ln()).abs() < 1e-7, "{found:?}");
        }
        assert_eq!((found.top.len(), at(&logits, 0, 9).top.len(), at(&logits, 0, 0).top.len()), (3, 4, 0));
    }

    /// The loss of each token, which the model computes in another way, with its sign changed.
    #[test]
    fn log_probabilities_are_losses() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
        let model = Model::load(&folder, Device::detect()).expect("the fixture model");
        let whole: [u32; 7] = [1, 5, 6, 7, 8, 9, 5];
        let residual = model.forward(&Batch::new([whole.as_slice()]), &[], &mut |_, _| ());
        let d = model.spec.d_model;
        let losses = model.cross_entropy(&residual[2 * d..6 * d], &whole[3..]);
        let found = candidates(&model, None, (&whole[..3], &whole[3..]), model.spec.vocab).expect("tokens");
        for ((one, loss), token) in found.iter().zip(&losses).zip(&whole[3..]) {
            assert!(one.token == *token && (one.logprob + loss).abs() < 1e-6, "{one:?} {loss}");
            let all: f64 = one.top.iter().map(|(_, logprob)| logprob.exp()).sum();
            assert!((all - 1.0).abs() < 1e-9 && one.top.is_sorted_by(|a, b| a.1 >= b.1));
        }
        assert_eq!(found.len(), 4);
    }
}
