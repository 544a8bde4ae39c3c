//! A planned dictionary in words: what it is, where, and how sparse it was asked to be.

use lapidary_dictionary::Setting;
use lapidary_trainer::{DictionaryPlan, Objective, Penalty};

/// `JumpReLU`, `Matryoshka`, `TopK`
pub fn architecture(d: &DictionaryPlan) -> &'static str {
    match d.objective {
        Objective::JumpRelu { .. } => "JumpReLU",
        Objective::L1 => "L1",
        Objective::Gated => "Gated",
        Objective::TopK { .. } => "TopK",
        Objective::BatchTopK { .. } if d.prefixes.is_empty() => "BatchTopK",
        Objective::BatchTopK { .. } => "Matryoshka",
    }
}

/// `3.res`, `3.res topk`, `3.mlp-in → 3.mlp with skip frozen-decoder`
pub fn label(d: &DictionaryPlan) -> String {
    let mut label = d.site.clone();
    if let Some(t) = &d.transcoder {
        label += &format!(" → {}{}", t.output, if t.skip { " with skip" } else { "" });
    }
    match d.objective {
        Objective::JumpRelu { .. } if d.prefixes.is_empty() => {}
        Objective::JumpRelu { .. } => label += " nested",
        _ => label += &format!(" {}", architecture(d).to_lowercase()),
    }
    label + &d.baseline.map(|b| format!(" {b}")).unwrap_or_default()
}

/// What it was asked for: λ, or an L0.
pub fn setting(d: &DictionaryPlan) -> Setting {
    match (&d.objective, d.target_l0) {
        (Objective::TopK { k, .. } | Objective::BatchTopK { k, .. }, _) => Setting::L0(*k as f64),
        (Objective::JumpRelu { penalty: Penalty::Quadratic { target, .. } }, _) => Setting::L0(*target),
        (_, Some(target)) => Setting::L0(target),
        _ => Setting::Lambda(d.lambda),
    }
}
