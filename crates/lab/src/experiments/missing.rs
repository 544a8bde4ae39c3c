//! U4. "We know that SAEs introduce error, and completely miss out on some features that are captured by wider SAEs. Can we quantify and easily measure
//! 'how much' they miss and how much this matters in practice?" (arXiv 2408.05147, section 5)
//!
//! Method: *stitching* (Bussmann et al. 2024): feature j of a wide dictionary B is *novel* to a small one A if adding it to A's reconstruction lowers the
//! error, g_j = E[2 f_j d_jᵀe_A − f_j² ‖d_j‖²] > 0, all in one pass. *Completeness* (Templeton et al. 2024): the share of variables that some
//! feature finds (F1 ≥ 0.5), against how often they are on; a logistic line gives the frequency at which half is found, and the smaller widths of a ladder
//! predict it for the widest. *Does it matter*: Δloss when the n features of largest gain are added to A; and when, from the truth, the part
//! of A's error along the directions of the variables that it misses is given back. On planted rows also Chao's estimate of how many there are.
//! Baselines: the same added features along random directions; the n main components of A's error; a denser dictionary of A's width; for the truth's directions a random
//! subspace of the same dimension.
//! Metric and pass lines: completeness rises with frequency (Spearman over bins ≥ 0.8); half-frequency of the widest predicted within a factor of 2; novel
//! features stand for a variable that A misses in 0.9 of the cases; Chao1 within 20 % of the truth.
//! *And at which tasks*: mean accuracy over the language's tasks with known answers, with each of these in the place of the site.

mod added;
mod frequency;
mod tasks;

use crate::counts::Counts;
use crate::error::invalid;
use crate::experiment::Experiment;
use crate::measure::{Spliced, encoded, firings, spearman, spliced};
use crate::plots::{Curve, Named, by_name, curves};
use crate::report::{Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, trained};
use crate::verdict::{Gap, Outcome, judge, reaches, stays_below};
use crate::{Lab, LabError};
use added::{directions, error, gains, variants};
use frequency::{binned, chao, half, prediction};
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::low_precision::Bits;
use lapidary_kernels::Device;
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Scale};
use lapidary_suite::grid::Architecture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tasks::accuracies;

/// The experiment.
pub static MISSING: Experiment = Experiment {
    name: "missing",
    plain: "A dictionary has a fixed number of features, so it leaves concepts out. Which ones, how many, and does the model need them?",
    method: "A wide dictionary's feature is new to a small one if adding it to the small one's reconstruction lowers the error (stitching, Bussmann et al. 2024). We know \
             every variable and how often it is on, so we can say which ones have a feature (completeness, Templeton et al. 2024), from which frequency on half are \
             found, and whether narrow dictionaries predict that for a wide one. To see whether it matters, the missing part is added back and the loss of the running \
             model measured: with features of the wide dictionary, and along the true directions of the missing variables.",
    baselines: "The same additions along random directions; the main components of what the small dictionary leaves; a small dictionary that is allowed more features per token; \
                for the true directions, a random subspace of the same dimension.",
    metric: "completeness against frequency; share of the loss between small and wide that is won back",
    pass: "rank correlation of completeness with frequency 0.8; the half-frequency predicted within a factor of 2; new features stand for a missed variable in 90 % of the cases; \
           on planted vectors an estimate of the number of directions within 20 %",
    doubt: "Variables that are found by no single feature but by a few together; other thresholds than F1 0.5; single tasks that need a rare variable, which a mean over tasks \
            does not show.",
    rungs: &[RungName::Planted, RungName::Organism],
    run,
    answer,
};

