//! U3. "Better understanding the phenomenon of 'feature splitting' where high-level features in a small SAE break apart into several finer-grained
//! features in a wider SAE" (arXiv 2408.05147, section 5)
//!
//! Method: a ladder of widths on the same rows at the same L0, as BatchTopK and as Matryoshka. *Parents* (Bricken et al. 2023): the parent of a wide feature is
//! the narrow one with the largest decoder cosine, if that is 0.7 or more; right if the parent's variable is the child's or one that
//! it implies (is on in 95 % of its rows), where both features stand for a variable with F1 ≥ 0.5. *Split factor* (SAEBench, 2503.09532): the
//! features that a k-sparse probe needs for a general variable. *Absorption* (Chanin et al. 2024, arXiv 2409.14507): the general feature is silent where
//! a narrow one has taken its direction along; measured by directions, as published, and exactly, from the truth.
//! Baselines: a random narrow feature as parent; a narrow dictionary; for absorption the F1 of the probe beside it, because features that follow nothing
//! absorb nothing.
//! Metric and pass lines: parents right in 0.9; measured absorption within 0.05 of the exact; Matryoshka absorbs less than BatchTopK at equal L0.

use crate::counts::{Counts, implications};
use crate::error::invalid;
use crate::experiment::Experiment;
use crate::measure::{firings, sampling_error, unit};
use crate::plots::{Curve, curves};
use crate::report::{Check, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Trained, Want, trained};
use crate::verdict::{Gap, Outcome, judge, reaches, stays_below};
use crate::{Lab, LabError};
use lapidary_evaluation::absorption::{Absorption, absorption};
use lapidary_evaluation::low_precision::Bits;
use lapidary_evaluation::truth::Truth;
use lapidary_evaluation::{Labels, halves};
use lapidary_kernels::Device;
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Scale};
use lapidary_suite::grid::Architecture;
use serde::{Deserialize, Serialize};

/// The experiment.
pub static SPLITTING: Experiment = Experiment {
    name: "splitting",
    plain: "A small dictionary may have one feature for \"animal\"; a wider one several for dogs, cats and horses, and none that fires for all animals. How often does \
            that happen, can we tell which feature came from which, and does a nested (Matryoshka) dictionary prevent it?",
    method: "Dictionaries of growing width are trained on the same rows at the same L0. A wide feature's parent is the narrow feature whose decoder row it resembles most \
             (cosine 0.7 or more); we know which variables imply which, so we can say whether a parent is right. For general variables we count how many features a \
             probe needs (split factor, arXiv 2503.09532), and how often the general feature is silent because a narrow one has absorbed its direction (2409.14507), \
             by the published measure and exactly.",
    baselines: "A narrow feature drawn at random as parent. Beside absorption stands the F1 of the probe: features that follow no variable absorb none and would look good.",
    metric: "share of right parents; absorption rate (share of the variable's tokens); distance of the published measure from the exact rate",
    pass: "parents right in 90 %; the published measure within 0.05 of the exact rate; Matryoshka below BatchTopK at equal L0, intervals apart",
    doubt: "General variables that are not lists of narrower ones; a text in which parents and children are not so often on together; widths near the number of true \
            variables, which the quick run does not reach.",
    rungs: &[RungName::Planted, RungName::Organism],
    run,
    answer,
};

const L0: f64 = 12.0;
const ARMS: [Architecture; 2] = [Architecture::BatchTopK, Architecture::Matryoshka];
/// Least decoder cosine of a parent.
const COSINE: f64 = 0.7;
/// F1 from which on a feature stands for a variable.
const STANDS: f64 = 0.5;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Label {
    name: String,
    full: f64,
    exact: f64,
}

/// One dictionary of the ladder.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    arm: String,
    width: usize,
    hash: String,
    l0: f64,
    split: f64,
    f1: f64,
    fraction: f64,
    labels: Vec<Label>,
    /// Children whose parent could be judged, those that are right, and those that would be by lot.
    judged: u64,
    right: u64,
    by_lot: f64,
    /// Children with a parent ÷ parents with a child.
    children: f64,
}

impl Step {
    fn exact(&self) -> f64 {
        mean(self.labels.iter().map(|l| l.exact))
    }

