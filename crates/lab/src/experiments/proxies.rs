//! T3. "Can we find computable, quantitative measures that are a useful proxy for how 'interpretable' humans think a feature vector is?" (arXiv 2408.05147,
//! section 5; Bills et al. 2023)
//!
//! Method: the reference is not a human but the truth: *purity* of a feature, the largest F1 with any variable. Each proxy scores the same features without looking
//! at the truth, and is held against purity by Spearman's rank correlation; and by whether it tells features of a trained dictionary from those of one trained on a
//! random model (AUROC), which are known to fool automatic interpretation (2501.17727). Proxies: F1 of a rule of at most four tokens on documents that
//! it was not made from; intruder and example-embedding scores, in which the model's own late residual stream stands in for a reader (after delphi);
//! how few tokens it fires at; kurtosis of its activations; cosine of its encoder and decoder rows; cosine with the nearest other decoder row.
//! Baseline: how often the feature fires, which every proxy must beat.
//! Metric and pass lines: some proxy reaches |ρ| ≥ 0.7 with purity, and AUROC ≥ 0.8, else it is marked so.
//! Left out: scores that need a language model to explain or simulate. On planted rows there are no tokens, so only the proxies that need none.

use crate::counts::Counts;
use crate::error::invalid;
use crate::experiment::Experiment;
use crate::measure::{firings, spearman, unit};
use crate::plots::{Named, by_name};
use crate::report::{Report, Table, Value};
use crate::rung::{LAST, Need, Rung, RungName};
use crate::training::{How, Trained, Want, trained};
use crate::verdict::{Gap, Outcome, judge, reaches};
use crate::{Lab, LabError};
use lapidary_evaluation::columns::Columns;
use lapidary_evaluation::examples::{Embedded, Options as Examples, alike, smoothed};
use lapidary_evaluation::low_precision::Bits;
use lapidary_evaluation::rules::{Literals, Options as Rules, Text, explain};
use lapidary_evaluation::truth::Truth;
use lapidary_evaluation::{Labels, halves};
use lapidary_kernels::Csr;
use lapidary_lm::{Site, SiteKind};
use lapidary_report::number::significant;
use lapidary_stats::{auroc, bootstrap};
use lapidary_suite::grid::Architecture;
use lapidary_trainer::{Baseline, row_set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The experiment.
pub static PROXIES: Experiment = Experiment {
    name: "proxies",
    plain: "Nobody can read a million features. Which number that a computer can work out says best whether a feature means something?",
    method: "Where every variable is known, a feature's purity is its largest F1 with any of them. Proxies are computed without the truth: a rule of at most four tokens and \
             its F1 on other documents; intruder and embedding scores with the model's own late residual stream as the reader; how few tokens a feature fires at; the shape of \
             its activations; cosines of its weights. Each is compared with purity by rank correlation, and must tell features of a trained model from those of a random one \
             (arXiv 2501.17727).",
    baselines: "How often the feature fires. A proxy that only says that is of no use.",
    metric: "Spearman's rank correlation with purity; AUROC of trained against random-model features",
    pass: "some proxy reaches a rank correlation of 0.7 and an AUROC of 0.8",
    doubt: "Purity is about single variables: a feature for a clean combination of two looks impure. Humans may find other things interpretable than this language's variables.",
    rungs: &[RungName::Planted, RungName::Organism],
    run,
    answer,
};

const L0: f64 = 12.0;
/// What must be beaten.
const FREQUENCY: &str = "frequency";

/// Features of one dictionary: purity, and each proxy; a proxy that cannot be said of a feature is missing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Scored {
    hash: String,
    purity: Vec<f64>,
    proxies: BTreeMap<String, Vec<Option<f64>>>,
}

/// Of one seed: the trained dictionary, and those that are there to be told from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OfSeed {
    trained: Scored,
    frozen: Scored,
    random_lm: Option<Scored>,
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: vec![Site::new(0, SiteKind::Res), Site::new(LAST, SiteKind::Res)],
        layer: None,
        random_lm: name != RungName::Planted,
        train_rows: lab.effort.pick(120_000, 1_000_000),
        known_rows: lab.effort.pick(15_000, 40_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let width = lab.effort.pick(512, 1_024);
    let (rows, batch) = (lab.effort.pick(120_000, 1_500_000), lab.effort.pick(512, 2_048));
    let most = lab.effort.pick(250, 600);
    let mut by_seed = Vec::new();
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed, "l0": L0,
            "width": width, "features": most, "measure": 1 });
        by_seed.push(lab.cell(name, &format!("proxies-seed{seed}"), &plan, |lab| {
            of_seed(lab, &rung, width, how, most)
        })?);
    }
    let mut report = report(lab, &rung, &by_seed);
    let dictionaries = if name == RungName::Planted { 2 } else { 3 };
    report.spent(&vec![width; dictionaries * by_seed.len()], rung.d(), rows);
    Ok(report)
}

