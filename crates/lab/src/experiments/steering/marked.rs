//! Rows in which concepts are marked as on or off, in two halves by document: one half chooses directions and features, the other judges answers
//! and gives the prompts.
//!
//! On the organism the marks are the language's variables, in windows of its fresh text, and what is not on is off. On any other model
//! they are contrast pairs: two ends of one sentence, of which one has the concept and the other its opposite; rows of other
//! pairs say nothing about it. There the beginning that both ends share is the prompt.

use super::judge::CONTEXT;
use super::pairs::Pair;
use crate::LabError;
use crate::error::invalid;
use lapidary_catalog::Opened;
use lapidary_evaluation::truth::Truth;
use lapidary_lm::{Batch, Model, Site};
use lapidary_text::Window;
use std::borrow::Cow;

/// Tokens of a prompt from text, and of the text before a prompt that prompts.
const PROMPT: usize = 16;
const STRETCH: usize = 48;
/// Sentences that the model reads at a time.
const AT_ONCE: usize = 16;

/// The place of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    window: usize,
    position: usize,
    /// Is it in the half that chooses?
    pub(super) chooses: bool,
}

/// Rows with marks.
pub(super) struct Marked<'a> {
    /// Names of the concepts.
    pub(super) names: Vec<String>,
    /// What the model makes of them [N, D].
    pub(super) x: Cow<'a, [f32]>,
    /// Their places [N].
    pub(super) rows: Vec<Row>,
    windows: Vec<Cow<'a, [u32]>>,
    marks: Marks<'a>,
}

enum Marks<'a> {
    Variables(&'a Truth),
    Pairs(OfPairs),
}

struct OfPairs {
    /// Of each row: the concept that it is about, and is it on?
    rows: Vec<(u32, bool)>,
    /// Of each window the same, and how many tokens its prompt has.
    windows: Vec<(u32, bool, usize)>,
    /// The tokens of a line's end.
    newline: Vec<u32>,
    bos: usize,
}

