//! Does the model still answer right? Tasks of the language whose answer the text determines, with a dictionary in the place of a site: its rows
//! are replaced by the reconstruction, and all words of an answer must be the model's first choice.

use crate::LabError;
use crate::rung::{Rung, WORLD_SEED};
use lapidary_dictionary::Dictionary;
use lapidary_ground_truth::knowledge::{Tally, window};
use lapidary_splice::{Base, Splice};
use lapidary_text::Window;
use lapidary_world::{Config, Corpus, Policy, Sample};

/// Documents in a batch.
const BATCH: usize = 64;
/// Answers from which on a task counts.
const LEAST: u64 = 20;

/// Mean accuracy over tasks with each dictionary spliced in, and last without any; and how many answers that is of. Nothing on planted rows. On the first
/// `documents` of a seed that no row comes from.
///
/// # Errors
/// The model cannot be read.
pub(super) fn accuracies(
    rung: &Rung,
    all: &[(String, Dictionary)],
    documents: u64,
) -> Result<Option<(Vec<f64>, u64)>, LabError> {
    let (Some(model), [site, ..]) = (rung.model()?, rung.model_sites()) else { return Ok(None) };
    let corpus = Corpus { seed: WORLD_SEED + 1, config: Config::default() };
    let samples: Vec<Sample> = (0..documents).map(|n| corpus.sample(n)).collect();
    let mut tallies: Vec<Tally> = (0..=all.len()).map(|_| Tally::default()).collect();
    for samples in samples.chunks(BATCH) {
        let window = |(n, sample): (usize, &Sample)| Window {
            doc: n as u32,
            pos: 0,
            tokens: window(sample, model.spec.bos),
        };
        let windows: Vec<Window> = samples.iter().enumerate().map(window).collect();
        let base = Base::run(model, &windows, &[*site]);
        for (tally, (_, dictionary)) in tallies.iter_mut().zip(all) {
            let residual = base.splice(model, *site, Splice::Reconstruct(dictionary));
            tally.add_answers(model, samples, &base.batch.starts, &residual, Policy::Base);
        }
        tallies[all.len()].add_answers(model, samples, &base.batch.starts, &base.residual, Policy::Base);
    }
    let answers = tallies[all.len()].tasks.values().map(|task| task.answers).filter(|&n| n >= LEAST).sum();
    Ok(Some((tallies.iter().map(mean).collect(), answers)))
}

fn mean(tally: &Tally) -> f64 {
    let counted = tally.tasks.values().filter(|task| task.answers >= LEAST);
    let shares: Vec<f64> = counted.map(|task| task.right as f64 / task.answers as f64).collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ground_truth::knowledge::Accuracy;

    /// 30 of 40 and 5 of 20 right, and a task with too few answers: (.75 + .25)/2.
    #[test]
    fn tasks_count_alike_if_they_are_asked_often_enough() {
        let task = |right, answers| Accuracy { right, answers, ..Accuracy::default() };
        let mut tally = Tally::default();
        tally.tasks.extend([("a", task(30, 40)), ("b", task(5, 20)), ("c", task(19, 19))]);
        assert_eq!(mean(&tally), 0.5);
    }
}
