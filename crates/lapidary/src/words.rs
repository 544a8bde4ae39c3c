//! A planned dictionary in words: what it is, where, and how sparse. For plans, tables and cards.

use lapidary_report::number::{count, significant};
use lapidary_report::scores::Setting;
use lapidary_trainer::{Baseline, DictionaryPlan, Objective, Penalty, Training};

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

/// The same with how it is reached: `λ 0.003`, `L0 40 by k`, `L0 40 by a controller of λ, from 0.00125`
pub fn sparsity(d: &DictionaryPlan) -> String {
    let setting = setting(d);
    match (&d.objective, setting) {
        (_, Setting::Lambda(_)) => setting.to_string(),
        (Objective::TopK { .. } | Objective::BatchTopK { .. }, _) => format!("{setting} by k"),
        (Objective::JumpRelu { penalty: Penalty::Quadratic { .. } }, _) => {
            format!("{setting} by a quadratic target, λ {}", d.lambda)
        }
        _ => format!("{setting} by a controller of λ, from {}", significant(d.lambda, 3)),
    }
}

/// What it minimises: `JumpReLU with a tanh penalty`, `TopK with AuxK (…)`
pub fn objective(d: &DictionaryPlan) -> String {
    let mut words = architecture(d).to_string();
    match &d.objective {
        Objective::JumpRelu { penalty: Penalty::Quadratic { .. } } => words += " with a quadratic penalty",
        Objective::JumpRelu { penalty: Penalty::Tanh { .. } } => words += " with a tanh penalty",
        Objective::TopK { aux: Some(aux), .. } | Objective::BatchTopK { aux: Some(aux), .. } => {
            let (alpha, k, rows) = (aux.alpha, aux.k, count(aux.dead_rows));
            words += &format!(" with AuxK (α {alpha}, k {k}, dead after {rows} rows)");
        }
        _ => {}
    }
    if !d.prefixes.is_empty() {
        let prefixes = d.prefixes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        words += &format!(", nested widths {prefixes}");
    }
    words
}

/// What was withheld from a baseline: `frozen-decoder: its decoder stayed as it was drawn at random; the rest was trained.`
pub fn baseline(baseline: Baseline) -> String {
    let withheld = match baseline {
        Baseline::FrozenDecoder => "its decoder stayed as it was drawn at random; the rest was trained",
        Baseline::FrozenEncoder => "its encoder stayed as it was drawn at random; the rest was trained",
        Baseline::Random => "it is as it was drawn at random; nothing was trained",
        Baseline::RandomLm => {
            "it was trained on, and reads, the model with every matrix drawn anew at random"
        }
    };
    format!("{baseline}: {withheld}.")
}

/// λ at the end of the training.
pub fn last_lambda(d: &DictionaryPlan, training: &Training) -> f64 {
    d.lambda * training.running.log_lambda.exp()
}
