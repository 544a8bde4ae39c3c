//! Stories: characters with a trait and a job go to places, find things, feel and give. And role scenes, in which two people
//! in two colours do one thing, and the colour of one role is asked.

use crate::document::{Character, Document};
use crate::facts::{is_she, unusual};
use crate::kinds::{Split, Task};
use crate::lexicon::{Class, LEXICON};
use crate::trace::{Odds, Trace, cumulative};
use crate::variables::Var;

/// Characters of a document, at most.
const CAST: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Introduce,
    Go,
    Find,
    Feel,
    Give,
    Meet,
    RecallPlace,
    RecallThing,
}

const EVENTS: [(Event, f64); 8] = [
    (Event::Introduce, 1.0),
    (Event::Go, 1.0),
    (Event::Find, 0.8),
    (Event::Feel, 0.8),
    (Event::Give, 1.0),
    (Event::Meet, 0.6),
    (Event::RecallPlace, 0.8),
    (Event::RecallThing, 0.8),
];

pub(crate) fn write(trace: &mut Trace, document: &mut Document) {
    let possible = |event: Event| match event {
        Event::Introduce => document.cast.len() < CAST,
        Event::Go | Event::Feel => !document.cast.is_empty(),
        Event::Find => document.cast.iter().any(|c| c.thing.is_none()),
        Event::Give => document.cast.len() > 1 && document.cast.iter().any(|c| c.thing.is_some()),
        Event::Meet => document.cast.len() > 1,
        Event::RecallPlace => document.cast.iter().any(|c| c.place.is_some()),
        Event::RecallThing => document.cast.iter().any(|c| c.thing.is_some()),
    };
    let odds = cumulative(EVENTS.map(|(event, weight)| if possible(event) { weight } else { 0.0 }));
    let event = EVENTS[trace.draw(Var::Event, 0, Odds::Table(&odds))].0;
    if trace.halted() {
        return;
    }
    match event {
        Event::Introduce => introduce(trace, document),
        Event::Go => go(trace, document),
        Event::Find => find(trace, document),
        Event::Feel => feel(trace, document),
        Event::Give => give(trace, document),
        Event::Meet => meet(trace, document),
        Event::RecallPlace => recall_place(trace, document),
        Event::RecallThing => recall_thing(trace, document),
    }
}

/// Draws a name that nobody of the cast has.
fn new_name(trace: &mut Trace, cast: &[Character]) -> usize {
    let free: Vec<usize> =
        (0..LEXICON.size(Class::Name)).filter(|n| cast.iter().all(|c| c.name != *n)).collect();
    free[trace.choose(Var::Subject, 0, Odds::Even(free.len()))]
}

/// `Ann was a kind baker.`, or `There was a kind baker named Ann.`
fn introduce(trace: &mut Trace, document: &mut Document) {
    let name_last = trace.draw(Var::Form, 0, Odds::Chance(0.4)) == 1;
    let mut name = 0;
    if name_last {
        trace.say(["There was a", "There lived a"][document.style]);
    } else {
        name = new_name(trace, &document.cast);
        hold_person(trace, name);
        trace.word(Class::Name, name);
        trace.say("was a");
    }
    let nature = trace.draw(Var::Trait, 0, Odds::Even(16));
    trace.word(Class::Trait, nature);
    let job = trace.draw(Var::Job, 0, Odds::Even(16));
    trace.word(Class::Job, job);
    if name_last {
        trace.say("named");
        name = new_name(trace, &document.cast);
        hold_person(trace, name);
        trace.word(Class::Name, name);
    }
    trace.say(".");
    if trace.halted() {
        return;
    }
    document.cast.push(Character { name, nature, job, place: None, thing: None });
    document.last_subject = Some(document.cast.len() - 1);
}

fn hold_person(trace: &mut Trace, name: usize) {
    trace.hold(Var::Subject, name);
    trace.hold(Var::Gender, usize::from(is_she(name)));
}

/// What is known of a character holds while the sentence is about them.
fn hold_character(trace: &mut Trace, person: &Character) {
    hold_person(trace, person.name);
    trace.hold(Var::Trait, person.nature);
    trace.hold(Var::Job, person.job);
    if let Some(place) = person.place {
        trace.hold(Var::Place, place);
    }
    if let Some((object, colour)) = person.thing {
        trace.hold(Var::Object, object);
        trace.hold(Var::ObjectColour, colour);
    }
}

