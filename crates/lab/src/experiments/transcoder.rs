//! B. Do transcoders cost more or less of the model's loss than SAEs of the MLP's output, at equal sparsity? (arXiv 2408.05147, appendix B;
//! Dunefsky et al. 2024, arXiv 2406.11944)
//!
//! Method: on one MLP, the one that the model misses most when its mean stands in for it, three dictionaries of one width: an SAE of what the MLP adds to the stream; a transcoder, which reads the MLP's input and
//! writes its output; a skip transcoder with a linear path past the features (2501.18823). Each is spliced into the running model in place of the MLP's
//! output. Three L0s each; compared at one L0 between them, by the logarithm.
//! Baselines: the mean of the output in its place; the best linear map of the input alone. Left out: the k largest neurons, which a gated
//! MLP does not have as features of one sign.
//! Metric: Δloss at equal L0. Pass line: the skip has a Δloss at least 20 % below the plain transcoder's, or it is said that it has not.
//! The order of transcoder and SAE is not known beforehand (Gemma Scope and GPT-2 disagree). Beside it, for what transcoders are for: *direct weights*,
//! encoder rows times the embedding of every token, and how few tokens hold their squares (participation ratio, against random directions).

use crate::experiment::Experiment;
use crate::measure::{Spliced, at_l0, encoded, spliced};
use crate::plots::{Curve, curves};
use crate::report::{Check, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, trained};
use crate::verdict::{Gap, Outcome, Verdict, judge};
use crate::{Lab, LabError};
use lapidary_dictionary::{Activation, Dictionary};
use lapidary_evaluation::low_precision::Bits;
use lapidary_lm::{Batch, Model, Site, SiteKind};
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Scale};
use lapidary_stats::Ridge;
use lapidary_suite::grid::Architecture;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// The experiment.
pub static TRANSCODER: Experiment = Experiment {
    name: "transcoder",
    plain: "An SAE of an MLP says what comes out of it; a transcoder says how the MLP computes it, because its features read the MLP's input. Is that \
            bought with a worse model?",
    method: "On one MLP, the one that the model misses most, we train an SAE of its output, a transcoder from its input to its output, and a skip transcoder, which also has a linear path \
             (arXiv 2406.11944, 2501.18823), as wide and as sparse. Each replaces the MLP's output in the running model; the number is how much worse the model then \
             predicts (Δloss), at one L0, by interpolating between three trained ones.",
    baselines: "The mean of the MLP's output in its place, which shows what the MLP is worth; and the best linear map from input to output, which has no \
                features at all.",
    metric: "Δloss in nats per token at equal L0, less is better",
    pass: "a skip transcoder's Δloss is at least 20 % below that of a plain transcoder; of transcoder and SAE no order was expected (published results disagree)",
    doubt: "Other layers, and a model whose MLPs compute more than a linear map does; wider dictionaries; longer training, from which a transcoder may gain \
            more, because its encoder does not start as its decoder.",
    rungs: &[RungName::Organism, RungName::Model],
    run,
    answer,
};

const L0: f64 = 12.0;
const L0S: [f64; 3] = [6.0, 12.0, 24.0];
const SAE: &str = "MLP SAE";
const PLAIN: &str = "transcoder";
const SKIP: &str = "skip transcoder";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Arm {
    subject: String,
    hash: String,
    l0: f64,
    fvu: f64,
    delta_loss: f64,
    /// Tokens that hold the squared direct weights, of transcoders.
    tokens: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Without {
    mean_loss: f64,
    linear_loss: f64,
    linear_fvu: f64,
    random_tokens: f64,
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let layer = most_important(lab, name)?;
    let need = Need {
        sites: vec![Site::new(0, SiteKind::MlpIn), Site::new(0, SiteKind::Mlp)],
        layer: Some(layer),
        random_lm: false,
        train_rows: lab.effort.pick(120_000, 1_000_000),
        known_rows: lab.effort.pick(8_000, 40_000),
    };
    let rung = Rung::open(lab, name, need)?;
    let width = lab.effort.pick(512, 1_024);
    let (rows, batch) = (lab.effort.pick(120_000, 1_500_000), lab.effort.pick(512, 2_048));
    let windows = lab.effort.pick(60, 300);
    let wants = wants(&rung, width);
    let mut by_seed = Vec::new();
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed, "l0s": L0S,
            "width": width, "windows": windows, "measure": 1 });
        by_seed.push(
            lab.cell(name, &format!("arms-seed{seed}"), &plan, |lab| arms(lab, &rung, &wants, how, windows))?,
        );
    }
    let plan = serde_json::json!({ "rung": rung.plan(), "windows": windows, "measure": 1 });
    let without = lab.cell(name, "without-features", &plan, |lab| without(lab, &rung, windows))?;
    let widths = vec![width; wants.len() * by_seed.len()];
    let mut report = report(lab, &rung, &by_seed, &without);
    report.spent(&widths, rung.d(), rows);
    Ok(report)
}

