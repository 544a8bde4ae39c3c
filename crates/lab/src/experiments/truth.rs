//! T1. "Do SAEs really find the 'true' concepts in a model?" (arXiv 2408.05147, section 5, red-teaming SAEs)
//!
//! Method: dictionaries of each architecture are trained where the true variables are known. Every feature is a classifier
//! of every variable (it fires, or not); one-to-one assignment gives each variable its feature, and the score is the mean F1
//! over the variables that the model represents (linear probe AUROC ≥ 0.95; of planted rows all). Beside it: the share of
//! these variables that some feature finds (*completeness*), on planted rows the mean |cos| with the assigned direction (*MCC*), and the share of
//! features that another seed finds again. Sources: SynthSAEBench (arXiv 2602.14687), "Sanity checks for SAEs" (2602.14111, whose frozen
//! decoders match trained ones on many metrics of real models), random language models (2501.17727).
//! Baselines, each of the same architecture, width and L0: a decoder that is left as it was drawn; a model with random
//! weights; and principal components and neurons with the best of seven thresholds for every variable, which favours them.
//! Metric: matched F1 at equal L0 (between two trained L0s by their logarithm). Pass line: 0.2 above frozen decoder and random model. The score itself is
//! valid only if the truth as a dictionary scores 1, and the truth with 0 to 100 % of its firings replaced is ranked rightly (τ ≥ 0.9).
//! *Causal*, where there is a model: features that are matched with F1 ≥ 0.5 are taken out of the site, one by one; does what the model believes of their variable at its end
//! change, more than with another feature that fires as often?

mod causal;

use crate::error::invalid;
use crate::experiment::Experiment;
use crate::measure::{against_truth, at_l0, degraded, encoded, kendall, oracle, sampling_error, shared};
use crate::plots::{Named, by_name};
use crate::report::{Cell, Check, Cost, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Trained, Want, trained};
use crate::verdict::{Gap, Outcome, Verdict, judge};
use crate::{Lab, LabError};
use causal::{Causal, causal};
use lapidary_evaluation::low_precision::Bits;
use lapidary_evaluation::truth::{
    Firings, IndicatorScore, Represented, neurons, principal_components, recovery,
};
use lapidary_report::number::significant;
use lapidary_suite::grid::Architecture;
use lapidary_trainer::{Baseline, row_set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The experiment.
pub static TRUTH: Experiment = Experiment {
    name: "truth",
    plain: "Sparse autoencoders are trained to rebuild activations, not to find concepts. Where we know every concept, do their features \
            turn out to be these concepts?",
    method: "Dictionaries of three architectures are trained where every true variable is known. A feature counts as a classifier of a variable: \
             it fires or it does not. One-to-one assignment gives each variable its best feature; the score is the mean F1 over all variables that \
             the model represents (a linear probe finds them with AUROC 0.95). After SynthSAEBench (arXiv 2602.14687).",
    baselines: "The same training with a decoder that is never trained (arXiv 2602.14111 found that such frozen decoders score like trained ones on many \
                metrics); the same training on a language model with random weights (2501.17727); principal components and neurons, with the \
                best of seven thresholds for every variable.",
    metric: "matched F1, 0 to 1, at equal L0 (features that fire per token); share of the model's belief in a variable that goes with its feature",
    pass: "trained dictionaries are at least 0.2 above the frozen decoder and above the random model",
    doubt: "A larger dictionary or a longer \
            training that changes the order; a language whose variables are less like words.",
    rungs: &[RungName::Planted, RungName::Organism],
    run,
    answer,
};

const ARCHITECTURES: [Architecture; 3] =
    [Architecture::JumpRelu, Architecture::BatchTopK, Architecture::Matryoshka];
/// Where everything is compared.
const L0: f64 = 12.0;
/// F1 from which on a feature stands for its variable.
const STANDS: f64 = 0.5;
/// Name of the largest matched F1 that the width allows.
const CEILING: &str = "largest matched F1 that the width allows";
/// Shares of the truth's firings that are replaced.
const LADDER: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

/// One dictionary against the truth.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    subject: String,
    hash: String,
    l0: f64,
    fvu: f64,
    /// Of each represented variable, in the order of the truth.
    f1: Vec<f64>,
    completeness: f64,
    best_f1: f64,
    mcc: Option<f64>,
    /// At the L0 where everything is compared, of what is no baseline.
    causal: Option<Causal>,
}