fn of_seed(lab: &mut Lab<'_>, rung: &Rung, width: usize, how: How, most: usize) -> Result<OfSeed, LabError> {
    let want = Want::new(Architecture::BatchTopK, width, L0);
    let mut wants = vec![want.clone(), want.baseline(Baseline::FrozenDecoder)];
    if rung.planted().is_none() {
        wants.push(want.baseline(Baseline::RandomLm));
    }
    let all = trained(lab, rung, &wants, how)?;
    let reader = Reader::new(lab, rung)?;
    let mut scored = Vec::new();
    for (want, t) in wants.iter().zip(&all) {
        lab.check_interrupted()?;
        scored.push(reader.score(lab, rung, want, t, most)?);
    }
    let random_lm = (scored.len() > 2).then(|| scored.swap_remove(2));
    let frozen = scored.swap_remove(1);
    Ok(OfSeed { trained: scored.swap_remove(0), frozen, random_lm })
}

/// What proxies read beside the features.
struct Reader<'a> {
    truth: &'a Truth,
    /// Of models: window of each row, and embeddings of rows with their length.
    text: Option<OfText>,
}

struct OfText {
    windows: Vec<u32>,
    embedded: Vec<f32>,
    literals: Literals,
}

impl<'a> Reader<'a> {
    fn new(lab: &Lab<'_>, rung: &'a Rung) -> Result<Reader<'a>, LabError> {
        let known = rung.known()?;
        let Some(truth) = &known.truth else {
            invalid!("proxies: expected a rung whose truth is known, found {}; leave it out", rung.name)
        };
        let Some(model) = rung.model()? else { return Ok(Reader { truth, text: None }) };
        let rows = known.windows.window_rows(&model.spec);
        let windows: Vec<u32> =
            (0u32..).zip(&rows).flat_map(|(w, &n)| std::iter::repeat_n(w, n as usize)).collect();
        let late = rung.model_sites()[1];
        let embedded = smoothed(&known.x[&late.to_string()], model.spec.width(late), &windows, 4);
        let labels = Labels::default();
        let text = Text { tokens: &truth.tokens, windows: &windows, labels: &labels };
        let literals = Literals::of(text, &halves(&truth.documents, lab.seed), Rules::standard());
        Ok(Reader { truth, text: Some(OfText { windows, embedded, literals }) })
    }

    fn score(
        &self,
        lab: &Lab<'_>,
        rung: &Rung,
        want: &Want,
        t: &Trained,
        most: usize,
    ) -> Result<Scored, LabError> {
        let x = &rung.known()?.x[&row_set(rung.site(), want.baseline)];
        let features = t.dictionary.encode(lab.catalog.device, x);
        let counts = Counts::new(self.truth, &firings(&features));
        let columns = Columns::of(&features);
        let chosen = chosen(&counts, most);
        let mut proxies: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        let mut add = |name: &str, values: Vec<Option<f64>>| drop(proxies.insert(name.into(), values));
        let rows = self.truth.rows();
        add(FREQUENCY, chosen.iter().map(|&j| Some(f64::from(counts.fires[j as usize]))).collect());
        add("kurtosis", chosen.iter().map(|&j| kurtosis(columns.feature(j as usize).1, rows)).collect());
        add("encoder·decoder", chosen.iter().map(|&j| Some(own_cosine(t, j as usize))).collect());
        add("far from others", far(lab, t, &chosen));
        if let Some(text) = &self.text {
            self.of_text(lab, text, &features, &columns, &chosen, &mut add);
        }
        Ok(Scored {
            hash: t.hash.clone(),
            purity: chosen.iter().map(|&j| counts.of_feature(j as usize).1).collect(),
            proxies,
        })
    }

    fn of_text(
        &self,
        lab: &Lab<'_>,
        text: &OfText,
        features: &Csr,
        columns: &Columns,
        chosen: &[u32],
        add: &mut dyn FnMut(&str, Vec<Option<f64>>),
    ) {
        assert_eq!(text.windows.len(), features.rows(), "proxies: rows of the text, and of the features");
        let in_order = |found: BTreeMap<u32, f64>| chosen.iter().map(|j| found.get(j).copied()).collect();
        let rules = explain(&text.literals, columns, chosen).into_iter().map(|e| (e.feature, e.f1)).collect();
        add("rule F1", in_order(rules));
        let e = text.embedded.len() / features.rows();
        let embedded = Embedded { rows: &text.embedded, e, documents: &self.truth.documents };
        let alike = alike(embedded, columns, chosen, &Examples::standard(lab.seed));
        add("intruder", in_order(alike.iter().filter_map(|a| Some((a.feature, a.intruder?))).collect()));
        add("embedding", in_order(alike.iter().filter_map(|a| Some((a.feature, a.embedding?))).collect()));
        add(
            "few tokens",
            chosen.iter().map(|&j| Some(few(self.truth, columns.feature(j as usize).0))).collect(),
        );
    }
}

