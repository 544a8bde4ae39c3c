//! Features worth showing to people, with what they stand for, and three stretches of text for each.
//!
//! Chosen by F1 with the variable that a feature fires with best: those of the grammar first, one feature each, then words;
//! the more different tokens a variable holds at, the better, and a feature that mostly fires where a chosen one does is passed
//! over. The examples are from where it fires most while the variable is on (precision says how often it is), from different
//! documents, and at different words where it can be.

use crate::ReleaseError;
use lapidary_catalog::Opened;
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::truth::Truth;
use lapidary_ground_truth::phrases::Question;
use lapidary_ground_truth::score::Measured;
use lapidary_harvest::FusedRows;
use lapidary_lm::Site;
use lapidary_report::page::{Feature, Piece};
use lapidary_store::{RowDtype, RowSource};
use lapidary_suite::subjects::Named;
use lapidary_text::Window;
use lapidary_world as world;
use std::collections::BTreeMap;

/// Features that are shown.
const FEATURES: usize = 10;
/// Of them for variables of the grammar, if so many are found.
const OF_GRAMMAR: usize = 7;
/// F1 from which a variable counts as found.
const FOUND: f64 = 0.5;
/// Of one variable.
const PER_VARIABLE: usize = 2;
/// Share of the rarer feature's firings that two features may have in common.
const OVERLAP: f64 = 0.5;
/// Examples of a feature.
const EXAMPLES: usize = 3;
/// Rows that are encoded at a time.
const BATCH: usize = 4_096;

/// A feature and its variable.
#[derive(Clone, Debug)]
struct Chosen {
    /// Number of its dictionary among the subjects.
    subject: usize,
    feature: u32,
    /// Number of the indicator in the truth.
    number: u32,
    /// As the truth names it: `carry = 1`.
    indicator: String,
    question: Question,
    precision: f64,
    recall: f64,
    f1: f64,
    /// F1, less for a variable that holds at few different tokens.
    rank: f64,
    /// Where it fires, ascending.
    rows: Vec<u32>,
}

/// The features to show of the `trained` that are no baselines, variables first; `measured` are their scores, in the same order.
///
/// # Errors
/// The model cannot be read, or gives no rows.
pub fn features(
    opened: &Opened,
    measured: &Measured,
    trained: &[Named],
) -> Result<Vec<Feature>, ReleaseError> {
    let is_judged = |&k: &usize| trained[k].baseline.is_none();
    let judged: Vec<usize> = (0..trained.len()).filter(is_judged).collect();
    let chosen = choose(measured, &judged);
    let examples = examples(opened, measured, trained, &chosen)?;
    let feature = |(chosen, examples): (Chosen, Vec<Vec<Piece>>)| Feature {
        indicator: chosen.indicator,
        meaning: chosen.question.meaning,
        site: trained[chosen.subject].site.to_string(),
        number: chosen.feature,
        f1: [chosen.f1, chosen.precision, chosen.recall],
        examples,
    };
    Ok(chosen.into_iter().zip(examples).map(feature).collect())
}

/// Of the dictionaries `subjects`.
fn choose(measured: &Measured, subjects: &[usize]) -> Vec<Chosen> {
    let varieties = varieties(&measured.truth);
    let mut all: Vec<Chosen> = subjects.iter().flat_map(|&k| candidates(measured, k, &varieties)).collect();
    all.sort_by(|a, b| b.rank.total_cmp(&a.rank));
    let mut chosen = Vec::new();
    let is_found = |c: &Chosen| !c.question.is_word && c.f1 >= FOUND;
    take(&all, &mut chosen, OF_GRAMMAR, 1, &is_found);
    take(&all, &mut chosen, OF_GRAMMAR, PER_VARIABLE, &is_found);
    take(&all, &mut chosen, FEATURES, 1, &|c| c.question.is_content && c.f1 >= FOUND);
    take(&all, &mut chosen, FEATURES, 1, &|c| c.question.is_word);
    take(&all, &mut chosen, FEATURES, PER_VARIABLE, &|_| true);
    chosen.sort_by(|a: &Chosen, b| {
        (a.question.is_word, b.rank).partial_cmp(&(b.question.is_word, a.rank)).expect("finite")
    });
    chosen
}

/// Adds those that are meant, best first, until there are so many, each variable so often at most.
fn take(
    all: &[Chosen],
    chosen: &mut Vec<Chosen>,
    until: usize,
    per_variable: usize,
    is_meant: &dyn Fn(&Chosen) -> bool,
) {
    for candidate in all.iter().filter(|c| is_meant(c)) {
        let of_variable =
            chosen.iter().filter(|c| c.question.variable == candidate.question.variable).count();
        let is_new = |other: &Chosen| overlap(&other.rows, &candidate.rows) <= OVERLAP;
        if chosen.len() < until && of_variable < per_variable && chosen.iter().all(is_new) {
            chosen.push(candidate.clone());
        }
    }
}

