//! Can one say in four words or fewer when a feature fires? Rules, induced without a judge: the first of three scores of
//! interpretability that need no language model to explain or to simulate.
//!
//! A *literal* is `token t, k positions before` (k = 0 is the row itself) or a label that is known of the row. A *rule* is a
//! disjunction of conjunctions of at most [`Options::literals`] literals in all. It is found by beam search for the largest F1 on one
//! half of the documents, and the precision, recall and F1 that count are those on the other half. Shares; rows without a row k
//! before them in the same window have no such literal. Of equal rules the shorter one is kept.

use crate::columns::Columns;
use crate::{Interval, Labels};
use lapidary_stats::bootstrap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How rules are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Most literals of a rule.
    pub literals: usize,
    /// How far back tokens are looked at.
    pub back: usize,
    /// Rules that are carried on at every length.
    pub beam: usize,
    /// Literals that are tried for a feature, the best alone.
    pub candidates: usize,
    /// Rows in which a literal must be on in the fitted half.
    pub least: usize,
}

impl Options {
    /// The usual ones.
    pub fn standard() -> Options {
        Options { literals: 4, back: 4, beam: 4, candidates: 48, least: 5 }
    }
}

/// Something that is or is not so of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Literal {
    /// The token so many positions before.
    Token {
        /// 0: the row's own.
        back: u32,
        /// Its id.
        token: u32,
    },
    /// A label, by its number.
    Label(u32),
}

/// A disjunction of conjunctions.
pub type Rule = Vec<Vec<Literal>>;

/// The text, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Token of each row [N].
    pub tokens: &'a [u32],
    /// Window of each row [N]; the rows of a window are consecutive.
    pub windows: &'a [u32],
    /// Labels of the same rows; without names there are only tokens.
    pub labels: &'a Labels,
}

/// Sets of rows, one bit each.
#[derive(Clone, Debug, PartialEq)]
struct Set(Vec<u64>);

impl Set {
    fn of(rows: impl Iterator<Item = u32>, n: usize) -> Set {
        let mut bits = vec![0; n.div_ceil(64)];
        rows.for_each(|row| bits[row as usize / 64] |= 1 << (row % 64));
        Set(bits)
    }

    fn both(&self, other: &Set) -> Set {
        Set(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    fn either(&self, other: &Set) -> Set {
        Set(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|a| a.count_ones()).sum()
    }

    fn common(&self, other: &Set) -> u32 {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones()).sum()
    }
}

/// Literals of a text and the rows in which each is on.
pub struct Literals {
    all: Vec<Known>,
    of_row: Vec<Vec<u32>>, // [N]: numbers of the literals that are on
    fitted: Set,
    rows: usize,
    options: Options,
}

struct Known {
    literal: Literal,
    rows: Set,
    /// How many of them are of the fitted half.
    fitted: u32,
}

impl Literals {
    /// Of all rows; those on in fewer than `least` rows of the fitted half are left out.
    pub fn of(text: Text<'_>, is_fitted: &[bool], options: Options) -> Literals {
        let rows = text.tokens.len();
        let fitted = Set::of((0..rows as u32).filter(|&n| is_fitted[n as usize]), rows);
        let (mut all, mut of_row) = (Vec::new(), vec![Vec::new(); rows]);
        for (literal, on) in on(text, options.back) {
            let set = Set::of(on.iter().copied(), rows);
            let count = set.common(&fitted);
            if count as usize >= options.least {
                on.iter().for_each(|&n| of_row[n as usize].push(all.len() as u32));
                all.push(Known { literal, rows: set, fitted: count });
            }
        }
        Literals { all, of_row, fitted, rows, options }
    }
}

/// The rows in which each literal is on.
fn on(text: Text<'_>, back: usize) -> BTreeMap<Literal, Vec<u32>> {
    let mut on: BTreeMap<Literal, Vec<u32>> = BTreeMap::new();
    for n in 0..text.tokens.len() {
        for k in (0..=back.min(n)).filter(|k| text.windows[n - k] == text.windows[n]) {
            let literal = Literal::Token { back: k as u32, token: text.tokens[n - k] };
            on.entry(literal).or_default().push(n as u32);
        }
    }
    on.extend((0..).zip(&text.labels.rows).map(|(v, rows)| (Literal::Label(v), rows.clone())));
    on
}

/// A rule and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Which feature.
    pub feature: u32,
    /// Its rule; empty if none was found.
    pub rule: Rule,
    /// Rows of the other half in which the feature fires.
    pub n: u64,
    /// Share of the rule's rows in which the feature fires, on the other half; 0 if the rule has none.
    pub precision: f64,
    /// Share of the feature's rows in which the rule is on, on the other half.
    pub recall: f64,
    /// Of both.
    pub f1: f64,
    /// On the half that the rule was found on.
    pub fitted_f1: f64,
}

