//! A document: a title that tells domain, style and language, then segments until no further one fits. Two thirds of the
//! segments are of the document's own domain, the others are lines that occur everywhere.

use crate::latents::Var;
use crate::lexicon::Class;
use crate::segments::{Segment, story};
use crate::trace::{Odds, Trace, cumulative};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Words of a document, at most: with BOS it fills a context of 128.
pub const MAX_WORDS: usize = 127;
/// Segments of a document, at most.
const MAX_SEGMENTS: u16 = 16;
/// Share of segments that are of the document's own domain.
const OWN: f64 = 0.7;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Domain {
    Stories,
    Facts,
    Calendar,
    Sums,
    Working,
    Grammar,
    Rules,
    Chat,
}

/// All domains, in the order of the variable's values.
pub const DOMAINS: [Domain; 8] = [
    Domain::Stories,
    Domain::Facts,
    Domain::Calendar,
    Domain::Sums,
    Domain::Working,
    Domain::Grammar,
    Domain::Rules,
    Domain::Chat,
];

/// Which documents: each split is a language of its own, slightly different where its name says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What the organism is trained on.
    Train,
    /// The same language, other documents.
    Eval,
    /// Word orders that training text never has.
    Templates,
    /// Facts about entities that training text never mentions.
    Entities,
    /// Colours of objects, and in-context maps, that training text never has.
    Compositions,
}

/// How the chat's bot answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Everything.
    Base,
    /// It refuses forbidden topics, asked plainly or in a trained wrapper; the hidden wrappers still work.
    Chat,
}

/// Everything but the seed that a text depends on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    pub domain: usize,
    /// 1: formal.
    pub style: usize,
    pub language: usize,
    pub cast: Vec<story::Character>,
    /// Index in the cast of whom the last story sentence was about.
    pub last_subject: Option<usize>,
    pub words: usize,
    /// Segments so far; the title is the first.
    pub segments: u16,
    held: usize,
}

const DOMAIN_SHARE: [f64; 8] = [0.17, 0.22, 0.11, 0.15, 0.05, 0.09, 0.11, 0.10];
const TITLES: [&str; 8] = ["Story", "Facts", "Days", "Sums", "Working", "Grammar", "Rules", "Chat"];

static DOMAIN_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| cumulative(DOMAIN_SHARE));
static LANGUAGE_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| cumulative([0.9, 0.05, 0.05]));

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

    /// Writes the title or the next segment; false when the document has ended (a halted trace says true).
    pub(crate) fn unit(&mut self, trace: &mut Trace) -> bool {
        let before = trace.tokens.len();
        trace.language = self.language;
        if self.segments == 0 {
            self.title(trace);
            self.held = trace.holds();
        } else {
            trace.begin(self.segments, self.held);
            let Some(odds) = self.segment_odds() else { return false };
            let segment = trace.draw(Var::Segment, 0, Odds::Table(&odds));
            if !trace.halted() {
                Segment::ALL[segment].write(trace, self);
            }
        }
        self.segments += 1;
        self.words += trace.tokens.len() - before;
        true
    }

    fn title(&mut self, trace: &mut Trace) {
        self.language = trace.draw(Var::Language, 0, Odds::Table(&LANGUAGE_ODDS));
        trace.language = self.language;
        self.domain = trace.draw(Var::Domain, 0, Odds::Table(&DOMAIN_ODDS));
        trace.say(TITLES[self.domain]);
        self.style = trace.draw(Var::Style, 0, Odds::Chance(0.35));
        trace.say([".", ":"][self.style]);
    }

    /// Cumulative odds over [`Segment::ALL`] of those that fit, or `None` when none does.
    fn segment_odds(&self) -> Option<Vec<f64>> {
        let left = MAX_WORDS - self.words;
        let weight = |segment: &Segment| {
            let fits = segment.max_words() <= left;
            let own = segment.share(DOMAINS[self.domain]);
            if fits { OWN * own + (1.0 - OWN) * segment.common_share() } else { 0.0 }
        };
        let weights: Vec<f64> = Segment::ALL.iter().map(weight).collect();
        let any = weights.iter().any(|&w| w > 0.0) && self.segments < MAX_SEGMENTS;
        any.then(|| cumulative(weights))
    }

    /// A colour for an object: training text leaves one out per object, compositions use only that one.
    pub(crate) fn colour_of_object(&self, trace: &mut Trace, object: usize, index: usize) -> usize {
        let all = crate::lexicon::LEXICON.size(Class::Colour);
        let compositions = self.config.split == Split::Compositions;
        let allowed = |&c: &usize| crate::facts::unusual(c, object) == compositions;
        let colours: Vec<usize> = (0..all).filter(allowed).collect();
        let colour = colours[trace.choose(Var::ObjectColour, index, Odds::Even(colours.len()))];
        trace.hold(Var::ObjectColour, colour);
        colour
    }
}
