//! Features and the places where they fire most, for a terminal: a heading for each, then a line of text for each place.
//!
//! Text is other people's: what would move the cursor or change the colour is shown as a sign instead.

use crate::page::{Piece, Style};

/// One feature.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureContexts {
    /// `feature 199 of 8.res`
    pub name: String,
    /// How often it fires and how strongly.
    pub about: String,
    /// Next tokens that its direction speaks for.
    pub promotes: Vec<String>,
    /// Stretches of text, the strongest firing first.
    pub contexts: Vec<Vec<Piece>>,
}

/// A token as a piece of a line; `share` of the strongest value.
pub fn piece(text: &str, share: f64) -> Piece {
    let bare = text.strip_prefix(' ');
    Piece { text: visible(bare.unwrap_or(text)), space: bare.is_some(), strength: share }
}

/// Line breaks and control characters as signs: `⏎`, `→` for a tab, `·` for the rest.
fn visible(text: &str) -> String {
    let sign = |c: char| match c {
        '\n' => '⏎',
        '\t' => '→',
        c if c.is_control() || is_directional(c) => '·',
        c => c,
    };
    text.chars().map(sign).collect()
}

/// Characters that turn the direction of what follows.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The features, one after another; `colour`: for a terminal that has it.
pub fn text(features: &[FeatureContexts], colour: bool) -> String {
    let style = Style { colour };
    let mut out = String::new();
    for FeatureContexts { name, about, promotes, contexts } in features {
        out += &format!("{}  {}\n", style.heading(name), style.faint(about));
        if !promotes.is_empty() {
            let tokens: Vec<String> =
                promotes.iter().map(|token| format!("\u{201c}{}\u{201d}", visible(token))).collect();
            out += &format!("    {} {}\n", style.faint("speaks for"), tokens.join(" "));
        }
        for pieces in contexts {
            out += &format!("    {}\n", style.sentence(pieces));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature() -> FeatureContexts {
        FeatureContexts {
            name: "feature 7 of 8.res".into(),
            about: "fires at 0.5 % of tokens".into(),
            promotes: vec![" day".into(), "\n".into()],
            contexts: vec![vec![
                piece("On", 0.0),
                piece(" Mon", 1.0),
                piece("day", 0.4),
                piece("\x1b[31m\n", 0.0),
            ]],
        }
    }

    #[test]
    fn a_feature_is_a_heading_and_lines() {
        let expected = "feature 7 of 8.res  fires at 0.5 % of tokens\n    speaks for \u{201c} day\u{201d} \u{201c}⏎\u{201d}\n    \
                        On «Monday»·[31m⏎\n\n";
        assert_eq!(text(&[feature()], false), expected);
    }

    /// A document cannot colour the terminal: every escape is ours.
    #[test]
    fn text_cannot_escape() {
        let out = text(&[feature()], true);
        assert!(
            out.split('\x1b').skip(1).all(|rest| rest.starts_with('[') && !rest.starts_with("[31m")),
            "{out:?}"
        );
    }
}
