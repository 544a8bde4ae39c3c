//! `lapidary verify`: is a release, or a dictionary, what it says that it is?

use crate::commands::evaluate::progress;
use crate::global::Global;
use crate::terminal;
use anyhow::{anyhow, bail};
use lapidary_catalog::{Opened, Text};
use lapidary_release::EvaluationFile;
use lapidary_release::evaluate::{Beside, On};
use lapidary_release::recompute::{recompute, sample};
use lapidary_release::verify::{Check, Outcome, dictionaries, verify};
use lapidary_suite::subjects::Run;
use lapidary_text::Split;
use std::path::{Path, PathBuf};

/// What is looked at when numbers are measured again.
const AGAIN: &str = "scores, measured again";

/// Check that a release or a dictionary is what it says
///
/// A release: every file against its blake3 in manifest.json, which names a changed byte anywhere; plan, scores, cards and table
/// against one another; then each dictionary; then the scores of some dictionaries, measured again on the same documents, where
/// model and text can be had. A dictionary of ours: its weights against their hash, cfg.json and the hooks against lapidary.json,
/// its probe rows encoded again and compared to the bit. Somebody else's: shapes, finite numbers, a hook that is known, the width
/// that its path names. One line per check; the exit code is 1 if one fails.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// Release folder, run folder, folder of dictionaries, or dictionary: a folder or a params.npz; by path or by name
    #[arg(value_name = "DIR|ID")]
    path: PathBuf,
    /// Dictionaries whose scores are measured again, drawn by the hash of the scores; 0: none
    #[arg(long, value_name = "N", default_value_t = 1)]
    recompute: usize,
    /// Model folder or GGUF file, to measure scores again [default: that of the run, or what has its name]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Text files or folders, to measure scores again [default: the run's, or the language where the scores name it]
    #[arg(long, value_name = "F", num_args = 1..)]
    text: Vec<PathBuf>,
}

/// Runs the verb.
pub fn run(args: VerifyArgs, global: &Global) -> anyhow::Result<()> {
    let path = args.found(global)?;
    let dictionaries = dictionaries(&path)?;
    if global.dry_run {
        let json = serde_json::json!({ "path": path, "dictionaries": dictionaries.len() });
        return global.tell(&json, format_args!("{} dictionaries in {}", dictionaries.len(), path.display()));
    }
    let mut checks = verify(&path, &dictionaries, global.catalog.device);
    if args.recompute > 0 && path.join("plan.json").is_file() && path.join("evaluation.json").is_file() {
        let again = args.again(&path, global);
        checks.extend(again.unwrap_or_else(|why| vec![args.not_measured(&path, &why)]));
    }
    print(&checks, global)?;
    match checks.iter().filter(|check| check.failed()).count() {
        0 => Ok(()),
        failed => bail!("{}: {failed} of {} checks failed", path.display(), checks.len()),
    }
}

impl VerifyArgs {
    /// Where it is. What may be an id of the Hub is not fetched, but the way is said.
    fn found(&self, global: &Global) -> anyhow::Result<PathBuf> {
        let id =
            self.path.to_str().filter(|id| id.split('/').count() == 2 && !id.starts_with(['/', '.', '~']));
        global.catalog.find(&self.path).map_err(|missing| match id {
            Some(id) => {
                anyhow!("{missing}; if it is an id of the Hub, fetch it: `hf download {id} --local-dir DIR`")
            }
            None => missing.into(),
        })
    }

    /// Nothing was measured again: a failure only where the user said on what.
    fn not_measured(&self, path: &Path, why: &anyhow::Error) -> Check {
        let (path, why) = (path.to_path_buf(), format!("{why:#}").replace('\n', " "));
        let outcome = match self.model.is_none() && self.text.is_empty() {
            true => Outcome::Skipped(why),
            false => Outcome::Failed(format!("{}: {AGAIN}: {why}", path.display())),
        };
        Check { path, what: AGAIN.into(), outcome }
    }

    /// A sample of the scores, measured again.
    ///
    /// # Errors
    /// Model, text or scores cannot be had: why.
    fn again(&self, path: &Path, global: &Global) -> anyhow::Result<Vec<Check>> {
        let Some(run) = Run::among(&[path.to_path_buf()])?.pop() else { bail!("it has no plan") };
        let file = EvaluationFile::read(path, &run.plan.hash())?;
        let names = sample(path, &file, self.recompute);
        let text = self.text(&file, &run, global)?;
        let model = self.model.as_ref().unwrap_or(&run.places.model);
        let ignored = &run.places.ignore_config_keys;
        let opened = Opened::open(model, ignored, file.model.precision.as_deref(), &global.catalog)?;
        let scored = file.scored.as_ref();
        let split = scored.map_or(Split::HeldOut, |scored| scored.split);
        let corpus = text.corpus(&opened, file.text.context, split)?;
        let max_windows = scored.and_then(|scored| scored.first_windows);
        let (seed, resamples) = file.scores.first().map_or((0, 0), |s| (s.seed, s.resamples));
        let on = On {
            opened: &opened,
            corpus: &corpus,
            split,
            context: file.text.context,
            max_windows,
            seed,
            resamples,
            truth: None,
            beside: Beside::default(),
            elsewhere: None,
            run: None,
        };
        Ok(progress(global, |observe| recompute(run, &file, &names, &on, observe))?)
    }

    /// The text that was scored, as far as anybody says where it is.
    fn text(&self, file: &EvaluationFile, run: &Run, global: &Global) -> anyhow::Result<Text> {
        let language = file.truth.iter().map(|truth| PathBuf::from(&truth.text));
        let named = [self.text.clone(), run.places.text.clone(), language.collect()];
        let Some(text) = named.into_iter().find(|text| !text.is_empty()) else {
            bail!(
                "the release does not say where its text is; name it with --text, and the model with --model"
            );
        };
        Ok(Text::parse(&text, &global.catalog)?)
    }
}

fn print(checks: &[Check], global: &Global) -> anyhow::Result<()> {
    if global.json {
        let all: Vec<_> = checks.iter().map(json).collect();
        return terminal::line(serde_json::json!({ "checks": all }));
    }
    terminal::write(|out| {
        checks.iter().try_for_each(|check| match &check.outcome {
            Outcome::Good => writeln!(out, "ok      {}: {}", check.path.display(), check.what),
            Outcome::Failed(error) => writeln!(out, "FAILED  {error}"),
            Outcome::Skipped(why) => writeln!(out, "skipped {}: {}: {why}", check.path.display(), check.what),
        })
    })
}

fn json(Check { path, what, outcome }: &Check) -> serde_json::Value {
    let (ok, error) = match outcome {
        Outcome::Good => (Some(true), None),
        Outcome::Failed(error) => (Some(false), Some(error)),
        Outcome::Skipped(why) => (None, Some(why)),
    };
    serde_json::json!({ "path": path, "check": what, "ok": ok, "error": error })
}
