//! Scores as pictures, each with the name of its files. Only what there are data for is drawn.
//!
//! `pareto` L0 against FVU and Δloss, `layers` over the layers, `firing` how often features fire, `slices` by position and part of
//! the text, `widths` the same L0 at several widths, `elsewhere` on another model, `against_truth` F1 against what is known of the text.

pub(crate) mod against_truth;
pub(crate) mod elsewhere;
pub(crate) mod firing;
pub(crate) mod layers;
pub(crate) mod pareto;
pub(crate) mod slices;
pub(crate) mod widths;

use crate::entry::Entry;
use lapidary_evaluation::{Interval, Score, Scores};
use lapidary_report::number::count;
use lapidary_report::plot::{Axis, Plot, Scale};

/// A picture with the name of its files, without an ending.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `pareto-2.res-fvu`
    pub file: String,
    /// What is drawn.
    pub plot: Plot,
}

/// A score that pictures show, and what it is called.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) file: &'static str,
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) of: fn(&Scores) -> &Score,
}

pub(crate) const FVU: Metric =
    Metric { file: "fvu", label: "FVU", unit: "share of variance", of: |s| &s.fvu };
pub(crate) const DELTA_LOSS: Metric =
    Metric { file: "delta-loss", label: "Δloss", unit: "nats per target", of: |s| &s.delta_loss };

/// Most curves that a reader tells apart.
pub(crate) const CURVES: usize = 7;

pub(crate) fn interval(score: &Score) -> Option<(f64, f64)> {
    if let Interval::Known { low, high } = score.interval { Some((low, high)) } else { None }
}

/// Logarithmic if the values span more than a factor four above zero; else from zero.
pub(crate) fn scale(values: impl Iterator<Item = f64>) -> Scale {
    let finite = values.filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    if low > 0.0 && high > 4.0 * low { Scale::Log } else { Scale::FromZero }
}

/// L0 of these.
pub(crate) fn l0_axis(entries: &[&Entry<'_>]) -> Axis {
    Axis::new("L0", "active features per row", scale(entries.iter().map(|e| e.scores.l0.value)))
}

impl Metric {
    pub(crate) fn axis(self, entries: &[&Entry<'_>]) -> Axis {
        Axis::new(self.label, self.unit, scale(entries.iter().map(|e| (self.of)(e.scores).value)))
    }
}

/// What entries are told apart by, among those of one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Curve {
    pub(crate) layer: Option<u32>,
    pub(crate) width: usize,
    pub(crate) architecture: String,
}

impl Curve {
    pub(crate) fn of(entry: &Entry<'_>) -> Curve {
        Curve { layer: entry.layer, width: entry.scores.width, architecture: entry.architecture.clone() }
    }

    /// What differs among the `others`: `layer 2, topk, 1,024`; nothing if nothing does.
    pub(crate) fn name(&self, others: &[Curve]) -> String {
        let layers = others.iter().any(|c| c.layer != self.layer);
        let architectures = others.iter().any(|c| c.architecture != self.architecture);
        let widths = others.iter().any(|c| c.width != self.width);
        let width = match layers && architectures {
            true => count(self.width as u64),
            false => format!("width {}", count(self.width as u64)),
        };
        let layer = self.layer.map_or("embed".into(), |layer| format!("layer {layer}"));
        let parts = [
            layers.then_some(layer),
            architectures.then(|| self.architecture.clone()),
            widths.then_some(width),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// In order of appearance, each once.
pub(crate) fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    items.for_each(|item| {
        if !out.contains(&item) {
            out.push(item);
        }
    });
    out
}

/// For a file's name.
pub(crate) fn slug(text: &str) -> String {
    let text = text.replace(" → ", "-to-").to_lowercase();
    text.chars().map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_named_by_what_differs() {
        let curve = |layer, width, architecture: &str| Curve {
            layer: Some(layer),
            width,
            architecture: architecture.into(),
        };
        let own = curve(2, 4096, "topk");
        assert_eq!(own.name(std::slice::from_ref(&own)), "");
        assert_eq!(own.name(&[own.clone(), curve(2, 64, "topk")]), "width 4,096");
        assert_eq!(own.name(&[own.clone(), curve(3, 64, "gated")]), "layer 2, topk, 4,096");
        assert_eq!(Curve { layer: None, ..own.clone() }.name(std::slice::from_ref(&own)), "embed");
    }

    #[test]
    fn values_of_one_size_are_not_logarithmic() {
        assert_eq!(scale([1.0, 4.0].into_iter()), Scale::FromZero);
        assert_eq!(scale([1.0, 4.1, f64::NAN].into_iter()), Scale::Log);
        assert_eq!(scale([-0.1, 4.1].into_iter()), Scale::FromZero);
        assert_eq!(slug("3.mlp-in → 3.mlp"), "3.mlp-in-to-3.mlp");
    }
}
