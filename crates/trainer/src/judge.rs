//! What is wrong with a training, by its log: what a person would see in the lines, said once while the run goes on, with the cause
//! and the key to turn; and once more at the end. It changes no bit of the training.
//!
//! All limits are ours. A line is judged with those of the twentieth of the run before it, so that one odd batch says nothing,
//! and from the end of the warm-ups on.

use crate::health::Health;
use crate::{Baseline, DictionaryPlan, Objective, Penalty, Recipe};
use std::fmt;
use std::mem::discriminant;

/// More of all pre-activations in the window, and thresholds follow noise. (Runs that go well have up to .15, the densest.)
const WIDE: f64 = 0.35;
/// Fewer entries of a feature in its window in a step, on average, and most thresholds do not move.
const EMPTY: f64 = 0.1;
/// Share of features that may be dead.
const DEAD: f64 = 0.1;
/// Shorter runs are not judged but by their L0: nothing has settled.
const LEAST_STEPS: u64 = 100;
/// FVU may grow by this factor.
const RISING: f64 = 1.25;
/// How far from the L0 that was asked for is a miss.
const MISSED: f64 = 0.1;

/// Something that is wrong with a dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub enum Ailment {
    /// The straight-through window holds this share of all pre-activations.
    WideWindow(f64),
    /// So many pre-activations of a feature lie in the window in a step.
    EmptyWindow(f64),
    /// L0 fell to this, below one feature of a row; true where a controller looks for another.
    Collapsed(f64, bool),
    /// So many of so many features no longer fire; true where AuxK could bring them back.
    Dying(usize, usize, bool),
    /// FVU rose from the first to the second, at no smaller L0.
    Rising(f64, f64),
    /// Asked for the first L0, ended at the second.
    Missed(f64, f64),
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Ailment::WideWindow(share) => write!(
                f,
                "the straight-through window holds {:.0} % of all pre-activations, so that thresholds follow noise: lower [recipe] \
                 bandwidth",
                100.0 * share
            ),
            Ailment::EmptyWindow(each) => write!(
                f,
                "{each:.3} pre-activations of a feature lie in its straight-through window in a step, so that thresholds hardly \
                 move: raise [recipe] bandwidth"
            ),
            Ailment::Collapsed(l0, sought) => {
                let key = if sought { "raise target_l0" } else { "lower lambdas" };
                write!(f, "L0 collapsed to {l0:.2}, sparsity costs more than features are worth: {key}")
            }
            Ailment::Dying(dead, of, aux) => {
                let key = if aux {
                    "raise [aux] alpha"
                } else {
                    "lower [recipe] lr, or raise [recipe] lambda_warmup"
                };
                write!(f, "{dead} of {of} features no longer fire: {key}, or lower widths")
            }
            Ailment::Rising(from, to) => {
                write!(
                    f,
                    "FVU rose from {from:.3} to {to:.3} at no smaller L0, steps are too large: lower [recipe] lr"
                )
            }
            Ailment::Missed(asked, ended) => write!(
                f,
                "asked for L0 {asked}, ended at {ended:.1}: raise tokens, or choose lambdas by the λ that was found"
            ),
        }
    }
}

/// The lines of one dictionary, and what was said of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patient {
    lines: Vec<Health>,
    said: Vec<Ailment>,
}

impl Patient {
    /// Takes a line; returns what was not yet said.
    pub(crate) fn see(&mut self, line: Health, plan: &DictionaryPlan, recipe: &Recipe) -> Vec<Ailment> {
        self.lines.push(line);
        let is_new = |a: &Ailment| !self.said.iter().any(|said| discriminant(said) == discriminant(a));
        let new: Vec<Ailment> = ailments(&self.lines, plan, recipe).into_iter().filter(is_new).collect();
        self.said.extend_from_slice(&new);
        new
    }