const L0: f64 = 12.0;
/// What the denser small dictionary may use.
const DENSER: f64 = 16.0;
/// F1 from which on a feature has found a variable.
const FOUND: f64 = 0.5;
/// Features that are added.
const ADDED: usize = 32;
/// Directions along which error is given back.
const GIVEN: usize = 8;
/// Bins of frequency.
const BINS: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Loss {
    name: String,
    l0: f64,
    fvu: f64,
    delta_loss: Option<f64>,
    /// Mean over tasks.
    accuracy: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct OfSeed {
    hashes: Vec<(String, String)>,
    /// By width: which variables are found.
    found: Vec<Vec<bool>>,
    /// Of each variable, share of rows.
    frequency: Vec<f64>,
    novel: u64,
    features: u64,
    /// Novel features that stand for a variable, and those whose variable A misses; the same of the others.
    novel_stand: [u64; 2],
    other_stand: [u64; 2],
    losses: Vec<Loss>,
    /// Variables whose directions were given back.
    given_back: u64,
    /// Of the untouched model.
    knows: Option<f64>,
    /// Answers of all tasks.
    answers: u64,
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: Vec::new(),
        layer: None,
        random_lm: false,
        train_rows: lab.effort.pick(160_000, 1_000_000),
        known_rows: lab.effort.pick(20_000, 60_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let widths: Vec<usize> = lab.effort.pick(vec![128, 256, 512, 1_024], vec![256, 512, 1_024, 2_048, 4_096]);
    let (rows, batch) = (lab.effort.pick(160_000, 1_500_000), lab.effort.pick(512, 2_048));
    let windows = lab.effort.pick(60, 300);
    let mut by_seed = Vec::new();
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed, "l0": [L0, DENSER],
            "widths": widths, "windows": windows, "measure": 4 });
        by_seed.push(lab.cell(name, &format!("missing-seed{seed}"), &plan, |lab| {
            of_seed(lab, &rung, &widths, how, windows)
        })?);
    }
    let mut report = report(lab, &rung, &widths, &by_seed);
    let all: Vec<usize> = by_seed.iter().flat_map(|_| [widths.clone(), vec![widths[1]]].concat()).collect();
    report.spent(&all, rung.d(), rows);
    Ok(report)
}

fn of_seed(
    lab: &mut Lab<'_>,
    rung: &Rung,
    widths: &[usize],
    how: How,
    windows: usize,
) -> Result<OfSeed, LabError> {
    let mut wants: Vec<Want> = widths.iter().map(|&w| Want::new(Architecture::BatchTopK, w, L0)).collect();
    wants.push(Want::new(Architecture::BatchTopK, widths[1], DENSER));
    let all = trained(lab, rung, &wants, how)?;
    let known = rung.known()?;
    let Some(truth) = &known.truth else {
        invalid!("missing: expected a rung whose truth is known, found {}; leave it out", rung.name)
    };
    let (x, device) = (&known.x[rung.site()], lab.catalog.device);
    let represented = rung.represented()?;
    let mut found = Vec::new();
    let mut both = BTreeMap::new();
    for (i, t) in all[..widths.len()].iter().enumerate() {
        let features = t.dictionary.encode(device, x);
        let counts = Counts::new(truth, &firings(&features));
        let kept: Vec<usize> =
            (0..counts.kept.len()).filter(|&v| represented[counts.kept[v] as usize]).collect();
        found.push(kept.iter().map(|&v| counts.of_indicator(v).1 >= FOUND).collect());
        if i == 1 || i + 1 == widths.len() {
            both.insert(i, (features, counts, kept));
        }
    }
    let (small, wide) = (&all[1].dictionary, &all[widths.len() - 1].dictionary);
    let ((small_features, small_counts, kept), (wide_features, wide_counts, _)) =
        (&both[&1], &both[&(widths.len() - 1)]);
    let error = error(small, device, x, small_features);
    let gains = gains(wide, wide_features, &error);
    let missed = |v: usize| small_counts.of_indicator(v).1 < FOUND;
    let stand = |is_novel: bool| {
        let mut out = [0u64; 2];
        for j in (0..gains.len()).filter(|&j| wide_counts.fires[j] > 0 && (gains[j] > 0.0) == is_novel) {
            let (v, f1) = wide_counts.of_feature(j);
            if f1 >= FOUND {
                out = [out[0] + 1, out[1] + u64::from(missed(v))];
            }
        }
        out
    };
    let missing: Vec<usize> = kept.iter().copied().filter(|&v| missed(v)).collect();
    let back = directions(rung, truth, x, &small_counts.kept, &missing)?;
    let given_back = (back.len() / rung.d()) as u64;
    let named =
        variants(small, wide, &all[widths.len()].dictionary, &gains, &error, &back, rung.d(), lab.seed);
    let rows = truth.rows() as f64;
    let accuracies = accuracies(rung, &named, windows as u64 * 2)?;
    Ok(OfSeed {
        hashes: wants
            .iter()
            .zip(&all)
            .map(|(w, t)| (format!("width {} L0 {}", w.width, w.l0), t.hash.clone()))
            .collect(),
        found,
        frequency: kept.iter().map(|&v| f64::from(small_counts.on[v]) / rows).collect(),
        novel: gains.iter().filter(|&&g| g > 0.0).count() as u64,
        features: gains.len() as u64,
        novel_stand: stand(true),
        other_stand: stand(false),
        losses: losses(rung, device, x, &named, windows, accuracies.as_ref().map(|(all, _)| &all[..]))?,
        given_back,
        knows: accuracies.as_ref().and_then(|(all, _)| all.last().copied()),
        answers: accuracies.map_or(0, |(_, answers)| answers),
    })
}

