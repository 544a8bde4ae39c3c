//! Interpretability by a language model that is asked: it explains a feature from places where it fires, and then has to say, of places in other
//! documents, where it does (after Bills et al. 2023; detection and fuzzing: Paulo et al. 2024, arXiv 2410.13928).
//!
//!   detection    which of ten short texts does the feature fire in? five do.        balanced accuracy, chance 0.5
//!   fuzzing      in which of ten texts is the marked token one where it fires?        balanced accuracy, chance 0.5
//!   simulation   how strongly, 0 to 10, does it fire at each token of a text?        Pearson correlation with how it does
//!
//! Explanations see one half of the documents, questions are asked of the other. An answer that cannot be read counts as a parse failure, and never as
//! right or wrong. This file makes prompts, reads answers and scores them; who is asked is a closure.

use serde::{Deserialize, Serialize};

/// Texts of one question.
pub const TEXTS: usize = 10;

/// A place: tokens in words, and how strongly the feature fires at each, 0 where it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpt {
    /// [T]
    pub tokens: Vec<String>,
    /// [T]
    pub values: Vec<f32>,
}

/// What a feature is asked about: places to explain it by, and places of other documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Which feature.
    pub feature: u32,
    /// Where it fires, of the half that explains.
    pub shown: Vec<Excerpt>,
    /// Where it fires, of the other half: five.
    pub firing: Vec<Excerpt>,
    /// Where it does not: five.
    pub silent: Vec<Excerpt>,
}

/// One feature's explanation and what it was worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Which feature.
    pub feature: u32,
    /// What the judge said.
    pub explanation: String,
    /// Balanced accuracy; none if the answer could not be read.
    pub detection: Option<f64>,
    /// The same.
    pub fuzzing: Option<f64>,
    /// Pearson correlation; none if no answer could be read, or one of the two never varies.
    pub simulation: Option<f64>,
    /// Answers that could not be read.
    pub parse_failures: u64,
}

/// Explains a feature and asks about it. `ask` gives the answer to a prompt.
///
/// # Errors
/// Those of `ask`.
pub fn judge<E>(case: &Case, ask: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Judged, E> {
    let explanation = ask(&explain(&case.shown))?.trim().to_string();
    let mut failures = 0;
    let mut read = |parsed: Option<f64>| {
        failures += u64::from(parsed.is_none());
        parsed
    };
    let texts = mixed(case);
    let is_firing: Vec<bool> = texts.iter().map(|(_, fires)| *fires).collect();
    let plain: Vec<String> = texts.iter().map(|(e, _)| e.tokens.concat()).collect();
    let marked: Vec<String> = texts.iter().map(|(e, fires)| mark(e, *fires)).collect();
    let detection =
        read(numbers(&ask(&which(&explanation, &plain, DETECT))?).map(|n| accuracy(&n, &is_firing)));
    let fuzzing = read(numbers(&ask(&which(&explanation, &marked, FUZZ))?).map(|n| accuracy(&n, &is_firing)));
    let (mut said, mut true_values) = (Vec::new(), Vec::new());
    for (excerpt, _) in texts.iter().take(TEXTS / 2) {
        let answer = levels(&ask(&simulate(&explanation, &excerpt.tokens))?, excerpt.tokens.len());
        failures += u64::from(answer.is_none());
        if let Some(answer) = answer {
            said.extend(answer);
            true_values.extend(excerpt.values.iter().map(|v| f64::from(*v)));
        }
    }
    let simulation = pearson(&said, &true_values);
    let feature = case.feature;
    Ok(Judged { feature, explanation, detection, fuzzing, simulation, parse_failures: failures })
}

/// Firing and silent texts in turns that do not tell which is which: the place of each is a bit of the feature's number.
fn mixed(case: &Case) -> Vec<(&Excerpt, bool)> {
    let mut texts = Vec::new();
    for (k, (firing, silent)) in case.firing.iter().zip(&case.silent).enumerate() {
        let pair = [(firing, true), (silent, false)];
        let turn = (case.feature.wrapping_mul(2_654_435_761) >> (k + 16)) & 1;
        texts.extend(if turn == 0 { pair } else { [pair[1], pair[0]] });
    }
    texts
}

const DETECT: &str = "In which of the following texts does the feature fire at some token?";
const FUZZ: &str = "In which of the following texts is the token in «» one at which the feature fires?";

fn explain(shown: &[Excerpt]) -> String {
    let texts: Vec<String> = shown.iter().map(|e| mark(e, true)).collect();
    format!(
        "A feature of a language model fires at the tokens in «» in the texts below. Say in one short sentence what these have in \
         common. Answer with that sentence only.\n\n{}",
        numbered(&texts)
    )
}

fn which(explanation: &str, texts: &[String], question: &str) -> String {
    format!(
        "A feature of a language model is described like this: {explanation}\n{question} Answer with a JSON list of their numbers only, \
         like [1, 4].\n\n{}",
        numbered(texts)
    )
}

fn simulate(explanation: &str, tokens: &[String]) -> String {
    format!(
        "A feature of a language model is described like this: {explanation}\nBelow is a text, one token a line. Say for each token how \
         strongly the feature fires there, from 0 to 10. Answer with a JSON list of {} numbers only.\n\n{}",
        tokens.len(),
        numbered(tokens)
    )
}

fn numbered(texts: &[String]) -> String {
    let lines: Vec<String> =
        (1..).zip(texts).map(|(n, t)| format!("{n}. {}", t.replace('\n', " "))).collect();
    lines.join("\n")
}

/// With « » around the tokens at which it fires; where it does not, around the one in the middle.
fn mark(excerpt: &Excerpt, fires: bool) -> String {
    let middle = excerpt.tokens.len() / 2;
    let is_marked = |k: usize| if fires { excerpt.values[k] > 0.0 } else { k == middle };
    let word = |(k, token): (usize, &String)| {
        if !is_marked(k) {
            return token.clone();
        }
        let word = token.trim_start();
        format!("{}«{word}»", &token[..token.len() - word.len()])
    };
    excerpt.tokens.iter().enumerate().map(word).collect()
}

/// The last JSON list of numbers in an answer, however much it rambles around it.
fn list(answer: &str) -> Option<Vec<f64>> {
    let from = answer.rfind('[')?;
    let to = from + answer[from..].find(']')?;
    comma_separated(&answer[from + 1..to])
}

fn comma_separated(inside: &str) -> Option<Vec<f64>> {
    if inside.trim().is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|n| n.trim().parse().ok().filter(|n: &f64| n.is_finite())).collect()
}