    /// What is wrong at the end; nothing: it is fine.
    pub(crate) fn verdict(&self, plan: &DictionaryPlan, recipe: &Recipe) -> Vec<Ailment> {
        [ailments(&self.lines, plan, recipe), missed(&self.lines, plan, recipe).into_iter().collect()]
            .concat()
    }
}

/// The lines of the last twentieth of a run before the newest line, that one among them.
fn recent<'a>(lines: &'a [Health], recipe: &Recipe) -> &'a [Health] {
    let now = lines.last().map_or(0, |line| line.step);
    let first = lines.partition_point(|line| line.step + recipe.steps / 20 < now);
    &lines[first..]
}

fn mean(lines: &[Health], of: impl Fn(&Health) -> f64) -> f64 {
    lines.iter().map(of).sum::<f64>() / lines.len().max(1) as f64
}

/// The first step that is judged.
fn warm(recipe: &Recipe) -> u64 {
    recipe.lr_warmup.max(recipe.lambda_warmup).min(recipe.steps / 3)
}

/// What the lines so far show, by the newest.
fn ailments(lines: &[Health], plan: &DictionaryPlan, recipe: &Recipe) -> Vec<Ailment> {
    let from = lines.partition_point(|line| line.step < warm(recipe));
    let (lines, recent) = (&lines[from..], recent(&lines[from..], recipe));
    let judged = recipe.steps >= LEAST_STEPS && plan.baseline != Some(Baseline::Random);
    if recent.is_empty() || !judged {
        return Vec::new();
    }
    let found = [
        window(recent, plan, recipe),
        collapsed(recent, plan),
        dying(lines, plan, recipe),
        rising(lines, recipe),
    ];
    found.into_iter().flatten().collect()
}

/// Tanh chooses its window with its penalty, and gradients pass through it to all of a feature.
fn window(recent: &[Health], plan: &DictionaryPlan, recipe: &Recipe) -> Option<Ailment> {
    let counted =
        matches!(plan.objective, Objective::JumpRelu { penalty: Penalty::L0 | Penalty::Quadratic { .. } });
    let share = mean(recent, |line| line.window_share);
    let each = share * recipe.batch as f64;
    match counted {
        true if share > WIDE => Some(Ailment::WideWindow(share)),
        true if each < EMPTY => Some(Ailment::EmptyWindow(each)),
        _ => None,
    }
}

fn collapsed(recent: &[Health], plan: &DictionaryPlan) -> Option<Ailment> {
    let l0 = mean(recent, |line| line.l0);
    (l0 < 1.0).then_some(Ailment::Collapsed(l0, plan.target_l0.is_some()))
}

/// Many are dead, and more than a tenth of the run ago.
fn dying(lines: &[Health], plan: &DictionaryPlan, recipe: &Recipe) -> Option<Ailment> {
    let last = lines.last()?;
    let before = lines.iter().rev().find(|line| line.step + recipe.steps / 10 <= last.step);
    let many = last.dead as f64 > DEAD * plan.width as f64;
    let more = before.is_none_or(|before| last.dead > before.dead) || last.step + 1 == recipe.steps;
    let aux = !plan.objective.has_lambda();
    (many && more).then_some(Ailment::Dying(last.dead, plan.width, aux))
}

/// FVU may grow where L0 falls.
fn rising(lines: &[Health], recipe: &Recipe) -> Option<Ailment> {
    let mut best: Option<(f64, f64)> = None;
    for end in 1..lines.len() {
        let recent = recent(&lines[..end], recipe);
        let now = (mean(recent, |line| line.fvu), mean(recent, |line| line.l0));
        best = best.filter(|best| best.0 <= now.0).or(Some(now));
    }
    let recent = recent(lines, recipe);
    let (fvu, l0) = (mean(recent, |line| line.fvu), mean(recent, |line| line.l0));
    let (least, at) = best?;
    (fvu > RISING * least && l0 >= 0.9 * at).then_some(Ailment::Rising(least, fvu))
}