fn losses(
    rung: &Rung,
    device: Device,
    x: &[f32],
    named: &[(String, Dictionary)],
    windows: usize,
    accuracies: Option<&[f64]>,
) -> Result<Vec<Loss>, LabError> {
    let scores = match rung.model_sites() {
        [] => None,
        [site, ..] => {
            let all: Vec<Spliced<'_>> = named
                .iter()
                .map(|(name, dictionary)| Spliced {
                    name: name.clone(),
                    site: *site,
                    output: *site,
                    dictionary,
                })
                .collect();
            spliced(rung, windows, &all)?
        }
    };
    let of = |(i, (name, dictionary)): (usize, &(String, Dictionary))| {
        let on = encoded(dictionary, device, x, x);
        let delta_loss = scores.as_ref().map(|s| s[i].delta_loss.value);
        let accuracy = accuracies.map(|all| all[i]);
        Loss { name: name.clone(), l0: on.l0, fvu: on.fvu, delta_loss, accuracy }
    };
    Ok(named.iter().enumerate().map(of).collect())
}

fn report(lab: &Lab<'_>, rung: &Rung, widths: &[usize], by_seed: &[OfSeed]) -> Report {
    let mut report = Report::new(lab, MISSING.name, rung);
    let variables = by_seed[0].frequency.len() as u64;
    for (seed, s) in lab.seeds().into_iter().zip(by_seed) {
        s.hashes.iter().for_each(|(name, hash)| {
            drop(report.sae_hashes.insert(format!("{name} seed {seed}"), hash.clone()))
        });
        for (width, found) in widths.iter().zip(&s.found) {
            let share = found.iter().filter(|f| **f).count() as f64 / variables.max(1) as f64;
            report.cell(&format!("width {width}"), Some(seed), "completeness", share);
        }
        for loss in &s.losses {
            report.cell(&loss.name, Some(seed), "L0", loss.l0);
            report.cell(&loss.name, Some(seed), "FVU", loss.fvu);
            loss.delta_loss.iter().for_each(|&l| report.cell(&loss.name, Some(seed), "Δloss", l));
            loss.accuracy.iter().for_each(|&a| report.cell(&loss.name, Some(seed), "task accuracy", a));
        }
    }
    let last = widths.len() - 1;
    let correlation: Vec<f64> = by_seed
        .iter()
        .map(|s| {
            let (f, share): (Vec<f64>, Vec<f64>) = binned(&s.frequency, &s.found[last]).into_iter().unzip();
            spearman(&f, &share)
        })
        .collect();
    let correlation = Value::new(&correlation, 0.0, variables);
    report.verdicts.push(reaches(
        "completeness rises with frequency, rank correlation 0.8",
        &correlation,
        0.8,
        &[],
    ));
    report.metrics.insert("rank correlation of completeness and frequency, widest".into(), correlation);
    complete(&mut report, widths, by_seed, variables);
    novelty(&mut report, by_seed);
    matters(&mut report, by_seed);
    answers(&mut report, by_seed);
    if rung.planted().is_some() {
        let found: Vec<&Vec<bool>> = by_seed.iter().map(|s| &s.found[last]).collect();
        let off = Value::new(&[(chao(&found) / variables as f64 - 1.0).abs()], 0.0, variables);
        report.verdicts.push(stays_below(
            "Chao1 over three seeds is within 20 % of the number of directions",
            &off,
            0.2,
            &[],
        ));
        report.metrics.insert("Chao1: relative distance from the number of directions".into(), off);
    }
    report.tables.push(losses_table(by_seed));
    report.plots.push(completeness_plot(widths, by_seed));
    report.plots.push(losses_plot(by_seed));
    report.notes.push(format!("{variables} variables are looked at: those that the model represents and that are on in 20 fresh rows and more."));
    report.notes.push(
        "\"+ missing, by truth\" gives back the part of the error along the directions of the eight most frequent missing variables (of planted rows the true ones, else differences \
         of means); \"+ main components\" and \"+ random subspace\" give back as many dimensions."
            .into(),
    );
    report
}

