//! I3. "How much can SAEs be quantized without significant performance degradation, both for inference and training?"
//! (arXiv 2408.05147, section 5, improvements to SAEs)
//!
//! Method, inference: W_enc and W_dec of a trained f32 dictionary are stored in bf16, in int8 (symmetric, one scale per feature), in int4
//! (symmetric, one scale per 32 numbers); biases, θ and sums stay f32. Loss hides damage (arXiv 2606.03002: a quantised model's
//! perplexity improved while a fifth of its features degraded), so what decides is when features fire: *flips*, the firings that only one of the two has, for each
//! firing in f32; and *survival*, the share of live features whose activations correlate by 0.95 with those of before (as
//! `lapidary evaluate --metrics precision` has them).
//! Method, training: the same training on rows rounded to bf16 or int8, and with parameters that are bf16 after every step, by rounding to nearest
//! and by stochastic rounding (1502.02551).
//! Baselines: a narrower f32 dictionary that takes the same bytes. The noise floor is 0: here a dictionary's bits do not depend on batches.
//! Metric and pass lines: int8 flips ≤ 1 %, survival ≥ 0.99, Δloss changed by ≤ 1 % of itself; FVU of low-precision trainings within 1 % of f32 over three
//! seeds; int4 beats f32 of equal bytes, or it is said that it does not.

use crate::experiment::Experiment;
use crate::lab::Event;
use crate::low::{Parameters, train_rounded};
use crate::measure::{Spliced, encoded, spliced};
use crate::plots::{Named, by_name};
use crate::report::{Check, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, batches, plan_of, trained, weights_hash};
use crate::verdict::{Gap, Outcome, judge, reaches, stays_below};
use crate::{Lab, LabError};
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::low_precision::{Bits, Drift, Survival, bytes, quantised};
use lapidary_kernels::{Csr, Device};
use lapidary_report::number::significant;
use lapidary_suite::grid::Architecture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The experiment.
pub static QUANT: Experiment = Experiment {
    name: "quant",
    plain: "Dictionaries are large: a number of 4 bits takes an eighth of the memory of one of 32. How few bits do their numbers need, once \
            they are trained and while they are trained?",
    method: "Inference: the two matrices of a trained dictionary are stored with fewer bits (bf16; int8 with one scale per feature; int4, int3 and int2 with one scale per 32 \
             numbers); biases, thresholds and sums stay f32. We count flips (firings that only one of the two has, for each firing in f32) and survival (features whose \
             activations correlate by 0.95 with those of before), because loss alone hides damage (arXiv 2606.03002). Training: the same run on \
             rounded rows, and with parameters that are bf16 after every step, rounded to the nearest or by chance (1502.02551).",
    baselines: "A narrower f32 dictionary of the same bytes, trained alike: fewer bits pay only if they beat fewer features. The noise floor is exactly 0, because \
                here a result does not depend on how rows are batched.",
    metric: "share of firings that flip, and FVU of low-precision trainings over that of f32",
    pass: "int8: at most 1 % flips, survival 0.99 or more, Δloss changed by at most 1 %; low-precision trainings within 1 % of the FVU of f32; int4 better than a \
           narrow f32 dictionary of equal bytes",
    doubt: "Wider dictionaries at a larger model, whose pre-activations lie closer to their thresholds; activations with outliers, which one scale per row serves badly; \
            hardware whose sums are not f32.",
    rungs: &[RungName::Planted, RungName::Organism, RungName::Model],
    run,
    answer,
};

const L0: f64 = 12.0;
/// Stored forms; the first [`RIVALS`] of them are held against narrow f32 dictionaries of the same bytes.
const FORMS: [Bits; 5] = [Bits::Bf16, Bits::Int8, Bits::Int4, Bits::Int3, Bits::Int2];
const RIVALS: usize = 3;

/// Survival below which a form counts as broken.
const BROKEN: f64 = 0.9;

/// What is measured: a stored form, or a training.
struct Candidate {
    name: String,
    dictionary: Dictionary,
    bits: Bits,
    /// Are its weights those of the f32 form, rounded?
    is_stored: bool,
}

impl Candidate {
    fn new(name: impl Into<String>, dictionary: Dictionary, bits: Bits, is_stored: bool) -> Candidate {
        Candidate { name: name.into(), dictionary, bits, is_stored }
    }
}

