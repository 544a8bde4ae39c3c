//! A finished, evaluated run becomes a folder that people can load.

use crate::cards::Source;
use crate::entry::Entry;
use crate::error::invalid;
use crate::file::broken;
use crate::report::Report;
use crate::{EvaluationFile, ReleaseError};
use lapidary_dictionary::{Dictionary, Meta, Probe, save_sae_lens};
use lapidary_evaluation::Scores;
use lapidary_files::{self as files, Kind};
use lapidary_kernels::Device;
use lapidary_lm::{Spec, load_spec};
use lapidary_report::hub::Hub;
use lapidary_store::RowDtype;
use lapidary_suite::folder::{given_up_lines, read_dictionaries};
use lapidary_suite::{Places, RunPlan};
use lapidary_trainer::{Baseline, DictionaryPlan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A release's folder.
pub const RELEASE: Kind = Kind {
    name: "release",
    owns: &[
        "README.md",
        "manifest.json",
        "plan.json",
        "evaluation.json",
        "report.html",
        "plots/*.svg",
        "plots/*.csv",
        "*/cfg.json",
        "*/sae_weights.safetensors",
        "*/lapidary.json",
        "*/card.md",
    ],
    resumed_by: None,
};

/// Longest plan or file of scores that is copied, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// What of a run is released.
pub struct Release {
    run: PathBuf,
    plan: RunPlan,
    file: EvaluationFile,
    /// In the plan's order.
    pub released: Vec<Released>,
    /// What stays behind, a sentence each.
    pub left_out: Vec<String>,
}

/// How it is written.
pub struct How {
    /// Title of its page.
    pub name: String,
    /// Precision of the weights.
    pub weights: RowDtype,
    /// L0 of the canonical choice; none: the median.
    pub target_l0: Option<f64>,
    /// For the front matter of page and cards.
    pub hub: Hub,
}

/// A dictionary that is released.
pub struct Released {
    /// What it was trained as.
    pub plan: DictionaryPlan,
    /// In raw units.
    pub dictionary: Dictionary,
    /// What goes beside its weights.
    pub meta: Meta,
    /// None: it reads a randomised model.
    pub scores: Option<Scores>,
}

impl Release {
    /// Baselines stay behind unless they are asked for; what stopped or is broken stays behind too.
    ///
    /// # Errors
    /// The run is not finished or was not evaluated as it is, or nothing is left to release.
    pub fn of(run: &Path, with_baselines: bool) -> Result<Release, ReleaseError> {
        let plan = RunPlan::read(run)?;
        let file = EvaluationFile::read(run, &plan.hash())?;
        let (mut released, mut left_out, mut baselines) = (Vec::new(), Vec::new(), 0);
        let finished = read_dictionaries(run, &plan)?;
        left_out.extend(given_up_lines(run).into_iter().map(|line| line + "."));
        for (d, dictionary, meta) in finished {
            if d.baseline.is_some() && !with_baselines {
                baselines += 1;
                continue;
            }
            dictionary_check(run, &d, &meta, &plan)?;
            let scores = file.scores_of(run, &d.name)?.cloned();
            // What reads a randomised model is compared with the truth only: it cannot be spliced into the model itself.
            if scores.is_none() && d.baseline != Some(Baseline::RandomLm) {
                invalid!("{}: not in evaluation.json; evaluate again", d.name);
            }
            match scores.as_ref().and_then(broken) {
                Some(why) => left_out.push(format!("{} is left out: {why}.", d.name)),
                None => released.push(Released { plan: d, dictionary, meta, scores }),
            }
        }
        if baselines > 0 {
            left_out
                .push(format!("{baselines} baselines of the run are left out: they are there to be beaten."));
        }
        if released.is_empty() {
            let (run, why) = (run.display(), left_out.join(" "));
            invalid!("{run}: expected a dictionary to release, found none ({why}); train again");
        }
        Ok(Release { run: run.to_path_buf(), plan, file, released, left_out })
    }

    /// Writes it into an empty folder.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn write(&mut self, folder: &Path, how: &How, device: Device) -> Result<(), ReleaseError> {
        let spec = self.spec();
        let How { weights, hub, .. } = how;
        let from = Source { plan: &self.plan, file: &self.file, weights: *weights, spec: spec.as_ref(), hub };
        for Released { plan: d, dictionary, meta, scores } in &mut self.released {
            round(dictionary, meta, *weights, device);
            meta.l0 = scores.as_ref().map(|s| s.l0.value);
            let card = from.card(d, meta, scores.as_ref()).markdown();
            save_sae_lens(&folder.join(&d.name), dictionary, meta, &card)?;
        }
        for name in ["plan.json", "evaluation.json"] {
            files::publish(&folder.join(name), &files::read(&self.run.join(name), MAX_BYTES)?)?;
        }
        let report = self.report(how);
        let page = from.page(&report, &self.released, &self.left_out).markdown();
        files::publish(&folder.join("README.md"), page.as_bytes())?;
        report.write(folder)?;
        Ok(files::inventory::write(folder, self.made_from())?)
    }

    /// The released dictionaries with their scores, and all baselines of the run.
    fn report<'a>(&'a self, how: &'a How) -> Report<'a> {
        let is_released = |e: &Entry<'_>| self.released.iter().any(|r| r.plan.name == e.scores.name);
        let mut entries = Entry::of_run(&self.file, &self.plan);
        entries.retain(|e| e.baseline.is_some() || is_released(e));
        Report::new(&how.name, &self.file, entries, how.target_l0)
    }

    /// Hashes of what the release was made from.
    fn made_from(&self) -> BTreeMap<String, String> {
        let (plan, file) = (&self.plan, &self.file);
        let precision = plan.model.precision.iter().map(|precision| ("precision", precision.clone()));
        let from = [
            ("plan", plan.hash()),
            ("model", plan.model.hash.clone()),
            ("text", plan.text.hash.clone()),
            ("scored text", file.text.hash.clone()),
        ];
        from.into_iter().chain(precision).map(|(name, hash)| (name.to_string(), hash)).collect()
    }

    /// None: the model is no longer where it was.
    fn spec(&self) -> Option<Spec> {
        let places = Places::read(&self.run).ok()?;
        load_spec(&places.model, &places.ignore_config_keys).ok()
    }
}

/// Rounds the weights; the probe then says what the rounded ones give.
fn round(dictionary: &mut Dictionary, meta: &mut Meta, weights: RowDtype, device: Device) {
    if weights != RowDtype::F32 {
        weights.round(&mut dictionary.w_enc);
        weights.round(&mut dictionary.w_dec);
        dictionary.w_skip.iter_mut().for_each(|w| weights.round(w));
        meta.probe = Probe::record(dictionary, device, &meta.probe.x.concat());
    }
}

fn dictionary_check(run: &Path, d: &DictionaryPlan, meta: &Meta, plan: &RunPlan) -> Result<(), ReleaseError> {
    let found = meta.training.as_ref().map(|t| t.plan_hash.as_str());
    if found != Some(plan.hash().as_str()) {
        invalid!("{}: {} is of another plan; resume the run to write it again", run.display(), d.name);
    }
    Ok(())
}
