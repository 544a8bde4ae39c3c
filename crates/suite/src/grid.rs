//! What a suite asks for, table by table: where, how wide, of which architecture and how sparse.
//!
//! `target_l0` means three things. TopK, BatchTopK and Matryoshka keep so many features: it is their k. Gemma Scope 2's
//! penalty is quadratic around it. For everything else a controller looks for the λ that leads there.

use crate::SuiteError;
use crate::error::{Within, invalid};
use lapidary_lm::{Site, Spec};
use lapidary_trainer::{Baseline, Preset};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;

/// The sites of a suite that names none.
const DEFAULT_SITES: &str = "*.res,*.att,*.mlp";

/// What is trained: `[[dictionaries]]`, `[[baselines]]`, and the top of the file, which fills in what these leave out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What is left untrained; `[[baselines]]` must say it.
    pub baseline: Option<Baseline>,
    /// [default: jumprelu]
    pub architecture: Option<Architecture>,
    /// `LAYER.KIND`, comma-separated [default: `*.res,*.att,*.mlp`, or none where there are transcoders]
    pub sites: Option<String>,
    /// `["3.mlp-in -> 3.mlp"]`
    pub transcoders: Option<Vec<String>>,
    /// Have the transcoders a linear path past the features?
    pub skip: Option<bool>,
    /// Features per dictionary.
    pub widths: Option<Vec<usize>>,
    /// Weights of the sparsity term.
    pub lambdas: Option<Vec<f64>>,
    /// Active features per row.
    #[serde(default, deserialize_with = "one_or_more")]
    pub target_l0: Option<Vec<f64>>,
    /// Nested widths, of matryoshka and jumprelu; the whole is added.
    pub prefixes: Option<Vec<usize>>,
    /// Begin as this dictionary, or as the one of the same site and width in this folder.
    pub init: Option<PathBuf>,
}

/// How pre-activations become features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    #[default]
    /// A feature is active where its pre-activation exceeds its threshold.
    JumpRelu,
    /// The k largest of each row.
    TopK,
    /// The k·N largest of a batch of N rows.
    BatchTopK,
    /// BatchTopK with nested widths, each trained to be a dictionary.
    Matryoshka,
    /// A gate decides whether, another encoder how much.
    Gated,
    /// ReLU with an L1 penalty.
    L1,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Architecture::JumpRelu => "jumprelu",
            Architecture::TopK => "topk",
            Architecture::BatchTopK => "batchtopk",
            Architecture::Matryoshka => "matryoshka",
            Architecture::Gated => "gated",
            Architecture::L1 => "l1",
        })
    }
}

/// What sets the number of active features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseBy {
    /// It is `target_l0`, exactly.
    K,
    /// The penalty is least at `target_l0`.
    Quadratic,
    /// λ, or a controller of it.
    Lambda,
}

impl std::str::FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> Result<Architecture, String> {
        Architecture::ALL.into_iter().find(|a| a.to_string() == name).ok_or_else(|| {
            let all = Architecture::ALL.map(|a| a.to_string()).join(", ");
            format!("expected one of {all}, found `{name}`")
        })
    }
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 6] = [
        Architecture::JumpRelu,
        Architecture::TopK,
        Architecture::BatchTopK,
        Architecture::Matryoshka,
        Architecture::Gated,
        Architecture::L1,
    ];

    /// What sets its number of active features under `preset`.
    pub fn sparse_by(self, preset: Preset) -> SparseBy {
        match (self, preset) {
            (Architecture::TopK | Architecture::BatchTopK | Architecture::Matryoshka, _) => SparseBy::K,
            (Architecture::JumpRelu, Preset::GemmaScope2) => SparseBy::Quadratic,
            _ => SparseBy::Lambda,
        }
    }
}

/// How sparse one dictionary is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Weight of the sparsity term.
    pub lambda: Option<f64>,
    /// Active features per row.
    pub target_l0: Option<f64>,
}

/// Where a dictionary reads, and writes if that is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it reads.
    pub input: Site,
    /// What it writes, if that is another site.
    pub output: Option<Site>,
    /// Is there a linear path past the features?
    pub skip: bool,
}

impl Place {
    /// An SAE reads and writes one site.
    pub fn sae(input: Site) -> Place {
        Place { input, output: None, skip: false }
    }
}

/// One dictionary for each place, width and sparsity.
#[derive(Clone, Debug)]
pub struct Grid {
    /// What is left untrained, if they are there to be beaten.
    pub baseline: Option<Baseline>,
    /// How pre-activations become features.
    pub architecture: Architecture,
    /// Sites in the order in which a run meets them, then transcoders.
    pub places: Vec<Place>,
    /// Features.
    pub widths: Vec<usize>,
    /// How sparse.
    pub wanted: Vec<Wanted>,
    /// Below each width.
    pub prefixes: Option<Vec<usize>>,
    /// Begin as this dictionary, or as the one of the same site and width in this folder.
    pub init: Option<PathBuf>,
}