/// The layer whose MLP the model misses most when its mean is put in its place; of the rung `model` the one that is asked for.
fn most_important(lab: &mut Lab<'_>, name: RungName) -> Result<usize, LabError> {
    let need =
        Need { sites: Vec::new(), layer: None, random_lm: false, train_rows: 1_000, known_rows: 4_000 };
    let rung = Rung::open(lab, name, need)?;
    let asked = lab.real.as_ref().is_some_and(|real| name == RungName::Model && real.site.is_some());
    if asked {
        return Ok(rung.model_sites()[0].layer);
    }
    lab.cell(name, "which-mlp", &serde_json::json!({ "rung": rung.plan(), "measure": 1 }), |_| {
        let layers = rung.model()?.map_or(0, |model| model.spec.n_layers);
        let nothing = silent(rung.d());
        let splice = |layer| {
            let site = Site::new(layer, SiteKind::Mlp);
            Spliced { name: site.to_string(), site, output: site, dictionary: &nothing }
        };
        let scores = spliced(&rung, 40, &(0..layers).map(splice).collect::<Vec<_>>())?
            .expect("both rungs have a model");
        let cost = |layer: &usize| scores[*layer].ce_ablated.value;
        Ok((0..layers).max_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0))
    })
}

/// A dictionary whose only feature never fires.
fn silent(d: usize) -> Dictionary {
    Dictionary {
        w_enc: vec![0.0; d],
        b_enc: vec![0.0],
        threshold: vec![f32::INFINITY],
        w_dec: vec![0.0; d],
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

/// Per arm and L0, the arms in the order of the trainer's sites.
fn wants(rung: &Rung, width: usize) -> Vec<(String, Want)> {
    let (input, output) = (rung.sites[0].clone(), rung.sites[1].clone());
    let mut wants = Vec::new();
    for (name, transcoder) in [(PLAIN, Some(false)), (SKIP, Some(true)), (SAE, None)] {
        for l0 in L0S {
            let want = Want::new(Architecture::BatchTopK, width, l0);
            let want = match transcoder {
                Some(skip) => {
                    Want { site: Some(input.clone()), transcoder: Some((output.clone(), skip)), ..want }
                }
                None => Want { site: Some(output.clone()), ..want },
            };
            wants.push((name.into(), want));
        }
    }
    wants
}

fn arms(
    lab: &mut Lab<'_>,
    rung: &Rung,
    wants: &[(String, Want)],
    how: How,
    windows: usize,
) -> Result<Vec<Arm>, LabError> {
    let only: Vec<Want> = wants.iter().map(|(_, want)| want.clone()).collect();
    let all = trained(lab, rung, &only, how)?;
    let [input, output] = [rung.model_sites()[0], rung.model_sites()[1]];
    let reads = |name: &str| if name == SAE { output } else { input };
    let splices: Vec<Spliced<'_>> = wants
        .iter()
        .zip(&all)
        .map(|((name, want), t)| Spliced {
            name: format!("{name} L0 {}", want.l0),
            site: reads(name),
            output,
            dictionary: &t.dictionary,
        })
        .collect();
    let losses = spliced(rung, windows, &splices)?.expect("both rungs have a model");
    let known = rung.known()?;
    let embedding = match rung.model()? {
        Some(model) => embedding(model),
        None => Vec::new(),
    };
    let mut out = Vec::new();
    for (((name, _), t), loss) in wants.iter().zip(&all).zip(&losses) {
        let x = &known.x[&reads(name).to_string()];
        let on = encoded(&t.dictionary, lab.catalog.device, x, &known.x[&output.to_string()]);
        let tokens = (name != SAE).then(|| participation(lab, &t.dictionary.w_enc, &embedding, rung.d()));
        out.push(Arm {
            subject: name.clone(),
            hash: t.hash.clone(),
            l0: on.l0,
            fvu: on.fvu,
            delta_loss: loss.delta_loss.value,
            tokens,
        });
    }
    Ok(out)
}

/// The embedding of every token [V, D], as the stream has it.
fn embedding(model: &Model) -> Vec<f32> {
    let ids: Vec<u32> = (0..model.spec.vocab as u32).collect();
    let windows: Vec<&[u32]> = ids.chunks(64).collect();
    let (site, mut out) = (Site::new(0, SiteKind::Embed), Vec::new());
    let batch = Batch::new(windows);
    model.tap(&batch, &[site], &mut |_, rows| out.extend_from_slice(rows));
    out
}

/// Median over encoder rows [F, D] of (Σ v²)²/Σ v⁴, v their products with the centred embedding [V, D]: by how many tokens they are held.
fn participation(lab: &Lab<'_>, rows: &[f32], embedding: &[f32], d: usize) -> f64 {
    let v = embedding.len() / d;
    let mut mean = vec![0.0f32; d];
    embedding.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / v as f32));
    let centred: Vec<f32> =
        embedding.chunks_exact(d).flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
    let mut products = vec![0.0; rows.len() / d * v];
    lab.catalog.device.linear(rows, &centred, None, d, &mut products);
    let ratio = |row: &[f32]| {
        let sum = |p: i32| row.iter().map(|&x| f64::from(x).powi(p)).sum::<f64>();
        sum(2).powi(2) / sum(4).max(f64::MIN_POSITIVE)
    };
    let mut all: Vec<f64> = products.chunks_exact(v).map(ratio).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn without(lab: &mut Lab<'_>, rung: &Rung, windows: usize) -> Result<Without, LabError> {
    let [input, output] = [rung.model_sites()[0], rung.model_sites()[1]];
    let linear = {
        let held = rung.held(lab)?;
        linear(held.rows(&input.to_string()), held.rows(&output.to_string()), rung.d())
    };
    let splice = Spliced { name: "linear map".into(), site: input, output, dictionary: &linear };
    let scores = spliced(rung, windows, &[splice])?.expect("both rungs have a model");
    let known = rung.known()?;
    let on =
        encoded(&linear, lab.catalog.device, &known.x[&input.to_string()], &known.x[&output.to_string()]);
    let mut rng = ChaCha8Rng::seed_from_u64(lab.seed);
    let mut uniform = || (f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5) as f32;
    let random: Vec<f32> = (0..256 * rung.d()).map(|_| (0..12).map(|_| uniform()).sum()).collect();
    let tokens = rung.model()?.map_or(0.0, |model| participation(lab, &random, &embedding(model), rung.d()));
    Ok(Without {
        mean_loss: scores[0].ce_ablated.value - scores[0].ce.value,
        linear_loss: scores[0].delta_loss.value,
        linear_fvu: on.fvu,
        random_tokens: tokens,
    })
}

/// The best linear map as a dictionary whose only feature never fires.
fn linear(x: &[f32], y: &[f32], d: usize) -> Dictionary {
    let rows = (x.len() / d).min(50_000);
    let (x, y) = (&x[..rows * d], &y[..rows * d]);
    let ridge = Ridge::new(x, d, 1e-6).expect("rows of a model are finite and differ");
    let w = ridge.map(x, y, d);
    let mut mean = vec![0.0f64; d];
    y.chunks_exact(d)
        .for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &y)| *m += f64::from(y) / rows as f64));
    let shift = |row: &[f64]| row.iter().zip(&ridge.moments.mean).map(|(w, m)| w * m).sum::<f64>();
    Dictionary {
        b_dec: mean.iter().zip(w.chunks_exact(d)).map(|(m, row)| (m - shift(row)) as f32).collect(),
        w_skip: Some(w.iter().map(|&w| w as f32).collect()),
        ..silent(d)
    }
}

