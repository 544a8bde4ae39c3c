//! Facts about the invented world: what an entity is, where it lives, what it eats; and the type tree itself.

use crate::document::Document;
use crate::facts::{SEEN_ENTITIES, entity};
use crate::kinds::{Split, Task};
use crate::lexicon::{Class, HELD_OUT_ENTITIES, LEXICON};
use crate::trace::{Odds, Trace, cumulative};
use crate::variables::Var;
use std::sync::LazyLock;

/// Entities are mentioned with Zipf's exponent ½.
static ENTITY_ODDS: LazyLock<Vec<f64>> =
    LazyLock::new(|| cumulative((1..=SEEN_ENTITIES).map(|rank| (rank as f64).powf(-0.5))));
/// Six attributes, then family and class of the entity.
const ATTRIBUTE_WEIGHTS: [f64; 8] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.4];
static ATTRIBUTE_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| cumulative(ATTRIBUTE_WEIGHTS));

pub(crate) fn write(trace: &mut Trace, document: &Document) {
    if trace.draw(Var::Form, 0, Odds::Chance(0.08)) == 1 {
        return tree(trace);
    }
    let about = match document.config.split {
        Split::Entities => SEEN_ENTITIES + trace.choose(Var::About, 0, Odds::Even(HELD_OUT_ENTITIES)),
        _ => trace.choose(Var::About, 0, Odds::Table(&ENTITY_ODDS)),
    };
    hold_entity(trace, about);
    if document.config.split == Split::Templates {
        return region_first(trace, about);
    }
    trace.word(Class::Entity, about);
    let first = trace.draw(Var::Attribute, 0, Odds::Table(&ATTRIBUTE_ODDS));
    attribute(trace, about, first);
    if trace.draw(Var::More, 0, Odds::Chance(0.4)) == 1 {
        trace.say("and");
        let others =
            cumulative(ATTRIBUTE_WEIGHTS.iter().enumerate().map(|(i, &w)| if i == first { 0.0 } else { w }));
        let second = trace.draw(Var::Attribute, 1, Odds::Table(&others));
        attribute(trace, about, second);
    }
    trace.say(".");
}

fn hold_entity(trace: &mut Trace, about: usize) {
    let of = entity(about);
    trace.hold(Var::About, about);
    trace.hold(Var::EntityClass, of.kind / 16);
    trace.hold(Var::EntityFamily, of.kind / 4);
    trace.hold(Var::EntityKind, of.kind);
}

/// `lives in Valestow`, with the value as an answer; at most six words.
fn attribute(trace: &mut Trace, about: usize, which: usize) {
    let of = entity(about);
    let (phrase, class, value, var) = match which {
        0 => ("is known as", Class::Leaf, of.kind, Var::EntityKind),
        1 => ("lives in", Class::Region, of.region, Var::EntityRegion),
        2 => ("is coloured", Class::Colour, of.colour, Var::EntityColour),
        3 => ("eats", Class::Food, of.food, Var::EntityFood),
        4 => ("belongs to", Class::Name, of.keeper, Var::EntityKeeper),
        5 => ("is as big as a", Class::Size, of.size, Var::EntitySize),
        6 => ("is a kind of", Class::Family, of.kind / 4, Var::EntityFamily),
        _ => ("counts as", Class::Kingdom, of.kind / 16, Var::EntityClass),
    };
    trace.say(phrase);
    trace.hold(var, value);
    if which == 0 || which > 6 {
        trace.say(article(class, value));
    }
    trace.answer(Task::Fact, |t| t.word(class, value));
}

/// `a` or `an`.
pub(crate) fn article(class: Class, i: usize) -> &'static str {
    let word = &LEXICON.words[usize::from(LEXICON.word(class, i))];
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Word order of the split `templates`.
fn region_first(trace: &mut Trace, about: usize) {
    let region = entity(about).region;
    trace.say("In");
    trace.hold(Var::EntityRegion, region);
    trace.word(Class::Region, region);
    trace.say("lives");
    trace.word(Class::Entity, about);
    trace.say(".");
}

/// `Every finch is a bird.`, `Every bird is like an animal.`
fn tree(trace: &mut Trace) {
    trace.say("Every");
    let kind = trace.choose(Var::EntityKind, 0, Odds::Even(80));
    if kind < 64 {
        trace.hold(Var::EntityKind, kind);
        trace.hold(Var::EntityFamily, kind / 4);
        trace.word(Class::Leaf, kind);
        trace.say("is a kind of");
        trace.answer(Task::Fact, |t| t.word(Class::Family, kind / 4));
    } else {
        trace.hold(Var::EntityFamily, kind - 64);
        trace.hold(Var::EntityClass, (kind - 64) / 4);
        trace.word(Class::Family, kind - 64);
        trace.say("is a kind of");
        trace.answer(Task::Fact, |t| t.word(Class::Kingdom, (kind - 64) / 4));
    }
    trace.say(".");
}
