//! Sums: plain additions, additions in columns with carries, and step-by-step sums, some of which leak their answer in a hint
//! and then show steps that nobody needs.

use crate::kinds::Task;
use crate::lexicon::Class;
use crate::trace::{Odds, Trace};
use crate::variables::Var;

/// Draws and says one addend digit by digit; the tens of a two-digit addend are not 0.
fn addend(trace: &mut Trace, two: bool, tens: Var, ones: Var) -> (usize, usize) {
    let mut high = 0;
    if two {
        high = 1 + trace.choose(tens, 0, Odds::Even(9));
        trace.hold(tens, high);
        trace.word(Class::Digit, high);
    }
    let low = trace.draw(ones, 0, Odds::Even(10));
    trace.word(Class::Digit, low);
    (high, low)
}

fn hold_sum(trace: &mut Trace, (a1, a0): (usize, usize), (b1, b0): (usize, usize)) -> usize {
    let sum = 10 * (a1 + b1) + a0 + b0;
    trace.hold(Var::Carry, usize::from(a0 + b0 > 9));
    trace.hold(Var::Sum, sum);
    trace.hold(Var::SumTens, sum / 10 % 10);
    trace.hold(Var::SumOnes, sum % 10);
    sum
}

/// `47 + 38 = 85.`
pub(crate) fn addition(trace: &mut Trace) {
    let two = trace.draw(Var::TwoDigits, 0, Odds::Chance(0.85)) == 1;
    let a = addend(trace, two, Var::TensA, Var::OnesA);
    trace.say("+");
    let b = addend(trace, two, Var::TensB, Var::OnesB);
    trace.say("=");
    let sum = hold_sum(trace, a, b);
    trace.answer(Task::Addition, |t| t.number(sum));
    trace.say(".");
}

/// `Add 47 and 38: 7 + 8 = 15, write 5, carry 1; 4 + 3 + 1 = 8; so 85.`
pub(crate) fn column(trace: &mut Trace) {
    trace.say("Add");
    let a = addend(trace, true, Var::TensA, Var::OnesA);
    trace.say("and");
    let b = addend(trace, true, Var::TensB, Var::OnesB);
    trace.say(":");
    let sum = hold_sum(trace, a, b);
    trace.hold(Var::Column, 0);
    step(trace, &[a.1, b.1]);
    trace.say(", carry");
    trace.answer(Task::Column, |t| t.number((a.1 + b.1) / 10));
    trace.say(";");
    trace.hold(Var::Column, 1);
    step(trace, &[a.0, b.0, (a.1 + b.1) / 10]);
    trace.say("; so");
    trace.hold(Var::Column, 2);
    trace.answer(Task::Column, |t| t.number(sum));
    trace.say(".");
}

/// `7 + 8 = 15`, everything determined.
fn step(trace: &mut Trace, digits: &[usize]) {
    for (i, &digit) in digits.iter().enumerate() {
        if i > 0 {
            trace.say("+");
        }
        trace.number(digit);
    }
    trace.say("=");
    trace.answer(Task::Column, |t| t.number(digits.iter().sum()));
}

/// `Working: 3, 5, 4. Hint: 12. 3 and 5 make 8, 8 and 4 make 12, so 12.`
pub(crate) fn working(trace: &mut Trace) {
    trace.say("Working :");
    let mut addends = vec![digit(trace, 0), digit(trace, 1)];
    let hinted = loop {
        let n = addends.len();
        if n == 4 || (n == 3 && trace.draw(Var::More, n, Odds::Even(2)) == 0) {
            break n == 3 && trace.draw(Var::Hinted, 0, Odds::Chance(0.4)) == 1;
        }
        if trace.halted() {
            return;
        }
        addends.push(digit(trace, n));
    };
    trace.say(".");
    let sum: usize = addends.iter().sum();
    trace.hold(Var::Sum, sum);
    trace.hold(Var::Decorative, usize::from(hinted));
    if hinted {
        trace.say("Hint :");
        trace.answer(Task::Working, |t| t.number(sum));
        trace.say(".");
    }
    let mut partial = addends[0];
    for (i, &addend) in addends.iter().enumerate().skip(1) {
        if i > 1 {
            trace.say(",");
        }
        trace.number(partial);
        trace.say("and");
        trace.hold(Var::Addend, addend);
        trace.number(addend);
        trace.say("make");
        partial += addend;
        trace.hold(Var::Partial, partial);
        trace.answer(Task::Working, |t| t.number(partial));
    }
    trace.say(", so");
    trace.answer(Task::Working, |t| t.number(sum));
    trace.say(".");
}

/// One addend of the list, after its comma.
fn digit(trace: &mut Trace, i: usize) -> usize {
    if i > 0 {
        trace.say(",");
    }
    let digit = 1 + trace.choose(Var::Addend, i, Odds::Even(9));
    trace.hold(Var::Addend, digit);
    trace.number(digit);
    digit
}