fn missed(lines: &[Health], plan: &DictionaryPlan, recipe: &Recipe) -> Option<Ailment> {
    let (asked, ended) = (plan.target_l0?, mean(recent(lines, recipe), |line| line.l0));
    ((ended / asked - 1.0).abs() > MISSED).then_some(Ailment::Missed(asked, ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::test_dictionary;

    /// A hundred lines of a run of 200 steps that goes well, changed from step 100 on.
    fn lines(change: impl Fn(&mut Health, f64)) -> Vec<Health> {
        let line = |i: u64| {
            let mut line = Health {
                step: 2 * i,
                dictionary: "a".into(),
                loss: 0.2,
                mse: 0.1,
                l0: 20.0,
                fvu: 0.1 + 0.4 * (-0.1 * i as f64).exp(),
                lambda: 1e-3,
                window_share: 0.05,
                theta_travel: 0.1,
                dead: 0,
            };
            if i >= 50 {
                change(&mut line, (i - 50) as f64 / 50.0);
            }
            line
        };
        (0..100).map(line).collect()
    }

    /// What is said while the lines come, and at the end.
    fn said(lines: Vec<Health>, plan: &DictionaryPlan) -> (Vec<Ailment>, Vec<Ailment>) {
        let recipe = Recipe { steps: 200, batch: 512, ..Recipe::short(200, 24) };
        let mut patient = Patient::default();
        let said = lines.into_iter().flat_map(|line| patient.see(line, plan, &recipe)).collect();
        (said, patient.verdict(plan, &recipe))
    }

    fn plan() -> DictionaryPlan {
        DictionaryPlan { target_l0: Some(20.0), ..test_dictionary(24, 100) }
    }

    #[test]
    fn what_goes_well_is_fine() {
        assert_eq!(said(lines(|_, _| ()), &plan()), (vec![], vec![]));
        let noisy = lines(|line, t| line.fvu *= 1.0 + 0.2 * (t * 90.0).sin());
        assert_eq!(said(noisy, &plan()), (vec![], vec![]));
        let sparser = lines(|line, t| (line.fvu, line.l0) = (0.1 + 0.1 * t, 20.0 - 9.0 * t));
        assert_eq!(said(sparser, &test_dictionary(24, 100)), (vec![], vec![]), "FVU grows as L0 falls");
    }

    /// Each trouble once, however long it lasts, with the key that helps; and at the end.
    #[test]
    fn each_trouble_is_said_once_with_its_key() {
        type Change = fn(&mut Health, f64);
        let cases: [(Change, &str); 5] = [
            (|line, _| line.window_share = 0.7, "lower [recipe] bandwidth"),
            (|line, _| line.window_share = 1e-5, "raise [recipe] bandwidth"),
            (|line, t| line.l0 = 0.8 - 0.5 * t, "L0 collapsed"),
            (|line, t| line.dead = (40.0 * t) as usize, "of 100 features no longer fire"),
            (|line, t| line.fvu = 0.1 + 0.1 * t, "lower [recipe] lr"),
        ];
        for (change, key) in cases {
            let (said, verdict) = said(lines(change), &test_dictionary(24, 100));
            assert_eq!(said.len(), 1, "{key}: {said:?}");
            assert!(said[0].to_string().contains(key), "{said:?}");
            assert!(verdict.iter().any(|a| a.to_string().contains(key)), "{verdict:?}");
        }
    }

    /// 13 of 40, as a real run once ended without a word; 37 of 40 is near enough.
    #[test]
    fn a_missed_target_is_the_last_word() {
        let plan = DictionaryPlan { target_l0: Some(40.0), ..plan() };
        let (during, end) = said(lines(|line, _| line.l0 = 13.0), &plan);
        assert_eq!((during, end.as_slice()), (vec![], &[Ailment::Missed(40.0, 13.0)][..]));
        assert!(end[0].to_string().starts_with("asked for L0 40, ended at 13.0"), "{}", end[0]);
        assert_eq!(said(lines(|line, _| line.l0 = 37.0), &plan), (vec![], vec![]));
    }
}