/// Numbers of texts, from 1 to [`TEXTS`].
fn numbers(answer: &str) -> Option<Vec<usize>> {
    let is_number = |n: &f64| n.fract() == 0.0 && (1.0..=TEXTS as f64).contains(n);
    let found = list(answer)?;
    found.iter().all(is_number).then(|| found.into_iter().map(|n| n as usize).collect())
}

/// Exactly `count` levels from 0 to 10.
fn levels(answer: &str, count: usize) -> Option<Vec<f64>> {
    let found = list(answer)?;
    (found.len() == count && found.iter().all(|n| (0.0..=10.0).contains(n))).then_some(found)
}

/// The mean of the shares of firing texts that were named, and of silent ones that were not.
fn accuracy(named: &[usize], is_firing: &[bool]) -> f64 {
    let share = |which: bool| {
        let of: Vec<usize> = (0..is_firing.len()).filter(|&k| is_firing[k] == which).collect();
        of.iter().filter(|&&k| named.contains(&(k + 1)) == which).count() as f64 / of.len() as f64
    };
    (share(true) + share(false)) / 2.0
}

/// None where one of the two never varies.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let [ma, mb] = [a, b].map(|x| x.iter().sum::<f64>() / n);
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| of(x - ma, y - mb)).sum::<f64>();
    let (ab, aa, bb) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(word: &str, value: f32) -> Excerpt {
        let tokens = ["the", " ", word, " is", " here"].map(String::from).to_vec();
        Excerpt { tokens, values: vec![0.0, 0.0, value, 0.0, 0.0] }
    }

    fn case() -> Case {
        let firing: Vec<Excerpt> = (0..5).map(|k| excerpt("red", 1.0 + k as f32)).collect();
        let silent = (0..5).map(|_| excerpt("dog", 0.0)).collect();
        Case { feature: 7, shown: firing.clone(), firing, silent }
    }

    /// A judge that reads: it says "red", names the texts with it, and gives 5 to the token "red" and 0 to others, so that detection
    /// and fuzzing are perfect and simulation is high, but not perfect, because strengths differ.
    #[test]
    fn a_good_judge_is_scored_as_good() {
        let mut asked = 0;
        let mut ask = |prompt: &str| -> Result<String, ()> {
            asked += 1;
            let lines: Vec<&str> =
                prompt.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).collect();
            Ok(if prompt.contains("in common") {
                "it is red".into()
            } else if prompt.contains("one token a line") {
                let level = |l: &&str| if l.ends_with(" red") { "5" } else { "0" };
                format!("Sure! [{}]", lines.iter().map(level).collect::<Vec<_>>().join(", "))
            } else {
                let named = lines
                    .iter()
                    .filter(|l| l.contains("red"))
                    .map(|l| l.split('.').next().unwrap_or_default());
                format!("These: [{}].", named.collect::<Vec<_>>().join(","))
            })
        };
        let found = judge(&case(), &mut ask).expect("answers");
        assert_eq!((found.detection, found.fuzzing, found.parse_failures), (Some(1.0), Some(1.0), 0));
        assert!(found.simulation.is_some_and(|r| r > 0.7 && r < 1.0), "{:?}", found.simulation);
        assert_eq!((found.explanation.as_str(), asked), ("it is red", 1 + 2 + TEXTS / 2));
    }

    /// A judge that names nothing is at chance; one that rambles is not read, and counted.
    #[test]
    fn silence_is_chance_and_rambling_is_counted() {
        let silent = judge(&case(), &mut |_| Ok::<_, ()>("[]".into())).expect("answers");
        assert_eq!((silent.detection, silent.fuzzing, silent.parse_failures), (Some(0.5), Some(0.5), 5));
        let rambling = judge(&case(), &mut |_| Ok::<_, ()>("well, [that] depends".into())).expect("answers");
        assert_eq!((rambling.detection, rambling.simulation, rambling.parse_failures), (None, None, 7));
        assert_eq!(judge(&case(), &mut |_| Err::<String, _>("down")), Err("down"));
    }

    #[test]
    fn answers_are_read_by_hand() {
        assert_eq!(numbers("[1, 10]"), Some(vec![1, 10]));
        assert_eq!(
            (numbers("[0]"), numbers("[11]"), numbers("[1.5]"), numbers("1, 2")),
            (None, None, None, None)
        );
        assert_eq!(levels("x [0, 10, 2.5]", 3), Some(vec![0.0, 10.0, 2.5]));
        assert_eq!((levels("[1, 2]", 3), levels("[1, 2, 11]", 3)), (None, None));
        assert_eq!(accuracy(&[1, 3], &[true, false, false, true]), 0.5);
        assert_eq!(mark(&excerpt("red", 1.0), true), "the «red» is here");
        assert_eq!(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), Some(1.0));
        assert_eq!(pearson(&[1.0, 1.0], &[2.0, 4.0]), None);
    }
}
