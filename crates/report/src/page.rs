//! The page at the end of the demo: what was done, a table of dictionaries, features with example sentences, what to do next.
//!
//! Words and numbers are given; only the layout is made here, 100 columns wide. Whether there is colour is the caller's
//! decision: with it a token's background says how strongly the feature fires, without it the tokens stand in «guillemets»
//! (brackets of every other kind belong to the language of the demo).

use crate::number;
use crate::table::{self, Align};

/// Everything on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What was done and what the question is, line by line.
    pub introduction: Vec<String>,
    /// One per dictionary.
    pub dictionaries: Vec<Line>,
    /// What the table stands on, line by line.
    pub scored_on: Vec<String>,
    /// What text the examples are from.
    pub about_text: String,
    /// Features with examples.
    pub features: Vec<Feature>,
    /// Command and what it is for.
    pub next: Vec<(String, String)>,
}

/// One dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Which group it belongs to; said where it changes.
    pub group: String,
    /// Where it reads, and what it is if it is a baseline.
    pub name: String,
    /// Mean features that fire in a row.
    pub l0: f64,
    /// Share of the variance.
    pub fvu: Option<f64>,
    /// Nats per target.
    pub delta_loss: Option<f64>,
    /// Mean F1 over what the model represents.
    pub f1: Option<f64>,
    /// The same of the best baseline.
    pub to_beat: Option<f64>,
    /// Variables found and represented, variables represented.
    pub found: Option<[u64; 2]>,
    /// One word.
    pub verdict: String,
}

/// One feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The variable and value that it fires with: `carry = 1`.
    pub indicator: String,
    /// The same in plain words.
    pub meaning: String,
    /// Where its dictionary reads.
    pub site: String,
    /// Its number there.
    pub number: u32,
    /// F1, precision, recall.
    pub f1: [f64; 3],
    /// Stretches of text in which it fires.
    pub examples: Vec<Vec<Piece>>,
}

/// A token of an example.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// As it is written.
    pub text: String,
    /// Does a space stand before it?
    pub space: bool,
    /// 0 where the feature does not fire, 1 where it does most.
    pub strength: f64,
}

const COLUMNS: [(&str, Align); 9] = [
    ("", Align::Left),
    ("dictionary", Align::Left),
    ("L0", Align::Right),
    ("FVU", Align::Right),
    ("Δloss", Align::Right),
    ("F1", Align::Right),
    ("to beat", Align::Right),
    ("found", Align::Right),
    ("verdict", Align::Left),
];

const WORDS: &str = "\
L0        features that fire at a token, on average; fewer is simpler
FVU       share of the activations' variance that is lost; 0 is perfect
Δloss     how much worse the model predicts, in nats, when given the dictionary's copy instead
F1        does one feature fire where one variable has one value? 1: always, and only there
to beat   the best F1 of a frozen decoder, a model of random weights, principal components, neurons
found     values that have a feature with F1 ≥ 0.5, of those that the model represents there
verdict   valid: beats all four by 0.05; invalid: does not; unproven: not all four were there
";

/// The page as text, `colour`: for a terminal that has it.
pub fn text(page: &Page, colour: bool) -> String {
    let style = Style { colour };
    let mut out = String::new();
    for line in &page.introduction {
        out += &format!("{line}\n");
    }
    out += &format!("\n{}\n\n", style.heading("How good are the dictionaries?"));
    out += &table::text(&COLUMNS, &cells(&page.dictionaries));
    for line in &page.scored_on {
        out += &format!("{}\n", style.faint(line));
    }
    out += &format!("\n{WORDS}\n");
    out += &format!("{}\n", style.heading(&features_heading(page.features.len())));
    out += &format!("{}\n{}\n", style.faint(style.key()), style.faint(&page.about_text));
    for (n, feature) in (1..).zip(&page.features) {
        out += &style.feature(n, feature);
    }
    out += &format!("\n{}\n\n", style.heading("What next?"));
    for (command, why) in &page.next {
        out += &format!("  {}\n  {command}\n", style.faint(&format!("# {why}")));
    }
    out
}

fn features_heading(n: usize) -> String {
    let words = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
    let number = words.get(n).map_or_else(|| n.to_string(), |word| word.to_string());
    match n {
        1 => "One feature and what it stands for".into(),
        _ => format!("{number} features and what they stand for"),
    }
}

fn cells(lines: &[Line]) -> Vec<Vec<String>> {
    let mut group = "";
    let mut rows = Vec::new();
    for line in lines {
        let own = if line.group == group { "" } else { &line.group };
        group = &line.group;
        let number = |x: Option<f64>| x.map_or("–".into(), |x| number::significant(x, 3));
        let two = |x: Option<f64>| x.filter(|x| x.is_finite()).map_or("–".into(), |x| format!("{x:.2}"));
        rows.push(vec![
            own.into(),
            line.name.clone(),
            number(Some(line.l0)),
            number(line.fvu),
            number(line.delta_loss),
            two(line.f1),
            two(line.to_beat),
            line.found.map_or("–".into(), |[found, of]| format!("{found} of {of}")),
            line.verdict.clone(),
        ]);
    }
    rows
}