/// A candidate of the search; its rows are fitted ones.
#[derive(Clone)]
struct Candidate {
    rule: Vec<Vec<usize>>, // places among the tried literals
    clauses: Vec<Set>,
    f1: f64,
}

/// The rules of `chosen` features; those that fire in none of the fitted rows, or in none of the others, are left out.
pub fn explain(literals: &Literals, columns: &Columns, chosen: &[u32]) -> Vec<Explained> {
    let one = |&f: &u32| explain_one(literals, columns.feature(f as usize).0, f);
    chosen.par_iter().map(one).collect::<Vec<_>>().into_iter().flatten().collect()
}

fn explain_one(literals: &Literals, fires: &[u32], feature: u32) -> Option<Explained> {
    let fires = Set::of(fires.iter().copied(), literals.rows);
    let fitted = fires.both(&literals.fitted);
    let other = fires.count() - fitted.count();
    if fitted.count() == 0 || other == 0 {
        return None;
    }
    let tried = tried(literals, &fitted);
    let best = search(&tried, &fitted, literals.options);
    let says = says(&best.rule, &tried, literals.rows);
    let said = says.count() - says.common(&literals.fitted);
    let hits = says.common(&fires) - says.common(&fitted);
    let share = |a: u32, b: u32| if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) };
    let literal = |k: &usize| tried[*k].literal;
    Some(Explained {
        feature,
        rule: best.rule.iter().map(|clause| clause.iter().map(literal).collect()).collect(),
        n: u64::from(other),
        precision: share(hits, said),
        recall: share(hits, other),
        f1: share(2 * hits, said + other),
        fitted_f1: best.f1,
    })
}

/// All rows in which a rule is on.
fn says(rule: &[Vec<usize>], tried: &[Tried<'_>], rows: usize) -> Set {
    let clause = |clause: &Vec<usize>| {
        let all = clause.iter().map(|&k| tried[k].rows.clone());
        all.reduce(|a, b| a.both(&b)).expect("a clause has a literal")
    };
    rule.iter().map(clause).fold(Set::of(std::iter::empty(), rows), |a, b| a.either(&b))
}

/// A literal and its rows.
struct Tried<'a> {
    literal: Literal,
    rows: &'a Set,
    /// Those of the fitted half.
    fitted: Set,
}

/// The literals that alone have the largest F1, and those that alone have the largest recall, which a conjunction may narrow.
fn tried<'a>(literals: &'a Literals, fires: &Set) -> Vec<Tried<'a>> {
    let mut common: BTreeMap<u32, u32> = BTreeMap::new();
    for n in (0..literals.rows).filter(|n| fires.0[n / 64] >> (n % 64) & 1 == 1) {
        literals.of_row[n].iter().for_each(|&k| *common.entry(k).or_default() += 1);
    }
    let known = fires.count();
    let alone = |both: u32, k: u32| f1(both, literals.all[k as usize].fitted, known);
    let mut scored: Vec<(f64, u32, u32)> =
        common.into_iter().map(|(k, both)| (alone(both, k), both, k)).collect();
    let half = literals.options.candidates.div_ceil(2);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    let mut chosen: Vec<u32> = scored.iter().take(half).map(|s| s.2).collect();
    scored.sort_by(|a, b| b.1.cmp(&a.1).then(a.2.cmp(&b.2)));
    let more: Vec<u32> = scored.iter().map(|s| s.2).filter(|k| !chosen.contains(k)).take(half).collect();
    chosen.extend(more);
    let tried = |k: u32| {
        let Known { literal, rows, .. } = &literals.all[k as usize];
        Tried { literal: *literal, rows, fitted: rows.both(&literals.fitted) }
    };
    chosen.into_iter().map(tried).collect()
}

