//! R3. "Comparing steering vectors to SAE feature steering or clamping"
//! (arXiv 2408.05147, section 5, real-world tasks)
//!
//! Method: on the organism, variables of the language that the model represents, that are on in 1 to 50 % of tokens and that last (style,
//! language, domain, topic) are the concepts; on any other model, contrast pairs such as praise and complaint. For each, on one half of the
//! marked rows: the difference of means of rows where it is on and off (ActAdd, CAA: 2308.10248, 2312.06681) and the feature whose firing correlates
//! best with it. The model continues prompts without the concept while x += α·(difference of means); while x += α·f_max·d; and while
//! the feature is clamped to α·f_max, the dictionary's error kept (Templeton et al. 2024).
//! Baselines: a random direction as long as the difference of means; the prompt after a stretch of text in which the concept is on (AxBench, 2501.17148,
//! finds prompting ahead of everything), from the half that chooses too.
//! Metric: the area under effect against fluency. Effect is read from the answer's tokens alone, by the other half: on the organism by their
//! log-odds where the concept is on and off, on any other model by how much likelier the untouched model finds them after texts with the concept
//! than after texts with its opposite (`judge.rs`). The unit is the distance from text without the concept, or with its opposite, to text full of it, and
//! effect is what an answer has more of it than the untouched model's own. Cost is Δloss, how much less likely the untouched model
//! finds the answer than its own. The area is the mean, over costs up to 1 nat, of the best effect at that cost or less.
//! Pass line: none; the verdicts say which loses. Valid if the difference of means beats the random direction.

mod concept;
mod judge;
mod marked;
mod pairs;

use crate::error::invalid;
use crate::experiment::Experiment;
use crate::lab::Event;
use crate::measure::sampling_error;
use crate::plots::{Curve, curves};
use crate::report::{Check, Report, Table, Value};
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, trained, weights_hash};
use crate::verdict::{Gap, Outcome, judge};
use crate::{Lab, LabError};
use concept::Concept;
use judge::Judge;
use lapidary_dictionary::{Activation, Dictionary};
use lapidary_evaluation::low_precision::Bits;
use lapidary_lm::{Model, Sampling, Site};
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Scale};
use lapidary_splice::sweep::{Probe, Reading};
use lapidary_splice::{Intervention, Method, Placed, Positions, SpliceError, Steering};
use lapidary_suite::grid::Architecture;
use lapidary_suite::subjects::{self, Named, Run, Sites};
use marked::Marked;
use pairs::Pair;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The experiment.
pub static STEERING: Experiment = Experiment {
    name: "steering",
    plain: "A model can be pushed towards a topic while it writes: along the difference between text with and without the topic, or by turning up a \
            feature of a dictionary. Which push gives most of the topic for the least damage to the text?",
    method: "On the organism, concepts are variables of the language that the model represents and that last for many tokens, such as style, language and domain; on any other model, \
             contrast pairs such as praise and complaint. Steering adds the difference of means (2308.10248, 2312.06681), \
             adds the decoder row of the feature that correlates best, or clamps that feature with the dictionary's error kept (Templeton et al. 2024); features and \
             differences are chosen on the same labels. Effect is read from the tokens of the answer alone, by marked text that chose nothing: on the organism by log-odds of words, on any other model by how much likelier the untouched \
             model finds them after texts with the concept than after texts with its opposite.",
    baselines: "A random direction as long as the difference of means; and prompting: the same prompt after a stretch of text in which the concept is on.",
    metric: "area under effect (what an answer gains over the untouched one; 1 is the distance from text without the concept to text full of it) against cost (Δloss up to 1 nat per token)",
    pass: "none: the verdicts say which loses; the measurement is valid if the difference of means beats a random direction",
    doubt: "A larger model, whose concepts are less a matter of single words; features chosen by what they do to the output rather than by when they fire \
            (2505.20063); vectors that are trained for their effect (ReFT-r1).",
    rungs: &[RungName::Organism, RungName::Model],
    run,
    answer,
};

/// Tokens of an answer.
const ANSWER: usize = 32;
/// Largest cost that counts, nats per token.
const MOST_COST: f64 = 1.0;

const MEAN: &str = "difference of means";
const ADDED: &str = "feature, added";
const CLAMPED: &str = "feature, clamped";
const RANDOM: &str = "random direction";
const PROMPTED: &str = "prompting";
/// What is tried at every strength of [`STRENGTHS`].
const ARMS: [&str; 4] = [MEAN, ADDED, CLAMPED, RANDOM];
/// The same for all, or the comparison is unfair: of directions in their own length, of features in their largest value.
const STRENGTHS: [f32; 7] = [0.5, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0];