    fn full(&self) -> f64 {
        mean(self.labels.iter().map(|l| l.full))
    }

    fn off(&self) -> f64 {
        mean(self.labels.iter().map(|l| (l.full - l.exact).abs()))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let all: Vec<f64> = values.collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: Vec::new(),
        layer: None,
        random_lm: false,
        train_rows: lab.effort.pick(120_000, 1_000_000),
        known_rows: lab.effort.pick(15_000, 50_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let widths: Vec<usize> =
        lab.effort.pick(vec![128, 256, 512, 1_024], vec![256, 512, 1_024, 2_048, 4_096, 8_192]);
    let (rows, batch) = (lab.effort.pick(100_000, 1_000_000), lab.effort.pick(512, 2_048));
    let mut by_seed = Vec::new();
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed, "l0": L0,
            "widths": widths, "measure": 3 });
        by_seed.push(
            lab.cell(name, &format!("ladder-seed{seed}"), &plan, |lab| ladder(lab, &rung, &widths, how))?,
        );
    }
    let mut report = report(lab, &rung, &widths, &by_seed);
    let all: Vec<usize> = by_seed.iter().flat_map(|_| ARMS.iter().flat_map(|_| widths.clone())).collect();
    report.spent(&all, rung.d(), rows);
    Ok(report)
}

/// Both arms at all widths, of one seed.
fn ladder(lab: &mut Lab<'_>, rung: &Rung, widths: &[usize], how: How) -> Result<Vec<Step>, LabError> {
    let wants: Vec<Want> =
        ARMS.iter().flat_map(|&arm| widths.iter().map(move |&width| Want::new(arm, width, L0))).collect();
    let all = trained(lab, rung, &wants, how)?;
    let known = rung.known()?;
    let Some(truth) = &known.truth else {
        invalid!("splitting: expected a rung whose truth is known, found {}; leave it out", rung.name)
    };
    let (kept, implies) = implications(truth);
    let represented = rung.represented()?;
    let labels = general(truth, &kept, &implies, &represented, lab.effort.pick(24, 60));
    let is_fitted = halves(&truth.documents, lab.seed);
    let (x, d, device) = (&known.x[rung.site()], rung.d(), lab.catalog.device);
    let mut out: Vec<Step> = Vec::new();
    let mut before: Option<(Counts, &Trained)> = None;
    for (want, trained) in wants.iter().zip(&all) {
        lab.check_interrupted()?;
        let features = trained.dictionary.encode(device, x);
        let counts = Counts::new(truth, &firings(&features));
        let absorbed = absorption(&trained.dictionary, x, &features, &labels, &is_fitted, (0, lab.seed));
        let narrower = before.as_ref().filter(|_| want.width != widths[0]);
        let family = narrower.map(|(of, small)| family(of, small, &counts, trained, &implies, (d, device)));
        let l0 = features.index.len() as f64 / features.rows() as f64;
        out.push(step(want, trained, l0, absorbed, family.unwrap_or_default()));
        before = Some((counts, trained));
    }
    Ok(out)
}

fn step(want: &Want, trained: &Trained, l0: f64, absorbed: Absorption, family: Family) -> Step {
    Step {
        arm: want.architecture.to_string(),
        width: want.width,
        hash: trained.hash.clone(),
        l0,
        split: absorbed.split,
        f1: absorbed.f1,
        fraction: absorbed.fraction,
        labels: absorbed
            .labels
            .into_iter()
            .map(|l| Label { name: l.label, full: l.full, exact: l.exact })
            .collect(),
        judged: family.judged,
        right: family.right,
        by_lot: family.by_lot,
        children: family.children,
    }
}

/// The most frequent variables that the model represents and at least two narrower ones imply, on in a quarter of all rows at most.
fn general(truth: &Truth, kept: &[u32], implies: &[bool], represented: &[bool], most: usize) -> Labels {
    let all = Labels::of(truth);
    let n = kept.len();
    let count = |v: usize| all.rows[kept[v] as usize].len();
    let narrower = |u: usize| (0..n).filter(|&v| implies[v * n + u] && 10 * count(v) < 9 * count(u)).count();
    let mut chosen: Vec<usize> = (0..n)
        .filter(|&u| {
            (60..truth.rows() / 4).contains(&count(u)) && represented[kept[u] as usize] && narrower(u) >= 2
        })
        .collect();
    chosen.sort_by_key(|&u| (std::cmp::Reverse(count(u)), u));
    chosen.truncate(most);
    Labels {
        names: chosen.iter().map(|&u| all.names[kept[u] as usize].clone()).collect(),
        rows: chosen.iter().map(|&u| all.rows[kept[u] as usize].clone()).collect(),
        documents: all.documents,
    }
}