impl Found {
    fn matched(&self) -> f64 {
        mean(&self.f1)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Checks {
    oracle: f64,
    ladder: Vec<f64>,
    untrained: Vec<Found>,
    variables: u64,
    too_rare: u64,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: Vec::new(),
        layer: None,
        random_lm: name != RungName::Planted,
        train_rows: lab.effort.pick(160_000, 1_000_000),
        known_rows: lab.effort.pick(20_000, 50_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let l0s = lab.effort.pick(vec![L0], vec![8.0, L0, 18.0]);
    let width = lab.effort.pick(512, 1_024);
    let wants = wants(name, &l0s, width);
    let mut by_seed: Vec<Vec<Found>> = Vec::new();
    for seed in lab.seeds() {
        let how = How {
            rows: lab.effort.pick(160_000, 2_000_000),
            batch: lab.effort.pick(512, 2_048),
            seed,
            round: Bits::F32,
        };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": how.rows, "batch": how.batch, "seed": seed,
            "l0s": l0s, "width": width, "measure": 3 });
        by_seed.push(lab.cell(name, &format!("scores-seed{seed}"), &plan, |lab| {
            let all = trained(lab, &rung, &wants, how)?;
            wants.iter().zip(&all).map(|(want, trained)| found(lab, &rung, want, trained)).collect()
        })?);
    }
    let plan = serde_json::json!({ "rung": rung.plan(), "ladder": LADDER, "measure": 1 });
    let checks = lab.cell(name, "checks", &plan, |lab| checks(lab, &rung))?;
    let again = stable(lab, &rung, &wants, &by_seed)?;
    let rows = lab.effort.pick(160_000, 2_000_000);
    Ok(report(lab, &rung, &wants, &by_seed, &checks, &again, rows))
}

/// Per architecture and L0: what is tried, and what it must beat.
fn wants(name: RungName, l0s: &[f64], width: usize) -> Vec<Want> {
    let mut wants = Vec::new();
    for architecture in ARCHITECTURES {
        for &l0 in l0s {
            let want = Want::new(architecture, width, l0);
            wants.extend([want.clone(), want.baseline(Baseline::FrozenDecoder)]);
            if name != RungName::Planted {
                wants.push(want.baseline(Baseline::RandomLm));
            }
        }
    }
    wants
}

fn subject(want: &Want) -> String {
    let of = want.baseline.map(|b| format!(" {b}")).unwrap_or_default();
    format!("{}{of}", want.architecture)
}

fn found(lab: &Lab<'_>, rung: &Rung, want: &Want, trained: &Trained) -> Result<Found, LabError> {
    let x = &rung.known()?.x[&row_set(rung.site(), want.baseline)];
    let on = encoded(&trained.dictionary, lab.catalog.device, x, x);
    let mcc = rung.planted().map(|planted| {
        let d = planted.config.d;
        recovery(planted.directions(), &trained.dictionary.w_dec, d, 0.9, lab.catalog.device).mean_correlation
    });
    let found = scored(lab, rung, &subject(want), &on.firings)?;
    let causal = match want.baseline.is_none() && want.l0 == L0 {
        true => {
            let (most, windows) = (lab.effort.pick(24, 48), lab.effort.pick(60, 200));
            let matched = matched(lab, rung, &on.firings, most)?;
            causal(rung, &trained.dictionary, &matched, windows, lab.seed)?
        }
        false => None,
    };
    Ok(Found { hash: trained.hash.clone(), l0: on.l0, fvu: on.fvu, mcc, causal, ..found })
}

/// Features that stand for a variable that the model represents, each with it: at most `most`, evenly.
fn matched(lab: &Lab<'_>, rung: &Rung, firings: &Firings, most: usize) -> Result<Vec<(u32, u32)>, LabError> {
    let Some(scores) = against_truth(rung, "matched", firings, lab.seed)? else { return Ok(Vec::new()) };
    let stand = |i: &&IndicatorScore| i.represented == Represented::Yes && i.matched_f1 >= STANDS;
    let all: Vec<(u32, u32)> = scores
        .indicators
        .iter()
        .filter(stand)
        .filter_map(|i| Some((i.matched_feature?, i.indicator)))
        .collect();
    let step = all.len().div_ceil(most).max(1);
    Ok(all.into_iter().step_by(step).collect())
}

fn scored(lab: &Lab<'_>, rung: &Rung, subject: &str, firings: &Firings) -> Result<Found, LabError> {
    let Some(scores) = against_truth(rung, subject, firings, lab.seed)? else {
        invalid!("truth: expected a rung whose truth is known, found {}; leave it out", rung.name)
    };
    let represented = scores.indicators.iter().filter(|i| i.represented == Represented::Yes);
    Ok(Found {
        subject: subject.into(),
        hash: String::new(),
        l0: firings.index.len() as f64 / firings.rows().max(1) as f64,
        fvu: 1.0,
        f1: represented.map(|i| i.matched_f1).collect(),
        completeness: scores.found_and_represented as f64 / scores.represented.max(1) as f64,
        best_f1: scores.best_f1_represented.value,
        mcc: None,
        causal: None,
    })
}

/// What needs no training, and whether the score can be trusted.
fn checks(lab: &mut Lab<'_>, rung: &Rung) -> Result<Checks, LabError> {
    let known = rung.known()?;
    let (x, d, device) = (&known.x[rung.site()], rung.d(), lab.catalog.device);
    let Some(truth) = &known.truth else {
        invalid!("truth: expected a rung whose truth is known, found {}; leave it out", rung.name)
    };
    let mut ladder = Vec::new();
    for lost in LADDER {
        ladder.push(scored(lab, rung, "ladder", &degraded(truth, lost, lab.seed))?.matched());
    }
    let oracle = scored(lab, rung, "oracle", &oracle(truth))?;
    let untrained = vec![
        scored(lab, rung, "pca", &principal_components(x, d, device))?,
        scored(lab, rung, "neurons", &neurons(x, d))?,
    ];
    let scores = against_truth(rung, "oracle", &crate::measure::oracle(truth), lab.seed)?;
    let too_rare = scores.map_or(0, |s| s.too_rare);
    Ok(Checks { oracle: oracle.matched(), ladder, untrained, variables: oracle.f1.len() as u64, too_rare })
}

/// Share of features that the next seed finds again, by subject.
fn stable(
    lab: &mut Lab<'_>,
    rung: &Rung,
    wants: &[Want],
    by_seed: &[Vec<Found>],
) -> Result<BTreeMap<String, f64>, LabError> {
    let hashes: Vec<Vec<&str>> =
        by_seed.iter().map(|s| s.iter().map(|f| f.hash.as_str()).collect()).collect();
    let seeds = lab.seeds();
    let (l0s, width) = (lab.effort.pick(vec![L0], vec![8.0, L0, 18.0]), lab.effort.pick(512, 1_024));
    let plan = serde_json::json!({ "hashes": hashes, "l0s": l0s, "width": width });
    lab.cell(rung.name, "stability", &plan, |lab| {
        let how = |seed| How {
            rows: lab.effort.pick(160_000, 2_000_000),
            batch: lab.effort.pick(512, 2_048),
            seed,
            round: Bits::F32,
        };
        let hows: Vec<How> = seeds.iter().take(2).map(|&seed| how(seed)).collect();
        let (a, b) = (trained(lab, rung, wants, hows[0])?, trained(lab, rung, wants, hows[1])?);
        let mut out = BTreeMap::new();
        for ((want, a), b) in wants.iter().zip(&a).zip(&b).filter(|((want, ..), _)| want.l0 == L0) {
            let share = shared(&a.dictionary.w_dec, &b.dictionary.w_dec, rung.d(), lab.catalog.device);
            out.insert(subject(want), share);
        }
        Ok(out)
    })
}

/// F1 of each variable at the common L0, of one subject and seed.
fn at(found: &[Found], subject: &str, of: impl Fn(&Found) -> Vec<f64>) -> Vec<f64> {
    let points: Vec<(f64, Vec<f64>)> =
        found.iter().filter(|f| f.subject == subject).map(|f| (f.l0, of(f))).collect();
    at_l0(&points, L0)
}

fn report(
    lab: &Lab<'_>,
    rung: &Rung,
    wants: &[Want],
    by_seed: &[Vec<Found>],
    checks: &Checks,
    again: &BTreeMap<String, f64>,
    rows: u64,
) -> Report {
    let mut subjects: Vec<String> = Vec::new();
    wants.iter().map(subject).for_each(|s| {
        if !subjects.contains(&s) {
            subjects.push(s);
        }
    });
    let gate = vec![
        Check {
            name: "the truth as a dictionary, matched F1".into(),
            value: checks.oracle,
            needed: "1".into(),
            holds: checks.oracle > 0.999,
        },
        ranked(&checks.ladder),
    ];
    let mut report = Report {
        sae_hashes: hashes(lab, wants, by_seed),
        validity: gate,
        cost: cost(rung, wants, by_seed.len() as u64, rows),
        cells: cells(lab, by_seed, checks),
        tables: vec![table(&subjects, by_seed, checks, again)],
        notes: notes(rung, checks),
        ..Report::new(lab, TRUTH.name, rung)
    };
    for s in &subjects {
        let f1: Vec<Vec<f64>> = by_seed.iter().map(|found| at(found, s, |f| f.f1.clone())).collect();
        let value = Value::new(
            &f1.iter().map(|f| mean(f)).collect::<Vec<_>>(),
            sampling_error(&mean_of(&f1), lab.seed),
            checks.variables,
        );
        let table = if s.contains(' ') { &mut report.baselines } else { &mut report.metrics };
        table.insert(format!("{s}: matched F1"), value);
    }
    for untrained in &checks.untrained {
        let value =
            Value::new(&[untrained.matched()], sampling_error(&untrained.f1, lab.seed), checks.variables);
        report.baselines.insert(format!("{}: matched F1", untrained.subject), value);
    }
    let width = wants.first().map_or(0, |w| w.width) as f64;
    let most = (width / checks.variables.max(1) as f64).min(1.0);
    report.metrics.insert(CEILING.into(), Value::new(&[most], 0.0, checks.variables));
    let objections = report.objections();
    report.verdicts = verdicts(lab, &subjects, by_seed, checks, &objections);
    effects(lab, &mut report, by_seed);
    report.plots.push(plot(&report));
    for (name, of) in [("frozen gap", "frozen-decoder"), ("random-LM gap", "random-lm")] {
        report.validity.extend(least_gap(&report, name, of));
    }
    report
}

/// Of taking matched features out, beside others as frequent.
fn effects(lab: &Lab<'_>, report: &mut Report, by_seed: &[Vec<Found>]) {
    for architecture in ARCHITECTURES.map(|a| a.to_string()) {
        let of_seed = |found: &Vec<Found>| {
            found.iter().filter(|f| f.subject == architecture).find_map(|f| f.causal.clone())
        };
        let all: Vec<Causal> = by_seed.iter().filter_map(of_seed).filter(|c| !c.matched.is_empty()).collect();
        let Some(first) = all.first() else { continue };
        let n = all.iter().map(|c| c.matched.len() as u64).sum();
        let means = |of: fn(&Causal) -> &Vec<f64>| all.iter().map(|c| mean(of(c))).collect::<Vec<f64>>();
        let (own, other) = (means(|c| &c.matched), means(|c| &c.random));
        let gaps: Vec<f64> = first.matched.iter().zip(&first.random).map(|(a, b)| a - b).collect();
        let [matched, others, apart] =
            [&first.matched, &first.random, &gaps].map(|of| sampling_error(of, lab.seed));
        let name = |what: &str| format!("{architecture}: effect of {what}");
        report.metrics.insert(name("taking a matched feature out"), Value::new(&own, matched, n));
        report.baselines.insert(name("another as frequent"), Value::new(&other, others, n));
        let by_seed = own.iter().zip(&other).map(|(a, b)| a - b).collect();
        let gap = Gap { by_seed, sampling: apart };
        let claim = format!(
            "{architecture}: a matched feature changes what the model believes more than another as frequent"
        );
        report.verdicts.push(judge(&claim, &gap, None, &report.objections()));
    }
}

fn plot(report: &Report) -> crate::report::Plot {
    let line = |(name, value, is_baseline): (&String, _, _)| Named { name: short(name), value, is_baseline };
    let f1 = |n: &str| n.ends_with(": matched F1");
    let metrics = report.metrics.iter().filter(|(n, _)| f1(n)).map(|(n, v)| (n, v, false));
    let baselines = report.baselines.iter().filter(|(n, _)| f1(n)).map(|(n, v)| (n, v, true));
    let mut all: Vec<(&String, &Value, bool)> = metrics.chain(baselines).collect();
    all.sort_by(|a, b| b.1.value.total_cmp(&a.1.value));
    by_name(
        "matched-f1",
        "How much of the truth do features find?",
        "matched F1, 1 is all of it",
        "Mean matched F1 over variables, with 95 % intervals over seeds and variables. Grey: what must be beaten.",
        &all.into_iter().map(line).collect::<Vec<_>>(),
    )
}

fn short(name: &str) -> String {
    name.trim_end_matches(": matched F1").replace("frozen-decoder", "frozen")
}

fn ranked(ladder: &[f64]) -> Check {
    let wanted: Vec<f64> = LADDER.iter().map(|lost| -lost).collect();
    let tau = kendall(&wanted, ladder);
    Check {
        name: "ranking of ever worse copies of the truth, Kendall's τ".into(),
        value: tau,
        needed: "0.9 or more".into(),
        holds: tau >= 0.9,
    }
}

/// The smallest gap to a kind of baseline, which says whether the score shows that training did something.
fn least_gap(report: &Report, name: &str, of: &str) -> Option<Check> {
    let gaps = report.verdicts.iter().filter(|v| v.claim.ends_with(of)).map(|v| v.margin);
    let least = gaps.fold(f64::INFINITY, f64::min);
    least.is_finite().then(|| Check {
        name: format!("smallest {name}"),
        value: least,
        needed: "0.2 or more, else the score says little about training".into(),
        holds: least >= 0.2,
    })
}

fn mean_of(by_seed: &[Vec<f64>]) -> Vec<f64> {
    let n = by_seed.first().map_or(0, Vec::len);
    (0..n).map(|v| by_seed.iter().map(|f| f[v]).sum::<f64>() / by_seed.len() as f64).collect()
}

fn verdicts(
    lab: &Lab<'_>,
    subjects: &[String],
    by_seed: &[Vec<Found>],
    checks: &Checks,
    objections: &[String],
) -> Vec<Verdict> {
    let f1 =
        |s: &str| -> Vec<Vec<f64>> { by_seed.iter().map(|found| at(found, s, |f| f.f1.clone())).collect() };
    let compare = |a: &str, ours: &[Vec<f64>], b: &str, theirs: &[Vec<f64>], line| {
        let gaps: Vec<Vec<f64>> =
            ours.iter().zip(theirs).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect()).collect();
        let gap = Gap {
            by_seed: gaps.iter().map(|g| mean(g)).collect(),
            sampling: sampling_error(&mean_of(&gaps), lab.seed),
        };
        judge(&format!("{a} finds more of the truth than {b}"), &gap, line, objections)
    };
    let mut out = Vec::new();
    let trained: Vec<&String> = subjects.iter().filter(|s| !s.contains(' ')).collect();
    for s in &trained {
        let ours = f1(s);
        for other in subjects.iter().filter(|o| o.starts_with(&format!("{s} "))) {
            out.push(compare(s, &ours, other, &f1(other), Some(0.2)));
        }
        for untrained in &checks.untrained {
            let theirs = vec![untrained.f1.clone(); ours.len()];
            out.push(compare(s, &ours, &untrained.subject, &theirs, None));
        }
    }
    for s in trained.iter().skip(1) {
        out.push(compare(s, &f1(s), trained[0], &f1(trained[0]), None));
    }
    out
}