/// Features that fire in 20 rows and more, evenly by number.
fn chosen(counts: &Counts, most: usize) -> Vec<u32> {
    let alive: Vec<u32> =
        (0..counts.fires.len() as u32).filter(|&j| counts.fires[j as usize] >= 20).collect();
    let n = alive.len().min(most);
    (0..n).map(|i| alive[i * alive.len() / n]).collect()
}

/// Fourth moment over the second squared, of activations over all rows, most of which are 0.
fn kurtosis(values: &[f32], rows: usize) -> Option<f64> {
    let n = rows as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let silent = n - values.len() as f64;
    let moment = |p: i32| {
        (values.iter().map(|&v| (f64::from(v) - mean).powi(p)).sum::<f64>() + silent * mean.powi(p)) / n
    };
    let square = moment(2).powi(2);
    (square > 0.0).then(|| moment(4) / square)
}

fn own_cosine(t: &Trained, j: usize) -> f64 {
    let d = t.dictionary.d_in;
    let (a, b) = (&t.dictionary.w_enc[j * d..][..d], &t.dictionary.w_dec[j * d..][..d]);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

/// Minus the largest cosine with another decoder row.
fn far(lab: &Lab<'_>, t: &Trained, chosen: &[u32]) -> Vec<Option<f64>> {
    let d = t.dictionary.d_out;
    let rows = unit(&t.dictionary.w_dec, d);
    let own: Vec<f32> = chosen.iter().flat_map(|&j| &rows[j as usize * d..][..d]).copied().collect();
    let f = t.dictionary.width();
    let mut cosines = vec![0.0; chosen.len() * f];
    lab.catalog.device.linear(&own, &rows, None, d, &mut cosines);
    let nearest = |(row, &j): (&[f32], &u32)| {
        let others = row.iter().enumerate().filter(|(i, _)| *i != j as usize);
        Some(-f64::from(others.map(|(_, &c)| c).fold(f32::MIN, f32::max)))
    };
    cosines.chunks_exact(f).zip(chosen).map(nearest).collect()
}

/// Minus the entropy, nats, of the tokens that a feature fires at.
fn few(truth: &Truth, rows: &[u32]) -> f64 {
    let mut tokens: BTreeMap<u32, f64> = BTreeMap::new();
    rows.iter().for_each(|&n| *tokens.entry(truth.tokens[n as usize]).or_default() += 1.0);
    let n = rows.len() as f64;
    tokens.values().map(|c| c / n * (c / n).ln()).sum()
}

/// Rank correlation with purity, over the features of which the proxy can be said.
fn with_purity(scored: &Scored, proxy: &str) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs(scored, proxy).into_iter().unzip();
    spearman(&a, &b)
}

fn pairs(scored: &Scored, proxy: &str) -> Vec<(f64, f64)> {
    let Some(values) = scored.proxies.get(proxy) else { return Vec::new() };
    values.iter().zip(&scored.purity).filter_map(|(v, p)| Some(((*v)?, *p))).collect()
}