/// Chooses among the characters that `fits` and says the name, or a pronoun for whom the last sentence was about.
fn subject(trace: &mut Trace, document: &mut Document, fits: impl Fn(&Character) -> bool) -> usize {
    let candidates: Vec<usize> = (0..document.cast.len()).filter(|&i| fits(&document.cast[i])).collect();
    let who = candidates[trace.choose(Var::Subject, 0, Odds::Even(candidates.len()))];
    hold_character(trace, &document.cast[who]);
    let again = document.last_subject == Some(who);
    if again && trace.draw(Var::Pronoun, 0, Odds::Chance(0.7)) == 1 {
        trace.say(if is_she(document.cast[who].name) { "She" } else { "He" });
    } else {
        trace.word(Class::Name, document.cast[who].name);
    }
    document.last_subject = Some(who);
    who
}

fn go(trace: &mut Trace, document: &mut Document) {
    if document.config.split == Split::Templates {
        return go_with_place_first(trace, document);
    }
    let who = subject(trace, document, |_| true);
    trace.say(["went to the", "travelled to the"][document.style]);
    let place = trace.draw(Var::Place, 0, Odds::Even(20));
    trace.word(Class::Place, place);
    trace.say(".");
    document.cast[who].place = Some(place);
}

fn go_with_place_first(trace: &mut Trace, document: &mut Document) {
    let who = trace.choose(Var::Subject, 0, Odds::Even(document.cast.len()));
    trace.say("To the");
    let place = trace.draw(Var::Place, 0, Odds::Even(20));
    trace.word(Class::Place, place);
    trace.say("went");
    hold_character(trace, &document.cast[who]);
    trace.word(Class::Name, document.cast[who].name);
    trace.say(".");
    document.cast[who].place = Some(place);
    document.last_subject = Some(who);
}

fn find(trace: &mut Trace, document: &mut Document) {
    let who = subject(trace, document, |c| c.thing.is_none());
    trace.say(["found a", "discovered a"][document.style]);
    let object = trace.choose(Var::Object, 0, Odds::Even(24));
    let colour = colour_of_object(document, trace, object);
    trace.word(Class::Colour, colour);
    trace.hold(Var::Object, object);
    trace.word(Class::Object, object);
    if document.cast[who].place.is_some() {
        trace.say("there");
    }
    trace.say(".");
    document.cast[who].thing = Some((object, colour));
}

/// A colour for an object: training text leaves one out per object, compositions use only that one.
fn colour_of_object(document: &Document, trace: &mut Trace, object: usize) -> usize {
    let all = LEXICON.size(Class::Colour);
    let compositions = document.config.split == Split::Compositions;
    let allowed = |&c: &usize| unusual(c, object) == compositions;
    let colours: Vec<usize> = (0..all).filter(allowed).collect();
    let colour = colours[trace.choose(Var::ObjectColour, 0, Odds::Even(colours.len()))];
    trace.hold(Var::ObjectColour, colour);
    colour
}

/// Feelings 0 to 5 are cheerful. The planted correlation moves the formal style towards them.
fn feel(trace: &mut Trace, document: &mut Document) {
    let who = subject(trace, document, |_| true);
    trace.say("felt");
    let cheerful = 0.5 + if document.style == 1 { 0.5 * document.config.spurious } else { 0.0 };
    let share = |i: usize| if i < 6 { cheerful / 6.0 } else { (1.0 - cheerful) / 6.0 };
    let odds = cumulative((0..12).map(share));
    let feeling = trace.draw(Var::Feeling, 0, Odds::Table(&odds));
    trace.word(Class::Feeling, feeling);
    if let Some((object, _)) = document.cast[who].thing
        && trace.draw(Var::More, 0, Odds::Chance(0.5)) == 1
    {
        trace.say("about the");
        trace.word(Class::Object, object);
    }
    trace.say(".");
}

