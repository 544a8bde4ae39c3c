//! What tables and cards say of a planned dictionary beyond its name: what it minimises, how its sparsity is reached, and what was
//! withheld from a baseline.

use lapidary_dictionary::Setting;
use lapidary_report::number::{count, significant};
use lapidary_suite::words::{architecture, setting};
use lapidary_trainer::{Baseline, DictionaryPlan, Objective, Penalty};

/// What it was asked for, and how that is reached: `λ 0.003`, `L0 40 by k`, `L0 40 by a controller of λ, from 0.0075 of the squared error`
pub fn sparsity(d: &DictionaryPlan) -> String {
    let setting = setting(d);
    match (&d.objective, setting) {
        (_, Setting::Lambda(_)) => setting.to_string(),
        (Objective::TopK { .. } | Objective::BatchTopK { .. }, _) => format!("{setting} by k"),
        (Objective::JumpRelu { penalty: Penalty::Quadratic { .. } }, _) => {
            format!("{setting} by a quadratic target, λ {}", d.lambda)
        }
        _ => {
            format!("{setting} by a controller of λ, from {} of the squared error", significant(d.lambda, 3))
        }
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
