//! How a document is written: a title that tells domain, style and language, then segments until no further one fits. Seven
//! in ten segments are of the document's own domain, the others are lines that occur everywhere.

use crate::document::{Document, MAX_WORDS};
use crate::kinds::{Domain, Segment};
use crate::trace::{Odds, Trace, cumulative};
use crate::variables::Var;
use std::sync::LazyLock;

/// Segments of a document, at most.
const MAX_SEGMENTS: u16 = 16;
/// Share of segments that are of the document's own domain.
const OWN: f64 = 0.7;
/// Share of documents of each domain.
const DOMAIN_SHARE: [f64; 8] = [0.17, 0.22, 0.11, 0.15, 0.05, 0.09, 0.11, 0.10];
const TITLES: [&str; 8] = ["Story", "Facts", "Days", "Sums", "Working", "Grammar", "Rules", "Chat"];

static DOMAIN_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| cumulative(DOMAIN_SHARE));
static LANGUAGE_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| cumulative([0.9, 0.05, 0.05]));

/// Writes the title or the next segment; false when the document has ended (a halted trace says true).
pub(crate) fn write_next(document: &mut Document, trace: &mut Trace) -> bool {
    let before = trace.tokens.len();
    trace.language = document.language;
    if document.segments == 0 {
        write_title(document, trace);
        document.held = trace.holds();
    } else {
        trace.begin(document.segments, document.held);
        let Some(odds) = segment_odds(document) else { return false };
        let segment = trace.draw(Var::Segment, 0, Odds::Table(&odds));
        if !trace.halted() {
            Segment::ALL[segment].write(trace, document);
        }
    }
    document.segments += 1;
    document.words += trace.tokens.len() - before;
    true
}

fn write_title(document: &mut Document, trace: &mut Trace) {
    document.language = trace.draw(Var::Language, 0, Odds::Table(&LANGUAGE_ODDS));
    trace.language = document.language;
    document.domain = trace.draw(Var::Domain, 0, Odds::Table(&DOMAIN_ODDS));
    trace.say(TITLES[document.domain]);
    document.style = trace.draw(Var::Style, 0, Odds::Chance(0.35));
    trace.say([".", ":"][document.style]);
}

/// Cumulative odds over [`Segment::ALL`] of those that fit, or `None` when none does.
fn segment_odds(document: &Document) -> Option<Vec<f64>> {
    let left = MAX_WORDS - document.words;
    let weight = |segment: &Segment| {
        let fits = segment.max_words() <= left;
        let own = segment.share(Domain::ALL[document.domain]);
        if fits { OWN * own + (1.0 - OWN) * segment.common_share() } else { 0.0 }
    };
    let weights: Vec<f64> = Segment::ALL.iter().map(weight).collect();
    let any = weights.iter().any(|&w| w > 0.0) && document.segments < MAX_SEGMENTS;
    any.then(|| cumulative(weights))
}
