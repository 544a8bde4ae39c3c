//! A sample of a release's numbers, measured again on the documents that were scored. Which dictionaries are in the sample follows
//! from the scores' own hash, so that nobody chooses them.
//!
//! On the same documents, with weights as they were scored, numbers agree to the last digits; where weights were rounded at
//! release, or fewer documents are looked at, the intervals of both must meet.

use crate::evaluate::{On, Progress, evaluate};
use crate::figures::interval;
use crate::verify::Check;
use crate::{EvaluationFile, ReleaseError};
use lapidary_evaluation::{Score, Scores};
use lapidary_files::{FileError, hash};
use lapidary_suite::subjects::{self, Run, Sites};
use std::path::{Path, PathBuf};

/// What numbers that were computed alike may differ by, relative to their size: another instruction set's exponential.
const AGREE: f64 = 1e-6;

/// Names of `n` scored dictionaries that are in the folder of a run or a release, drawn by the hash of the scores.
pub fn sample(folder: &Path, file: &EvaluationFile, n: usize) -> Vec<String> {
    let seed = hash::bytes(file.json().as_bytes());
    let there = |name: &str| place(folder, name).is_dir();
    let names = file.scores.iter().map(|s| s.name.clone()).filter(|name| there(name));
    let mut drawn: Vec<(String, String)> =
        names.map(|name| (hash::bytes(format!("{seed} {name}").as_bytes()), name)).collect();
    drawn.sort();
    drawn.into_iter().take(n).map(|(_, name)| name).collect()
}

/// Measures the dictionaries `names` of `run` again, on what the scores in `file` stand on.
///
/// # Errors
/// Dictionaries cannot be read or scored. That model, text or scores are others is a failed check.
pub fn recompute(
    run: Run,
    file: &EvaluationFile,
    names: &[String],
    on: &On<'_>,
    observe: &mut dyn FnMut(Progress),
) -> Result<Vec<Check>, ReleaseError> {
    let folder = run.folder.clone();
    if let Some(other) = other_cause(&folder, file, on)? {
        return Ok(vec![other]);
    }
    let runs = [run];
    let mut subjects =
        subjects::read(std::slice::from_ref(&folder), &runs, Sites::default(), false, &|_| ())?;
    subjects.retain(|s| names.contains(&s.name));
    let again = evaluate(&subjects, on, observe)?.file;
    again.scores.iter().map(|found| check(&folder, file, found)).collect()
}

/// Are model and text those of the scores?
fn other_cause(folder: &Path, file: &EvaluationFile, on: &On<'_>) -> Result<Option<Check>, ReleaseError> {
    let model = on.opened.identity()?;
    let (path, what) = (folder.join("evaluation.json"), "scores, measured again");
    let failed = |expected: String, found: String, next| {
        let error = FileError::invalid(&path, expected, found, next);
        Some(Check::new(path.clone(), what, Err(error)))
    };
    if model.hash != file.model.hash {
        return Ok(failed(
            format!("the model {}", file.model),
            model.to_string(),
            "name that model with --model",
        ));
    }
    let (expected, found) = (&file.text.hash, &on.corpus.hash);
    if expected != found {
        let expected = format!("documents that hash to {expected:.16}");
        return Ok(failed(expected, format!("{found:.16}"), "name that text with --text"));
    }
    Ok(None)
}

fn place(folder: &Path, name: &str) -> PathBuf {
    let run = folder.join("dictionaries");
    if run.is_dir() { run.join(name) } else { folder.join(name) }
}

fn check(folder: &Path, file: &EvaluationFile, found: &Scores) -> Result<Check, ReleaseError> {
    let path = place(folder, &found.name);
    let expected = file.scores.iter().find(|s| s.name == found.name).expect("it was drawn from these");
    let weights = hash::file(&path.join("sae_weights.safetensors"))?;
    let exact = file.weights.get(&found.name) == Some(&weights) && expected.rows == found.rows;
    let what = format!("scores, measured again on {} rows", found.rows);
    let next = "release or fetch the folder again";
    let differs = |name: &str, expected: &Score, found: &Score| {
        let said = format!("{name} {}", expected.value);
        FileError::invalid(&path, said, found.value.to_string(), next)
    };
    let pairs = headline(expected).into_iter().zip(headline(found));
    let bad = pairs.into_iter().find(|((_, a), (_, b))| !agree(a, b, exact));
    let result = bad.map_or(Ok(()), |((name, a), (_, b))| Err(differs(name, a, b)));
    Ok(Check::new(path, &what, result))
}

fn headline(s: &Scores) -> [(&'static str, &Score); 6] {
    [
        ("L0", &s.l0),
        ("FVU", &s.fvu),
        ("CE", &s.ce),
        ("CE spliced", &s.ce_spliced),
        ("Δloss", &s.delta_loss),
        ("loss recovered", &s.loss_recovered),
    ]
}

/// The same to the last digits; or, where they were not computed alike, intervals that meet.
fn agree(a: &Score, b: &Score, exact: bool) -> bool {
    let near = |size: f64| (a.value - b.value).abs() <= AGREE * size.abs().max(1e-3);
    match (exact, interval(a), interval(b)) {
        (false, Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
        _ => near(a.value) || a.value.total_cmp(&b.value).is_eq(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_evaluation::Interval;

    #[test]
    fn alike_to_the_last_digits_or_within_the_intervals() {
        let score = |value: f64, half: f64| {
            let interval = Interval::Known { low: value - half, high: value + half };
            Score { value, n: 10, interval }
        };
        assert!(agree(&score(2.0, 0.1), &score(2.000001, 0.1), true));
        assert!(!agree(&score(2.0, 0.1), &score(2.00001, 0.1), true));
        assert!(agree(&score(2.0, 0.1), &score(2.15, 0.1), false));
        assert!(!agree(&score(2.0, 0.1), &score(2.25, 0.1), false));
        let nan = |value| Score { value, n: 0, interval: Interval::Missing { reason: "x".into() } };
        assert!(agree(&nan(f64::NAN), &nan(f64::NAN), true) && !agree(&nan(f64::NAN), &nan(1.0), true));
    }
}