fn f1(both: u32, said: u32, fires: u32) -> f64 {
    if both == 0 { 0.0 } else { 2.0 * f64::from(both) / f64::from(said + fires) }
}

/// Beam search by length; the first of equals stays, so the shorter rule.
fn search(tried: &[Tried<'_>], fires: &Set, options: Options) -> Candidate {
    let none = Candidate { rule: Vec::new(), clauses: Vec::new(), f1: 0.0 };
    let (mut best, mut beam) = (none.clone(), vec![none]);
    for _ in 0..options.literals {
        let longer = |candidate| longer(candidate, tried, fires, options.beam);
        let mut next: Vec<Candidate> = beam.iter().flat_map(longer).collect();
        next.sort_by(|a, b| b.f1.total_cmp(&a.f1));
        next.dedup_by(|a, b| a.clauses == b.clauses);
        next.truncate(options.beam);
        match next.first() {
            Some(first) if first.f1 > best.f1 => best = first.clone(),
            Some(_) => {}
            None => break,
        }
        beam = next;
    }
    best
}

/// The `most` best of the rules that one more literal makes of a rule: as a clause of its own, or within one of its clauses.
fn longer(candidate: &Candidate, tried: &[Tried<'_>], fires: &Set, most: usize) -> Vec<Candidate> {
    let known = fires.count();
    let mut scored: Vec<(f64, usize, usize)> = Vec::new(); // F1, clause, literal
    for place in 0..=candidate.clauses.len() {
        let others = candidate.clauses.iter().enumerate().filter(|(c, _)| *c != place);
        let others = others.fold(Set(vec![0; fires.0.len()]), |a, (_, b)| a.either(b));
        for (k, literal) in tried.iter().enumerate() {
            let (mut both, mut said) = (0, 0);
            let within = candidate.clauses.get(place);
            for (word, &on) in literal.fitted.0.iter().enumerate() {
                let on = within.map_or(on, |clause| clause.0[word] & on) | others.0[word];
                both += (on & fires.0[word]).count_ones();
                said += on.count_ones();
            }
            scored.push((f1(both, said, known), place, k));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    scored.truncate(most);
    scored.into_iter().map(|(f1, place, k)| candidate.with(place, k, &tried[k].fitted, f1)).collect()
}

impl Candidate {
    /// With literal k, which is on in `rows`, in the clause at `place`.
    fn with(&self, place: usize, k: usize, rows: &Set, f1: f64) -> Candidate {
        let mut longer = Candidate { f1, ..self.clone() };
        match longer.clauses.get_mut(place) {
            Some(clause) => {
                *clause = clause.both(rows);
                longer.rule[place].push(k);
            }
            None => {
                longer.clauses.push(rows.clone());
                longer.rule.push(vec![k]);
            }
        }
        longer
    }
}

/// A rule in words; `token` names one: `(now "red" and 2 before "the") or subject = Ann`
pub fn words(rule: &Rule, labels: &[String], token: &dyn Fn(u32) -> String) -> String {
    let literal = |literal: &Literal| match *literal {
        Literal::Token { back: 0, token: t } => format!("now {:?}", token(t)),
        Literal::Token { back, token: t } => format!("{back} before {:?}", token(t)),
        Literal::Label(v) => labels[v as usize].clone(),
    };
    let clause = |clause: &Vec<Literal>| {
        let words = clause.iter().map(literal).collect::<Vec<_>>().join(" and ");
        if clause.len() > 1 && rule.len() > 1 { format!("({words})") } else { words }
    };
    rule.iter().map(clause).collect::<Vec<_>>().join(" or ")
}

/// Means over features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleMeans {
    /// Features that were explained.
    pub n: u64,
    /// Mean F1 on the other half.
    #[serde(with = "crate::number")]
    pub f1: f64,
    /// 95 %, bootstrap over features.
    pub interval: Interval,
    /// Mean precision.
    #[serde(with = "crate::number")]
    pub precision: f64,
    /// Mean recall.
    #[serde(with = "crate::number")]
    pub recall: f64,
}

/// Of explained features.
pub fn means(explained: &[Explained], resamples: usize, seed: u64) -> RuleMeans {
    let flat: Vec<f64> = explained.iter().flat_map(|e| [e.f1, 1.0]).collect();
    let [interval] = bootstrap(&flat, 2, resamples, seed, |sums| [sums[0] / sums[1]]);
    let mean = |of: fn(&Explained) -> f64| explained.iter().map(of).sum::<f64>() / explained.len() as f64;
    RuleMeans {
        n: explained.len() as u64,
        f1: mean(|e| e.f1),
        interval: interval.into(),
        precision: mean(|e| e.precision),
        recall: mean(|e| e.recall),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Csr;

    /// Twelve windows of 30 rows, tokens 0..6 in turn but for a shift by window. Feature 0 fires at token 2; feature 1 at token 3 where
    /// the label "odd window" is on; feature 2 at token 1 or two after token 5 (that is token 1 as well, or where a window begins
    /// anew); feature 3 at tokens 0 and 4; feature 4 at random.
    fn planted() -> (Vec<u32>, Vec<u32>, Labels, Columns) {
        let (mut tokens, mut windows) = (Vec::new(), Vec::new());
        for w in 0..12u32 {
            for k in 0..30u32 {
                tokens.push((k + w) % 6);
                windows.push(w);
            }
        }
        let odd = (0..360).filter(|n| windows[*n as usize] % 2 == 1).collect();
        let labels = Labels { names: vec!["odd window".into()], rows: vec![odd], documents: windows.clone() };
        let mut features = Csr::with_columns(5);
        for n in 0..360usize {
            let (t, w) = (tokens[n], windows[n]);
            let fires = [t == 2, t == 3 && w % 2 == 1, t == 5, t == 0 || t == 4, (n * 7919) % 11 < 3];
            (0..5).filter(|&f| fires[f]).for_each(|f| {
                features.index.push(f as u32);
                features.value.push(1.0);
            });
            features.row_start.push(features.index.len());
        }
        (tokens, windows, labels, Columns::of(&features))
    }

    #[test]
    fn planted_rules_are_found() {
        let (tokens, windows, labels, columns) = planted();
        let is_fitted = crate::halves(&windows, 2);
        let text = Text { tokens: &tokens, windows: &windows, labels: &labels };
        let literals = Literals::of(text, &is_fitted, Options { back: 0, ..Options::standard() });
        let found = explain(&literals, &columns, &[0, 1, 2, 3, 4]);
        let words = |k: usize| words(&found[k].rule, &labels.names, &|t| format!("t{t}"));
        assert_eq!(words(0), r#"now "t2""#);
        assert_eq!(words(1), r#"now "t3" and odd window"#);
        assert_eq!(words(3), r#"now "t0" or now "t4""#);
        for k in [0, 1, 2, 3] {
            assert_eq!((found[k].precision, found[k].recall, found[k].f1), (1.0, 1.0, 1.0), "{:?}", found[k]);
        }
        assert!(found[4].f1 < 0.6, "{:?}", found[4]);
        let means = means(&found[..4], 20, 0);
        assert_eq!((means.n, means.f1, means.interval), (4, 1.0, Interval::Known { low: 1.0, high: 1.0 }));
    }

    /// Token 5 is followed by token 0 within a window only: `1 before t5` is not on in the first row of a window.
    #[test]
    fn literals_look_back_within_a_window() {
        let (tokens, windows, labels, _) = planted();
        let text = Text { tokens: &tokens, windows: &windows, labels: &labels };
        let options = Options { back: 1, ..Options::standard() };
        let literals = Literals::of(text, &[true; 360], options);
        let known = literals.all.iter().find(|k| k.literal == Literal::Token { back: 1, token: 5 });
        let on = known.expect("a literal").rows.count();
        let expect = (1..360).filter(|&n| windows[n] == windows[n - 1] && tokens[n - 1] == 5).count();
        assert_eq!(on as usize, expect);
        assert!(expect < tokens.iter().filter(|t| **t == 5).count());
    }

    #[test]
    fn a_feature_of_one_half_only_is_left_out() {
        let (tokens, windows, labels, columns) = planted();
        let text = Text { tokens: &tokens, windows: &windows, labels: &labels };
        let literals = Literals::of(text, &[true; 360], Options::standard());
        assert!(explain(&literals, &columns, &[0]).is_empty());
    }
}
