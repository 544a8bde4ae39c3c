//! What a plan may say: numbers that a training can follow, checked before anything is allocated on their word. Plans come
//! from suites, and from files that somebody may have edited.

use crate::{AuxK, DictionaryPlan, Measured, Objective, Penalty, Plan, Recipe, TrainError};
use std::collections::BTreeSet;

/// Most numbers in one matrix of a dictionary, 4 TiB of f32.
const MOST_NUMBERS: usize = 1 << 40;
/// Steps, rows of a batch, features and dimensions are counted in 32 bits.
const MOST: u64 = u32::MAX as u64;

impl Plan {
    /// Refuses what no training can follow, by name.
    pub fn check(&self) -> Result<(), TrainError> {
        recipe(&self.recipe)?;
        whole("checkpoint_every", self.checkpoint_every, 1, u64::MAX)?;
        whole("log_every", self.log_every, 1, u64::MAX)?;
        if self.dictionaries.is_empty() {
            return Err(bad("dictionaries", "at least one", "none"));
        }
        let mut names = BTreeSet::new();
        for (i, d) in self.dictionaries.iter().enumerate() {
            name(&format!("dictionaries.{i}.name"), &d.name)?;
            if !names.insert(&d.name) {
                return Err(bad(&format!("dictionaries.{i}.name"), "a name of its own", &d.name));
            }
            dictionary(&format!("dictionaries.{}", d.name), d)?;
        }
        Ok(())
    }
}

fn bad(key: &str, expected: impl Into<String>, found: impl ToString) -> TrainError {
    TrainError::Plan { key: key.into(), expected: expected.into(), found: found.to_string() }
}

fn whole(key: &str, found: u64, least: u64, most: u64) -> Result<(), TrainError> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => Err(bad(key, format!("a whole number from {least} to {most}"), found)),
    }
}

/// A finite number that is at least 0; `above`: not 0 either.
fn number(key: &str, found: f64, above: bool) -> Result<(), TrainError> {
    let good = found.is_finite() && if above { found > 0.0 } else { found >= 0.0 };
    let least = if above { "above 0" } else { "of at least 0" };
    if good { Ok(()) } else { Err(bad(key, format!("a finite number {least}"), found)) }
}

fn below_one(key: &str, found: f64) -> Result<(), TrainError> {
    match (0.0..1.0).contains(&found) {
        true => Ok(()),
        false => Err(bad(key, "a number from 0 to below 1", found)),
    }
}

fn recipe(r: &Recipe) -> Result<(), TrainError> {
    whole("recipe.steps", r.steps, 1, MOST - 1)?;
    whole("recipe.batch", r.batch as u64, 1, MOST)?;
    number("recipe.lr", r.lr, true)?;
    number("recipe.lr_decoder", r.lr_decoder, true)?;
    number("recipe.bandwidth", f64::from(r.bandwidth), true)?;
    number("recipe.adam_epsilon", f64::from(r.adam_epsilon), true)?;
    below_one("recipe.beta1", r.beta1)?;
    below_one("recipe.beta2", r.beta2)
}

/// A dictionary's name is the name of its folder.
fn name(key: &str, name: &str) -> Result<(), TrainError> {
    let odd = |c: char| c == '/' || c == '\\' || c.is_control();
    match name.is_empty() || name.len() > 200 || name.starts_with('.') || name.contains(odd) {
        true => Err(bad(key, "a name that a folder can have", format!("{name:?}"))),
        false => Ok(()),
    }
}

fn dictionary(at: &str, d: &DictionaryPlan) -> Result<(), TrainError> {
    let key = |key: &str| format!("{at}.{key}");
    whole(&key("d"), d.d as u64, 1, MOST)?;
    whole(&key("width"), d.width as u64, 1, MOST)?;
    number(&key("c"), d.c, true)?;
    if let Some(t) = &d.transcoder {
        whole(&key("transcoder.d_out"), t.d_out as u64, 1, MOST)?;
        number(&key("transcoder.c_out"), t.c_out, true)?;
    }
    let widest = d.width.max(d.d_out()).saturating_mul(d.d.max(d.d_out()));
    if widest > MOST_NUMBERS {
        let found = format!("{} features of {} dimensions", d.width, d.d.max(d.d_out()));
        return Err(bad(&key("width"), format!("matrices of at most {MOST_NUMBERS} numbers"), found));
    }
    number(&key("lambda"), d.lambda, false)?;
    number(&key("theta_init"), f64::from(d.theta_init), false)?;
    d.bandwidth.map_or(Ok(()), |bandwidth| number(&key("bandwidth"), f64::from(bandwidth), true))?;
    d.row_cap.map_or(Ok(()), |cap| number(&key("row_cap"), cap, true))?;
    d.measured.as_ref().map_or(Ok(()), |m| measured(&key("measured"), m))?;
    d.target_l0.map_or(Ok(()), |target| number(&key("target_l0"), target, true))?;
    let ascend = d.prefixes.windows(2).all(|pair| pair[0] < pair[1]) && d.prefixes.first() != Some(&0);
    if d.prefixes.last().is_some_and(|&last| !ascend || last != d.width) {
        let expected = format!("numbers that ascend to {}", d.width);
        return Err(bad(&key("prefixes"), expected, format!("{:?}", d.prefixes)));
    }
    objective(&key("objective"), d)
}