impl<'a> Marked<'a> {
    /// Fresh rows x [N, D] of text whose truth is known.
    pub(super) fn of_text(
        truth: &'a Truth,
        windows: &'a [Window],
        x: &'a [f32],
        model: &Model,
    ) -> Marked<'a> {
        let (mut rows, mut chooses, mut last) = (Vec::new(), false, None);
        for (window, text) in windows.iter().enumerate() {
            if last.replace(text.doc) != Some(text.doc) {
                chooses = !chooses;
            }
            rows.extend(text.row_positions(&model.spec).map(|position| Row { window, position, chooses }));
        }
        Marked {
            names: truth.indicators.clone(),
            x: Cow::Borrowed(x),
            rows,
            windows: windows.iter().map(|w| Cow::Borrowed(w.tokens.as_slice())).collect(),
            marks: Marks::Variables(truth),
        }
    }

    /// The ends of contrast pairs, as `site` reads them; every second pair of a concept chooses.
    ///
    /// # Errors
    /// The model's tokenizer does not tell two ends apart, or the model cannot read a pair and an answer of `answer` tokens.
    pub(super) fn of_pairs(
        pairs: &[Pair],
        opened: &Opened,
        site: Site,
        answer: usize,
    ) -> Result<Marked<'a>, LabError> {
        let bos = opened.spec.bos.as_slice();
        let mut names: Vec<String> = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        let (mut windows, mut rows, mut of) = (Vec::new(), Vec::new(), Vec::new());
        let mut marks = Vec::new();
        for pair in pairs {
            let concept = names.iter().position(|n| *n == pair.concept).unwrap_or_else(|| {
                names.push(pair.concept.clone());
                seen.push(0);
                names.len() - 1
            });
            let encode = |end: &str| opened.tokenizer.encode(&format!("{}{end}", pair.prompt));
            let ends = [[bos, &encode(&pair.on)?].concat(), [bos, &encode(&pair.off)?].concat()];
            let shared = ends[0].iter().zip(&ends[1]).take_while(|(a, b)| a == b).count();
            if shared <= bos.len() || ends.iter().any(|end| end.len() == shared) {
                let Pair { prompt, on, off, .. } = pair;
                invalid!(
                    "pairs: expected a prompt and two ends that begin with other tokens of {}, found {prompt:?} with {on:?} and {off:?}; give \
                     --pairs in words that its tokenizer has",
                    opened.name
                );
            }
            let longest = ends.iter().map(Vec::len).max().unwrap_or(0);
            let (needed, context) = (CONTEXT + 2 * longest + answer, opened.spec.context);
            if needed > context {
                invalid!(
                    "pairs: expected sentences that {} reads four of with an answer, {context} tokens in all, found {:?}, which needs {needed}; shorten it",
                    opened.name,
                    pair.prompt
                );
            }
            ends.iter().try_for_each(|end| opened.spec.check_tokens(end))?;
            let chooses = seen[concept].is_multiple_of(2);
            seen[concept] += 1;
            for (end, on) in ends.into_iter().zip([true, false]) {
                let window = windows.len();
                rows.extend((shared..end.len()).map(|position| Row { window, position, chooses }));
                marks.extend((shared..end.len()).map(|_| (concept as u32, on)));
                of.push((concept as u32, on, shared));
                windows.push(Cow::Owned(end));
            }
        }
        let x = rows_at(opened.model()?, site, &windows, &rows);
        let newline = opened.tokenizer.encode("\n")?;
        let marks = Marks::Pairs(OfPairs { rows: marks, windows: of, newline, bos: bos.len() });
        Ok(Marked { names, x: Cow::Owned(x), rows, windows, marks })
    }

    /// Is the concept on in row n? None where it says nothing about it.
    pub(super) fn state(&self, n: usize, concept: u32) -> Option<bool> {
        match &self.marks {
            Marks::Variables(truth) => Some(truth.row(n).binary_search(&concept).is_ok()),
            Marks::Pairs(of) => (of.rows[n].0 == concept).then_some(of.rows[n].1),
        }
    }

    /// The truth, where the marks are its variables.
    pub(super) fn truth(&self) -> Option<&'a Truth> {
        match &self.marks {
            Marks::Variables(truth) => Some(truth),
            Marks::Pairs(_) => None,
        }
    }

    /// Are two rows neighbours in one text?
    pub(super) fn follows(&self, n: usize, before: usize) -> bool {
        let [a, b] = [before, n].map(|n| self.rows[n]);
        a.window == b.window && a.position + 1 == b.position
    }

    /// Tokens of neighbouring rows of the half that judges, in which the concept is on, or off; at most `longest` at a time.
    pub(super) fn stretches(&self, concept: u32, on: bool, longest: usize) -> Vec<Vec<u32>> {
        let mut out: Vec<Vec<u32>> = Vec::new();
        let mut last = None;
        for n in (0..self.rows.len()).filter(|&n| !self.rows[n].chooses && self.state(n, concept) == Some(on))
        {
            let goes_on = last.is_some_and(|before| self.follows(n, before));
            match out.last_mut().filter(|stretch| goes_on && stretch.len() < longest) {
                Some(stretch) => stretch.push(self.token(n)),
                None => out.push(vec![self.token(n)]),
            }
            last = Some(n);
        }
        out
    }

    fn token(&self, n: usize) -> u32 {
        self.windows[self.rows[n].window][self.rows[n].position]
    }

    /// At most `most` beginnings without the concept, of the half that judges; BOS included.
    pub(super) fn prompts(&self, concept: u32, most: usize) -> Vec<Vec<u32>> {
        match self.ends(concept) {
            None => self.beginnings(concept, PROMPT, false, most),
            Some(ends) => ends.prompts.iter().take(most).map(|prompt| prompt.to_vec()).collect(),
        }
    }

    /// At most `most` stretches of text in which the concept is on, of the half that chooses; BOS included, a prompt can follow.
    pub(super) fn examples(&self, concept: u32, most: usize) -> Vec<Vec<u32>> {
        match self.ends_of(concept, true) {
            None => self.beginnings(concept, STRETCH, true, most),
            Some(ends) => (0..most.min(ends.prompts.len())).map(|i| ends.context(true, i, STRETCH)).collect(),
        }
    }

    /// The pairs of a concept that judge; none where the marks are variables.
    pub(super) fn ends(&self, concept: u32) -> Option<Ends<'_>> {
        self.ends_of(concept, false)
    }

    fn ends_of(&self, concept: u32, chooses: bool) -> Option<Ends<'_>> {
        let Marks::Pairs(of) = &self.marks else { return None };
        let mut ends =
            Ends { prompts: Vec::new(), on: Vec::new(), off: Vec::new(), newline: &of.newline, bos: of.bos };
        for (w, &(_, on, shared)) in of.windows.iter().enumerate().filter(|(_, of)| of.0 == concept) {
            let (prompt, end) = self.windows[w].split_at(shared);
            match on {
                _ if self.chooses(w) != chooses => {}
                true => {
                    ends.prompts.push(prompt);
                    ends.on.push(end);
                }
                false => ends.off.push(end),
            }
        }
        Some(ends)
    }

    fn chooses(&self, window: usize) -> bool {
        let at = self.rows.partition_point(|row| row.window < window);
        self.rows[at].chooses
    }

    /// Beginnings of windows of text, with the concept on in a third of their tokens or more; or off in all.
    fn beginnings(&self, concept: u32, tokens: usize, on: bool, most: usize) -> Vec<Vec<u32>> {
        let mut out = Vec::new();
        for rows in self.rows.chunk_by(|a, b| a.window == b.window) {
            let first = self.rows.partition_point(|row| row.window < rows[0].window);
            let inside = rows.iter().take_while(|row| row.position < tokens).count();
            let hits = (first..first + inside).filter(|&n| self.state(n, concept) == Some(true)).count();
            let fits = if on { 3 * hits >= inside } else { hits == 0 };
            let window = &self.windows[rows[0].window];
            if rows[0].chooses == on && fits && window.len() >= tokens && out.len() < most {
                out.push(window[..tokens].to_vec());
            }
        }
        out
    }
}

