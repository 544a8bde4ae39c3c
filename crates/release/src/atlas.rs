//! What an atlas is built of, for every front end: a run, a release or dictionaries of anybody's, opened by name, with a text and a
//! model; what their sources are called; which scores they have; and the truth about the text, where it is known.

use crate::ReleaseError;
use crate::error::invalid;
use crate::file::EvaluationFile;
use lapidary_atlas::build::Job;
use lapidary_atlas::pages::{DictionaryInfo, ModelInfo, ScoreColumn, SuitePage, TextInfo};
use lapidary_atlas::{Subject, Truth};
use lapidary_catalog::{Catalog, CatalogError, Opened, Text, World};
use lapidary_dictionary::Activation;
use lapidary_evaluation::{Interval, Score, Scores};
use lapidary_files::hash;
use lapidary_ground_truth::indicators;
use lapidary_ground_truth::phrases::Question;
use lapidary_ground_truth::score::check_words;
use lapidary_lm::{Site, SiteKind};
use lapidary_suite::plan::is_release;
use lapidary_suite::subjects::{self, Named, Run, Sites, check_model};
use lapidary_text::{Corpus, Split, resolve_context};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a person asks an atlas of.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Runs, releases or dictionaries.
    pub subjects: Vec<PathBuf>,
    /// The model, if not the run's.
    pub model: Option<PathBuf>,
    /// The text, if not the run's.
    pub text: Vec<PathBuf>,
    /// Site of dictionaries that do not say theirs.
    pub site: Option<String>,
    /// What those write.
    pub site_out: Option<String>,
    /// Tokens per window.
    pub context: Option<usize>,
    /// Which documents.
    pub split: Split,
    /// Only the first windows.
    pub max_windows: Option<usize>,
    /// What the suite is called.
    pub name: Option<String>,
}

/// Everything that was opened.
pub struct Prepared {
    /// The model.
    pub opened: Opened,
    /// The text.
    pub corpus: Corpus,
    /// The dictionaries.
    pub named: Vec<Named>,
    /// What is known of every row.
    pub truth: Option<Truth>,
    /// What the atlas says of the suite.
    pub suite: SuitePage,
}

/// A model and its dictionaries.
pub struct Dictionaries {
    /// The runs among what was named.
    pub runs: Vec<Run>,
    /// The dictionaries.
    pub named: Vec<Named>,
    /// The model.
    pub opened: Opened,
}

impl Asked {
    /// Opens everything; `note` is told what a user should know.
    ///
    /// # Errors
    /// Something is not found, cannot be read, or does not belong together.
    pub fn open(&self, catalog: &Catalog, note: &dyn Fn(&str)) -> Result<Prepared, ReleaseError> {
        self.open_text(self.dictionaries(catalog, note)?, catalog, note)
    }

    /// Opens the model and the dictionaries, and no text.
    ///
    /// # Errors
    /// As [`Asked::open`].
    pub fn dictionaries(&self, catalog: &Catalog, note: &dyn Fn(&str)) -> Result<Dictionaries, ReleaseError> {
        let paths = self.subjects.iter().map(|s| catalog.find(s)).collect::<Result<Vec<_>, _>>()?;
        let runs = Run::among(&paths)?;
        let sites = Sites { reads: self.site.as_deref(), writes: self.site_out.as_deref() };
        let named = subjects::read(&paths, &runs, sites, false, note)?;
        let run = runs.first();
        let Some(model) = self.model.as_ref().or(run.map(|run| &run.places.model)) else {
            invalid!("no run or release is named: add --model DIR")
        };
        let ignored = run.map_or(&[][..], |run| &run.places.ignore_config_keys);
        let recorded = named.first().and_then(|s| s.model.as_ref()).and_then(|m| m.precision.as_deref());
        let opened = Opened::open(model, ignored, recorded, catalog)?;
        check_model(&named, &opened.identity()?, &opened.folder.display().to_string())?;
        Ok(Dictionaries { runs, named, opened })
    }