/// One stored form against f32, or one training against another.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Form {
    name: String,
    hash: String,
    width: usize,
    bytes: u64,
    l0: f64,
    fvu: f64,
    delta_loss: Option<f64>,
    /// Against the f32 form of the same weights.
    flips: Option<f64>,
    survival: Option<f64>,
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: Vec::new(),
        layer: None,
        random_lm: false,
        train_rows: lab.effort.pick(120_000, 1_000_000),
        known_rows: lab.effort.pick(12_000, 50_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let width = lab.effort.pick(512, 2_048);
    let (rows, batch) = (lab.effort.pick(120_000, 1_500_000), lab.effort.pick(512, 2_048));
    let windows = lab.effort.pick(60, 300);
    let mut by_seed = Vec::new();
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed,
            "width": width, "windows": windows, "measure": 3 });
        by_seed.push(
            lab.cell(name, &format!("forms-seed{seed}"), &plan, |lab| {
                forms(lab, &rung, width, how, windows)
            })?,
        );
    }
    Ok(report(lab, &rung, &by_seed, rows))
}

/// Everything of one seed.
fn forms(
    lab: &mut Lab<'_>,
    rung: &Rung,
    width: usize,
    how: How,
    windows: usize,
) -> Result<Vec<Form>, LabError> {
    let want = Want::new(Architecture::JumpRelu, width, L0);
    let narrow = |bits: &Bits| Want::new(Architecture::JumpRelu, narrow_width(width, rung.d(), *bits), L0);
    let wants: Vec<Want> = std::iter::once(want.clone()).chain(FORMS[..RIVALS].iter().map(narrow)).collect();
    let base = trained(lab, rung, &wants, how)?;
    let wide = &base[0].dictionary;
    let mut all = vec![Candidate::new("f32", wide.clone(), Bits::F32, true)];
    all.extend(FORMS.map(|bits| Candidate::new(bits.name(), quantised(wide, bits), bits, true)));
    for (narrow, bits) in base[1..].iter().zip(FORMS) {
        let name = format!("f32 of {} bytes", bits.name());
        all.push(Candidate::new(name, narrow.dictionary.clone(), Bits::F32, false));
    }
    for (name, round) in [("bf16 rows", Bits::Bf16), ("int8 rows", Bits::Int8)] {
        let rounded = trained(lab, rung, std::slice::from_ref(&want), How { round, ..how })?.remove(0);
        all.push(Candidate::new(format!("train {name}"), rounded.dictionary, Bits::F32, false));
    }
    for (name, parameters) in [("nearest", Parameters::Nearest), ("by chance", Parameters::Stochastic)] {
        let dictionary = rounded(lab, rung, &want, how, parameters)?;
        all.push(Candidate::new(format!("train bf16 {name}"), dictionary, Bits::Bf16, false));
    }
    measured(lab, rung, &all, windows)
}

fn rounded(
    lab: &mut Lab<'_>,
    rung: &Rung,
    want: &Want,
    how: How,
    parameters: Parameters,
) -> Result<Dictionary, LabError> {
    (lab.observe)(Event::Began(&format!("{}: training in bf16, seed {}", rung.name, how.seed)));
    let plan = plan_of(lab, rung, std::slice::from_ref(want), how)?;
    let mut batches = batches(lab, rung, &plan.recipe, how)?;
    let (steps, device) = (plan.recipe.steps, lab.catalog.device);
    let mut after = |done| {
        (lab.observe)(Event::Progress(done * how.batch as u64, steps * how.batch as u64, "rows"));
        lab.check_interrupted()
    };
    train_rounded(&plan, &plan.dictionaries[0], parameters, &mut batches, device, &mut after)
}

fn measured(lab: &Lab<'_>, rung: &Rung, all: &[Candidate], windows: usize) -> Result<Vec<Form>, LabError> {
    let (device, x) = (lab.catalog.device, &rung.known()?.x[rung.site()]);
    let losses = match rung.model_sites() {
        [] => None,
        [site, ..] => {
            let mut views = Vec::new();
            for Candidate { name, dictionary, .. } in all {
                views.push(Spliced { name: name.clone(), site: *site, output: *site, dictionary });
            }
            spliced(rung, windows, &views)?
        }
    };
    let wide = all[0].dictionary.encode(device, x);
    let form = |(i, c): (usize, &Candidate)| {
        let on = encoded(&c.dictionary, device, x, x);
        let of = c.is_stored.then(|| against(&wide, &c.dictionary, device, x));
        Form {
            name: c.name.clone(),
            hash: weights_hash(&c.dictionary),
            width: c.dictionary.width(),
            bytes: bytes(&c.dictionary, c.bits) as u64,
            l0: on.l0,
            fvu: on.fvu,
            delta_loss: losses.as_ref().map(|scores| scores[i].delta_loss.value),
            flips: of.as_ref().map(|o| o.flip_rate),
            survival: of.as_ref().map(|o| o.survival),
        }
    };
    Ok(all.iter().enumerate().map(form).collect())
}