#[derive(Default)]
struct Family {
    judged: u64,
    right: u64,
    by_lot: f64,
    children: f64,
}

/// Parents in the narrow dictionary of the features of the wide one.
fn family(
    narrow: &Counts,
    small: &Trained,
    wide: &Counts,
    large: &Trained,
    implies: &[bool],
    (d, device): (usize, Device),
) -> Family {
    let (a, b) = (&small.dictionary.w_dec, &large.dictionary.w_dec);
    let (fa, fb) = (a.len() / d, b.len() / d);
    let mut cosines = vec![0.0; fb * fa];
    device.linear(&unit(b, d), &unit(a, d), None, d, &mut cosines);
    let v = narrow.kept.len();
    let of_narrow: Vec<(usize, f64)> = (0..fa).map(|i| narrow.of_feature(i)).collect();
    let standing: Vec<usize> = (0..fa).filter(|&i| of_narrow[i].1 >= STANDS).collect();
    let mut family = Family::default();
    let (mut with_parent, mut parents) = (0u64, std::collections::BTreeSet::new());
    for j in 0..fb {
        let row = &cosines[j * fa..][..fa];
        let i = (0..fa).max_by(|&i, &k| row[i].total_cmp(&row[k])).unwrap_or(0);
        if f64::from(row[i]) < COSINE {
            continue;
        }
        with_parent += 1;
        parents.insert(i);
        let (child, f1) = wide.of_feature(j);
        if f1 < STANDS || of_narrow[i].1 < STANDS {
            continue;
        }
        let is_right = |i: usize| implies[child * v + of_narrow[i].0];
        family.judged += 1;
        family.right += u64::from(is_right(i));
        family.by_lot += standing.iter().filter(|&&i| is_right(i)).count() as f64 / standing.len() as f64;
    }
    family.children = with_parent as f64 / parents.len().max(1) as f64;
    family
}

