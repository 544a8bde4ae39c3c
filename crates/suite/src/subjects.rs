//! What is evaluated: dictionaries of runs and dictionaries that are named alone, with what each says that it was trained on;
//! and whether that is one model, one text and one context, since all of them are scored on the same.

use crate::SuiteError;
use crate::error::invalid;
use crate::folder::{given_up_lines, read_dictionaries};
use crate::plan::{Places, RunPlan};
use crate::words;
use lapidary_dictionary::{Activation, Dictionary, Setting, load};
use lapidary_files::Identity;
use lapidary_lm::Site;
use lapidary_trainer::{Baseline, DictionaryPlan};
use std::path::{Path, PathBuf};

/// A run among the subjects.
#[derive(Clone)]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// Every number of it.
    pub plan: RunPlan,
    /// Where it found what it read.
    pub places: Places,
}

/// A dictionary to score.
pub struct Named {
    /// Its name in the run, or its folder.
    pub name: String,
    /// What tables call it.
    pub label: String,
    /// What it reads.
    pub site: Site,
    /// What it reconstructs.
    pub output: Site,
    /// How sparse it was asked to be, where it is known.
    pub setting: Option<Setting>,
    /// What it was trained as, to be beaten.
    pub baseline: Option<Baseline>,
    /// Number of its run among the subjects, and the seed of its plan; 0 for one that is named alone.
    pub run: (usize, u64),
    /// What of its run is the same in one that differs in its seed only; empty for one that is named alone.
    pub recipe: String,
    /// In raw units.
    pub dictionary: Dictionary,
    /// The model that it was trained on, if it says so by hash.
    pub model: Option<Identity>,
    /// Hash of the documents that it was trained on, if it says so.
    pub text: Option<String>,
}

/// Sites that the command line gives to dictionaries that are named alone.
#[derive(Clone, Copy, Default)]
pub struct Sites<'a> {
    /// What they read.
    pub reads: Option<&'a str>,
    /// What they reconstruct.
    pub writes: Option<&'a str>,
}

impl Run {
    /// The runs among the paths.
    pub fn among(paths: &[PathBuf]) -> Result<Vec<Run>, SuiteError> {
        let read = |folder: &PathBuf| {
            let (plan, places) = (RunPlan::read(folder)?, Places::of(folder)?);
            Ok(Run { folder: folder.clone(), plan, places })
        };
        paths.iter().filter(|path| is_run(path)).map(read).collect()
    }
}

fn is_run(path: &Path) -> bool {
    path.join("plan.json").is_file()
}

/// All runs agree in something, or the first that differs is named with `next`, which says what to do.
pub fn check_alike(
    runs: &[Run],
    what: &str,
    of: impl Fn(&RunPlan) -> String,
    next: &str,
) -> Result<(), SuiteError> {
    let Some((first, others)) = runs.split_first() else { return Ok(()) };
    let expected = of(&first.plan);
    match others.iter().find(|run| of(&run.plan) != expected) {
        None => Ok(()),
        Some(other) => invalid!(
            "{}: expected a run with the {what} of {} ({expected:.12}), found another ({:.12}); evaluate them one after the \
             other, or {next}",
            other.folder.display(),
            first.folder.display(),
            of(&other.plan)
        ),
    }
}

/// All dictionaries are of this model, or the first that is of another is named; `whose` says where the model comes from.
pub fn check_model(subjects: &[Named], model: &Identity, whose: &str) -> Result<(), SuiteError> {
    match subjects.iter().find_map(|subject| Some((subject, subject.foreign_to(model)?))) {
        None => Ok(()),
        Some((subject, other)) => invalid!(
            "{}: expected a dictionary of {whose}, {model}, found one of {other}; evaluate it on its own model, or score it on \
             this one all the same with --foreign-model",
            subject.name
        ),
    }
}

/// Every dictionary that the paths name. Those that read a randomised model are skipped, and `note` is told, unless
/// `with_random` asks for them.
pub fn read(
    paths: &[PathBuf],
    runs: &[Run],
    sites: Sites<'_>,
    with_random: bool,
    note: &dyn Fn(&str),
) -> Result<Vec<Named>, SuiteError> {
    let (mut out, mut runs) = (Vec::new(), runs.iter());
    for (number, path) in (1..).zip(paths) {
        let run = is_run(path).then(|| runs.next().expect("every run was read"));
        out.extend(of_path(path, run, number, sites, with_random, note)?);
    }
    Ok(out)
}