    /// Opens the text that belongs to the dictionaries.
    ///
    /// # Errors
    /// As [`Asked::open`].
    pub fn open_text(
        &self,
        of: Dictionaries,
        catalog: &Catalog,
        note: &dyn Fn(&str),
    ) -> Result<Prepared, ReleaseError> {
        let Dictionaries { runs, named, opened } = of;
        let run = runs.first();
        let files: Vec<Option<EvaluationFile>> = runs.iter().map(|run| scored(run, note)).collect();
        let text = self.text(run, &files, catalog)?;
        let asked = self.context.or(run.map(|run| run.plan.text.context));
        let context = resolve_context(&opened.spec, asked).map_err(CatalogError::Text)?;
        let mut corpus = text.corpus(&opened, context, self.split)?;
        corpus.windows.truncate(self.max_windows.unwrap_or(usize::MAX));
        let truth = truth(&text, &corpus, &opened);
        let suite = self.suite(&opened, &corpus, &text, context, &named, &files)?;
        Ok(Prepared { opened, corpus, named, truth, suite })
    }

    /// A name for the atlas of these dictionaries on the text that is asked for: of the weights, the model, and what was asked.
    ///
    /// # Errors
    /// The model's files cannot be read.
    pub fn key(&self, of: &Dictionaries) -> Result<String, ReleaseError> {
        let Dictionaries { runs, named, opened } = of;
        let (program, rows) = (env!("CARGO_PKG_VERSION"), lapidary_atlas::ROWS_VERSION);
        let mut lines = vec![format!("{program} {rows} {}", opened.hash()?)];
        for one in named {
            let arrays = [&one.dictionary.w_enc, &one.dictionary.w_dec, &one.dictionary.threshold];
            let hashes =
                arrays.map(|a| hash::bytes(&a.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()));
            lines.push(format!("{} {} {}", one.name, one.site, hashes.join(" ")));
        }
        let texts: Vec<&PathBuf> = runs.iter().flat_map(|run| &run.places.text).collect();
        lines.push(format!(
            "{:?} {texts:?} {:?} {} {:?}",
            self.text, self.context, self.split, self.max_windows
        ));
        Ok(hash::bytes(lines.join("\n").as_bytes())[..16].to_owned())
    }

    /// What was asked for, else the run's, else the language that the scores of a release are of.
    fn text(
        &self,
        run: Option<&Run>,
        files: &[Option<EvaluationFile>],
        catalog: &Catalog,
    ) -> Result<Text, ReleaseError> {
        let known = |file: &EvaluationFile| Some(vec![PathBuf::from(&file.truth.as_ref()?.text)]);
        let names = match (self.text.is_empty(), run) {
            (false, _) => Some(self.text.clone()),
            (true, Some(run)) if !run.places.text.is_empty() => Some(run.places.text.clone()),
            (true, _) => files.iter().flatten().find_map(known),
        };
        match names {
            Some(names) => Ok(Text::parse(&names, catalog)?),
            None => invalid!("nothing says which text to look at: add --text FILE"),
        }
    }

    fn suite(
        &self,
        opened: &Opened,
        corpus: &Corpus,
        text: &Text,
        context: usize,
        named: &[Named],
        files: &[Option<EvaluationFile>],
    ) -> Result<SuitePage, ReleaseError> {
        let name =
            self.subjects.first().and_then(|s| s.file_name()).map(|n| n.to_string_lossy().into_owned());
        let dictionaries: Vec<DictionaryInfo> = sources(named)
            .into_iter()
            .zip(named)
            .map(|(source, named)| {
                let file = named.run.0.checked_sub(1).and_then(|run| run_number(files, run));
                info(source, named, file.and_then(|file| file.scores.iter().find(|s| s.name == named.name)))
            })
            .collect();
        let known: BTreeSet<&str> =
            dictionaries.iter().flat_map(|d| d.scores.keys().map(String::as_str)).collect();
        let scores = COLUMNS.iter().filter(|c| known.contains(c.0)).map(column).collect();
        let (spec, model) = (&opened.spec, opened.name.clone());
        let text_name = match text {
            Text::World(world) => world.to_string(),
            Text::Files(files) => {
                files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
            }
        };
        Ok(SuitePage {
            name: self.name.clone().or(name).unwrap_or_else(|| model.clone()),
            description: format!("{} sparse dictionaries of the language model {model}.", dictionaries.len()),
            model: ModelInfo {
                id: model.clone(),
                name: model,
                layers: spec.n_layers,
                width: spec.d_model,
                heads: spec.heads,
                vocab: spec.vocab,
                hash: opened.hash()?.to_string(),
            },
            text: TextInfo {
                name: text_name,
                documents: corpus.windows.chunk_by(|a, b| a.doc == b.doc).count() as u64,
                tokens: corpus
                    .windows
                    .iter()
                    .map(|w| w.tokens.len() as u64 - u64::from(spec.bos.is_some()))
                    .sum(),
                rows: 0,
                context,
                split: self.split.to_string(),
                hash: corpus.hash.clone(),
                special_tokens_policy: policy(spec.bos.is_some()),
            },
            has_truth: false,
            scores,
            dictionaries,
            notes: files.iter().flatten().map(EvaluationFile::scored_on).collect(),
        })
    }
}