/// A number of one arm and seed at the common L0.
fn at(arms: &[Arm], subject: &str, of: impl Fn(&Arm) -> f64) -> f64 {
    let points: Vec<(f64, Vec<f64>)> =
        arms.iter().filter(|a| a.subject == subject).map(|a| (a.l0, vec![of(a)])).collect();
    at_l0(&points, L0)[0]
}

fn report(lab: &Lab<'_>, rung: &Rung, by_seed: &[Vec<Arm>], without: &Without) -> Report {
    let mut report = Report::new(lab, TRANSCODER.name, rung);
    let n = rung.need.known_rows as u64;
    let of =
        |s: &str, get: fn(&Arm) -> f64| -> Vec<f64> { by_seed.iter().map(|arms| at(arms, s, get)).collect() };
    for (seed, arms) in lab.seeds().into_iter().zip(by_seed) {
        for (arm, l0) in arms.iter().zip(L0S.iter().cycle()) {
            report.sae_hashes.insert(format!("{} L0 {l0} seed {seed}", arm.subject), arm.hash.clone());
            for (metric, value) in [("L0", arm.l0), ("FVU", arm.fvu), ("Δloss", arm.delta_loss)] {
                report.cell(&arm.subject, Some(seed), metric, value);
            }
        }
    }
    for s in [SAE, PLAIN, SKIP] {
        report.metrics.insert(format!("{s}: Δloss, nats"), Value::new(&of(s, |a| a.delta_loss), 0.0, n));
        report.metrics.insert(format!("{s}: FVU"), Value::new(&of(s, |a| a.fvu), 0.0, n));
    }
    for s in [PLAIN, SKIP] {
        let tokens = Value::new(&of(s, |a| a.tokens.unwrap_or(0.0)), 0.0, n);
        report.metrics.insert(format!("{s}: tokens that hold its direct weights"), tokens);
    }
    let one = |x: f64| Value::new(&[x], 0.0, n);
    report.baselines.insert("mean of the output: Δloss, nats".into(), one(without.mean_loss));
    report.baselines.insert("linear map: Δloss, nats".into(), one(without.linear_loss));
    report.baselines.insert("linear map: FVU".into(), one(without.linear_fvu));
    report.baselines.insert(
        "random directions: tokens that hold their direct weights".into(),
        one(without.random_tokens),
    );
    report.validity.push(Check {
        name: "Δloss with the mean of the output in its place, nats".into(),
        value: without.mean_loss,
        needed: "above 0.05: else this MLP matters too little to compare anything by it".into(),
        holds: without.mean_loss > 0.05,
    });
    report.verdicts = verdicts(&of, without, &report.objections());
    report.tables.push(table(by_seed, without));
    report.plots.push(plot(by_seed, without));
    report.notes.push("The MLP is that of the layer whose output's mean in its place costs most; other layers are not looked at.".into());
    report
}

