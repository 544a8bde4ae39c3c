//! Boolean chains: P and Q are given, R follows from them, S from R; the last is asked. XOR is among the operators, and a chain
//! of two steps needs two layers.

use crate::kinds::Task;
use crate::trace::{Odds, Trace};
use crate::variables::Var;

const OPERATORS: [&str; 3] = ["and", "or", "xor"];
const VALUES: [&str; 2] = ["false", "true"];

fn apply(operator: usize, a: usize, b: usize) -> usize {
    [a & b, a | b, a ^ b][operator]
}

/// `P is true. Q is false. R is P and Q. S is R or Q. So S is false.`
pub(crate) fn write(trace: &mut Trace) {
    let p = given(trace, "P", Var::ValueP);
    let q = given(trace, "Q", Var::ValueQ);
    trace.say("R is P");
    let operator = trace.draw(Var::OperatorR, 0, Odds::Even(3));
    trace.say(OPERATORS[operator]);
    let r = apply(operator, p, q);
    trace.hold(Var::ValueR, r);
    trace.say("Q .");
    let two = trace.draw(Var::Hops, 0, Odds::Even(2)) == 1;
    let (name, value) = if two { ("S", second(trace, r, p, q)) } else { ("R", r) };
    trace.say("So");
    trace.say(name);
    trace.say("is");
    trace.answer(Task::Logic, |t| t.say(VALUES[value]));
    trace.say(".");
}

fn given(trace: &mut Trace, name: &str, var: Var) -> usize {
    trace.say(name);
    trace.say("is");
    let value = trace.draw(var, 0, Odds::Even(2));
    trace.say(VALUES[value]);
    trace.say(".");
    value
}

fn second(trace: &mut Trace, r: usize, p: usize, q: usize) -> usize {
    trace.say("S is R");
    let operator = trace.draw(Var::OperatorS, 0, Odds::Even(3));
    trace.say(OPERATORS[operator]);
    let operand = trace.draw(Var::OperandS, 0, Odds::Even(2));
    let value = apply(operator, r, [p, q][operand]);
    trace.hold(Var::ValueS, value);
    trace.say(["P", "Q"][operand]);
    trace.say(".");
    value
}