fn complete(report: &mut Report, widths: &[usize], by_seed: &[OfSeed], variables: u64) {
    let halves: Vec<Vec<Option<f64>>> =
        by_seed.iter().map(|s| s.found.iter().map(|found| half(&s.frequency, found)).collect()).collect();
    for (i, width) in widths.iter().enumerate() {
        let share = |s: &OfSeed| s.found[i].iter().filter(|f| **f).count() as f64 / variables.max(1) as f64;
        let shares: Vec<f64> = by_seed.iter().map(share).collect();
        report.metrics.insert(format!("completeness, width {width:>5}"), Value::new(&shares, 0.0, variables));
        let known: Vec<f64> = halves.iter().filter_map(|h| h[i]).map(|h| 10f64.powf(h)).collect();
        if known.len() == by_seed.len() {
            report.metrics.insert(
                format!("half of the variables are found from frequency, width {width:>5}"),
                Value::new(&known, 0.0, variables),
            );
        }
    }
    let factors: Vec<f64> = halves.iter().filter_map(|h| prediction(widths, h)).collect();
    if factors.len() == by_seed.len() {
        let factor = Value::new(&factors, 0.0, variables);
        report.verdicts.push(stays_below(
            "the widest's half-frequency is predicted within a factor of 2",
            &factor,
            2.0,
            &[],
        ));
        report.metrics.insert("factor by which the prediction misses".into(), factor);
    } else {
        report
            .notes
            .push("At some width no frequency that occurs has half of its variables found, so the half-frequency of the widest cannot be predicted.".into());
    }
}

fn novelty(report: &mut Report, by_seed: &[OfSeed]) {
    let share = |of: [u64; 2]| of[1] as f64 / of[0].max(1) as f64;
    let n: u64 = by_seed.iter().map(|s| s.novel_stand[0]).sum();
    let novel = Value::new(&by_seed.iter().map(|s| share(s.novel_stand)).collect::<Vec<_>>(), 0.0, n);
    let other = Value::new(&by_seed.iter().map(|s| share(s.other_stand)).collect::<Vec<_>>(), 0.0, n);
    report.verdicts.push(reaches(
        "a novel feature stands for a variable that the small one misses, in 90 %",
        &novel,
        0.9,
        &[],
    ));
    let gap = by_seed.iter().map(|s| share(s.novel_stand) - share(s.other_stand)).collect();
    let claim = "novel features stand for missed variables more often than the others";
    report.verdicts.push(judge(claim, &Gap { by_seed: gap, sampling: 0.0 }, None, &[]));
    report.metrics.insert("novel features whose variable the small one misses".into(), novel);
    report.baselines.insert("other features whose variable the small one misses".into(), other);
    let shares: Vec<f64> = by_seed.iter().map(|s| s.novel as f64 / s.features as f64).collect();
    report.metrics.insert(
        "share of the wide one's features that are novel".into(),
        Value::new(&shares, 0.0, by_seed[0].features),
    );
}