const PROMPTING_IS_FAVOURED: &str = "Prompting puts sentences with the concept before the prompt, and so does the judge, with others and before it reads: words that \
    are copied from a context count as effect, which favours prompting.";

/// What one method did for one concept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Arm {
    method: String,
    concept: String,
    /// Correlation of the feature's firing with the concept.
    phi: f64,
    /// (cost, effect) by strength.
    points: Vec<(f64, f64)>,
}

/// A seed's dictionary and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OfSeed {
    hash: String,
    arms: Vec<Arm>,
    /// Concepts that the judge cannot tell from their absence.
    untold: Vec<String>,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Size {
    l0: f64,
    width: usize,
    concepts: usize,
    prompts: usize,
}

impl Size {
    fn of(lab: &Lab<'_>, name: RungName) -> Size {
        match name {
            RungName::Model => Size {
                l0: 40.0,
                width: lab.effort.pick(2_048, 4_096),
                concepts: lab.effort.pick(3, usize::MAX),
                prompts: lab.effort.pick(4, 8),
            },
            _ => Size {
                l0: 12.0,
                width: lab.effort.pick(512, 1_024),
                concepts: lab.effort.pick(8, 24),
                prompts: lab.effort.pick(12, 32),
            },
        }
    }
}

fn run(lab: &mut Lab<'_>, name: RungName) -> Result<Report, LabError> {
    let need = Need {
        sites: Vec::new(),
        layer: None,
        random_lm: false,
        train_rows: lab.effort.pick(120_000, 1_000_000),
        known_rows: lab.effort.pick(40_000, 100_000),
    };
    let given = given(lab, name)?;
    let rung = Rung::open(lab, name, need)?;
    check_given(given.as_ref(), &rung)?;
    let contrasts = match name {
        RungName::Model => pairs::read(lab.real.as_ref().and_then(|real| real.pairs.as_deref()))?,
        _ => Vec::new(),
    };
    let size = Size::of(lab, name);
    let (rows, batch) = (lab.effort.pick(120_000, 1_500_000), lab.effort.pick(512, 2_048));
    let (mut by_seed, mut marked) = (Vec::new(), None);
    for seed in lab.seeds() {
        let how = How { rows, batch, seed, round: Bits::F32 };
        let sae = given.as_ref().map(|named| weights_hash(&named.dictionary));
        let plan = serde_json::json!({ "rung": rung.plan(), "rows": rows, "batch": batch, "seed": seed, "size": size,
            "pairs": contrasts, "sae": sae, "measure": 6 });
        by_seed.push(lab.cell(name, &format!("arms-seed{seed}"), &plan, |lab| {
            if marked.is_none() {
                marked = Some(mark(&rung, &contrasts)?);
            }
            let marked = marked.as_ref().expect("it was just made");
            let dictionary = match &given {
                Some(named) => named.dictionary.clone(),
                None => {
                    let want = Want::new(Architecture::JumpRelu, size.width, size.l0);
                    trained(lab, &rung, &[want], how)?.remove(0).dictionary
                }
            };
            measured(lab, &rung, marked, &dictionary, size, &plan)
        })?);
    }
    let mut report = report(lab, &rung, &by_seed);
    match given {
        None => report.spent(&vec![size.width; by_seed.len()], rung.d(), rows),
        Some(_) => {
            report.notes.push("One dictionary was given: seeds differ in what is sampled only.".into())
        }
    }
    if name == RungName::Model {
        report.notes.push(PROMPTING_IS_FAVOURED.into());
    }
    Ok(report)
}

/// The dictionary that the user named for a model, whose site is then the one to look at.
fn given(lab: &mut Lab<'_>, name: RungName) -> Result<Option<Named>, LabError> {
    let Some(real) = lab.real.as_mut().filter(|_| name == RungName::Model) else { return Ok(None) };
    let Some(path) = &real.dictionary else { return Ok(None) };
    let paths = [lab.catalog.find(path)?];
    let (runs, mut notes) = (Run::among(&paths)?, std::cell::RefCell::new(Vec::new()));
    let read = |reads| {
        let note = |line: &str| notes.borrow_mut().push(line.to_string());
        subjects::read(&paths, &runs, Sites { reads, writes: None }, false, &note)
    };
    let mut named = match (read(None), &real.site) {
        (Err(_), Some(site)) => read(Some(site.as_str()))?,
        (found, _) => found?,
    };
    named.retain(|named| real.site.as_ref().is_none_or(|site| *site == named.site.to_string()));
    match named.len() {
        1 if named[0].site == named[0].output => {}
        1 => invalid!("{}: expected an SAE, found a transcoder; name another", path.display()),
        n => {
            let site = real.site.as_ref().map_or(String::new(), |site| format!(" of {site}"));
            invalid!(
                "{}: expected one dictionary{site}, found {n}; name its folder, or another --site",
                path.display()
            )
        }
    }
    real.site = Some(named[0].site.to_string());
    notes.get_mut().iter().for_each(|line| (lab.observe)(Event::Note(line)));
    Ok(named.pop())
}