fn run_number(files: &[Option<EvaluationFile>], run: usize) -> Option<&EvaluationFile> {
    files.get(run)?.as_ref()
}

fn policy(has_bos: bool) -> String {
    let first = if has_bos {
        "a BOS stands before every window"
    } else {
        "the first token of every window counts as special"
    };
    format!(
        "special tokens (BOS, EOS, padding) give no activations: they are in no count, density, histogram or context's values; {first}"
    )
}

impl Prepared {
    /// The dictionaries as an atlas wants them.
    pub fn subjects<'a>(&'a self) -> (Vec<Subject<'a>>, Vec<Site>) {
        let subject = |s: &'a Named| Subject { name: &s.name, site: s.site, dictionary: &s.dictionary };
        (self.named.iter().map(subject).collect(), self.named.iter().map(|s| s.output).collect())
    }

    /// What is built.
    ///
    /// # Errors
    /// The model's weights cannot be read.
    pub fn job<'a>(
        &'a self,
        subjects: &'a [Subject<'a>],
        outputs: &'a [Site],
        shard_rows: u64,
    ) -> Result<Job<'a>, ReleaseError> {
        let Prepared { opened, corpus, truth, suite, .. } = self;
        let (model, tokenizer) = (opened.model()?, &opened.tokenizer);
        let (truth, suite) = (truth.as_ref(), suite.clone());
        Ok(Job { model, tokenizer, corpus, truth, suite, subjects, outputs, shard_rows })
    }
}

/// The scores of a run, or why there are none.
fn scored(run: &Run, note: &dyn Fn(&str)) -> Option<EvaluationFile> {
    let read = EvaluationFile::read(&run.folder, &run.plan.hash());
    let file = read.map_err(|e| note(&format!("without scores: {e}"))).ok()?;
    if is_release(&run.folder) {
        return Some(file);
    }
    let of_now = |scores: &Scores| file.scores_of(&run.folder, &scores.name).is_ok();
    match file.scores.iter().find(|scores| !of_now(scores)) {
        None => Some(file),
        Some(old) => {
            note(&format!("without scores: those of {} are of other weights; evaluate again", old.name));
            None
        }
    }
}

/// What is true of every row, if the text is of the language and the model reads it word by word.
fn truth(text: &Text, corpus: &Corpus, opened: &Opened) -> Option<Truth> {
    let world: &World = text.world()?;
    check_words(opened, world, corpus).ok()?;
    let known = indicators::truth(world, corpus, &opened.spec);
    let phrase = |name: &String| Question::parse(name).map(|q| q.meaning);
    Some(Truth {
        phrases: known.indicators.iter().map(phrase).collect(),
        shown: known.indicators.iter().map(|name| !name.starts_with("word ")).collect(),
        names: known.indicators,
        starts: known.starts,
        on: known.on,
    })
}

/// Key, label, unit, which is better.
const COLUMNS: [(&str, &str, &str, &str); 6] = [
    ("l0", "L0", "features/row", "none"),
    ("fvu", "FVU", "", "lower"),
    ("delta_loss", "Δloss", "nats/token", "lower"),
    ("loss_recovered", "loss recovered", "", "higher"),
    ("dead_fraction", "never fired", "", "lower"),
    ("ultra_frequent", "ultra-frequent features", "features", "lower"),
];

fn column(&(key, label, unit, better): &(&str, &str, &str, &str)) -> ScoreColumn {
    ScoreColumn { key: key.into(), label: label.into(), unit: unit.into(), better: better.into() }
}

