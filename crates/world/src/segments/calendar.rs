//! Days, months and hours, forwards and backwards: three circles of 7, 12 and 24.

use crate::document::Document;
use crate::kinds::{Split, Task};
use crate::lexicon::Class;
use crate::trace::{Odds, Trace};
use crate::variables::Var;

/// A circle: words or numbers, and how far a line goes.
struct Circle {
    points: usize,
    reach: usize,
    unit: [&'static str; 2],
    base: Var,
    result: Var,
    class: Option<Class>,
}

const CIRCLES: [Circle; 3] = [
    Circle {
        points: 7,
        reach: 6,
        unit: ["day", "days"],
        base: Var::BaseDay,
        result: Var::ResultDay,
        class: Some(Class::Day),
    },
    Circle {
        points: 12,
        reach: 11,
        unit: ["month", "months"],
        base: Var::BaseMonth,
        result: Var::ResultMonth,
        class: Some(Class::Month),
    },
    Circle {
        points: 24,
        reach: 12,
        unit: ["hour", "hours"],
        base: Var::BaseHour,
        result: Var::ResultHour,
        class: None,
    },
];

/// `If it is Monday, then two days later it is Wednesday.`
pub(crate) fn write(trace: &mut Trace, document: &Document) {
    if document.config.split == Split::Templates {
        return offset_first(trace);
    }
    trace.say("If it is");
    let circle = trace.draw(Var::Calendar, 0, Odds::Even(3));
    let circle = &CIRCLES[circle];
    let base = trace.draw(circle.base, 0, Odds::Even(circle.points));
    point(trace, circle, base);
    trace.say(", then");
    let offset = offset(trace, circle);
    let backwards = trace.draw(Var::Backwards, 0, Odds::Chance(0.3)) == 1;
    trace.say(if backwards { "earlier it was" } else { "later it is" });
    result(trace, circle, base, offset, backwards);
    trace.say(".");
}

/// `Two days after Monday it is Wednesday`: the word order of the split `templates`.
fn offset_first(trace: &mut Trace) {
    trace.say("If");
    let circle = &CIRCLES[trace.draw(Var::Calendar, 0, Odds::Even(3))];
    let offset = offset(trace, circle);
    trace.say("after");
    let base = trace.draw(circle.base, 0, Odds::Even(circle.points));
    point(trace, circle, base);
    trace.say("then it is");
    result(trace, circle, base, offset, false);
    trace.say(".");
}

fn offset(trace: &mut Trace, circle: &Circle) -> usize {
    let offset = 1 + trace.choose(Var::Offset, 0, Odds::Even(circle.reach));
    trace.hold(Var::Offset, offset);
    trace.word(Class::Number, offset - 1);
    trace.say(circle.unit[usize::from(offset > 1)]);
    offset
}

fn result(trace: &mut Trace, circle: &Circle, base: usize, offset: usize, backwards: bool) {
    let ahead = if backwards { circle.points - offset } else { offset };
    let value = (base + ahead) % circle.points;
    trace.hold(circle.result, value);
    trace.answer(Task::Calendar, |t| point(t, circle, value));
}

fn point(trace: &mut Trace, circle: &Circle, value: usize) {
    match circle.class {
        Some(class) => trace.word(class, value),
        None => {
            trace.number(value);
            trace.say("o'clock");
        }
    }
}