fn hashes(lab: &Lab<'_>, wants: &[Want], by_seed: &[Vec<Found>]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (seed, found) in lab.seeds().iter().zip(by_seed) {
        for (want, found) in wants.iter().zip(found) {
            out.insert(format!("{} L0 {} seed {seed}", found.subject, want.l0), found.hash.clone());
        }
    }
    out
}

fn cost(rung: &Rung, wants: &[Want], seeds: u64, rows: u64) -> Cost {
    let dictionaries = wants.len() as u64 * seeds;
    let product: f64 = wants.iter().map(|w| w.width as f64 * rung.d() as f64).sum();
    Cost {
        dictionaries,
        rows,
        lm_tokens: rung.lm_tokens(),
        multiply_adds: 10.0 * product * rows as f64 * seeds as f64,
    }
}

fn cells(lab: &Lab<'_>, by_seed: &[Vec<Found>], checks: &Checks) -> Vec<Cell> {
    let mut out = Vec::new();
    let mut add = |found: &Found, seed: Option<u64>| {
        let mut one = |metric: &str, value| {
            out.push(Cell { subject: found.subject.clone(), seed, metric: metric.into(), value });
        };
        one("L0", found.l0);
        one("matched F1", found.matched());
        one("best F1", found.best_f1);
        one("completeness", found.completeness);
        if seed.is_some() {
            one("FVU", found.fvu);
        }
        found.mcc.iter().for_each(|&mcc| one("MCC", mcc));
    };
    for (seed, found) in lab.seeds().into_iter().zip(by_seed) {
        found.iter().for_each(|f| add(f, Some(seed)));
    }
    checks.untrained.iter().for_each(|f| add(f, None));
    for (lost, value) in LADDER.iter().zip(&checks.ladder) {
        let subject = format!("truth, {:.0} % of firings replaced", lost * 100.0);
        out.push(Cell { subject, seed: None, metric: "matched F1".into(), value: *value });
    }
    out
}