/// A dictionary that says which model it is of is of this one.
fn check_given(given: Option<&Named>, rung: &Rung) -> Result<(), LabError> {
    let said = given.and_then(|named| named.model.as_ref()).filter(|said| said.hash != rung.model_hash);
    match said {
        Some(other) => {
            invalid!("--sae: expected a dictionary of --model, found one of {other}; name its own model")
        }
        None => Ok(()),
    }
}

/// Rows that say where concepts are on: of contrast pairs where there are some, else of the rung's own text.
fn mark<'a>(rung: &'a Rung, contrasts: &[Pair]) -> Result<Marked<'a>, LabError> {
    let (opened, site) = (rung.opened().expect("the rung has a model"), rung.model_sites()[0]);
    if !contrasts.is_empty() {
        return Marked::of_pairs(contrasts, opened, site, ANSWER);
    }
    let known = rung.known()?;
    let truth = known.truth.as_ref().expect("the rung knows the truth");
    Ok(Marked::of_text(truth, &known.windows.windows, &known.x[rung.site()], opened.model()?))
}

fn measured(
    lab: &mut Lab<'_>,
    rung: &Rung,
    marked: &Marked<'_>,
    dictionary: &Dictionary,
    size: Size,
    plan: &serde_json::Value,
) -> Result<OfSeed, LabError> {
    let model = rung.model()?.expect("the rung has a model");
    let site = rung.model_sites()[0];
    if dictionary.d_in != rung.d() {
        let (found, expected) = (dictionary.d_in, rung.d());
        invalid!(
            "--sae: expected rows of D {expected} at {site}, found {found}; name another, or another --model"
        );
    }
    let seed = plan["seed"].as_u64().expect("a plan has its seed");
    let of = Placed { name: "sae", site, output: site, dictionary };
    let stage = Stage { model, of, marked, prompts: size.prompts, seed };
    let (features, hash) = (dictionary.encode(model.device, &marked.x), weights_hash(dictionary));
    let (mut arms, mut untold) = (Vec::new(), Vec::new());
    for number in concept::numbers(rung, marked, size.concepts)? {
        let (plan, concept) = (
            serde_json::json!({ "of": plan, "sae": hash, "concept": number }),
            &marked.names[number as usize],
        );
        let short: String =
            concept.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(40).collect();
        let of: Vec<Arm> = lab.cell(rung.name, &format!("arms-seed{seed}-{short}"), &plan, |lab| {
            let judge = Judge::new(marked, number, model, size.prompts, ANSWER);
            if !judge.tells() {
                return Ok(Vec::new());
            }
            let concept = Concept::new(number, marked, &features, dictionary);
            stage.arms(&concept, &judge, &|| lab.check_interrupted())
        })?;
        if of.is_empty() {
            untold.push(concept.clone());
        }
        arms.extend(of);
    }
    if arms.is_empty() {
        invalid!(
            "{}: expected a concept that can be read from words, found none of {}; add rows, or give other --pairs",
            rung.described,
            untold.len()
        );
    }
    Ok(OfSeed { hash, arms, untold })
}

/// Where a concept is tried.
struct Stage<'a> {
    model: &'a Model,
    of: Placed<'a>,
    marked: &'a Marked<'a>,
    prompts: usize,
    seed: u64,
}

/// An answer, judged.
#[derive(Clone, Copy)]
struct Judged {
    /// The untouched model's, nats per token; none of an empty answer.
    loss: Option<f64>,
    effect: f64,
}

