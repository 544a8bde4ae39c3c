//! I3. "How much can SAEs be quantized without significant performance degradation, both for inference and training?"
//! (arXiv 2408.05147, section 5, improvements to SAEs)
//!
//! Method, inference: W_enc and W_dec of a trained f32 dictionary are stored in bf16, in int8 (symmetric, one scale per feature), in int4
//! (symmetric, one scale per 32 numbers); biases, θ and sums stay f32. Loss hides damage (arXiv 2606.03002: a quantised model's
//! perplexity improved while a fifth of its features degraded), so what decides is when features fire: *flips*, the share of firings that only one of
//! the two has; and *survival*, the share of live features whose activations correlate by 0.95 with those of before.
//! Method, training: the same training on rows rounded to bf16 or int8, and with parameters that are bf16 after every step, by rounding to nearest
//! and by stochastic rounding (1502.02551).
//! Baselines: a narrower f32 dictionary that takes the same bytes. The noise floor is 0: here a dictionary's bits do not depend on batches.
//! Metric and pass lines: int8 flips ≤ 1 %, survival ≥ 0.99, Δloss changed by ≤ 1 % of itself; FVU of low-precision trainings within 1 % of f32 over three
//! seeds; int4 beats f32 of equal bytes, or it is said that it does not.

use crate::experiment::Experiment;
use crate::held::Rounding;
use crate::lab::Event;
use crate::low::{Parameters, train_rounded};
use crate::measure::{Spliced, encoded, pearson, spliced};
use crate::plots::{Named, by_name};
use crate::report::{Check, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, batches, plan_of, trained, weights_hash};
use crate::verdict::{Gap, Outcome, judge, reaches, stays_below};
use crate::{Lab, LabError};
use half::bf16;
use lapidary_dictionary::Dictionary;
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
             numbers); biases, thresholds and sums stay f32. We count flips (firings that only one of the two has) and survival (features whose \
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
/// Where the narrow f32 dictionaries stand: bytes with their scales, in bits per number.
const BITS: [(&str, f64); 5] = [("bf16", 16.0), ("int8", 8.25), ("int4", 5.0), ("int3", 4.0), ("int2", 3.0)];

/// Survival below which a form counts as broken.
const BROKEN: f64 = 0.9;

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
        let how = How { rows, batch, seed, round: Rounding::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed,
            "width": width, "windows": windows, "measure": 1 });
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
    let narrow =
        |bits: f64| Want::new(Architecture::JumpRelu, (width as f64 * bits / 32.0).round() as usize, L0);
    let wants = [vec![want.clone()], BITS[..3].iter().map(|(_, bits)| narrow(*bits)).collect()].concat();
    let base = trained(lab, rung, &wants, how)?;
    let wide = &base[0].dictionary;
    let mut named: Vec<(String, Dictionary, f64, bool)> = vec![("f32".into(), wide.clone(), 32.0, true)];
    for (name, bits) in BITS {
        named.push((name.into(), stored(wide, name), bits, true));
    }
    for (narrow, (name, _)) in base[1..].iter().zip(BITS) {
        named.push((format!("f32 of {name} bytes"), narrow.dictionary.clone(), 32.0, false));
    }
    for (name, round) in [("bf16 rows", Rounding::Bf16), ("int8 rows", Rounding::Int8)] {
        let rounded = trained(lab, rung, std::slice::from_ref(&want), How { round, ..how })?;
        named.push((format!("train {name}"), rounded[0].dictionary.clone(), 32.0, false));
    }
    for (name, parameters) in [("nearest", Parameters::Nearest), ("by chance", Parameters::Stochastic)] {
        let dictionary = rounded(lab, rung, &want, how, parameters)?;
        named.push((format!("train bf16 {name}"), dictionary, 16.0, false));
    }
    measured(lab, rung, wide, &named, windows)
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

/// A dictionary with its matrices as they would be read from a file of fewer bits.
fn stored(dictionary: &Dictionary, form: &str) -> Dictionary {
    let store = |rows: &[f32], d: usize| -> Vec<f32> {
        match form {
            "bf16" => rows.iter().map(|&x| bf16::from_f32(x).to_f32()).collect(),
            "int8" => rows.chunks_exact(d).flat_map(|row| integers(row, 127.0)).collect(),
            "int4" => groups(rows, d, 7.0),
            "int3" => groups(rows, d, 3.0),
            _ => groups(rows, d, 1.0),
        }
    };
    Dictionary {
        w_enc: store(&dictionary.w_enc, dictionary.d_in),
        w_dec: store(&dictionary.w_dec, dictionary.d_out),
        ..dictionary.clone()
    }
}

/// With one scale per 32 numbers of a row.
fn groups(rows: &[f32], d: usize, most: f32) -> Vec<f32> {
    rows.chunks_exact(d).flat_map(|row| row.chunks(32)).flat_map(|group| integers(group, most)).collect()
}

/// Symmetric, the largest magnitude becomes `most`.
fn integers(values: &[f32], most: f32) -> Vec<f32> {
    let scale = values.iter().fold(0f32, |m, x| m.max(x.abs())) / most;
    let to = |x: &f32| if scale > 0.0 { (x / scale).round() * scale } else { 0.0 };
    values.iter().map(to).collect()
}