fn table(
    subjects: &[String],
    by_seed: &[Vec<Found>],
    checks: &Checks,
    again: &BTreeMap<String, f64>,
) -> Table {
    let mut rows = Vec::new();
    for s in subjects {
        let number = |of: &dyn Fn(&Found) -> f64| {
            let values: Vec<f64> = by_seed.iter().map(|found| at(found, s, |f| vec![of(f)])[0]).collect();
            significant(mean(&values), 3)
        };
        let mcc = match by_seed[0].iter().any(|f| f.mcc.is_some()) {
            true => number(&|f| f.mcc.unwrap_or(0.0)),
            false => "–".into(),
        };
        rows.push(vec![
            s.clone(),
            number(&|f| f.l0),
            number(&|f| f.fvu),
            number(&|f| f.matched()),
            number(&|f| f.completeness),
            mcc,
            again.get(s).map_or("–".into(), |x| significant(*x, 3)),
        ]);
    }
    for f in &checks.untrained {
        let [l0, f1, complete] = [f.l0, f.matched(), f.completeness].map(|x| significant(x, 3));
        rows.push(vec![f.subject.clone(), l0, "–".into(), f1, complete, "–".into(), "–".into()]);
    }
    Table {
        title: format!("Means over seeds at L0 {L0}; {} variables", checks.variables),
        columns: ["dictionary", "L0", "FVU", "matched F1", "completeness", "MCC", "found by another seed"]
            .map(String::from)
            .to_vec(),
        rows,
    }
}