/// Sentences with two ends.
pub(super) struct Ends<'a> {
    /// Their beginnings, BOS included.
    pub(super) prompts: Vec<&'a [u32]>,
    /// How each goes on with the concept, and with its opposite.
    pub(super) on: Vec<&'a [u32]>,
    pub(super) off: Vec<&'a [u32]>,
    /// The tokens of a line's end.
    pub(super) newline: &'a [u32],
    /// How many tokens of a prompt are BOS.
    pub(super) bos: usize,
}

impl Ends<'_> {
    /// Whole sentences, one a line, from the one after number i on, until there are `least` tokens; number i is not among them.
    pub(super) fn context(&self, on: bool, i: usize, least: usize) -> Vec<u32> {
        let (ends, n) = (if on { &self.on } else { &self.off }, self.prompts.len());
        let mut out = self.prompts[i][..self.bos].to_vec();
        for k in (1..n).map(|k| (i + k) % n) {
            if out.len() >= least {
                break;
            }
            [&self.prompts[k][self.bos..], ends[k], self.newline].iter().for_each(|part| out.extend(*part));
        }
        out
    }
}

/// What `site` has at `rows` [N, D], which are in the order of the windows.
fn rows_at(model: &Model, site: Site, windows: &[Cow<'_, [u32]>], rows: &[Row]) -> Vec<f32> {
    let d = model.spec.width(site);
    let mut out = Vec::with_capacity(rows.len() * d);
    for (first, windows) in (0..).step_by(AT_ONCE).zip(windows.chunks(AT_ONCE)) {
        let batch = Batch::new(windows.iter().map(|window| &**window));
        let inside = first..first + windows.len();
        model.forward(&batch, &[site], &mut |_, x| {
            for row in rows.iter().filter(|row| inside.contains(&row.window)) {
                let n = batch.starts[row.window - first] + row.position;
                out.extend_from_slice(&x[n * d..][..d]);
            }
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_catalog::Catalog;
    use lapidary_kernels::Device;
    use std::path::Path;
    use std::sync::Mutex;

    fn pair(prompt: &str, on: &str, off: &str) -> Pair {
        let [prompt, on, off] = [prompt, on, off].map(String::from);
        Pair { concept: "weather".into(), prompt, on, off }
    }

    fn marked(pairs: &[Pair], check: impl Fn(Result<Marked<'_>, LabError>, &Opened, Site)) {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog {
            data: folder.path().join("data"),
            cache: folder.path().join("cache"),
            home: None,
            device: Device::detect(),
            ignore_config_keys: Vec::new(),
            precision: None,
            note: |_| (),
            hidden: Mutex::default(),
        };
        let opened = Opened::open(Path::new("organism"), &[], None, &catalog).unwrap();
        let site = opened.spec.parse_sites("2.res").unwrap()[0];
        check(Marked::of_pairs(pairs, &opened, site, 4), &opened, site);
    }

    #[test]
    fn ends_are_marked_and_beginnings_are_prompts() {
        let pairs = [pair("The sky was", " foggy.", " grey."), pair("Pasel eats", " corn. ", " rice. ")];
        marked(&pairs, |found, opened, site| {
            let (marked, encode) = (found.unwrap(), |text: &str| opened.tokenizer.encode(text).unwrap());
            let bos: Vec<u32> = opened.spec.bos.into_iter().collect();
            let begin = |text: &str| [bos.as_slice(), &encode(text)].concat();
            assert_eq!(marked.names, ["weather"]);
            assert_eq!(
                marked.prompts(0, 9),
                [begin("Pasel eats")],
                "the first pair chooses, the second judges"
            );
            assert!(
                marked.rows[0].chooses && marked.state(0, 0) == Some(true) && marked.state(0, 1).is_none()
            );
            let first = encode("The sky was foggy.").len() - encode("The sky was").len();
            assert_eq!(marked.state(first, 0), Some(false), "then the other end");
            let (d, last) = (opened.spec.d_model, begin("Pasel eats rice. "));
            opened.model().unwrap().forward(&Batch::new([last.as_slice()]), &[site], &mut |_, x| {
                let rows = marked.x.len() - (last.len() - begin("Pasel eats").len()) * d;
                assert_eq!(marked.x[rows..], x[begin("Pasel eats").len() * d..], "the last window's rows");
            });
            let ends = marked.ends(0).unwrap();
            assert_eq!(ends.on[0], &encode("Pasel eats corn. ")[encode("Pasel eats").len()..]);
            assert!(marked.truth().is_none());
        });
    }

    #[test]
    fn ends_that_do_not_differ_are_said() {
        marked(&[pair("The sky was", " foggy.", " foggy.")], |found, _, _| {
            let error = found.err().unwrap().to_string();
            assert!(error.contains("The sky was"), "{error}");
        });
    }
}
