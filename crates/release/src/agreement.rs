//! Do the files of a release say the same thing? The manifest, the plan, the scores, the cards and the table each say some of it
//! again; whoever changes one of them and makes its hash good again has changed one of several.

use crate::ReleaseError;
use crate::file::EvaluationFile;
use crate::rows::{lines, row};
use crate::verify::Check;
use lapidary_evaluation::Scores;
use lapidary_files::{self as files, FileError, inventory};
use lapidary_report::scores::{sheet_markdown, suite_markdown};
use lapidary_suite::RunPlan;
use lapidary_suite::words::{label, setting};
use std::path::Path;

/// Longest card or page that is read, bytes.
const MAX_PAGE: u64 = 16 << 20;

/// A release's files against one another.
pub(crate) fn agreement(folder: &Path) -> Vec<Check> {
    let (plan_path, scores) = (folder.join("plan.json"), folder.join("evaluation.json"));
    let plan = match RunPlan::read(folder) {
        Ok(plan) => plan,
        Err(error) => return vec![Check::new(plan_path, "a plan", Err(error))],
    };
    let file = match EvaluationFile::read(folder, &plan.hash()) {
        Ok(file) => file,
        Err(error) => return vec![Check::new(scores, "scores of this plan", Err(error))],
    };
    let manifest = made_from(folder, &plan, &file);
    let mut out = vec![
        Check::new(scores, "scores of this plan", Ok::<_, ReleaseError>(())),
        Check::new(folder.join(inventory::FILE_NAME), "made from this plan, model and text", manifest),
    ];
    out.extend(cards(folder, &file));
    let page = folder.join("README.md"); // a file that is missing is named by the manifest
    if page.is_file() {
        out.push(Check::new(page, "the table: as the scores say", table(folder, &plan, &file)));
    }
    out
}

/// The hashes in the manifest against those in the plan and the scores. Older releases have none.
fn made_from(folder: &Path, plan: &RunPlan, file: &EvaluationFile) -> Result<(), FileError> {
    let expected = [
        ("plan", plan.hash()),
        ("model", plan.model.hash.clone()),
        ("text", plan.text.hash.clone()),
        ("scored text", file.text.hash.clone()),
    ];
    let from = inventory::from(folder)?;
    let differs = |(name, hash): &&(&str, String)| from.get(*name).is_some_and(|found| found != hash);
    match expected.iter().find(differs) {
        None => Ok(()),
        Some((name, hash)) => {
            let path = folder.join(inventory::FILE_NAME);
            let (expected, found) = (format!("the {name} {hash:.16}"), format!("{:.16}", from[*name]));
            Err(FileError::invalid(&path, expected, found, "release or fetch the folder again"))
        }
    }
}

/// Every card of a scored dictionary that is there has its scores, to the digit.
fn cards(folder: &Path, file: &EvaluationFile) -> Vec<Check> {
    let there = file.scores.iter().filter(|scores| folder.join(&scores.name).join("card.md").is_file());
    let check = |scores: &Scores| {
        let path = folder.join(&scores.name).join("card.md");
        let result = has_lines(&path, &sheet_markdown(&lines(scores)));
        Check::new(path, "scores: as evaluation.json says", result)
    };
    there.map(check).collect()
}

/// The page has a line of its table for every scored dictionary that is there. Which are canonical is said behind it.
fn table(folder: &Path, plan: &RunPlan, file: &EvaluationFile) -> Result<(), FileError> {
    let path = folder.join("README.md");
    let text = files::read_string(&path, MAX_PAGE)?;
    let line = |scores: &Scores| {
        let d = plan.training.dictionaries.iter().find(|d| d.name == scores.name)?;
        let table = suite_markdown(&[row(scores, &label(d), Some(setting(d)))], &[]);
        Some(table.lines().last()?.trim_end_matches("|  |").to_string())
    };
    let there = file.scores.iter().filter(|scores| folder.join(&scores.name).is_dir());
    let missing =
        there.filter_map(line).find(|line| !text.lines().any(|other| other.starts_with(line.as_str())));
    missing.map_or(Ok(()), |line| Err(unlike(&path, &line)))
}

fn has_lines(path: &Path, expected: &str) -> Result<(), FileError> {
    let text = files::read_string(path, MAX_PAGE)?;
    let missing = expected.lines().find(|expected| !text.lines().any(|line| line == *expected));
    missing.map_or(Ok(()), |line| Err(unlike(path, line)))
}

fn unlike(path: &Path, line: &str) -> FileError {
    let expected = format!("the scores of evaluation.json, `{line}`");
    FileError::invalid(path, expected, "no such line", "release or fetch the folder again")
}
