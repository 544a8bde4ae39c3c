//! What experiments run on, one after the other nearer to reality and further from certainty: rows that are sums of known directions; a
//! small language model that learned a language whose every token is explained; any model with any text.
//!
//! A rung gives rows to train on, fresh rows to measure on (documents that no training saw), the truth about those where it is known,
//! and the model where there is one, so that an experiment is the same code on all of them.

use crate::error::invalid;
use crate::held::Held;
use crate::lab::Event;
use crate::{Lab, LabError};
use lapidary_catalog::{Opened, Text};
use lapidary_evaluation::low_precision::Bits;
use lapidary_evaluation::truth::{Firings, Options, Probes, Truth, probe};
use lapidary_files::hash;
use lapidary_ground_truth::indicators;
use lapidary_ground_truth::planted::rows::{KnownRows, PlantedRows, SITE, SizeName, Which, known_rows};
use lapidary_harvest::FusedRows;
use lapidary_kernels::Device;
use lapidary_lm::{Model, Site};
use lapidary_report::number::count;
use lapidary_store::{RowDtype, RowSource};
use lapidary_suite::rows::WithRandom;
use lapidary_text::{Corpus, Split, resolve_context};
use lapidary_trainer::{Baseline, row_set};
use lapidary_world::planted::Planted;
use serde::Serialize;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Seed of the language's text; the organism was trained on another.
pub(crate) const WORLD_SEED: u64 = 2;

/// In [`Need::sites`]: the model's last layer.
pub const LAST: usize = usize::MAX;

/// A rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RungName {
    /// Sums of known directions.
    Planted,
    /// The embedded model of the ground-truth language.
    Organism,
    /// Any model.
    Model,
}

impl fmt::Display for RungName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RungName::Planted => "planted",
            RungName::Organism => "organism",
            RungName::Model => "model",
        })
    }
}

/// The model of the last rung.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its name or folder.
    pub model: PathBuf,
    /// Files or folders of text.
    pub text: Vec<PathBuf>,
    /// Where to look; the residual stream in the middle if nobody says.
    pub site: Option<String>,
    /// A dictionary of it to take instead of training one, where an experiment needs no more than one.
    pub dictionary: Option<PathBuf>,
    /// Contrast pairs, JSON lines, in place of the embedded ones.
    pub pairs: Option<PathBuf>,
}

/// What an experiment needs of a rung.
#[derive(Clone, Debug)]
pub struct Need {
    /// Kinds of sites, in the layer that is looked at, or in the [`LAST`]; none: the one that is asked for. Nothing on planted rows.
    pub sites: Vec<Site>,
    /// The layer to look at; none: the middle, or what is asked for.
    pub layer: Option<usize>,
    /// Rows of a model with random weights too?
    pub random_lm: bool,
    /// Different rows to train on.
    pub train_rows: u64,
    /// Fresh rows, about.
    pub known_rows: usize,
}

/// Fresh rows.
pub struct Known {
    /// x [N, D] by row set.
    pub x: BTreeMap<String, Vec<f32>>,
    /// What is true of each, where it is known.
    pub truth: Option<Truth>,
    /// True coefficients [N, M], of planted rows.
    pub planted: Option<KnownRows>,
    /// The windows that they come from; none of planted rows.
    pub windows: Corpus,
}

enum Source {
    Planted(Box<Planted>),
    Model(Box<OfModel>),
}

struct OfModel {
    opened: Opened,
    text: Text,
    train: Corpus,
    fresh: Corpus,
    sites: Vec<Site>,
}

/// A rung, opened.
pub struct Rung {
    /// Which.
    pub name: RungName,
    /// In words.
    pub described: String,
    /// Row sets: where the dictionaries read and write.
    pub sites: Vec<String>,
    /// Of the model, or of the planted dictionary's numbers.
    pub model_hash: String,
    /// Of the documents that are trained on.
    pub corpus_hash: String,
    /// What was asked of it.
    pub need: Need,
    source: Source,
    seed: u64,
    device: Device,
    held: OnceCell<Held>,
    known: OnceCell<Known>,
    probes: OnceCell<Option<Probes>>,
}