fn give(trace: &mut Trace, document: &mut Document) {
    let who = subject(trace, document, |c| c.thing.is_some());
    let Some((object, colour)) = document.cast[who].thing else { return };
    trace.say(["gave the", "presented the"][document.style]);
    trace.word(Class::Object, object);
    trace.say("to");
    let other = other(trace, document, who);
    trace.say(".");
    document.cast[who].thing = None;
    document.cast[other].thing = Some((object, colour));
}

/// `Ann met Ben at the river.` Both are there from now on.
fn meet(trace: &mut Trace, document: &mut Document) {
    let who = subject(trace, document, |_| true);
    trace.say(["met", "encountered"][document.style]);
    let other = other(trace, document, who);
    trace.say("at the");
    let place = trace.draw(Var::Place, 0, Odds::Even(20));
    trace.word(Class::Place, place);
    trace.say(".");
    document.cast[who].place = Some(place);
    document.cast[other].place = Some(place);
}

/// Chooses somebody else of the cast and says the name.
fn other(trace: &mut Trace, document: &Document, who: usize) -> usize {
    let skipped = trace.choose(Var::Other, 0, Odds::Even(document.cast.len() - 1));
    let other = skipped + usize::from(skipped >= who);
    let name = document.cast[other].name;
    trace.hold(Var::Other, name);
    trace.word(Class::Name, name);
    other
}

fn recall_place(trace: &mut Trace, document: &mut Document) {
    let placed: Vec<usize> = (0..document.cast.len()).filter(|&i| document.cast[i].place.is_some()).collect();
    let who = placed[trace.choose(Var::Subject, 0, Odds::Even(placed.len()))];
    trace.say("So");
    hold_character(trace, &document.cast[who]);
    trace.word(Class::Name, document.cast[who].name);
    trace.say("was at the");
    let place = document.cast[who].place.unwrap_or(0);
    trace.answer(Task::Role, |t| t.word(Class::Place, place));
    trace.say(".");
    document.last_subject = Some(who);
}

fn recall_thing(trace: &mut Trace, document: &mut Document) {
    let holders: Vec<usize> =
        (0..document.cast.len()).filter(|&i| document.cast[i].thing.is_some()).collect();
    let who = holders[trace.choose(Var::Subject, 0, Odds::Even(holders.len()))];
    let Some((object, colour)) = document.cast[who].thing else { return };
    trace.say("Now");
    hold_character(trace, &document.cast[who]);
    trace.word(Class::Name, document.cast[who].name);
    trace.say("had the");
    trace.answer(Task::Role, |t| {
        t.word(Class::Colour, colour);
        t.word(Class::Object, object);
    });
    trace.say(".");
    document.last_subject = Some(who);
}

/// `Ann in red handed a ball to Tom in blue. The giver wore red.`
pub(crate) fn roles(trace: &mut Trace, document: &mut Document) {
    let names = LEXICON.size(Class::Name);
    let giver = trace.draw(Var::Giver, 0, Odds::Even(names));
    trace.word(Class::Name, giver);
    trace.say("in");
    let giver_colour = trace.draw(Var::GiverColour, 0, Odds::Even(12));
    trace.word(Class::Colour, giver_colour);
    trace.say(if document.config.split == Split::Templates { "gave a" } else { "handed a" });
    let object = trace.draw(Var::Object, 0, Odds::Even(24));
    trace.word(Class::Object, object);
    trace.say("to");
    let skipped = trace.choose(Var::Taker, 0, Odds::Even(names - 1));
    let taker = skipped + usize::from(skipped >= giver);
    trace.hold(Var::Taker, taker);
    trace.word(Class::Name, taker);
    trace.say("in");
    let skipped = trace.choose(Var::TakerColour, 0, Odds::Even(11));
    let taker_colour = skipped + usize::from(skipped >= giver_colour);
    trace.hold(Var::TakerColour, taker_colour);
    trace.word(Class::Colour, taker_colour);
    trace.say(". The");
    let asked = trace.draw(Var::Asked, 0, Odds::Even(2));
    trace.say(["giver wore", "taker wore"][asked]);
    trace.answer(Task::Role, |t| t.word(Class::Colour, [giver_colour, taker_colour][asked]));
    trace.say(".");
}