impl Table {
    /// This table, with what it leaves out from the top of the file. λ and target go together, so do sites and
    /// transcoders; prefixes belong to their architecture.
    pub fn over(&self, top: &Table) -> Table {
        let (own, top) = (self.clone(), top.clone());
        let has_sparsity = own.lambdas.is_some() || own.target_l0.is_some();
        let has_transcoders = own.transcoders.is_some();
        let has_place = own.sites.is_some() || has_transcoders;
        Table {
            prefixes: own.prefixes.or(if own.architecture.is_some() { None } else { top.prefixes }),
            architecture: own.architecture.or(top.architecture),
            sites: if has_place { own.sites } else { top.sites },
            transcoders: if has_place { own.transcoders } else { top.transcoders },
            lambdas: if has_sparsity { own.lambdas } else { top.lambdas },
            target_l0: if has_sparsity { own.target_l0 } else { top.target_l0 },
            skip: own.skip.or(if has_place && !has_transcoders { None } else { top.skip }),
            widths: own.widths.or(top.widths),
            init: own.init.or(top.init),
            baseline: own.baseline,
        }
    }

    /// What it says, or JumpReLU.
    pub fn architecture(&self) -> Architecture {
        self.architecture.unwrap_or_default()
    }

    fn widths(&self) -> &[usize] {
        self.widths.as_deref().unwrap_or_default()
    }

    /// Everything that can be said without a model.
    pub fn check(&self, preset: Preset) -> Result<(), SuiteError> {
        let architecture = self.architecture();
        if matches!(preset, Preset::GemmaScope2 | Preset::Anthropic) && architecture != Architecture::JumpRelu
        {
            invalid!(
                "preset {preset}: expected architecture jumprelu, whose penalty it chooses, found {architecture}; take \
                 preset short or gemma-scope"
            );
        }
        check_widths(self.widths())?;
        let wanted = self.wanted(preset)?;
        let narrowest = self.widths().iter().min().copied().unwrap_or(0);
        let too_many = |w: &&Wanted| w.target_l0.is_some_and(|l0| l0 > narrowest as f64);
        if let Some(Wanted { target_l0: Some(l0), .. }) = wanted.iter().find(too_many) {
            invalid!(
                "target_l0: expected at most {narrowest}, the narrowest of `widths`, found {l0}; lower it"
            );
        }
        self.check_prefixes(narrowest)
    }

    fn check_prefixes(&self, narrowest: usize) -> Result<(), SuiteError> {
        let Some(prefixes) = &self.prefixes else { return Ok(()) };
        let architecture = self.architecture();
        if !matches!(architecture, Architecture::Matryoshka | Architecture::JumpRelu) {
            invalid!(
                "prefixes: expected architecture matryoshka or jumprelu, found {architecture}; leave them out"
            );
        }
        let ascend = prefixes.windows(2).all(|pair| pair[0] < pair[1]);
        if !(ascend && prefixes.first().is_some_and(|&p| p > 0) && prefixes.iter().all(|&p| p <= narrowest)) {
            invalid!(
                "prefixes: expected ascending numbers from 1 to {narrowest}, the narrowest of `widths`, found \
                 {prefixes:?}; correct them"
            );
        }
        Ok(())
    }

    /// One entry per dictionary of a place and width.
    pub fn wanted(&self, preset: Preset) -> Result<Vec<Wanted>, SuiteError> {
        let lambdas = self.lambdas.as_deref().unwrap_or_default();
        let targets = self.target_l0.as_deref().unwrap_or_default();
        check_lambdas(lambdas)?;
        check_targets(targets)?;
        let architecture = self.architecture();
        let lambda = |&l: &f64| Wanted { lambda: Some(l), target_l0: None };
        let target = |&t: &f64| Wanted { lambda: None, target_l0: Some(t) };
        match (architecture.sparse_by(preset), lambdas, targets) {
            (SparseBy::K, [], []) => {
                invalid!("expected `target_l0`, the k of {architecture}, for example 40, found none")
            }
            (SparseBy::K, [], _) => match targets.iter().find(|t| t.fract() != 0.0) {
                Some(t) => {
                    invalid!(
                        "target_l0: expected whole numbers, k of {architecture}, found {t}; take a whole one"
                    )
                }
                None => Ok(targets.iter().map(target).collect()),
            },
            (SparseBy::K, ..) => invalid!(
                "expected `target_l0`, the k of {architecture}, found `lambdas`, which it has no use for; leave them out"
            ),
            (SparseBy::Quadratic, _, []) => {
                invalid!(
                    "preset {preset}: expected `target_l0`, for example 40, found none; its λ is 0.01 if left out"
                )
            }
            (SparseBy::Quadratic, [], _) => Ok(targets.iter().map(target).collect()),
            (SparseBy::Quadratic, ..) => {
                let of = |t: f64| lambdas.iter().map(move |&l| (t, l));
                let both = |(t, l)| Wanted { lambda: Some(l), target_l0: Some(t) };
                Ok(targets.iter().flat_map(|&t| of(t)).map(both).collect())
            }
            (SparseBy::Lambda, [], []) => {
                invalid!(
                    "expected `lambdas`, for example [0.003], or `target_l0`, for example 40, found none"
                )
            }
            (SparseBy::Lambda, _, []) => Ok(lambdas.iter().map(lambda).collect()),
            (SparseBy::Lambda, [], _) => Ok(targets.iter().map(target).collect()),
            (SparseBy::Lambda, ..) => {
                invalid!("expected `lambdas` or `target_l0`, found both; keep one of them")
            }
        }
    }