fn candidates(measured: &Measured, subject: usize, varieties: &[f64]) -> Vec<Chosen> {
    let Measured { truth, subjects, .. } = measured;
    let mut rows = vec![Vec::new(); subjects[subject].firings.columns];
    for n in 0..truth.rows() {
        subjects[subject].firings.row(n).iter().for_each(|&j| rows[j as usize].push(n as u32));
    }
    let with_rows = (0..).zip(&subjects[subject].scores.features).zip(rows);
    let candidate =
        |((feature, score), rows): ((u32, &lapidary_evaluation::truth::FeatureScore), Vec<u32>)| {
            let number = score.indicator?;
            let indicator = truth.indicators[number as usize].clone();
            let question = Question::parse(&indicator)?;
            let rank = score.f1 * (0.5 + 0.5 * varieties[number as usize]);
            let (precision, recall, f1) = (score.precision, score.recall, score.f1);
            Some(Chosen { subject, feature, number, indicator, question, precision, recall, f1, rank, rows })
        };
    with_rows.filter_map(candidate).collect()
}

/// How different the tokens are at which each indicator is on [V]: 0 for one token, 1 for sixteen that are equally frequent.
fn varieties(truth: &Truth) -> Vec<f64> {
    let mut counts = vec![BTreeMap::<u32, f64>::new(); truth.indicators.len()];
    for n in 0..truth.rows() {
        let count = |&v: &u32| *counts[v as usize].entry(truth.tokens[n]).or_default() += 1.0;
        truth.row(n).iter().for_each(count);
    }
    counts.iter().map(variety).collect()
}

/// By their entropy.
fn variety(counts: &BTreeMap<u32, f64>) -> f64 {
    let all: f64 = counts.values().sum();
    let entropy: f64 = counts.values().map(|count| count / all).map(|share| -share * share.ln()).sum();
    (entropy / 16f64.ln()).min(1.0)
}

/// Share of the shorter list that is in the other.
fn overlap(a: &[u32], b: &[u32]) -> f64 {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let both = short.iter().filter(|n| long.binary_search(n).is_ok()).count();
    both as f64 / short.len().max(1) as f64
}

/// The examples of each chosen feature. One pass of the model over the windows.
fn examples(
    opened: &Opened,
    measured: &Measured,
    trained: &[Named],
    chosen: &[Chosen],
) -> Result<Vec<Vec<Vec<Piece>>>, ReleaseError> {
    let mut sites: Vec<Site> = chosen.iter().map(|c| trained[c.subject].site).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    let mut source = FusedRows::new(opened.model()?, &measured.windows, &sites, RowDtype::F32)?;
    let windows: Vec<u32> = (0..measured.windows.windows.len() as u32).collect();
    let mut x = vec![Vec::new(); sites.len()];
    source.read(&windows, &mut x).map_err(ReleaseError::Rows)?;
    let of = |c: &Chosen| {
        let Named { site, dictionary, .. } = &trained[c.subject];
        let at = sites.iter().position(|other| other == site).expect("it was asked for");
        let values = activations(dictionary, &x[at], c.feature, opened);
        Shown { opened, measured, values: &values }.examples(c.number)
    };
    Ok(chosen.iter().map(of).collect())
}

/// Of one feature in rows x [N, D]: [N], 0 where it does not fire.
fn activations(dictionary: &Dictionary, x: &[f32], feature: u32, opened: &Opened) -> Vec<f32> {
    let mut values = Vec::with_capacity(x.len() / dictionary.d_in);
    for x in x.chunks(BATCH * dictionary.d_in) {
        let rows = dictionary.encode(opened.device, x);
        for n in 0..rows.rows() {
            let (index, value) = rows.row(n);
            values.push(index.binary_search(&feature).map_or(0.0, |at| value[at]));
        }
    }
    values
}

/// A feature in its text.
struct Shown<'a> {
    opened: &'a Opened,
    measured: &'a Measured,
    /// [N]
    values: &'a [f32],
}

/// A stretch of a window, `from..to` of its tokens.
struct Stretch<'a> {
    window: &'a Window,
    /// Row of each token of the window.
    rows: Vec<Option<usize>>,
    from: usize,
    to: usize,
}