/// The same, but a path that cannot be read does not keep the others from it: those that could, and why each of the rest could not.
///
/// # Errors
/// None could be read: why the first could not.
pub fn read_each(
    paths: &[PathBuf],
    runs: &[Run],
    sites: Sites<'_>,
    with_random: bool,
    note: &dyn Fn(&str),
) -> Result<(Vec<Named>, Vec<SuiteError>), SuiteError> {
    let (mut out, mut refused, mut runs) = (Vec::new(), Vec::new(), runs.iter());
    for (number, path) in (1..).zip(paths) {
        let run = is_run(path).then(|| runs.next().expect("every run was read"));
        match of_path(path, run, number, sites, with_random, note) {
            Ok(found) => out.extend(found),
            Err(error) => refused.push(error),
        }
    }
    if out.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0));
    }
    Ok((out, refused))
}

/// The dictionaries of one path, a run or one that is named alone.
fn of_path(
    path: &Path,
    run: Option<&Run>,
    number: usize,
    sites: Sites<'_>,
    with_random: bool,
    note: &dyn Fn(&str),
) -> Result<Vec<Named>, SuiteError> {
    let Some(run) = run else { return Ok(vec![alone(path, sites)?]) };
    let mut out = Vec::new();
    let finished = read_dictionaries(&run.folder, &run.plan)?;
    given_up_lines(&run.folder).iter().for_each(|line| note(line));
    for (d, dictionary, _) in finished {
        let named = Named::of_run(run, number, d, dictionary)?;
        if named.reads_the_model() || with_random {
            out.push(named);
        } else {
            note(&format!("{}: skipped, it reads a randomised model; --truth scores it", named.name));
        }
    }
    Ok(out)
}

impl Named {
    fn of_run(
        run: &Run,
        number: usize,
        d: DictionaryPlan,
        dictionary: Dictionary,
    ) -> Result<Named, SuiteError> {
        Ok(Named {
            label: words::label(&d),
            site: d.site.parse()?,
            output: d.transcoder.as_ref().map_or(&d.site, |t| &t.output).parse()?,
            setting: Some(words::setting(&d)),
            name: d.name,
            baseline: d.baseline,
            run: (number, run.plan.training.seed),
            recipe: recipe(&run.plan),
            dictionary,
            model: Some(run.plan.model.clone()),
            text: Some(run.plan.text.hash.clone()),
        })
    }

    /// Does it read the model as it is?
    pub fn reads_the_model(&self) -> bool {
        self.baseline != Some(Baseline::RandomLm)
    }

    /// The model that it says it was trained on, if that is another than this.
    pub fn foreign_to(&self, model: &Identity) -> Option<&Identity> {
        let same = |said: &Identity| said.hash == model.hash && said.precision == model.precision;
        self.model.as_ref().filter(|said| !same(said))
    }
}

/// What a person chose, of which model and text; what was measured on the rows differs with the seed.
fn recipe(plan: &RunPlan) -> String {
    let r = &plan.training.recipe;
    let (model, text, context) = (&plan.model.hash, &plan.text.hash, plan.text.context);
    format!("{} {} {} {} {} {model} {text} {context}", r.preset, r.steps, r.batch, r.lr, r.lambda_warmup)
}

/// A dictionary that is named alone, with what it says of itself.
fn alone(path: &Path, sites: Sites<'_>) -> Result<Named, SuiteError> {
    let (dictionary, meta) = load(path)?;
    let at = lapidary_dictionary::sites(path, &dictionary, meta.as_ref(), sites.reads, sites.writes)?;
    let (site, output) = (at.read, at.written);
    let training = meta.as_ref().and_then(|m| m.training.as_ref());
    let baseline = training.and_then(|t| t.baseline);
    if baseline == Some(Baseline::RandomLm) {
        invalid!(
            "{}: expected a dictionary of the model, found a random-lm baseline, which reads a randomised one; name its \
             run with --truth",
            path.display()
        );
    }
    let to = if output == site { String::new() } else { format!(" → {output}") };
    let trained = training.map(|t| t.lambda).filter(|&lambda| lambda > 0.0);
    let (kind, setting) = match dictionary.activation {
        Activation::TopK { k } => (" topk", Some(Setting::L0(k as f64))),
        Activation::JumpRelu | Activation::Gated { .. } => ("", trained.map(Setting::Lambda)),
    };
    let of = baseline.map(|b| format!(" {b}")).unwrap_or_default();
    let model = meta.as_ref().map(|m| &m.model);
    let by_hash = |hash: String| Identity {
        name: model.map(|m| m.name.clone()).unwrap_or_default(),
        hash,
        precision: model.and_then(|m| m.precision.clone()),
    };
    Ok(Named {
        name: path.display().to_string(),
        label: format!("{site}{to}{kind}{of}"),
        site: site.parse()?,
        output: output.parse()?,
        setting,
        baseline,
        run: (0, 0),
        recipe: String::new(),
        dictionary,
        model: model.and_then(|m| m.hash.clone()).map(by_hash),
        text: training.map(|t| t.text_hash.clone()),
    })
}