/// Features of the f32 dictionary that takes the bytes of `width` features in `bits`.
fn narrow_width(width: usize, d: usize, bits: Bits) -> usize {
    let feature = |bits: Bits| 2 * bits.bytes(1, d) + 2 * size_of::<f32>(); // its two rows, θ and bias
    (width * feature(bits) + feature(Bits::F32) / 2) / feature(Bits::F32)
}

/// What became of the features of `wide` in a stored form of it, on rows x [N, D].
fn against(wide: &Csr, stored: &Dictionary, device: Device, x: &[f32]) -> Survival {
    let mut drift = Drift::new(stored.width());
    drift.add(wide, &stored.encode(device, x));
    drift.survival()
}

fn report(lab: &Lab<'_>, rung: &Rung, by_seed: &[Vec<Form>], rows: u64) -> Report {
    let mut report = Report::new(lab, QUANT.name, rung);
    let n = rung.need.known_rows as u64;
    for (seed, forms) in lab.seeds().into_iter().zip(by_seed) {
        for form in forms {
            report.sae_hashes.insert(format!("{} seed {seed}", form.name), form.hash.clone());
            report.cell(&form.name, Some(seed), "L0", form.l0);
            report.cell(&form.name, Some(seed), "FVU", form.fvu);
            let more = [("Δloss", form.delta_loss), ("flips", form.flips), ("survival", form.survival)];
            more.iter()
                .filter_map(|(m, v)| Some((m, (*v)?)))
                .for_each(|(m, v)| report.cell(&form.name, Some(seed), m, v));
        }
        let trained: Vec<usize> =
            forms.iter().filter(|f| f.flips.is_none() || f.name == "f32").map(|f| f.width).collect();
        report.spent(&trained, rung.d(), rows);
    }
    let of = |name: &str, get: &dyn Fn(&Form) -> Option<f64>| -> Vec<f64> {
        by_seed.iter().filter_map(|forms| get(forms.iter().find(|f| f.name == name)?)).collect()
    };
    for name in FORMS.map(Bits::name) {
        for (metric, get) in [("flips", flips as fn(&Form) -> Option<f64>), ("survival", survival)] {
            report.metrics.insert(format!("{name}: {metric}"), Value::new(&of(name, &get), 0.0, n));
        }
    }
    let mut fvus = BTreeMap::new();
    for form in &by_seed[0] {
        let value = Value::new(&of(&form.name, &|f| Some(f.fvu)), 0.0, n);
        let table = if form.name.starts_with("f32 of") || form.name == "f32" {
            &mut report.baselines
        } else {
            &mut report.metrics
        };
        table.insert(format!("{}: FVU", form.name), value.clone());
        fvus.insert(form.name.clone(), value);
    }
    let same = of("f32", &flips).iter().all(|&f| f == 0.0) && of("f32", &survival).iter().all(|&s| s == 1.0);
    report.validity.push(Check {
        name: "flips of f32 against itself".into(),
        value: of("f32", &flips).iter().sum(),
        needed: "0, and survival 1".into(),
        holds: same,
    });
    let objections = report.objections();
    report.verdicts.push(stays_below(
        "int8 flips at most 1 % of firings",
        &report.metrics["int8: flips"],
        0.01,
        &objections,
    ));
    report.verdicts.push(reaches(
        "int8 keeps 99 % of features",
        &report.metrics["int8: survival"],
        0.99,
        &objections,
    ));
    let relative = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a / b - 1.0).collect() };
    let (loss, loss8) = (of("f32", &|f| f.delta_loss), of("int8", &|f| f.delta_loss));
    if !loss.is_empty() {
        let change: Vec<f64> = relative(&loss8, &loss).iter().map(|x| x.abs()).collect();
        let value = Value::new(&change, 0.0, n);
        report.verdicts.push(stays_below(
            "int8 changes Δloss by at most 1 % of itself",
            &value,
            0.01,
            &objections,
        ));
        report.metrics.insert("int8: change of Δloss over Δloss".into(), value);
    }
    let f32s = of("f32", &|f| Some(f.fvu));
    for form in by_seed[0].iter().filter(|f| f.name.starts_with("train ")) {
        let change = Value::new(&relative(&of(&form.name, &|f| Some(f.fvu)), &f32s), 0.0, n);
        let claim = format!("{}: FVU at most 1 % above f32", form.name);
        report.verdicts.push(stays_below(&claim, &change, 0.01, &objections));
        report.metrics.insert(format!("{}: FVU over that of f32, less 1", form.name), change);
    }
    for name in FORMS[..RIVALS].iter().map(|bits| bits.name()) {
        let narrow = of(&format!("f32 of {name} bytes"), &|f| Some(f.fvu));
        let gap = Gap {
            by_seed: narrow.iter().zip(of(name, &|f| Some(f.fvu))).map(|(n, w)| n - w).collect(),
            sampling: 0.0,
        };
        let claim = format!("{name} rebuilds more than a narrow f32 dictionary of the same bytes");
        report.verdicts.push(judge(&claim, &gap, (name == "int4").then_some(0.0), &objections));
    }
    report.tables.push(table(by_seed));
    report.plots.push(plot(&fvus, &by_seed[0]));
    report.notes.push("Bytes count the matrices with their scales (an f32 per 32 numbers in int4 and below, an f32 per feature in int8), and θ and biases in f32. \"f32 of int4 bytes\" is \
         a narrow f32 dictionary that takes as many; \"train\" are trainings with low precision, scored as they are.".into());
    report
}

