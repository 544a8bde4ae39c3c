//! A document in the making: what was asked for, and what the lines said so far leave for those that follow.

use crate::kinds::{Policy, Split};

/// Words of a document, at most: with BOS it fills a context of 128.
pub const MAX_WORDS: usize = 127;

/// Everything but the seed that a text depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Which documents.
    pub split: Split,
    /// How the bot answers.
    pub policy: Policy,
    /// Planted correlation of the formal style with cheerful feelings, 0 (none) to 1 (always).
    pub spurious: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { split: Split::Train, policy: Policy::Base, spurious: 0.0 }
    }
}

/// What a document remembers from segment to segment.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub config: Config,
    /// Index in [`crate::kinds::Domain::ALL`].
    pub domain: usize,
    /// 1: formal.
    pub style: usize,
    /// 0: English; 1, 2: the artificial languages.
    pub language: usize,
    pub cast: Vec<Character>,
    /// Index in the cast of whom the last story sentence was about.
    pub last_subject: Option<usize>,
    pub words: usize,
    /// Segments so far; the title is the first.
    pub segments: u16,
    /// Variables of the title, which hold to the end.
    pub held: usize,
}

/// A person of the story and what has happened to them.
#[derive(Clone, Debug)]
pub(crate) struct Character {
    pub name: usize,
    pub nature: usize,
    pub job: usize,
    pub place: Option<usize>,
    /// Object and colour.
    pub thing: Option<(usize, usize)>,
}

impl Document {
    pub(crate) fn new(config: Config) -> Document {
        Document {
            config,
            domain: 0,
            style: 0,
            language: 0,
            cast: Vec::new(),
            last_subject: None,
            words: 0,
            segments: 0,
            held: 0,
        }
    }
}