fn notes(rung: &Rung, checks: &Checks) -> Vec<String> {
    let mut notes = vec![format!(
        "{} variables are scored; {} more were too rare in the fresh rows to say anything about.",
        checks.variables, checks.too_rare
    )];
    notes.push(
        "Completeness: share of the variables that some feature finds (F1 of 0.5 and more, above chance). MCC: mean |cos| of decoder rows with planted \
         directions, one to one. With fewer features than variables, matched F1 cannot reach 1."
            .into(),
    );
    if rung.name != RungName::Planted {
        notes.push("The random model is one draw, shared by all seeds of training.".into());
    }
    notes
}

fn answer(reports: &[Report]) -> String {
    if reports.iter().all(|r| r.verdicts.iter().all(|v| v.outcome == Outcome::Invalid)) {
        return "The measurement failed its own checks: no answer.".into();
    }
    let all = || reports.iter().flat_map(|r| best(r).map(|(_, _, verdicts)| verdicts)).flatten();
    let hoped = all().filter_map(|v| v.passed).all(|passed| passed);
    let said = match all().all(|v| v.outcome == Outcome::Better) {
        true if hoped => "Yes",
        true => "Only in part, as they beat every baseline by less than was hoped",
        false => "Not as far as can be shown, because some baseline finds as much",
    };
    let of = |r: &Report| {
        let (name, value, verdicts) = best(r)?;
        let most = r.metrics.get(CEILING).map_or(1.0, |v| v.value);
        let lost: Vec<&str> = verdicts
            .iter()
            .filter(|v| v.outcome != Outcome::Better)
            .filter_map(|v| v.claim.rsplit(" than ").next())
            .collect();
        let lost =
            if lost.is_empty() { String::new() } else { format!(", not above {}", lost.join(" and ")) };
        let line =
            verdicts.iter().filter(|v| v.pass_line.is_some()).map(|v| v.margin).fold(f64::INFINITY, f64::min);
        Some(format!(
            "on the rung {} the best ({name}) has a matched F1 of {} where {} is possible, {} above the nearest baseline that was trained alike{lost}",
            r.rung,
            significant(value, 2),
            significant(most, 2),
            significant(line, 2)
        ))
    };
    format!("{said}: {}.", reports.iter().filter_map(of).collect::<Vec<_>>().join("; "))
}

/// The architecture that finds most, its matched F1, and the verdicts on it against baselines.
fn best(report: &Report) -> Option<(&str, f64, Vec<&Verdict>)> {
    let f1 = report.metrics.iter().filter(|(name, _)| name.ends_with(": matched F1"));
    let (name, value) = f1.max_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    let name = name.trim_end_matches(": matched F1");
    let baseline = |v: &&Verdict| {
        let other = v.claim.rsplit(" than ").next().unwrap_or_default();
        report.baselines.contains_key(&format!("{other}: matched F1"))
    };
    let own = report.verdicts.iter().filter(|v| v.claim.starts_with(&format!("{name} finds")));
    Some((name, value.value, own.filter(baseline).collect()))
}
