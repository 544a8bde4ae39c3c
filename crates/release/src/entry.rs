//! A scored dictionary with what pictures, pages and the canonical choice group it by: where it reads, what it is, how sparse it was
//! asked to be.

use crate::EvaluationFile;
use lapidary_dictionary::{Baseline, Setting};
use lapidary_evaluation::Scores;
use lapidary_suite::RunPlan;
use lapidary_suite::subjects::Named;
use lapidary_suite::words::{label, setting};

/// What is known of a scored dictionary beside its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Everything that was measured of it.
    pub scores: &'a Scores,
    /// Their place in `evaluation.json`.
    pub number: usize,
    /// `2.res`, `3.mlp-in → 3.mlp`
    pub place: String,
    /// Of what it reads; none for the embedding.
    pub layer: Option<u32>,
    /// `res`, `mlp-in → mlp`
    pub kind: String,
    /// As a suite calls it: `jumprelu`, `topk`
    pub architecture: String,
    /// What it was asked for.
    pub setting: Option<Setting>,
    /// What it is, if it is there to be beaten: `frozen decoder`
    pub baseline: Option<String>,
}

impl<'a> Entry<'a> {
    /// By the label that tables give it, `2.res topk frozen-decoder`.
    pub fn new(scores: &'a Scores, label: &str, setting: Option<Setting>) -> Entry<'a> {
        let Scores { site, reads, .. } = scores;
        let read = reads.as_ref().unwrap_or(site);
        let place = reads.as_ref().map_or(site.clone(), |reads| format!("{reads} → {site}"));
        let rest = label.strip_prefix(place.as_str()).unwrap_or_default().trim();
        let known = [Baseline::FrozenDecoder, Baseline::RandomLm, Baseline::FrozenEncoder, Baseline::Random];
        let of = |b: Baseline| rest.strip_suffix(&b.to_string()).map(|rest| (rest.trim(), b));
        let (rest, baseline) =
            known.into_iter().find_map(of).map_or((rest, None), |(rest, b)| (rest, Some(b)));
        let layer = read.split_once('.').and_then(|(layer, _)| layer.parse().ok());
        Entry {
            scores,
            number: 0,
            layer,
            kind: kind(read, site),
            architecture: if rest.is_empty() { "jumprelu".into() } else { rest.into() },
            setting,
            baseline: baseline.map(|b| b.to_string().replace('-', " ")),
            place,
        }
    }

    /// The scores of a run, as its plan calls them.
    pub fn of_run(file: &'a EvaluationFile, plan: &RunPlan) -> Vec<Entry<'a>> {
        let of = |scores: &'a Scores| {
            let d = plan.training.dictionaries.iter().find(|d| d.name == scores.name);
            Entry::new(scores, &d.map_or(scores.site.clone(), label), d.map(setting))
        };
        numbered(file.scores.iter().map(of))
    }

    /// The scores of dictionaries that read the model, in the order in which they were scored.
    pub fn of_named<'n>(file: &'a EvaluationFile, named: impl Iterator<Item = &'n Named>) -> Vec<Entry<'a>> {
        numbered(file.scores.iter().zip(named).map(|(s, named)| Entry::new(s, &named.label, named.setting)))
    }
}

fn numbered<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<Entry<'a>> {
    entries.enumerate().map(|(number, entry)| Entry { number, ..entry }).collect()
}

/// `3.mlp-in`, `3.mlp` → `mlp-in → mlp`; across layers, both are named.
fn kind(read: &str, written: &str) -> String {
    let of = |site: &str| site.split_once('.').map_or(site.to_string(), |(_, kind)| kind.into());
    let layer = |site: &str| site.split_once('.').map(|(layer, _)| layer.to_string());
    match read == written {
        true => of(read),
        false if layer(read) == layer(written) => format!("{} → {}", of(read), of(written)),
        false => format!("{read} → {written}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lapidary_evaluation::{Interval, Score};

    fn score(value: f64) -> Score {
        let interval = Interval::Known { low: 0.9 * value, high: 1.1 * value };
        Score { value, n: 100, interval }
    }

    /// At a site, with an L0 and an FVU.
    pub(crate) fn scores(site: &str, width: usize, l0: f64, fvu: f64) -> Scores {
        let mut counter = lapidary_evaluation::sparsity::Counter::new(width);
        (0..100).for_each(|_| counter.add(&[0, 1]));
        Scores {
            name: format!("{site}-{width}-{l0}"),
            site: site.into(),
            reads: None,
            width,
            d_in: 8,
            documents: 10,
            rows: 100,
            targets: 100,
            l0: score(l0),
            l0_percentiles: counter.percentiles().expect("there are rows"),
            fvu: score(fvu),
            ce: score(3.0),
            ce_spliced: score(3.0 + fvu),
            ce_ablated: score(5.0),
            ce_zero_ablated: None,
            delta_loss: score(fvu),
            loss_recovered: score(1.0 - fvu / 2.0),
            loss_recovered_zero: None,
            firing: counter.firing(),
            peers: None,
            resamples: 10,
            seed: 0,
        }
    }

    #[test]
    fn a_label_says_place_architecture_and_baseline() {
        let own = scores("2.res", 64, 5.0, 0.1);
        let read = |label: &str| {
            let entry = Entry::new(&own, label, None);
            (entry.place, entry.layer, entry.kind, entry.architecture, entry.baseline)
        };
        let expect = |architecture: &str, baseline: Option<&str>| {
            ("2.res".into(), Some(2), "res".into(), architecture.into(), baseline.map(String::from))
        };
        assert_eq!(read("2.res"), expect("jumprelu", None));
        assert_eq!(read("2.res topk"), expect("topk", None));
        assert_eq!(read("2.res topk frozen-decoder"), expect("topk", Some("frozen decoder")));
        assert_eq!(read("2.res random"), expect("jumprelu", Some("random")));
        let transcoder = Scores { reads: Some("3.mlp-in".into()), ..scores("3.mlp", 64, 5.0, 0.1) };
        let entry = Entry::new(&transcoder, "3.mlp-in → 3.mlp with skip topk", None);
        assert_eq!((entry.kind.as_str(), entry.layer), ("mlp-in → mlp", Some(3)));
        assert_eq!(entry.architecture, "with skip topk");
        assert_eq!(Entry::new(&scores("embed", 64, 5.0, 0.1), "embed", None).layer, None);
    }
}