/// Colour or none.
pub(crate) struct Style {
    pub(crate) colour: bool,
}

/// Backgrounds from weak to strong, numbers of the 256-colour palette; black stands on all of them.
const RAMP: [u8; 4] = [228, 222, 215, 208];

impl Style {
    fn wrapped(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    pub(crate) fn heading(&self, text: &str) -> String {
        self.wrapped("1", text)
    }

    pub(crate) fn faint(&self, text: &str) -> String {
        self.wrapped("2", text)
    }

    fn key(&self) -> &'static str {
        if self.colour {
            "Colour: how strongly the feature fires at a token. Shown is where it is right, strongest first."
        } else {
            "The feature fires at the tokens in «…». Shown is where it is right, strongest first."
        }
    }

    fn feature(&self, n: usize, feature: &Feature) -> String {
        let Feature { indicator, meaning, site, number, f1: [f1, precision, recall], examples } = feature;
        let found = format!("F1 {f1:.2} (precision {precision:.2}, recall {recall:.2})");
        let name = self.heading(&format!("{n:>2}  {indicator}"));
        let meaning = self.faint(meaning);
        let at = self.faint(&format!("feature {number} of {site}"));
        let mut out = format!("\n{name}  {meaning}\n    {found}  {at}\n");
        for example in examples {
            out += &format!("    {}\n", self.sentence(example));
        }
        out
    }

    pub(crate) fn sentence(&self, pieces: &[Piece]) -> String {
        let mut out = String::new();
        for (i, piece) in pieces.iter().enumerate() {
            let fires = piece.strength > 0.0;
            let before = i > 0 && pieces[i - 1].strength > 0.0;
            if !self.colour && before && !fires {
                out.push('»');
            }
            if piece.space && i > 0 {
                out.push(' ');
            }
            if !self.colour && fires && !before {
                out.push('«');
            }
            out += &if fires {
                self.wrapped(&background(piece.strength), &piece.text)
            } else {
                piece.text.clone()
            };
        }
        if !self.colour && pieces.last().is_some_and(|last| last.strength > 0.0) {
            out.push('»');
        }
        out
    }
}

/// Black on the colour of this strength.
fn background(strength: f64) -> String {
    let step = (strength.clamp(0.0, 1.0) * RAMP.len() as f64) as usize;
    format!("38;5;16;48;5;{}", RAMP[step.min(RAMP.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |text: &str, space, strength| Piece { text: text.into(), space, strength };
        vec![
            piece("The", true, 0.0),
            piece("dogs", true, 1.0),
            piece("near", true, 0.3),
            piece("[", true, 0.0),
            piece("run", true, 0.05),
            piece(".", false, 0.0),
        ]
    }

    fn page() -> Page {
        let line = |group: &str, name: &str, fvu, f1: [Option<f64>; 2], found, verdict: &str| Line {
            group: group.into(),
            name: name.into(),
            l0: 12.34,
            fvu,
            delta_loss: fvu,
            f1: f1[0],
            to_beat: f1[1],
            found,
            verdict: verdict.into(),
        };
        let f1 = [Some(0.294), Some(0.181)];
        Page {
            introduction: vec!["A small model.".into()],
            dictionaries: vec![
                line("live", "2.res", Some(0.0775), f1, Some([84, 413]), "valid"),
                line("live", "2.res random model", None, [Some(f64::NAN), None], None, "baseline"),
                line("shipped", "0.att", Some(0.1), [None, None], None, "–"),
            ],
            scored_on: vec!["Scored on 5 rows.".into()],
            about_text: "Some text.".into(),
            features: vec![Feature {
                indicator: "subject's number = plural".into(),
                meaning: "the subject is plural".into(),
                site: "2.res".into(),
                number: 199,
                f1: [0.5, 0.5196, 0.4831],
                examples: vec![pieces()],
            }],
            next: vec![("lapidary doctor".into(), "what this machine offers".into())],
        }
    }

    #[test]
    fn without_colour_the_page_is_plain() {
        let page = text(&page(), false);
        let table = "\
         dictionary            L0     FVU   Δloss    F1  to beat      found  verdict
─────────────────────────────────────────────────────────────────────────────────────
live     2.res               12.3  0.0775  0.0775  0.29     0.18  84 of 413  valid
         2.res random model  12.3       –       –     –        –          –  baseline
shipped  0.att               12.3   0.100   0.100     –        –          –  –
Scored on 5 rows.
";
        assert!(page.contains(table), "{page}");
        let feature = " 1  subject's number = plural  the subject is plural
    F1 0.50 (precision 0.52, recall 0.48)  feature 199 of 2.res
    The «dogs near» [ «run».
";
        assert!(page.contains(feature), "{page}");
        assert!(page.contains("One feature and") && !page.contains('\x1b'), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }

    #[test]
    fn with_colour_the_strength_is_the_background() {
        let page = text(&page(), true);
        let dogs = "\x1b[38;5;16;48;5;208mdogs\x1b[0m \x1b[38;5;16;48;5;222mnear\x1b[0m [ \x1b[38;5;16;48;5;228mrun\x1b[0m.";
        assert!(page.contains(dogs) && !page.contains('«'), "{page}");
    }
}