/// Standard error of the rank correlation by drawing features anew: of ranks that are held fixed, to first order.
fn error(scored: &Scored, proxy: &str, seed: u64) -> f64 {
    let pairs = pairs(scored, proxy);
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let flat: Vec<f64> =
        ranks(&a).iter().zip(ranks(&b)).flat_map(|(&x, y)| [1.0, x, y, x * x, y * y, x * y]).collect();
    let [interval] = bootstrap(&flat, 6, 500, seed, |s| {
        let n = s[0];
        let covariance = s[5] / n - s[1] / n * (s[2] / n);
        [covariance / ((s[3] / n - (s[1] / n).powi(2)) * (s[4] / n - (s[2] / n).powi(2))).sqrt()]
    });
    interval.map_or(0.0, |i| (i.high - i.low) / (2.0 * 1.96))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    crate::measure::ranks(values)
}

/// How well a proxy tells trained features from others: AUROC, turned so that the sign is that of its correlation with purity.
fn told(trained: &Scored, other: &Scored, proxy: &str, sign: f64) -> f64 {
    let values = |s: &Scored| -> Vec<f32> { pairs(s, proxy).iter().map(|p| (p.0 * sign) as f32).collect() };
    let (ours, theirs) = (values(trained), values(other));
    let positives: Vec<u32> = (0..ours.len() as u32).collect();
    auroc(&[ours, theirs].concat(), &positives)
}

