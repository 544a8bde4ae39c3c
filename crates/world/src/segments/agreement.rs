//! Agreement of verb and subject across distracting nouns, and nested brackets.

use crate::kinds::Task;
use crate::lexicon::{Class, LEXICON};
use crate::trace::{Odds, Trace};
use crate::variables::Var;

const NEAR: [&str; 4] = ["near", "behind", "beside", "under"];

fn noun(trace: &mut Trace, which: Var, number: Var, index: usize) -> usize {
    let noun = trace.draw(which, index, Odds::Even(16));
    let plural = trace.draw(number, index, Odds::Even(2));
    trace.word([Class::Noun, Class::NounPlural][plural], noun);
    plural
}

/// `The dogs near the cat behind the trees run.`
pub(crate) fn write(trace: &mut Trace) {
    trace.say("The");
    let plural = noun(trace, Var::Noun, Var::Number, 0);
    for i in 0..2 {
        if trace.draw(Var::More, i, Odds::Chance(0.55)) == 0 {
            break;
        }
        let near = trace.draw(Var::Form, i, Odds::Even(NEAR.len()));
        trace.say(NEAR[near]);
        trace.say("the");
        noun(trace, Var::Distractor, Var::DistractorNumber, i);
    }
    let verb = trace.draw(Var::Verb, 0, Odds::Even(12));
    trace.answer(Task::Agreement, |t| t.word([Class::Verb, Class::VerbPlural][plural], verb));
    trace.say(".");
}

const OPEN: [&str; 3] = ["(", "[", "{"];
const CLOSE: [&str; 3] = [")", "]", "}"];
/// Deepest nesting.
const DEEPEST: usize = 4;
/// Brackets opened in a line, at most.
const OPENED: usize = 6;

/// `Brackets: ( [ pebble ] { } ).`
pub(crate) fn brackets(trace: &mut Trace) {
    trace.say("Brackets :");
    let (mut open, mut opened, mut step) = (Vec::new(), 0, 0);
    loop {
        let may_open = open.len() < DEEPEST && opened < OPENED;
        let may_close = !open.is_empty();
        let may_end = open.is_empty() && opened > 1;
        let move_ = match (may_open, may_close || may_end) {
            (true, true) => trace.draw(Var::More, step, Odds::Even(2)),
            (may_open, _) => usize::from(may_open),
        };
        if trace.halted() {
            return;
        }
        step += 1;
        if move_ == 1 {
            let bracket = trace.draw(Var::Innermost, opened, Odds::Even(3));
            opened += 1;
            trace.hold(Var::Opens, opened);
            open.push(bracket);
            hold_depth(trace, &open);
            trace.say(OPEN[bracket]);
            if opened == 2 && trace.choose(Var::Noise, 0, Odds::Chance(0.3)) == 1 {
                let item = trace.draw(Var::Noise, 1, Odds::Even(LEXICON.size(Class::Noise)));
                trace.word(Class::Noise, item);
            }
        } else if let Some(bracket) = open.pop() {
            trace.answer(Task::Bracket, |t| t.say(CLOSE[bracket]));
            hold_depth(trace, &open);
        } else {
            break;
        }
    }
    trace.say(".");
}

fn hold_depth(trace: &mut Trace, open: &[usize]) {
    trace.hold(Var::Depth, open.len());
    match open.last() {
        Some(&bracket) => trace.hold(Var::Innermost, bracket),
        None => trace.drop(Var::Innermost),
    }
}