fn report(lab: &Lab<'_>, rung: &Rung, widths: &[usize], by_seed: &[Vec<Step>]) -> Report {
    let mut report = Report::new(lab, SPLITTING.name, rung);
    for (seed, steps) in lab.seeds().into_iter().zip(by_seed) {
        for s in steps {
            let name = format!("{}, width {}", s.arm, s.width);
            report.sae_hashes.insert(format!("{name} seed {seed}"), s.hash.clone());
            let all = [
                ("L0", s.l0),
                ("split factor", s.split),
                ("probe F1", s.f1),
                ("absorption, exact", s.exact()),
                ("absorption, measured full", s.full()),
                ("absorption, measured fraction", s.fraction),
            ];
            all.iter().for_each(|(metric, value)| report.cell(&name, Some(seed), metric, *value));
            if s.judged > 0 {
                report.cell(&name, Some(seed), "right parents", s.right as f64 / s.judged as f64);
            }
        }
    }
    let labels = by_seed[0].first().map_or(0, |s| s.labels.len());
    let widest = *widths.last().expect("a ladder has steps");
    let of = |arm: &str, width: usize, get: &dyn Fn(&Step) -> f64| -> Vec<f64> {
        by_seed.iter().flatten().filter(|s| s.arm == arm && s.width == width).map(get).collect()
    };
    let f1 = mean(by_seed.iter().flatten().filter(|s| s.width == widest).map(|s| s.f1));
    report.validity.push(Check {
        name: "F1 of the probes on features, at the widest".into(),
        value: f1,
        needed: "0.5 or more: features that follow no variable absorb none".into(),
        holds: f1 >= 0.5,
    });
    report.validity.push(Check {
        name: "general variables with narrower ones".into(),
        value: labels as f64,
        needed: "5 or more".into(),
        holds: labels >= 5,
    });
    let objections = report.objections();
    for arm in ARMS.map(|a| a.to_string()) {
        let parents = |s: &Step| s.right as f64 / s.judged.max(1) as f64;
        let judged: u64 =
            by_seed[0].iter().filter(|s| s.arm == arm && s.width == widest).map(|s| s.judged).sum();
        let right = Value::new(&of(&arm, widest, &parents), 0.0, judged);
        report.verdicts.push(reaches(&format!("{arm}: 90 % of parents are right"), &right, 0.9, &[]));
        report.metrics.insert(format!("{arm}: right parents, widest"), right);
        let lot = |s: &Step| s.by_lot / s.judged.max(1) as f64;
        report
            .baselines
            .insert(format!("{arm}: right parents by lot"), Value::new(&of(&arm, widest, &lot), 0.0, judged));
        let n = labels as u64;
        let exact = by_label(by_seed, &arm, widest, |l| l.exact);
        let sampling = sampling_error(&exact, lab.seed);
        report.metrics.insert(
            format!("{arm}: absorption, exact, widest"),
            Value::new(&of(&arm, widest, &Step::exact), sampling, n),
        );
        report.metrics.insert(
            format!("{arm}: split factor, widest"),
            Value::new(&of(&arm, widest, &|s| s.split), 0.0, n),
        );
        let narrowest = widths[0];
        report.baselines.insert(
            format!("{arm}: absorption, exact, narrowest"),
            Value::new(&of(&arm, narrowest, &Step::exact), 0.0, n),
        );
        let off = by_label(by_seed, &arm, widest, |l| (l.full - l.exact).abs());
        let off = Value::new(&of(&arm, widest, &Step::off), sampling_error(&off, lab.seed), n);
        let claim = format!("{arm}: published absorption within 0.05 of the exact rate");
        report.verdicts.push(stays_below(&claim, &off, 0.05, &objections));
        report.metrics.insert(format!("{arm}: distance of published absorption from exact"), off);
    }
    let [batch, nested] = ARMS.map(|a| a.to_string());
    let gap = |get: fn(&Label) -> f64| {
        let (a, b) = (by_label(by_seed, &batch, widest, get), by_label(by_seed, &nested, widest, get));
        // Labels without true positives are missing in neither: probes are fitted on rows, not on features.
        let pairs: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let step = |s: &Step| mean(s.labels.iter().map(get));
        let by_seed =
            of(&batch, widest, &step).iter().zip(of(&nested, widest, &step)).map(|(a, b)| a - b).collect();
        Gap { by_seed, sampling: sampling_error(&pairs, lab.seed) }
    };
    report.verdicts.push(judge(
        "matryoshka absorbs less than batchtopk, exact rate",
        &gap(|l| l.exact),
        None,
        &objections,
    ));
    report.verdicts.push(judge(
        "matryoshka absorbs less than batchtopk, as published",
        &gap(|l| l.full),
        None,
        &objections,
    ));
    report.tables.push(table(widths, by_seed));
    report.plots.push(plot(
        widths,
        by_seed,
        "absorption",
        "Absorption by narrower features",
        "absorption, exact rate",
        Step::exact,
    ));
    report.plots.push(plot(
        widths,
        by_seed,
        "split",
        "How many features a general variable is split into",
        "features that a probe needs",
        |s| s.split,
    ));
    if let Some(worst) = worst(by_seed, widest) {
        report.notes.push(worst);
    }
    report.notes.push(format!("{labels} general variables are looked at: the most frequent that the model represents and at least two narrower variables imply."));
    report
}

/// Of each label the mean over seeds.
fn by_label(by_seed: &[Vec<Step>], arm: &str, width: usize, get: impl Fn(&Label) -> f64) -> Vec<f64> {
    let steps: Vec<&Step> = by_seed.iter().flatten().filter(|s| s.arm == arm && s.width == width).collect();
    let labels = steps.iter().map(|s| s.labels.len()).min().unwrap_or(0);
    (0..labels).map(|i| mean(steps.iter().map(|s| get(&s.labels[i])))).collect()
}