fn report(lab: &Lab<'_>, rung: &Rung, by_seed: &[OfSeed]) -> Report {
    let mut report = Report::new(lab, PROXIES.name, rung);
    let names: Vec<String> = by_seed[0].trained.proxies.keys().cloned().collect();
    let n = by_seed[0].trained.purity.len() as u64;
    for (seed, s) in lab.seeds().into_iter().zip(by_seed) {
        for (subject, scored) in
            [("trained", Some(&s.trained)), ("frozen", Some(&s.frozen)), ("random-lm", s.random_lm.as_ref())]
        {
            let Some(scored) = scored else { continue };
            report.sae_hashes.insert(format!("{subject} seed {seed}"), scored.hash.clone());
            report.cell(subject, Some(seed), "mean purity", mean(&scored.purity));
            names.iter().for_each(|p| {
                report.cell(subject, Some(seed), &format!("{p}: rank correlation"), with_purity(scored, p))
            });
        }
    }
    let by_name: BTreeMap<&String, Vec<f64>> =
        names.iter().map(|p| (p, by_seed.iter().map(|s| with_purity(&s.trained, p)).collect())).collect();
    let sign = |p: &String| mean(&by_name[p]).signum();
    let mut aurocs: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for p in &names {
        let sampling = error(&by_seed[0].trained, p, lab.seed);
        let turned: Vec<f64> = by_name[p].iter().map(|r| r * sign(p)).collect();
        let value = Value::new(&turned, sampling, n);
        let table = if p == FREQUENCY { &mut report.baselines } else { &mut report.metrics };
        table.insert(format!("{p}: |rank correlation| with purity"), value.clone());
        report.verdicts.push(reaches(&format!("{p} tracks purity, 0.7"), &value, 0.7, &[]));
        let frozen: Vec<f64> = by_seed.iter().map(|s| told(&s.trained, &s.frozen, p, sign(p))).collect();
        let random: Vec<f64> = by_seed
            .iter()
            .filter_map(|s| Some(told(&s.trained, s.random_lm.as_ref()?, p, sign(p))))
            .collect();
        aurocs.insert(p.clone(), (mean(&random), mean(&frozen)));
        if !random.is_empty() {
            let value = Value::new(&random, 0.0, n);
            report.verdicts.push(reaches(
                &format!("{p} tells a trained model's features from a random one's, AUROC 0.8"),
                &value,
                0.8,
                &[],
            ));
            report.metrics.insert(format!("{p}: AUROC against the random model"), value);
        }
        if p != FREQUENCY {
            let base = &by_name[&FREQUENCY.to_string()];
            let gap = by_name[p].iter().zip(base).map(|(a, b)| a.abs() - b.abs()).collect();
            let claim = format!("{p} tracks purity better than frequency");
            report.verdicts.push(judge(&claim, &Gap { by_seed: gap, sampling }, None, &[]));
        }
    }
    for (subject, get) in [
        ("trained", (|s: &OfSeed| Some(&s.trained)) as fn(&OfSeed) -> Option<&Scored>),
        ("frozen decoder", |s| Some(&s.frozen)),
        ("random model", |s| s.random_lm.as_ref()),
    ] {
        let purity: Vec<f64> = by_seed.iter().filter_map(|s| Some(mean(&get(s)?.purity))).collect();
        if !purity.is_empty() {
            let table = if subject == "trained" { &mut report.metrics } else { &mut report.baselines };
            table.insert(format!("mean purity, {subject}"), Value::new(&purity, 0.0, n));
        }
    }
    report.tables.push(table(&names, &by_name, &aurocs, by_seed));
    report.plots.push(plot(&report));
    report.notes.push(format!(
        "{n} features of each dictionary, evenly among those that fire in 20 fresh rows and more."
    ));
    report.notes.push("The sign of a proxy is that of its correlation with purity over all seeds; its size is what is judged.".into());
    report
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn table(
    names: &[String],
    by_name: &BTreeMap<&String, Vec<f64>>,
    aurocs: &BTreeMap<String, (f64, f64)>,
    by_seed: &[OfSeed],
) -> Table {
    let has_random = by_seed[0].random_lm.is_some();
    let mut order: Vec<&String> = names.iter().collect();
    order.sort_by(|a, b| mean(&by_name[b]).abs().total_cmp(&mean(&by_name[a]).abs()));
    let row = |p: &String| {
        let (random, frozen) = aurocs[p];
        let random = if has_random { significant(random, 3) } else { "–".into() };
        vec![p.clone(), significant(mean(&by_name[p]), 3), random, significant(frozen, 3)]
    };
    Table {
        title: "Means over seeds, best first".into(),
        columns: [
            "proxy",
            "rank correlation with purity",
            "AUROC against the random model",
            "AUROC against a frozen decoder",
        ]
        .map(String::from)
        .to_vec(),
        rows: order.into_iter().map(row).collect(),
    }
}

fn plot(report: &Report) -> crate::report::Plot {
    let end = ": |rank correlation| with purity";
    let all = report.metrics.iter().map(|m| (m, false)).chain(report.baselines.iter().map(|b| (b, true)));
    let mut lines: Vec<Named<'_>> = all
        .filter_map(|((name, value), is_baseline)| {
            Some(Named { name: name.strip_suffix(end)?.into(), value, is_baseline })
        })
        .collect();
    lines.sort_by(|a, b| b.value.value.total_cmp(&a.value.value));
    by_name(
        "proxies",
        "Which number says whether a feature is pure?",
        "|rank correlation| with purity",
        "Spearman's rank correlation with purity, without its sign, with 95 % intervals over seeds and features. Grey: how often the feature fires.",
        &lines,
    )
}

fn answer(reports: &[Report]) -> String {
    let of = |r: &Report| {
        let end = ": |rank correlation| with purity";
        let best = r
            .metrics
            .iter()
            .filter_map(|(n, v)| Some((n.strip_suffix(end)?, v)))
            .max_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
        let base = r.baselines.get(&format!("{FREQUENCY}{end}"))?;
        let passed = r.verdicts.iter().any(|v| {
            v.claim.starts_with(best.0) && v.claim.ends_with("purity, 0.7") && v.outcome == Outcome::Better
        });
        let word = if passed { "above" } else { "not shown to be above" };
        Some(format!(
            "on the rung {} the best proxy is \"{}\", with a rank correlation of {} ({word} the hoped-for 0.7), where frequency alone has {}",
            r.rung,
            best.0,
            significant(best.1.value, 2),
            significant(base.value, 2)
        ))
    };
    let all = reports.iter().filter_map(of).collect::<Vec<_>>().join("; ");
    let mut letters = all.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values 1, 1 in four rows: mean ½, second moment ¼, fourth 1/16.
    #[test]
    fn kurtosis_counts_silent_rows() {
        assert_eq!(kurtosis(&[1.0, 1.0], 4), Some(1.0));
        assert_eq!(kurtosis(&[], 4), None);
        assert!(kurtosis(&[1.0], 100).unwrap() > 50.0);
    }

    #[test]
    fn a_proxy_that_is_purity_is_perfect() {
        let purity: Vec<f64> = (0..40).map(f64::from).collect();
        let proxies = [("p".to_string(), purity.iter().map(|&p| (p < 39.0).then_some(p)).collect())].into();
        let scored = Scored { hash: String::new(), purity, proxies };
        assert!((with_purity(&scored, "p") - 1.0).abs() < 1e-12);
        assert!(error(&scored, "p", 0) < 0.05);
        assert!((told(&scored, &scored, "p", 1.0) - 0.5).abs() < 1e-12);
    }
}