fn flips(form: &Form) -> Option<f64> {
    form.flips
}

fn survival(form: &Form) -> Option<f64> {
    form.survival
}

fn table(by_seed: &[Vec<Form>]) -> Table {
    let mean = |name: &str, get: &dyn Fn(&Form) -> Option<f64>| {
        let all: Vec<f64> = by_seed.iter().flatten().filter(|f| f.name == name).filter_map(get).collect();
        if all.is_empty() { "–".into() } else { significant(all.iter().sum::<f64>() / all.len() as f64, 3) }
    };
    let row = |form: &Form| {
        let name = form.name.as_str();
        vec![
            name.into(),
            form.width.to_string(),
            lapidary_report::number::bytes(form.bytes),
            mean(name, &|f| Some(f.l0)),
            mean(name, &|f| Some(f.fvu)),
            mean(name, &|f| f.delta_loss),
            mean(name, &flips),
            mean(name, &survival),
        ]
    };
    Table {
        title: "Means over seeds; flips and survival against the f32 form of the same weights".into(),
        columns: ["form", "width", "bytes", "L0", "FVU", "Δloss, nats", "flips", "survival"]
            .map(String::from)
            .to_vec(),
        rows: by_seed[0].iter().map(row).collect(),
    }
}

fn plot(fvus: &BTreeMap<String, Value>, forms: &[Form]) -> crate::report::Plot {
    let lines: Vec<Named<'_>> = forms
        .iter()
        .map(|f| Named {
            name: f.name.clone(),
            value: &fvus[&f.name],
            is_baseline: f.name == "f32" || f.name.starts_with("f32 of"),
        })
        .collect();
    by_name(
        "fvu",
        "What each form leaves unexplained",
        "FVU, less is better",
        "FVU with 95 % intervals over three seeds. Grey: f32, as wide and narrower at the same bytes.",
        &lines,
    )
}

fn answer(reports: &[Report]) -> String {
    if reports.iter().all(|r| r.verdicts.iter().all(|v| v.outcome == Outcome::Invalid)) {
        return "The measurement failed its own checks: no answer.".into();
    }
    let of = |r: &Report| {
        let percent = |name: &str| format!("{:.2} %", 100.0 * r.metrics[name].value);
        let worst = r
            .metrics
            .iter()
            .filter(|(n, _)| n.ends_with("less 1"))
            .map(|(_, v)| v.value)
            .fold(f64::MIN, f64::max);
        let nearest =
            r.metrics.get("train bf16 nearest: FVU over that of f32, less 1").map_or(f64::NAN, |v| v.value);
        let int4 = r
            .verdicts
            .iter()
            .find(|v| v.claim.starts_with("int4"))
            .map_or("not measured".into(), |v| v.outcome.to_string());
        let is_broken = |form: &&&str| {
            r.metrics.get(&format!("{form}: survival")).is_some_and(|survival| survival.value < BROKEN)
        };
        let broken = ["bf16", "int8", "int4"].iter().find(is_broken).copied().unwrap_or("none of these");
        format!(
            "on the rung {}, storing in int8 flips {} of the firings and int4 {} (int4 against a narrow f32 dictionary of its bytes: {int4}), the first form that loses a \
             tenth of the features is {broken}, and the worst \
             low-precision training costs {:.1} % of FVU (bf16 parameters rounded to nearest: {:.1} %)",
            r.rung,
            percent("int8: flips"),
            percent("int4: flips"),
            100.0 * worst,
            100.0 * nearest
        )
    };
    let parts: Vec<String> = reports.iter().map(of).collect();
    let all = format!("{}.", parts.join("; "));
    let mut letters = all.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice 64 numbers and 8 bytes: 520 bytes in f32; 264 in bf16, 144 in int8, 88 in int4.
    #[test]
    fn a_narrow_dictionary_takes_the_same_bytes() {
        let widths = [Bits::Bf16, Bits::Int8, Bits::Int4].map(|bits| narrow_width(1_024, 64, bits));
        assert_eq!(widths, [520, 284, 173]);
    }
}
