//! In-context maps (examples of a hidden rule, then a query), and signals: skip-trigrams `[key] … [cue]: [outcome]`.

use crate::document::Document;
use crate::facts::{SEEN_MAPS, SYMBOLS, apply_map, coherent, outcome};
use crate::kinds::{Split, Task};
use crate::lexicon::{Class, LEXICON};
use crate::trace::{Odds, Trace};
use crate::variables::Var;

/// Examples of a line, at most; the last one is the query.
const EXAMPLES: usize = 6;

/// `Rule: tau to mu, pi to xi, rho to nu.` The map is hidden, its first example tells it.
pub(crate) fn function(trace: &mut Trace, document: &Document) {
    trace.say("Rule :");
    let map = match document.config.split {
        Split::Compositions => SEEN_MAPS + trace.choose(Var::Map, 0, Odds::Even(SYMBOLS - SEEN_MAPS)),
        _ => trace.choose(Var::Map, 0, Odds::Even(SEEN_MAPS)),
    };
    trace.hold(Var::Map, map);
    for i in 0..EXAMPLES {
        trace.hold(Var::Example, i);
        example(trace, map, i);
        let more = i + 1 < 3 || (i + 1 < EXAMPLES && trace.draw(Var::More, i, Odds::Chance(0.6)) == 1);
        trace.say(if more { "," } else { "." });
        if !more {
            break;
        }
    }
}

/// `tau to mu`; all but the first are determined once the input is said.
fn example(trace: &mut Trace, map: usize, i: usize) {
    let input = trace.draw(Var::Input, i, Odds::Even(SYMBOLS));
    trace.word(Class::Item, input);
    trace.say("to");
    let output = apply_map(map, input);
    trace.hold(Var::Output, output);
    if i == 0 {
        trace.word(Class::Item, output);
    } else {
        trace.answer(Task::Function, |t| t.word(Class::Item, output));
    }
    trace.drop(Var::Output);
    trace.drop(Var::Input);
}

/// `Signal bell, pebble, turnip, then north: halt.`
pub(crate) fn signal(trace: &mut Trace) {
    trace.say("Signal");
    let key = trace.draw(Var::Key, 0, Odds::Even(8));
    trace.word(Class::Key, key);
    for i in 0..3 {
        if trace.draw(Var::More, i, Odds::Chance(0.6)) == 0 {
            break;
        }
        let filler = trace.draw(Var::Noise, i, Odds::Even(LEXICON.size(Class::Noise)));
        trace.word(Class::Noise, filler);
    }
    trace.drop(Var::Noise);
    trace.say("then");
    let cue = trace.draw(Var::Cue, 0, Odds::Even(8));
    trace.hold(Var::Coherent, usize::from(coherent(cue)));
    trace.word(Class::Cue, cue);
    trace.say(":");
    let outcome = outcome(key, cue);
    trace.hold(Var::Outcome, outcome);
    trace.answer(Task::Signal, |t| t.word(Class::Outcome, outcome));
    trace.say(".");
}