/// A number of the arm of a name, of each seed.
type OverSeeds<'a> = dyn Fn(&str, fn(&Arm) -> f64) -> Vec<f64> + 'a;

fn verdicts(of: &OverSeeds<'_>, without: &Without, objections: &[String]) -> Vec<Verdict> {
    let loss = |s: &str| of(s, |a| a.delta_loss);
    // Less is better: b − a.
    let gap =
        |a: &[f64], b: &[f64]| Gap { by_seed: a.iter().zip(b).map(|(a, b)| b - a).collect(), sampling: 0.0 };
    let (sae, plain, skip) = (loss(SAE), loss(PLAIN), loss(SKIP));
    let linear = vec![without.linear_loss; sae.len()];
    let relative: Vec<f64> = skip.iter().zip(&plain).map(|(s, p)| 1.0 - s / p).collect();
    let relative = Gap { by_seed: relative, sampling: 0.0 };
    vec![
        judge("a transcoder costs less than an MLP SAE", &gap(&plain, &sae), None, objections),
        judge("a skip transcoder costs less than an MLP SAE", &gap(&skip, &sae), None, objections),
        judge("a skip saves a share of a transcoder's cost", &relative, Some(0.2), objections),
        judge("a transcoder costs less than a linear map", &gap(&plain, &linear), None, objections),
        judge("a skip transcoder costs less than a linear map", &gap(&skip, &linear), None, objections),
        judge("an MLP SAE costs less than a linear map", &gap(&sae, &linear), None, objections),
    ]
}