/// Share of the distance between small and wide that each addition wins back; of FVU where there is no model.
fn matters(report: &mut Report, by_seed: &[OfSeed]) {
    let of = |s: &OfSeed, name: &str| {
        let loss = s.losses.iter().find(|l| l.name == name).expect("every seed has all variants");
        loss.delta_loss.unwrap_or(loss.fvu)
    };
    let won = |name: &str| -> Vec<f64> {
        by_seed.iter().map(|s| (of(s, "small") - of(s, name)) / (of(s, "small") - of(s, "wide"))).collect()
    };
    let unit = if by_seed[0].losses[0].delta_loss.is_some() { "Δloss" } else { "FVU" };
    let novel = format!("small + {ADDED} novel");
    let all = ["small + all novel", "+ missing, by truth", novel.as_str()];
    let others = ["small + astray", "denser small", "+ main components", "+ random subspace"];
    for name in all {
        report.metrics.insert(
            format!("{name}: share of {unit} won back"),
            Value::new(&won(name), 0.0, report_n(by_seed)),
        );
    }
    for name in others {
        report.baselines.insert(
            format!("{name}: share of {unit} won back"),
            Value::new(&won(name), 0.0, report_n(by_seed)),
        );
    }
    let mut compare = |a: &str, b: &str| {
        let by_seed = won(a).iter().zip(won(b)).map(|(a, b)| a - b).collect();
        let claim = format!("{a} wins back more {unit} than {b}");
        report.verdicts.push(judge(&claim, &Gap { by_seed, sampling: 0.0 }, None, &[]));
    };
    compare(&novel, "small + astray");
    compare(&novel, "denser small");
    compare("+ missing, by truth", "+ random subspace");
    compare("+ missing, by truth", "+ main components");
}

/// Task accuracy, where there is a model.
fn answers(report: &mut Report, by_seed: &[OfSeed]) {
    let of = |name: &str| -> Option<Vec<f64>> {
        by_seed.iter().map(|s| s.losses.iter().find(|l| l.name == name)?.accuracy).collect()
    };
    let missing = "+ missing, by truth";
    let Some(own) = of(missing) else { return };
    let n = by_seed[0].answers;
    for (name, is_baseline) in [
        ("small", true),
        ("wide", true),
        (missing, false),
        ("+ random subspace", true),
        ("+ main components", true),
    ] {
        let Some(values) = of(name) else { continue };
        let table = if is_baseline { &mut report.baselines } else { &mut report.metrics };
        table.insert(format!("{name}: task accuracy"), Value::new(&values, 0.0, n));
    }
    let knows: Vec<f64> = by_seed.iter().filter_map(|s| s.knows).collect();
    report.baselines.insert("the untouched model: task accuracy".into(), Value::new(&knows, 0.0, n));
    for other in ["small", "+ random subspace", "+ main components"] {
        let Some(others) = of(other) else { continue };
        let by_seed = own.iter().zip(others).map(|(a, b)| a - b).collect();
        let claim = format!("{missing} answers more tasks right than {other}");
        report.verdicts.push(judge(&claim, &Gap { by_seed, sampling: 0.0 }, None, &[]));
    }
}

fn report_n(by_seed: &[OfSeed]) -> u64 {
    by_seed[0].given_back.max(1)
}