/// What determines a rung's rows.
#[derive(Serialize)]
pub struct RungPlan<'a> {
    rung: RungName,
    model: &'a str,
    precision: Option<String>,
    corpus: &'a str,
    sites: &'a [String],
    train_rows: u64,
    known_rows: usize,
    seed: u64,
}

impl Rung {
    /// Opens a rung; weights and rows come when they are asked for.
    ///
    /// # Errors
    /// The model or its text cannot be read, or no model was named.
    pub fn open(lab: &Lab<'_>, name: RungName, need: Need) -> Result<Rung, LabError> {
        match name {
            RungName::Planted => Ok(planted(lab, need)),
            RungName::Organism => {
                let tokens = (need.train_rows * 3 / 2).max(need.known_rows as u64 * 9);
                let text = [PathBuf::from(format!("world:seed={WORLD_SEED},tokens={tokens}"))];
                of_model(lab, name, Path::new("organism"), &text, need)
            }
            RungName::Model => match &lab.real {
                Some(real) => of_model(lab, name, &real.model.clone(), &real.text.clone(), need),
                None => invalid!("rung model: expected --model DIR and --text FILE, found none; name them"),
            },
        }
    }

    /// D of the first site.
    pub fn d(&self) -> usize {
        match &self.source {
            Source::Planted(planted) => planted.config.d,
            Source::Model(of) => of.opened.spec.width(of.sites[0]),
        }
    }

    /// Where dictionaries read, unless they say otherwise.
    pub fn site(&self) -> &str {
        &self.sites[0]
    }