fn info(source: String, named: &Named, scores: Option<&Scores>) -> DictionaryInfo {
    let dictionary = &named.dictionary;
    let (mut values, mut intervals) = (BTreeMap::new(), BTreeMap::new());
    if let Some(s) = scores {
        let named: [(&str, &Score); 4] = [
            ("l0", &s.l0),
            ("fvu", &s.fvu),
            ("delta_loss", &s.delta_loss),
            ("loss_recovered", &s.loss_recovered),
        ];
        for (key, score) in named {
            values.insert(key.to_string(), Some(score.value).filter(|v| v.is_finite()));
            if let Interval::Known { low, high } = score.interval {
                intervals.insert(key.to_string(), [low, high]);
            }
        }
        let dead = s.firing.never_fired as f64 / s.width.max(1) as f64;
        values.insert("dead_fraction".into(), Some(dead));
        values.insert("ultra_frequent".into(), Some(s.firing.ultra_frequent.len() as f64));
    }
    DictionaryInfo {
        source,
        site: named.site.to_string(),
        site_out: named.output.to_string(),
        layer: layer(named.site),
        kind: kind(named.site),
        name: named.name.clone(),
        architecture: architecture(&dictionary.activation).into(),
        features: dictionary.width(),
        width: dictionary.d_in,
        alive: 0,
        mean_active: 0.0,
        scores: values,
        intervals,
        weights: String::new(),
    }
}

fn architecture(activation: &Activation) -> &'static str {
    match activation {
        Activation::JumpRelu => "JumpReLU",
        Activation::TopK { .. } => "TopK",
        Activation::Gated { .. } => "Gated",
    }
}

fn layer(site: Site) -> Option<usize> {
    (site.kind != SiteKind::Embed).then_some(site.layer)
}

fn kind(site: Site) -> String {
    site.kind.to_string()
}

/// Names in the ids of features: `2-res-1k`, `e-embed-16k`; a baseline, and what shares its place and width with others, has what
/// tells it apart after two underscores, `2-res-1k__l0-40`.
pub fn sources(named: &[Named]) -> Vec<String> {
    let clean: Vec<String> = named.iter().map(clean_name).collect();
    let rivals = |name: &str| {
        let same = named.iter().zip(&clean).filter(|(s, clean)| s.baseline.is_none() && *clean == name);
        same.count()
    };
    let mut out: Vec<String> = Vec::new();
    for (named, clean) in named.iter().zip(&clean) {
        let setting =
            named.setting.map(|s| s.to_string().to_lowercase().replace("λ", "lambda").replace(' ', "-"));
        let tail = match (named.baseline, rivals(clean)) {
            (Some(baseline), _) => Some(baseline.to_string()),
            (None, 2..) => setting,
            _ => None,
        };
        let base = tail.map_or(clean.clone(), |tail| format!("{clean}__{tail}"));
        let taken = |name: &String| out.contains(name);
        let numbered = (2..).map(|n| format!("{base}{}{n}", if base.contains("__") { "-" } else { "__" }));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name));
        out.push(free.expect("one of them is free"));
    }
    out
}

/// The dictionary that is called `name`, as its run or as an atlas calls it.
///
/// # Errors
/// There is none; says which there are.
pub fn find<'a>(named: &'a [Named], name: &str) -> Result<&'a Named, ReleaseError> {
    let known = sources(named);
    match known.iter().zip(named).find(|(source, named)| *source == name || named.name == name) {
        Some((_, found)) => Ok(found),
        None => {
            invalid!("{name}: expected one of the dictionaries {}, found none of that name", known.join(", "))
        }
    }
}

fn clean_name(named: &Named) -> String {
    let width = match named.dictionary.width() {
        n @ 0..1_000 => n.to_string(),
        n @ 1_000..1_000_000 => format!("{}k", n / 1_000),
        n => format!("{}m", n / 1_000_000),
    };
    let layer = layer(named.site).map_or("e".into(), |l| l.to_string());
    let to = if named.output == named.site { String::new() } else { format!("-to-{}", kind(named.output)) };
    format!("{layer}-{}{to}-{width}", kind(named.site))
}