impl Stage<'_> {
    /// Every method at every strength; `go_on` is asked before each.
    fn arms(
        &self,
        concept: &Concept,
        judge: &Judge<'_>,
        go_on: &dyn Fn() -> Result<(), LabError>,
    ) -> Result<Vec<Arm>, LabError> {
        let prompts = self.marked.prompts(concept.number, self.prompts);
        let default = |_, prompt: &[u32]| self.probe(prompt).default(&mut |_| ControlFlow::Continue(()));
        let defaults = self.judged(&prompts, judge, default)?;
        let along = direction(&concept.difference);
        let astray = direction(&random(&concept.difference, self.seed, u64::from(concept.number)));
        let mut arms = Vec::new();
        for method in ARMS {
            let one = |strength: f32| {
                go_on()?;
                let intervention = self.intervention(concept, method, strength, [&along, &astray]);
                Ok(mean(&self.steered(&prompts, judge, intervention)?, &defaults))
            };
            let points = STRENGTHS.into_iter().map(one).collect::<Result<Vec<_>, LabError>>()?;
            arms.push(self.arm(method, concept, points));
        }
        let point = mean(&self.prompted(concept, &prompts, judge)?, &defaults);
        arms.push(self.arm(PROMPTED, concept, vec![point]));
        Ok(arms)
    }

    fn arm(&self, method: &str, concept: &Concept, points: Vec<(f64, f64)>) -> Arm {
        Arm { method: method.into(), concept: concept.name.clone(), phi: concept.phi, points }
    }

    fn intervention<'b>(
        &'b self,
        concept: &Concept,
        method: &'static str,
        strength: f32,
        [along, astray]: [&'b Dictionary; 2],
    ) -> Intervention<'b> {
        let site: Site = self.of.site;
        let vector = |dictionary| Intervention {
            of: Placed { name: method, site, output: site, dictionary },
            feature: 0,
            method: Method::Add,
            strength,
        };
        let feature = |method| Intervention {
            of: self.of,
            feature: concept.feature,
            method,
            strength: strength * concept.largest,
        };
        match method {
            MEAN => vector(along),
            RANDOM => vector(astray),
            ADDED => feature(Method::Add),
            _ => feature(Method::Clamp),
        }
    }

    fn probe<'b>(&'b self, prompt: &'b [u32]) -> Probe<'b> {
        let (model, of) = (self.model, self.of);
        Probe { model, of, feature: 0, prompt, max_tokens: ANSWER, sampling: self.sampling() }
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, seed: self.seed }
    }

    /// The answers to the prompts, in their order.
    fn judged(
        &self,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
        answer: impl Fn(usize, &[u32]) -> Result<Reading, SpliceError> + Send + Sync,
    ) -> Result<Vec<Judged>, SpliceError> {
        let one = |(i, prompt): (usize, &Vec<u32>)| {
            let reading = answer(i, prompt)?;
            Ok(Judged { loss: reading.loss, effect: judge.effect(i, &reading.tokens) })
        };
        prompts.par_iter().enumerate().map(one).collect()
    }

    /// Steered answers, as the untouched model reads them.
    fn steered(
        &self,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
        intervention: Intervention<'_>,
    ) -> Result<Vec<Judged>, SpliceError> {
        let steering = Steering::new(self.model, vec![intervention], Positions::All, true)?;
        self.judged(prompts, judge, |_, prompt| {
            let go_on = &mut |_| ControlFlow::Continue(());
            Ok(self.probe(prompt).reading(steering.generate(prompt, ANSWER, &self.sampling(), go_on)?))
        })
    }

    /// Answers to the prompt after a stretch of text in which the concept is on; read as answers to the prompt alone.
    fn prompted(
        &self,
        concept: &Concept,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
    ) -> Result<Vec<Judged>, SpliceError> {
        let examples = self.marked.examples(concept.number, prompts.len());
        let bos = usize::from(self.model.spec.bos.is_some());
        self.judged(prompts, judge, |i, prompt| {
            let whole = match examples.is_empty() {
                true => prompt.to_vec(),
                false => [&examples[i % examples.len()], &prompt[bos..]].concat(),
            };
            let answer = self.probe(&whole).default(&mut |_| ControlFlow::Continue(()))?;
            Ok(self.probe(prompt).reading(answer.tokens))
        })
    }
}

/// Mean cost and effect of answers, less those of the default ones. An answer that ends at once gives nothing and costs [`MOST_COST`].
fn mean(answers: &[Judged], defaults: &[Judged]) -> (f64, f64) {
    let one = |(a, default): (&Judged, &Judged)| match (a.loss, default.loss) {
        (_, None) => None,
        (None, Some(_)) => Some((MOST_COST, 0.0)),
        (Some(loss), Some(own)) => Some((loss - own, a.effect - default.effect)),
    };
    let each: Vec<(f64, f64)> = answers.iter().zip(defaults).filter_map(one).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
    (mean(|p| p.0), mean(|p| p.1))
}