fn losses_table(by_seed: &[OfSeed]) -> Table {
    let n = by_seed.len() as f64;
    let row = |i: usize| {
        let mean = |get: &dyn Fn(&Loss) -> f64| by_seed.iter().map(|s| get(&s.losses[i])).sum::<f64>() / n;
        let first = &by_seed[0].losses[i];
        let loss = first
            .delta_loss
            .map_or("–".into(), |_| significant(mean(&|l| l.delta_loss.unwrap_or(f64::NAN)), 3));
        let tasks = first
            .accuracy
            .map_or("–".into(), |_| significant(mean(&|l| l.accuracy.unwrap_or(f64::NAN)), 3));
        let [l0, fvu] = [mean(&|l| l.l0), mean(&|l| l.fvu)].map(|x| significant(x, 3));
        vec![first.name.clone(), l0, fvu, loss, tasks]
    };
    Table {
        title: "Means over seeds".into(),
        columns: ["reconstruction", "L0", "FVU", "Δloss, nats", "task accuracy"].map(String::from).to_vec(),
        rows: (0..by_seed[0].losses.len()).map(row).collect(),
    }
}

fn completeness_plot(widths: &[usize], by_seed: &[OfSeed]) -> crate::report::Plot {
    let curve = |(i, width): (usize, &usize)| {
        let bins: Vec<Vec<(f64, f64)>> = by_seed.iter().map(|s| binned(&s.frequency, &s.found[i])).collect();
        let point = |b: usize| {
            let values: Vec<f64> = bins.iter().map(|bins| bins[b].1).collect();
            let value = Value::new(&values, 0.0, 1);
            (bins[0][b].0, value.value, value.ci95)
        };
        Curve { name: format!("width {width}"), is_baseline: false, points: (0..BINS).map(point).collect() }
    };
    curves(
        "completeness",
        "What is found, by how often it occurs",
        "Share of variables that some feature finds, in eight bins of frequency; with 95 % intervals over three seeds.",
        Axis::new("frequency", "share of tokens", Scale::Log),
        Axis::new("share found", "", Scale::FromZero),
        &widths.iter().enumerate().map(curve).collect::<Vec<_>>(),
    )
}

fn losses_plot(by_seed: &[OfSeed]) -> crate::report::Plot {
    let has_loss = by_seed[0].losses[0].delta_loss.is_some();
    let value = |i: usize| {
        let get = |s: &OfSeed| s.losses[i].delta_loss.unwrap_or(s.losses[i].fvu);
        Value::new(&by_seed.iter().map(get).collect::<Vec<_>>(), 0.0, 1)
    };
    let values: Vec<Value> = (0..by_seed[0].losses.len()).map(value).collect();
    let grey = ["small", "wide", "small + astray", "denser small", "+ main components", "+ random subspace"];
    let lines: Vec<Named<'_>> = by_seed[0]
        .losses
        .iter()
        .zip(&values)
        .map(|(l, value)| Named { name: l.name.clone(), value, is_baseline: grey.contains(&l.name.as_str()) })
        .collect();
    let label = if has_loss { "Δloss, nats per token; less is better" } else { "FVU; less is better" };
    by_name(
        "matters",
        "Does the missing part matter?",
        label,
        "What is left when the missing part is added back. Grey: both ends, and what must be beaten.",
        &lines,
    )
}

fn answer(reports: &[Report]) -> String {
    let of = |r: &Report| {
        let complete: Vec<f64> =
            r.metrics.iter().filter(|(n, _)| n.starts_with("completeness")).map(|(_, v)| v.value).collect();
        let won = r.metrics.iter().find(|(n, _)| n.starts_with("+ missing, by truth"));
        let random =
            r.verdicts.iter().find(|v| v.claim.contains("by truth") && v.claim.ends_with("random subspace"));
        let (first, last) =
            (complete.first().copied().unwrap_or(0.0), complete.last().copied().unwrap_or(0.0));
        let word = match random.map(|v| v.outcome) {
            Some(Outcome::Better) => "more than",
            Some(Outcome::Worse) => "less than",
            _ => "not separably from",
        };
        format!(
            "on the rung {} the narrowest dictionary finds {:.0} % of the variables and the widest {:.0} %; giving back the small one's error along missing variables wins \
             {:.0} % of the way to the wide one, {word} a random subspace",
            r.rung,
            100.0 * first,
            100.0 * last,
            100.0 * won.map_or(0.0, |(_, v)| v.value)
        )
    };
    let all = reports.iter().map(of).collect::<Vec<_>>().join("; ");
    let mut letters = all.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}