impl Shown<'_> {
    /// Of rows where `indicator` is on, strongest first. At first only at new words with at least half of the greatest
    /// activation, then anywhere.
    fn examples(&self, indicator: u32) -> Vec<Vec<Piece>> {
        let truth = &self.measured.truth;
        let is_right = |&n: &usize| self.values[n] > 0.0 && truth.row(n).binary_search(&indicator).is_ok();
        let mut order: Vec<usize> = (0..self.values.len()).filter(is_right).collect();
        order.sort_by(|&a, &b| self.values[b].total_cmp(&self.values[a]));
        let Some(&first) = order.first() else { return Vec::new() };
        let mut peaks: Vec<usize> = Vec::new();
        for least in [0.5, 0.0] {
            for &row in order.iter().filter(|&&row| self.values[row] >= least * self.values[first]) {
                let same_text = |&p: &usize| truth.documents[p] == truth.documents[row];
                let same_word = |&p: &usize| truth.tokens[p] == truth.tokens[row];
                let is_old = peaks.iter().any(|p| same_text(p) || (least > 0.0 && same_word(p)));
                if peaks.len() < EXAMPLES && !is_old {
                    peaks.push(row);
                }
            }
        }
        peaks.iter().map(|&row| self.pieces(&self.stretch(row), self.values[first])).collect()
    }

    /// About the sentence of a row.
    fn stretch(&self, row: usize) -> Stretch<'_> {
        let Measured { windows, starts, .. } = self.measured;
        let at = starts.partition_point(|&start| start <= row) - 1;
        let window = &windows.windows[at];
        let mut rows = vec![None; window.tokens.len()];
        let positions: Vec<usize> = window.row_positions(&self.opened.spec).collect();
        positions.iter().zip(starts[at]..).for_each(|(&p, row)| rows[p] = Some(row));
        let (from, to) = around(&window.tokens, positions[row - starts[at]], positions[0]);
        Stretch { window, rows, from, to }
    }

    fn pieces(&self, stretch: &Stretch<'_>, greatest: f32) -> Vec<Piece> {
        let Stretch { window, rows, from, to } = stretch;
        let plain = |text: &str, space| Piece { text: text.into(), space, strength: 0.0 };
        let word = |p: usize| window.tokens[p] as world::Word;
        let mut pieces = Vec::new();
        if *from > 1 && !ends_sentence(window.tokens[from - 1]) {
            pieces.push(plain("…", false));
        }
        for (p, row) in rows.iter().enumerate().take(*to).skip(*from) {
            let text = world::render(&[word(p)]);
            let space = p == *from || world::render(&[word(p - 1), word(p)]).contains(' ');
            let value = row.map_or(0.0, |row| self.values[row]);
            pieces.push(Piece { text, space, strength: f64::from(value / greatest).min(1.0) });
        }
        if *to < window.tokens.len() && !ends_sentence(window.tokens[to - 1]) {
            pieces.push(plain("…", true));
        }
        pieces
    }
}

/// Tokens before the peak, tokens of a stretch, and the characters that a line has room for.
const BEFORE: usize = 10;
const LONGEST: usize = 15;
const SHORTEST: usize = 8;
const CHARACTERS: usize = 90;

/// From the beginning of a sentence where one is near, to an end of one if it is near.
fn around(tokens: &[u32], peak: usize, first: usize) -> (usize, usize) {
    let earliest = peak.saturating_sub(BEFORE).max(first);
    let begins = |&p: &usize| p == first || ends_sentence(tokens[p - 1]);
    let mut from = (earliest..=peak).find(begins).unwrap_or(earliest);
    let end = (from + LONGEST).max(peak + 3).min(tokens.len());
    let ends = |&p: &usize| p - from >= SHORTEST && ends_sentence(tokens[p - 1]);
    let mut to = (peak + 1..=end).find(ends).unwrap_or(end);
    let length = |from: usize, to: usize| {
        let words: Vec<world::Word> = tokens[from..to].iter().map(|&t| t as world::Word).collect();
        world::render(&words).chars().count() + 4
    };
    while length(from, to) > CHARACTERS && to > peak + 2 {
        to -= 1;
    }
    while length(from, to) > CHARACTERS && from < peak {
        from += 1;
    }
    (from, to)
}

fn ends_sentence(token: u32) -> bool {
    matches!(world::LEXICON.words[token as usize].as_str(), "." | "?" | "!")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u32> {
        world::read(text).into_iter().map(u32::from).collect()
    }

    #[test]
    fn a_stretch_is_a_sentence_where_it_can_be() {
        let text =
            words("The dogs run. The cat near the dogs under the girl near the king sleeps. The cow walks.");
        let said = |peak| {
            let (from, to) = around(&text, peak, 0);
            world::render(&text[from..to].iter().map(|&t| t as world::Word).collect::<Vec<_>>())
        };
        assert_eq!(said(1), "The dogs run. The cat near the dogs under the girl near the king");
        assert_eq!(said(5), "The dogs run. The cat near the dogs under the girl near the king");
        assert_eq!(said(14), "The cat near the dogs under the girl near the king sleeps.");
    }

    #[test]
    fn variety_and_overlap() {
        let truth = Truth {
            indicators: vec!["one token".into(), "three tokens".into(), "never".into()],
            starts: vec![0, 2, 4, 5, 6],
            on: vec![0, 1, 0, 1, 1, 1],
            documents: vec![0; 4],
            tokens: vec![7, 7, 8, 9],
        };
        let found = varieties(&truth);
        let expect = [0.0, 1.5 * 2f64.ln() / 16f64.ln(), 0.0]; // shares 1/2, 1/4, 1/4: 1.5 bits
        assert!(found.iter().zip(expect).all(|(found, expect)| (found - expect).abs() < 1e-12), "{found:?}");
        assert_eq!(overlap(&[1, 2, 3, 4], &[4, 9]), 0.5);
        assert_eq!(overlap(&[], &[4, 9]), 0.0);
    }
}
