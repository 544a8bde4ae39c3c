//! Scores against a known truth as a table, with the reasons of verdicts and the words below it.
//!
//! Everything fits in 110 columns. F1, null and baselines are means over the same latents, two decimals: the verdict's
//! margin is 0.05.

use crate::number;
use crate::scores::Measure;
use crate::table::{self, Align};

/// One dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthRow {
    /// Where it reads, `3.res`, or how else it is called.
    pub site: String,
    /// F, number of features.
    pub width: usize,
    /// Sparsity coefficient, where it is known.
    pub lambda: Option<f64>,
    /// Mean features that fire in a row.
    pub l0: f64,
    /// Mean one-to-one F1 over the latents that the model represents; n of them.
    pub f1: Measure,
    /// What chance gives.
    pub null: Option<f64>,
    /// Latents found and represented, represented, known.
    pub counts: [u64; 3],
    /// F1 of frozen decoder, random model, principal components, neurons.
    pub baselines: [Option<f64>; 4],
    /// One word.
    pub verdict: String,
    /// Why it is so.
    pub reason: Option<String>,
}

const COLUMNS: [(&str, Align); 12] = [
    ("site", Align::Left),
    ("width", Align::Right),
    ("λ", Align::Right),
    ("L0", Align::Right),
    ("F1 [95 %]", Align::Right),
    ("null", Align::Right),
    ("found/rep/known", Align::Right),
    ("frozen", Align::Right),
    ("random", Align::Right),
    ("PCA", Align::Right),
    ("neurons", Align::Right),
    ("verdict", Align::Left),
];

const WORDS: &str = "\
F1: how well one feature's firing tells that a latent of the text is on; mean over the latents that the model
represents (a linear probe reads them), one feature each. null: by chance. found/rep/known: latents with a feature
of F1 ≥ 0.5, latents represented, latents asked about. frozen, random, PCA, neurons: F1 of a dictionary with a frozen
decoder, of one on a model with random weights, and without any training; valid: each is beaten by 0.05 or more.
";

/// The table, a line per reason, and what the words mean. Reasons that are the same stand once.
pub fn truth_text(rows: &[TruthRow]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut out = table::text(&COLUMNS, &cells) + "\n";
    for (reason, of) in reasons(rows) {
        out += &format!("{}: {reason}\n", of.join("; "));
    }
    out + WORDS
}

fn cells(row: &TruthRow) -> Vec<String> {
    let two = |x: Option<f64>| x.map_or("–".into(), fixed);
    let f1 = match row.f1.interval {
        Some((low, high)) => format!("{} [{}, {}]", fixed(row.f1.value), fixed(low), fixed(high)),
        None => fixed(row.f1.value),
    };
    let [frozen, random, pca, neurons] = row.baselines.map(two);
    vec![
        row.site.clone(),
        number::count(row.width as u64),
        row.lambda.map_or("–".into(), |lambda| lambda.to_string()),
        number::significant(row.l0, 3),
        f1,
        two(row.null),
        row.counts.map(|n| n.to_string()).join("/"),
        frozen,
        random,
        pca,
        neurons,
        row.verdict.clone(),
    ]
}

fn fixed(x: f64) -> String {
    if x.is_finite() { format!("{x:.2}") } else { "–".into() }
}

/// Each reason with the dictionaries that have it, in order of appearance.
fn reasons(rows: &[TruthRow]) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let Some(reason) = &row.reason else { continue };
        let reason = format!("{}, {reason}", row.verdict);
        let lambda = row.lambda.map(|l| format!(" λ {l}")).unwrap_or_default();
        let name = format!("{} {}{lambda}", row.site, number::count(row.width as u64));
        match out.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, of)) => of.push(name),
            None => out.push((reason, vec![name])),
        }
    }
    out
}