fn measured(
    lab: &Lab<'_>,
    rung: &Rung,
    wide: &Dictionary,
    named: &[(String, Dictionary, f64, bool)],
    windows: usize,
) -> Result<Vec<Form>, LabError> {
    let (device, x) = (lab.catalog.device, &rung.known()?.x[rung.site()]);
    let losses = match rung.model_sites() {
        [] => None,
        [site, ..] => {
            let all: Vec<Spliced<'_>> = named
                .iter()
                .map(|(name, dictionary, ..)| Spliced {
                    name: name.clone(),
                    site: *site,
                    output: *site,
                    dictionary,
                })
                .collect();
            spliced(rung, windows, &all)?
        }
    };
    let mut out = Vec::new();
    for (i, (name, dictionary, bits, same)) in named.iter().enumerate() {
        let on = encoded(dictionary, device, x, x);
        let of = same.then(|| against(wide, dictionary, lab, x));
        let numbers = (dictionary.w_enc.len() + dictionary.w_dec.len()) as f64;
        out.push(Form {
            name: name.clone(),
            hash: weights_hash(dictionary),
            width: dictionary.width(),
            bytes: (numbers * bits / 8.0) as u64,
            l0: on.l0,
            fvu: on.fvu,
            delta_loss: losses.as_ref().map(|scores| scores[i].delta_loss.value),
            flips: of.map(|o| o.0),
            survival: of.map(|o| o.1),
        });
    }
    Ok(out)
}

/// Flips and survival of a stored form on rows x [N, D].
fn against(wide: &Dictionary, stored: &Dictionary, lab: &Lab<'_>, x: &[f32]) -> (f64, f64) {
    let device = lab.catalog.device;
    let (a, b) = (wide.encode(device, x), stored.encode(device, x));
    let rows = x.len() / wide.d_in;
    let mut pairs: Vec<Vec<(f64, f64)>> = vec![Vec::new(); wide.width()];
    let (mut one, mut both) = (0u64, 0u64);
    for n in 0..rows {
        let values: BTreeMap<u32, f32> = b.row(n).0.iter().copied().zip(b.row(n).1.iter().copied()).collect();
        let (index, value) = a.row(n);
        for (&j, &v) in index.iter().zip(value) {
            let other = values.get(&j).copied();
            *if other.is_some() { &mut both } else { &mut one } += 1;
            pairs[j as usize].push((f64::from(v), f64::from(other.unwrap_or(0.0))));
        }
        for (&j, &v) in values.iter().filter(|(j, _)| index.binary_search(j).is_err()) {
            one += 1;
            pairs[j as usize].push((0.0, f64::from(v)));
        }
    }
    let alive: Vec<bool> = pairs
        .iter()
        .filter(|p| p.iter().filter(|(a, _)| *a > 0.0).count() >= 10)
        .map(|p| survives(p, rows))
        .collect();
    let survival = alive.iter().filter(|&&s| s).count() as f64 / alive.len().max(1) as f64;
    (one as f64 / (one + 2 * both).max(1) as f64, survival)
}

/// Correlation over all rows, most of which are 0 in both.
fn survives(pairs: &[(f64, f64)], rows: usize) -> bool {
    let (mut a, mut b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    a.resize(rows, 0.0);
    b.resize(rows, 0.0);
    pearson(&a, &b) >= 0.95
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
    for (name, _) in BITS {
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
    for (name, _) in &BITS[..3] {
        let narrow = of(&format!("f32 of {name} bytes"), &|f| Some(f.fvu));
        let gap = Gap {
            by_seed: narrow.iter().zip(of(name, &|f| Some(f.fvu))).map(|(n, w)| n - w).collect(),
            sampling: 0.0,
        };
        let claim = format!("{name} rebuilds more than a narrow f32 dictionary of the same bytes");
        report.verdicts.push(judge(&claim, &gap, (*name == "int4").then_some(0.0), &objections));
    }
    report.tables.push(table(by_seed));
    report.plots.push(plot(&fvus, &by_seed[0]));
    report.notes.push("Bytes count the two matrices with their scales: an f32 per 32 numbers in int4 and below, an f32 per feature in int8. \"f32 of int4 bytes\" is \
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

    /// 2.54 and 1.27 with 127 steps: exact; with 7 steps of .3628… 1.27 is 3.5 of them, hence 4.
    #[test]
    fn integers_are_symmetric() {
        let [a, b] = integers(&[2.54, 1.0], 127.0)[..] else { panic!() };
        assert!((a - 2.54).abs() < 1e-6 && (b - 1.0).abs() < 1e-6);
        let four = integers(&[0.7, 0.26, -0.04], 7.0);
        assert!((four[1] - 0.3).abs() < 1e-6 && four[2] == 0.0, "{four:?}");
    }

    #[test]
    fn a_feature_survives_if_its_activations_are_alike() {
        assert!(survives(&[(1.0, 1.1), (2.0, 1.9), (0.5, 0.5)], 100));
        assert!(!survives(&[(1.0, 0.0), (2.0, 1.9), (0.0, 2.5)], 100));
    }
}