/// An example for the page.
fn worst(by_seed: &[Vec<Step>], widest: usize) -> Option<String> {
    let step = by_seed[0].iter().find(|s| s.arm == ARMS[0].to_string() && s.width == widest)?;
    let label = step.labels.iter().max_by(|a, b| a.exact.total_cmp(&b.exact))?;
    Some(format!(
        "Most absorbed by {} at width {widest}, first seed: \"{}\", in {:.0} % of its tokens (published measure: {:.0} %).",
        step.arm,
        label.name,
        100.0 * label.exact,
        100.0 * label.full
    ))
}

fn table(widths: &[usize], by_seed: &[Vec<Step>]) -> Table {
    let mut rows = Vec::new();
    for arm in ARMS.map(|a| a.to_string()) {
        for &width in widths {
            let all = || by_seed.iter().flatten().filter(|s| s.arm == arm && s.width == width);
            let number = |get: &dyn Fn(&Step) -> f64| significant(mean(all().map(get)), 3);
            let judged: u64 = all().map(|s| s.judged).sum();
            let parents = |get: &dyn Fn(&Step) -> f64| match judged {
                0 => "–".into(),
                _ => significant(all().map(get).sum::<f64>() / judged as f64, 3),
            };
            rows.push(vec![
                format!("{arm}, width {width}"),
                number(&|s| s.l0),
                number(&|s| s.split),
                number(&|s| s.f1),
                number(&Step::exact),
                number(&Step::full),
                number(&|s| s.fraction),
                parents(&|s| s.right as f64),
                parents(&|s| s.by_lot),
                if width == widths[0] { "–".into() } else { number(&|s| s.children) },
            ]);
        }
    }
    let columns = [
        "dictionary",
        "L0",
        "split factor",
        "probe F1",
        "absorption, exact",
        "published: full",
        "published: fraction",
        "right parents",
        "by lot",
        "children per parent",
    ];
    Table { title: "Means over seeds".into(), columns: columns.map(String::from).to_vec(), rows }
}

fn plot(
    widths: &[usize],
    by_seed: &[Vec<Step>],
    name: &str,
    title: &str,
    label: &str,
    get: fn(&Step) -> f64,
) -> crate::report::Plot {
    let curve = |arm: &String| {
        let point = |&width: &usize| {
            let values: Vec<f64> =
                by_seed.iter().flatten().filter(|s| s.arm == *arm && s.width == width).map(get).collect();
            let value = Value::new(&values, 0.0, 1);
            (width as f64, value.value, value.ci95)
        };
        Curve { name: arm.clone(), is_baseline: false, points: widths.iter().map(point).collect() }
    };
    let arms: Vec<Curve> = ARMS.map(|a| a.to_string()).iter().map(curve).collect();
    curves(
        name,
        title,
        &format!("{title}: {label}, against width, with 95 % intervals over three seeds."),
        Axis::new("width", "features", Scale::Log),
        Axis::new(label, "", Scale::FromZero),
        &arms,
    )
}

fn answer(reports: &[Report]) -> String {
    let of = |r: &Report| {
        let [batch, nested] = ARMS.map(|a| a.to_string());
        let absorbed =
            |arm: &str| r.metrics.get(&format!("{arm}: absorption, exact, widest")).map_or(0.0, |v| v.value);
        let right = r.metrics.get(&format!("{batch}: right parents, widest")).map_or(0.0, |v| v.value);
        let than = r
            .verdicts
            .iter()
            .find(|v| v.claim.starts_with("matryoshka absorbs less") && v.claim.ends_with("exact rate"));
        let word = match than.map(|v| v.outcome) {
            Some(Outcome::Better) => "which Matryoshka lowers to",
            Some(Outcome::Worse) => "which Matryoshka raises to",
            Some(Outcome::Invalid) => {
                "which is not to be believed, as probes on features are too poor; in Matryoshka"
            }
            _ => "not separable from Matryoshka's, which is",
        };
        format!(
            "on the rung {}, parents found by decoder cosine are right in {:.0} %; the widest BatchTopK absorbs {:.1} % of the tokens of a general variable, {word} {:.1} %",
            r.rung,
            100.0 * right,
            100.0 * absorbed(&batch),
            100.0 * absorbed(&nested)
        )
    };
    let all = reports.iter().map(of).collect::<Vec<_>>().join("; ");
    let mut letters = all.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}
