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
mod findings;
mod judge;
mod marked;
mod pairs;
mod stage;

use crate::error::invalid;
use crate::experiment::Experiment;
use crate::lab::Event;
use crate::report::Report;
use crate::rung::{Need, Rung, RungName};
use crate::training::{How, Want, trained, weights_hash};
use crate::{Lab, LabError};
use concept::Concept;
use findings::{answer, report};
use judge::Judge;
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::low_precision::Bits;
use lapidary_splice::Placed;
use lapidary_suite::grid::Architecture;
use lapidary_suite::subjects::{self, Named, Run, Sites};
use marked::Marked;
use pairs::Pair;
use serde::{Deserialize, Serialize};
use stage::Stage;

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