    /// Everything that its rows depend on.
    pub fn plan(&self) -> RungPlan<'_> {
        RungPlan {
            rung: self.name,
            model: &self.model_hash,
            precision: self.opened().map(|opened| opened.precision.to_string()),
            corpus: &self.corpus_hash,
            sites: &self.sites,
            train_rows: self.need.train_rows,
            known_rows: self.need.known_rows,
            seed: self.seed,
        }
    }

    /// The planted directions, if it has them.
    pub fn planted(&self) -> Option<&Planted> {
        match &self.source {
            Source::Planted(planted) => Some(planted),
            Source::Model(_) => None,
        }
    }

    /// The model, if it has one.
    ///
    /// # Errors
    /// Its weights cannot be read.
    pub fn model(&self) -> Result<Option<&Model>, LabError> {
        match &self.source {
            Source::Planted(_) => Ok(None),
            Source::Model(of) => Ok(Some(of.opened.model()?)),
        }
    }

    /// The model with its tokenizer, if it has one.
    pub fn opened(&self) -> Option<&Opened> {
        match &self.source {
            Source::Planted(_) => None,
            Source::Model(of) => Some(&of.opened),
        }
    }

    /// What the rung's sites are in the model; nothing on planted rows.
    pub fn model_sites(&self) -> &[Site] {
        match &self.source {
            Source::Planted(_) => &[],
            Source::Model(of) => &of.sites,
        }
    }

    /// Rows to train on.
    ///
    /// # Errors
    /// The model cannot be read or run.
    pub fn held(&self, lab: &mut Lab<'_>) -> Result<&Held, LabError> {
        if self.held.get().is_none() {
            let mut tell = |done, total| (lab.observe)(Event::Progress(done, total, "rows"));
            let held = match &self.source {
                Source::Planted(planted) => {
                    Held::read(&mut PlantedRows::new(planted, self.need.train_rows), &mut tell)?
                }
                Source::Model(of) => {
                    of.with_rows(&of.train, self.random_seed(), &mut |rows| Held::read(rows, &mut tell))?
                }
            };
            let _ = self.held.set(held);
        }
        Ok(self.held.get().expect("it was just set"))
    }

    /// Fresh rows.
    ///
    /// # Errors
    /// The model cannot be read or run.
    pub fn known(&self) -> Result<&Known, LabError> {
        if self.known.get().is_none() {
            let known = match &self.source {
                Source::Planted(planted) => {
                    known_planted(planted, self.need.train_rows, self.need.known_rows)
                }
                Source::Model(of) => of.known(self.random_seed())?,
            };
            let _ = self.known.set(known);
        }
        Ok(self.known.get().expect("it was just set"))
    }

    /// Which variables the model represents at the first site, by linear probes of its own rows; planted directions all are.
    ///
    /// # Errors
    /// Those of [`Rung::known`].
    pub fn probes(&self) -> Result<Option<&Probes>, LabError> {
        let known = self.known()?;
        let probes = self.probes.get_or_init(|| {
            let truth = known.truth.as_ref()?;
            Some(match &self.source {
                Source::Planted(planted) => {
                    Probes { auroc: vec![1.0; planted.config.features], fitted_rows: 0, scored_rows: 0 }
                }
                Source::Model(_) => {
                    probe(truth, &known.x[self.site()], self.d(), self.device, &Options::standard(self.seed))
                }
            })
        });
        Ok(probes.as_ref())
    }

    /// Of each indicator of the truth: does the model represent it at the first site?
    ///
    /// # Errors
    /// Those of [`Rung::known`].
    pub fn represented(&self) -> Result<Vec<bool>, LabError> {
        let least = Options::standard(self.seed).represented_auroc;
        Ok(self.probes()?.map_or(Vec::new(), |probes| probes.auroc.iter().map(|&a| a >= least).collect()))
    }

    fn random_seed(&self) -> Option<u64> {
        self.need.random_lm.then_some(self.seed)
    }

    /// Tokens that a pass over its rows puts through a model.
    pub fn lm_tokens(&self) -> u64 {
        match &self.source {
            Source::Planted(_) => 0,
            Source::Model(of) => {
                let both = [&of.train, &of.fresh];
                let tokens = both.map(|c| c.windows.iter().map(|w| w.tokens.len() as u64).sum::<u64>());
                tokens.iter().sum::<u64>() * if self.need.random_lm { 2 } else { 1 }
            }
        }
    }
}

fn planted(lab: &Lab<'_>, need: Need) -> Rung {
    let which = Which { size: SizeName::Everyday, seed: lab.seed };
    let planted = which.draw();
    let config = planted.config;
    Rung {
        name: RungName::Planted,
        described: format!(
            "planted vectors: rows are sums of about {:.0} of {} known directions in {} dimensions, with trees of features and circles",
            planted.mean_l0(),
            config.features,
            config.d
        ),
        sites: vec![SITE.into()],
        model_hash: hash::bytes(format!("{config:?} seed {}", lab.seed).as_bytes()),
        corpus_hash: hash::bytes(format!("planted rows, seed {}", lab.seed).as_bytes()),
        need: Need { random_lm: false, ..need },
        source: Source::Planted(Box::new(planted)),
        seed: lab.seed,
        device: lab.catalog.device,
        held: OnceCell::new(),
        known: OnceCell::new(),
        probes: OnceCell::new(),
    }
}

fn known_planted(planted: &Planted, first: u64, n: usize) -> Known {
    let rows = known_rows(planted, first, n);
    let mut firings = Firings::with_columns(rows.truth.columns);
    firings.push(&rows.truth);
    Known {
        x: [(SITE.to_string(), rows.x.clone())].into(),
        truth: Some(Truth::planted(&firings)),
        planted: Some(rows),
        windows: Corpus::default(),
    }
}