fn measured(at: &str, m: &Measured) -> Result<(), TrainError> {
    whole(&format!("{at}.rows"), m.rows, 1, u64::MAX)?;
    number(&format!("{at}.spread"), m.spread, false)?;
    number(&format!("{at}.mean_share"), m.mean_share, false)?;
    number(&format!("{at}.outlier_share"), m.outlier_share, false)?;
    m.long_rows_share.map_or(Ok(()), |share| number(&format!("{at}.long_rows_share"), share, false))
}

fn objective(at: &str, d: &DictionaryPlan) -> Result<(), TrainError> {
    match &d.objective {
        Objective::JumpRelu { penalty } => penalty_of(&format!("{at}.penalty"), *penalty),
        Objective::L1 | Objective::Gated => Ok(()),
        Objective::TopK { k, aux } | Objective::BatchTopK { k, aux } => {
            whole(&format!("{at}.k"), *k as u64, 1, d.width as u64)?;
            aux.map_or(Ok(()), |aux| aux_of(&format!("{at}.aux"), aux))
        }
    }
}

fn aux_of(at: &str, aux: AuxK) -> Result<(), TrainError> {
    number(&format!("{at}.alpha"), aux.alpha, false)?;
    whole(&format!("{at}.dead_rows"), aux.dead_rows, 1, u64::MAX)
}

fn penalty_of(at: &str, penalty: Penalty) -> Result<(), TrainError> {
    match penalty {
        Penalty::L0 => Ok(()),
        Penalty::Quadratic { target, high_frequency } => {
            number(&format!("{at}.target"), target, true)?;
            number(&format!("{at}.high_frequency"), high_frequency, false)
        }
        Penalty::Tanh { scale, bandwidth, pre_activation, dead_rows } => {
            number(&format!("{at}.scale"), scale, true)?;
            number(&format!("{at}.bandwidth"), f64::from(bandwidth), true)?;
            number(&format!("{at}.pre_activation"), pre_activation, false)?;
            whole(&format!("{at}.dead_rows"), dead_rows, 1, u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Plan);

    fn good() -> Plan {
        let d = crate::plan::test_dictionary(4, 8);
        let top =
            DictionaryPlan { name: "b".into(), objective: Objective::TopK { k: 3, aux: None }, ..d.clone() };
        Plan {
            recipe: Recipe::short(10, 4),
            dictionaries: vec![d, top],
            seed: 0,
            checkpoint_every: 1,
            log_every: 1,
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_its_key() {
        good().check().unwrap();
        let cases: [(Spoil, &str); 19] = [
            (|p| p.recipe.steps = 0, "recipe.steps"),
            (|p| p.recipe.steps = 1 << 40, "recipe.steps"),
            (|p| p.recipe.batch = 0, "recipe.batch"),
            (|p| p.recipe.batch = usize::MAX, "recipe.batch"),
            (|p| p.recipe.lr = f64::NAN, "recipe.lr"),
            (|p| p.recipe.bandwidth = 0.0, "recipe.bandwidth"),
            (|p| p.recipe.beta2 = 1.0, "recipe.beta2"),
            (|p| p.checkpoint_every = 0, "checkpoint_every"),
            (|p| p.log_every = 0, "log_every"),
            (|p| p.dictionaries.clear(), "dictionaries"),
            (|p| p.dictionaries[1].name = "a".into(), "dictionaries.1.name"),
            (|p| p.dictionaries[1].name = "../../x".into(), "dictionaries.1.name"),
            (|p| p.dictionaries[1].name = String::new(), "dictionaries.1.name"),
            (|p| p.dictionaries[0].width = 1_000_000_000_000_000_000, "dictionaries.a.width"),
            (|p| (p.dictionaries[0].width, p.dictionaries[0].d) = (1 << 30, 1 << 30), "dictionaries.a.width"),
            (|p| p.dictionaries[0].lambda = -1.0, "dictionaries.a.lambda"),
            (|p| p.dictionaries[0].c = 0.0, "dictionaries.a.c"),
            (|p| p.dictionaries[0].prefixes = vec![8, 4], "dictionaries.a.prefixes"),
            (
                |p| p.dictionaries[1].objective = Objective::TopK { k: 9, aux: None },
                "dictionaries.b.objective.k",
            ),
        ];
        for (spoil, key) in cases {
            let mut plan = good();
            spoil(&mut plan);
            let found = plan.check().unwrap_err().to_string();
            assert!(found.starts_with(&format!("{key}: expected ")), "{key}: {found}");
        }
    }
}