/// A vector as the only feature of a dictionary, which never fires by itself.
fn direction(vector: &[f32]) -> Dictionary {
    let d = vector.len();
    Dictionary {
        w_enc: vec![0.0; d],
        b_enc: vec![0.0],
        threshold: vec![f32::INFINITY],
        w_dec: vector.to_vec(),
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

/// A random vector as long as `like`: signs and places of its numbers drawn anew.
fn random(like: &[f32], seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut out = like.to_vec();
    for i in (1..out.len()).rev() {
        out.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    out.iter_mut().for_each(|x| *x = if rng.next_u64() % 2 == 0 { *x } else { -*x });
    out
}

/// Mean over costs from 0 to [`MOST_COST`] of the best effect at that cost or less; doing nothing costs and gives nothing.
fn area(points: &[(f64, f64)]) -> f64 {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut best, mut at, mut area) = (0.0f64, 0.0, 0.0);
    for (cost, effect) in sorted {
        let cost = cost.clamp(0.0, MOST_COST);
        area += best * (cost - at);
        at = cost;
        if cost < MOST_COST {
            best = best.max(effect);
        }
    }
    (area + best * (MOST_COST - at)) / MOST_COST
}

fn report(lab: &Lab<'_>, rung: &Rung, by_seed: &[OfSeed]) -> Report {
    let mut report = Report::new(lab, STEERING.name, rung);
    let methods = [MEAN, ADDED, CLAMPED, RANDOM, PROMPTED];
    let areas = |of: &OfSeed, method: &str| -> Vec<f64> {
        of.arms.iter().filter(|arm| arm.method == method).map(|arm| area(&arm.points)).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let concepts = by_seed[0].arms.len() / methods.len();
    let mut untold: Vec<String> = by_seed.iter().flat_map(|of| of.untold.clone()).collect();
    untold.dedup();
    for (seed, of) in lab.seeds().into_iter().zip(by_seed) {
        report.sae_hashes.insert(format!("sae seed {seed}"), of.hash.clone());
        for arm in &of.arms {
            report.cell(&format!("{}: {}", arm.method, arm.concept), Some(seed), "area", area(&arm.points));
        }
    }
    for method in methods {
        let means: Vec<f64> = by_seed.iter().map(|of| mean(&areas(of, method))).collect();
        let value =
            Value::new(&means, sampling_error(&areas(&by_seed[0], method), lab.seed), concepts as u64);
        let list =
            if [RANDOM, PROMPTED].contains(&method) { &mut report.baselines } else { &mut report.metrics };
        list.insert(format!("{method}: area"), value);
    }
    let gap = |a: &str, b: &str| {
        let pairs =
            |of: &OfSeed| areas(of, a).iter().zip(areas(of, b)).map(|(a, b)| a - b).collect::<Vec<_>>();
        let sampling = sampling_error(&pairs(&by_seed[0]), lab.seed);
        Gap { by_seed: by_seed.iter().map(|of| mean(&pairs(of))).collect(), sampling }
    };
    let control = judge("", &gap(MEAN, RANDOM), None, &[]);
    report.validity.push(Check {
        name: "the difference of means less a random direction".into(),
        value: control.margin,
        needed: "an interval above 0".into(),
        holds: control.outcome == Outcome::Better,
    });
    let objections = report.objections();
    for (a, b) in [(ADDED, MEAN), (CLAMPED, MEAN), (CLAMPED, ADDED), (MEAN, PROMPTED), (ADDED, RANDOM)] {
        let claim = format!("{a} gives more effect at the same cost than {b}");
        report.verdicts.push(judge(&claim, &gap(a, b), None, &objections));
    }
    report.tables.push(table(&by_seed[0]));
    report.plots.push(plot(by_seed));
    report.notes.push(format!(
        "{concepts} concepts; effect is read from tokens, so that no direction of the model judges itself."
    ));
    if !untold.is_empty() {
        report.notes.push(format!(
            "Left out, because the judge cannot tell them from their absence: {}.",
            untold.join(", ")
        ));
    }
    report
}

/// One row for each concept, of the first seed.
fn table(of: &OfSeed) -> Table {
    let named = |method: &'static str| of.arms.iter().filter(move |arm| arm.method == method);
    let row = |arm: &Arm| {
        let of = |method| {
            named(method).find(|other| other.concept == arm.concept).map_or(f64::NAN, |o| area(&o.points))
        };
        let numbers = [arm.phi, of(MEAN), of(ADDED), of(CLAMPED), of(RANDOM), of(PROMPTED)];
        std::iter::once(arm.concept.clone()).chain(numbers.map(|x| significant(x, 3))).collect()
    };
    Table {
        title: "Areas by concept, first seed".into(),
        columns: ["concept", "φ", MEAN, ADDED, CLAMPED, RANDOM, PROMPTED].map(String::from).to_vec(),
        rows: named(MEAN).map(row).collect(),
    }
}

/// Effect against cost, strength by strength.
fn plot(by_seed: &[OfSeed]) -> crate::report::Plot {
    let curve = |method: &&str| {
        let points = (0..STRENGTHS.len()).map(|i| {
            let of = |of: &OfSeed, get: fn(&(f64, f64)) -> f64| {
                let all: Vec<f64> = of
                    .arms
                    .iter()
                    .filter(|arm| arm.method == *method)
                    .map(|arm| get(&arm.points[i]))
                    .collect();
                all.iter().sum::<f64>() / all.len().max(1) as f64
            };
            let cost = by_seed.iter().map(|s| of(s, |p| p.0)).sum::<f64>() / by_seed.len() as f64;
            let effects: Vec<f64> = by_seed.iter().map(|s| of(s, |p| p.1)).collect();
            let effect = Value::new(&effects, 0.0, 1);
            (cost, effect.value, effect.ci95)
        });
        Curve { name: (*method).into(), is_baseline: *method == RANDOM, points: points.collect() }
    };
    curves(
        "pareto",
        "What a push gives, and what it costs",
        "Means over concepts, one point for each strength, with 95 % intervals over three seeds. Up and left is better.",
        Axis::new("Δloss", "nats per token", Scale::FromZero),
        Axis::new("effect", "", Scale::FromZero),
        &ARMS.iter().map(curve).collect::<Vec<_>>(),
    )
}

fn answer(reports: &[Report]) -> String {
    let of = |report: &Report| {
        let word = |claim: &str| match report
            .verdicts
            .iter()
            .find(|v| v.claim.starts_with(claim))
            .map(|v| v.outcome)
        {
            Some(Outcome::Better) => "beats",
            Some(Outcome::Worse) => "loses to",
            Some(Outcome::Invalid) => "cannot be compared with",
            _ => "is not separable from",
        };
        let [added, clamped, prompted] = [
            word("feature, added gives more effect at the same cost than difference"),
            word("feature, clamped gives more effect at the same cost than difference"),
            word("difference of means"),
        ];
        format!(
            "On the rung {}, adding a feature {added} the difference of means, clamping it {clamped} it, and the difference of means {prompted} prompting.",
            report.rung
        )
    };
    reports.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Effect 0.5 from cost 0.25 on, 1 from 0.5 on; what costs 2 does not count: 0.25 · 0.5 + 0.5 · 1.
    #[test]
    fn the_area_by_hand() {
        assert_eq!(area(&[(0.5, 1.0), (0.25, 0.5), (2.0, 9.0)]), 0.625);
        assert_eq!(area(&[(-0.1, 0.5)]), 0.5, "what costs less than nothing costs nothing");
        assert_eq!(area(&[(0.1, -3.0)]), 0.0, "doing nothing is always possible");
        assert_eq!(area(&[]), 0.0);
    }

    /// Three answers to defaults of loss 1 and effect .5: (1.5, .9), one that ended at once, and one whose default did: (.5 + 1)/2, (.4 + 0)/2.
    #[test]
    fn an_answer_that_ends_at_once_costs() {
        let judged = |loss, effect| Judged { loss, effect };
        let answers = [judged(Some(1.5), 0.9), judged(None, 0.0), judged(Some(2.0), 9.0)];
        let defaults = [judged(Some(1.0), 0.5), judged(Some(1.0), 0.5), judged(None, 0.0)];
        let (cost, effect) = mean(&answers, &defaults);
        assert!((cost - 0.75).abs() < 1e-12 && (effect - 0.2).abs() < 1e-12, "{cost} {effect}");
    }

    #[test]
    fn a_random_direction_is_as_long() {
        let like: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
        let square = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let drawn = random(&like, 7, 1);
        assert_eq!(square(&drawn), square(&like));
        let cosine = drawn.iter().zip(&like).map(|(a, b)| f64::from(a * b)).sum::<f64>() / square(&like);
        assert!(cosine.abs() < 0.5, "{cosine}");
    }
}