fn table(by_seed: &[Vec<Arm>], without: &Without) -> Table {
    let n = by_seed.len() as f64;
    let mut rows = Vec::new();
    for i in 0..by_seed[0].len() {
        let mean =
            |get: fn(&Arm) -> f64| significant(by_seed.iter().map(|arms| get(&arms[i])).sum::<f64>() / n, 3);
        let first = &by_seed[0][i];
        let tokens = if first.tokens.is_some() { mean(|a| a.tokens.unwrap_or(0.0)) } else { "–".into() };
        rows.push(vec![
            first.subject.clone(),
            mean(|a| a.l0),
            mean(|a| a.fvu),
            mean(|a| a.delta_loss),
            tokens,
        ]);
    }
    let dash = || "–".to_string();
    let s = |x: f64| significant(x, 3);
    rows.push(vec!["linear map".into(), dash(), s(without.linear_fvu), s(without.linear_loss), dash()]);
    rows.push(vec!["mean of the output".into(), dash(), "1.00".into(), s(without.mean_loss), dash()]);
    rows.push(vec!["random directions".into(), dash(), dash(), dash(), s(without.random_tokens)]);
    Table {
        title: "Means over seeds; the last column is by how many tokens of the vocabulary the direct weights of a median feature are held".into(),
        columns: ["in place of the MLP", "L0", "FVU", "Δloss, nats", "tokens"].map(String::from).to_vec(),
        rows,
    }
}

fn plot(by_seed: &[Vec<Arm>], without: &Without) -> crate::report::Plot {
    let n = by_seed.len() as f64;
    let curve = |s: &str| {
        let places: Vec<usize> = (0..by_seed[0].len()).filter(|&i| by_seed[0][i].subject == s).collect();
        let point = |&i: &usize| {
            let mean = |get: fn(&Arm) -> f64| by_seed.iter().map(|arms| get(&arms[i])).sum::<f64>() / n;
            let losses: Vec<f64> = by_seed.iter().map(|arms| arms[i].delta_loss).collect();
            (mean(|a| a.l0), mean(|a| a.delta_loss), Value::new(&losses, 0.0, 1).ci95)
        };
        Curve { name: s.into(), is_baseline: false, points: places.iter().map(point).collect() }
    };
    let level = |name: &str, y: f64| Curve {
        name: name.into(),
        is_baseline: true,
        points: vec![(L0S[0], y, None), (L0S[2], y, None)],
    };
    let mut all: Vec<Curve> = [SAE, PLAIN, SKIP].into_iter().map(curve).collect();
    all.push(level("linear map", without.linear_loss));
    curves(
        "loss",
        "What it costs to replace an MLP",
        "Δloss against L0, means with 95 % intervals over three seeds; lower is better. Grey: the best linear map, which has no features.",
        Axis::new("L0", "features per token", Scale::Log),
        Axis::new("Δloss", "nats per token", Scale::FromZero),
        &all,
    )
}

fn answer(reports: &[Report]) -> String {
    let of = |r: &Report| {
        let find = |claim: &str| r.verdicts.iter().find(|v| v.claim.starts_with(claim));
        let (Some(sae), Some(skip)) = (find("a transcoder costs less than an MLP SAE"), find("a skip saves"))
        else {
            return String::new();
        };
        if sae.outcome == Outcome::Invalid {
            return format!("on the rung {} the MLP matters too little to say", r.rung);
        }
        let word = match sae.outcome {
            Outcome::Better => "less than",
            Outcome::Worse => "more than",
            _ => "neither more nor less, as far as can be told, than",
        };
        format!(
            "on the rung {} a transcoder costs {word} an MLP SAE ({} against {} nats at L0 {L0}), and a skip saves {:.0} % of a transcoder's cost ({})",
            r.rung,
            significant(r.metrics[&format!("{PLAIN}: Δloss, nats")].value, 3),
            significant(r.metrics[&format!("{SAE}: Δloss, nats")].value, 3),
            100.0 * skip.margin,
            skip.outcome,
        )
    };
    let all = reports.iter().map(of).collect::<Vec<_>>().join("; ");
    let mut letters = all.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}