fn of_model(
    lab: &Lab<'_>,
    name: RungName,
    model: &Path,
    text: &[PathBuf],
    need: Need,
) -> Result<Rung, LabError> {
    let opened = Opened::open(model, &[], None, lab.catalog)?;
    let text = Text::parse(text, lab.catalog)?;
    let context = resolve_context(&opened.spec, None)?;
    let train = first(text.corpus(&opened, context, Split::Train)?, &opened, need.train_rows);
    let fresh = first(text.corpus(&opened, context, Split::HeldOut)?, &opened, need.known_rows as u64);
    let asked = lab.real.as_ref().filter(|_| name == RungName::Model).and_then(|real| real.site.clone());
    let middle = format!("{}.res", (opened.spec.n_layers - 1) / 2);
    let mut first = opened.spec.parse_sites(&asked.unwrap_or(middle))?[0];
    first.layer = need.layer.unwrap_or(first.layer);
    let last = opened.spec.n_layers - 1;
    let layer = |s: &Site| if s.layer == LAST { last } else { first.layer };
    let kinds = need.sites.iter().map(|s| Site::new(layer(s), s.kind));
    let sites: Vec<Site> = if need.sites.is_empty() { vec![first] } else { kinds.collect() };
    for site in &sites {
        opened.spec.parse_sites(&site.to_string())?;
    }
    let at = if need.layer.is_some() { format!("layer {}", first.layer) } else { first.to_string() };
    let described = match name {
        RungName::Organism => format!(
            "the organism: a Gemma 2 of {} parameters that learned a language whose every token is explained, at {at}",
            count(opened.parameters as u64)
        ),
        _ => format!("{}: a model of {} parameters, at {at}", opened.name, count(opened.parameters as u64)),
    };
    let random =
        sites.iter().filter(|_| need.random_lm).map(|s| row_set(&s.to_string(), Some(Baseline::RandomLm)));
    Ok(Rung {
        name,
        described,
        sites: sites.iter().map(ToString::to_string).chain(random).collect(),
        model_hash: opened.hash()?.to_string(),
        corpus_hash: train.hash.clone(),
        source: Source::Model(Box::new(OfModel { opened, text, train, fresh, sites })),
        seed: lab.seed,
        device: lab.catalog.device,
        held: OnceCell::new(),
        known: OnceCell::new(),
        probes: OnceCell::new(),
        need,
    })
}

/// The first windows with `rows` rows or more.
fn first(corpus: Corpus, opened: &Opened, rows: u64) -> Corpus {
    let (mut so_far, mut end) = (0, 0);
    for n in corpus.window_rows(&opened.spec) {
        if so_far >= rows {
            break;
        }
        (so_far, end) = (so_far + u64::from(n), end + 1);
    }
    Corpus { windows: corpus.windows[..end].to_vec(), ..corpus }
}

impl OfModel {
    /// Gives `to` the rows of a corpus, of the model and perhaps of its randomised twin.
    fn with_rows<T>(
        &self,
        corpus: &Corpus,
        random: Option<u64>,
        to: &mut dyn FnMut(&mut dyn RowSource) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let model = self.opened.model()?;
        let mut real = FusedRows::new(model, corpus, &self.sites, RowDtype::F32)?;
        let Some(seed) = random else { return to(&mut real) };
        let twin = model.randomised(seed);
        let twin = FusedRows::new(&twin, corpus, &self.sites, RowDtype::F32)?;
        to(&mut WithRandom::new(real, twin))
    }

    fn known(&self, random: Option<u64>) -> Result<Known, LabError> {
        let held = self.with_rows(&self.fresh, random, &mut |rows| Held::read(rows, &mut |_, _| ()))?;
        let sites: Vec<String> = held.source(Bits::F32).sites().iter().map(|s| s.site.clone()).collect();
        let x = sites.into_iter().map(|site| (site.clone(), held.rows(&site).to_vec())).collect();
        let truth = self.text.world().map(|world| indicators::truth(world, &self.fresh, &self.opened.spec));
        Ok(Known { x, truth, planted: None, windows: self.fresh.clone() })
    }
}
