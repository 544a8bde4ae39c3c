//! The fifteen kinds of lines that documents are made of, one file per family.

pub(crate) mod agreement;
pub(crate) mod calendar;
pub(crate) mod chat;
pub(crate) mod fact;
pub(crate) mod logic;
pub(crate) mod note;
pub(crate) mod rule;
pub(crate) mod story;
pub(crate) mod sums;

use crate::document::Document;
use crate::kinds::{Domain, Segment};
use crate::trace::Trace;

impl Segment {
    pub(crate) fn write(self, trace: &mut Trace, document: &mut Document) {
        match self {
            Segment::Story => story::write(trace, document),
            Segment::Fact => fact::write(trace, document),
            Segment::Calendar => calendar::write(trace, document),
            Segment::Addition => sums::addition(trace),
            Segment::Column => sums::column(trace),
            Segment::Working => sums::working(trace),
            Segment::Agreement => agreement::write(trace),
            Segment::Brackets => agreement::brackets(trace),
            Segment::Function => rule::function(trace, document),
            Segment::Chat => chat::write(trace, document),
            Segment::Signal => rule::signal(trace),
            Segment::Roles => story::roles(trace, document),
            Segment::Logic => logic::write(trace),
            Segment::Yard => note::yard(trace),
            Segment::Note => note::write(trace),
        }
    }

    /// Words of the longest such line.
    pub(crate) fn max_words(self) -> usize {
        match self {
            Segment::Story => 8,
            Segment::Fact => 14,
            Segment::Calendar => 17,
            Segment::Addition => 10,
            Segment::Column => 31,
            Segment::Working => 37,
            Segment::Agreement => 10,
            Segment::Brackets => 16,
            Segment::Function => 26,
            Segment::Chat => 24,
            Segment::Signal => 10,
            Segment::Roles => 16,
            Segment::Logic => 25,
            Segment::Yard => 25,
            Segment::Note => 17,
        }
    }

    /// Its share of a domain's own lines.
    pub(crate) fn share(self, domain: Domain) -> f64 {
        match (domain, self) {
            (Domain::Stories, Segment::Story) => 0.75,
            (Domain::Stories, Segment::Roles) => 0.25,
            (Domain::Facts, Segment::Fact) | (Domain::Calendar, Segment::Calendar) => 1.0,
            (Domain::Sums, Segment::Addition) => 0.8,
            (Domain::Sums, Segment::Column) => 0.2,
            (Domain::Working, Segment::Working) | (Domain::Chat, Segment::Chat) => 1.0,
            (Domain::Grammar, Segment::Agreement) => 0.7,
            (Domain::Grammar, Segment::Brackets) => 0.3,
            (Domain::Rules, Segment::Function) => 0.6,
            (Domain::Rules, Segment::Logic | Segment::Signal) => 0.2,
            _ => 0.0,
        }
    }

    /// Its share of the lines that occur everywhere.
    pub(crate) fn common_share(self) -> f64 {
        match self {
            Segment::Story => 0.15,
            Segment::Fact => 0.2,
            Segment::Agreement => 0.1,
            Segment::Signal => 0.15,
            Segment::Roles | Segment::Yard => 0.1,
            Segment::Note => 0.2,
            _ => 0.0,
        }
    }
}