    /// The grid at these places.
    pub fn grid(&self, places: Vec<Place>, preset: Preset) -> Result<Grid, SuiteError> {
        Ok(Grid {
            baseline: self.baseline,
            architecture: self.architecture(),
            places,
            widths: self.widths().to_vec(),
            wanted: self.wanted(preset)?,
            prefixes: self.prefixes.clone(),
            init: self.init.clone(),
        })
    }

    /// Where it asks for dictionaries.
    pub fn places(&self, spec: &Spec) -> Result<Vec<Place>, SuiteError> {
        let sites = match (&self.sites, &self.transcoders) {
            (Some(sites), _) => spec.parse_sites(sites)?,
            (None, Some(_)) => Vec::new(),
            (None, None) => spec.parse_sites(DEFAULT_SITES)?,
        };
        let mut places: Vec<Place> = sites.into_iter().map(Place::sae).collect();
        let skip = self.skip.unwrap_or_default();
        if skip && self.transcoders.is_none() {
            invalid!("skip: expected `transcoders`, found none; leave out `skip`, or name some");
        }
        for pair in self.transcoders.iter().flatten() {
            let pairs = transcoders(pair, spec).within(format!("transcoders: `{pair}`"))?;
            places.extend(pairs.into_iter().map(|(input, output)| Place {
                input,
                output: Some(output),
                skip,
            }));
        }
        if places.is_empty() {
            invalid!("transcoders: expected pairs of sites, for example [\"3.mlp-in -> 3.mlp\"], found none");
        }
        Ok(places)
    }
}

/// `3.mlp-in -> 3.mlp`, or with patterns of as many sites on both sides: `*.mlp-in -> *.mlp`.
fn transcoders(pair: &str, spec: &Spec) -> Result<Vec<(Site, Site)>, SuiteError> {
    let Some((from, to)) = pair.split_once("->") else {
        invalid!("expected SITE -> SITE, for example `3.mlp-in -> 3.mlp`")
    };
    let (from, to) = (spec.parse_sites(from)?, spec.parse_sites(to)?);
    if from.len() != to.len() {
        invalid!(
            "expected as many sites on both sides, found {} and {}; name each pair",
            from.len(),
            to.len()
        );
    }
    let pairs: Vec<(Site, Site)> = from.into_iter().zip(to).collect();
    if let Some((site, _)) = pairs.iter().find(|(from, to)| from == to) {
        invalid!("expected two different sites, found {site} twice; name it under `sites`");
    }
    Ok(pairs)
}

impl Grid {
    /// Every site that a dictionary of it reads or writes.
    pub fn sites(&self) -> impl Iterator<Item = Site> + '_ {
        self.places.iter().flat_map(|place| std::iter::once(place.input).chain(place.output))
    }
}

fn check_lambdas(lambdas: &[f64]) -> Result<(), SuiteError> {
    let usable = |l: f64| l == 0.0 || (1e-12..=1e6).contains(&l); // inputs have unit mean square: λ = 1 is a lot
    if let Some(lambda) = lambdas.iter().find(|&&l| !usable(l)) {
        invalid!("lambdas: expected 0 or numbers from 1e-12 to 1e6, found {lambda}");
    }
    once("lambdas", lambdas)
}

fn check_targets(targets: &[f64]) -> Result<(), SuiteError> {
    if let Some(l0) = targets.iter().find(|&&l0| !(l0.is_finite() && l0 > 0.0)) {
        invalid!("target_l0: expected numbers above 0, active features per row, found {l0}; for example 40");
    }
    once("target_l0", targets)
}

fn check_widths(widths: &[usize]) -> Result<(), SuiteError> {
    if widths.is_empty() || widths.contains(&0) {
        invalid!("widths: expected numbers of features, each at least 1, found {widths:?}");
    }
    once("widths", widths)
}

/// Refuses a list that names something twice.
pub fn once<T: PartialEq + fmt::Display>(name: &str, list: &[T]) -> Result<(), SuiteError> {
    match list.iter().enumerate().find(|(i, x)| list[..*i].contains(x)) {
        Some((_, twice)) => invalid!("{name}: {twice} is named twice"),
        None => Ok(()),
    }
}

/// `40` or `[20, 40]`.
pub fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
    struct Numbers;
    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<f64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or a list of numbers")
        }
        fn visit_i64<E>(self, number: i64) -> Result<Vec<f64>, E> {
            Ok(vec![number as f64])
        }
        fn visit_f64<E>(self, number: f64) -> Result<Vec<f64>, E> {
            Ok(vec![number])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<f64>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(Numbers).map(Some)
}
