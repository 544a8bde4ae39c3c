//! Lines without much sense: notes of random words (the text's noise, sometimes echoed, with the rarity ladder among them), and
//! yards, where things occur in pairs that are correlated by design, under a sky that is in exactly one state.

use crate::facts::LADDER_RATES;
use crate::lexicon::{Class, LEXICON};
use crate::trace::{Odds, Trace, cumulative};
use crate::variables::Var;
use std::sync::LazyLock;

/// Share of all tokens that are listed words of notes, by which the rates are divided (measured; a test holds it to 10 %).
const NOTE_WORDS: f64 = 0.0310;
/// Correlation of the two things of each pair in a yard.
const PAIR_CORRELATIONS: [f64; 4] = [0.0, 0.5, 0.9, 1.0];
/// How often the first thing of a pair is there.
const PAIR_RATE: f64 = 0.4;

/// Common words first, then the ladder.
static WORD_ODDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let common = LEXICON.size(Class::Noise);
    let ladder = LADDER_RATES.map(|rate| rate / NOTE_WORDS);
    let rest = 1.0 - ladder.iter().sum::<f64>();
    cumulative((0..common).map(|_| rest / common as f64).chain(ladder))
});

/// `Note: pebble velvet anchor, again pebble velvet anchor.`
pub(crate) fn write(trace: &mut Trace) {
    trace.say("Note :");
    let mut listed = Vec::new();
    for i in 0..6 {
        let word = trace.draw(Var::Noise, i, Odds::Table(&WORD_ODDS));
        if trace.halted() {
            return;
        }
        listed.push(word);
        trace.hold(Var::Listed, listed.len());
        say_listed(trace, word);
        if (1..5).contains(&i) && trace.draw(Var::More, i, Odds::Chance(0.75)) == 0 {
            break;
        }
    }
    if trace.draw(Var::Echo, 0, Odds::Chance(0.4)) == 1 {
        trace.say(", again");
        for word in listed {
            trace.hold(Var::Noise, word);
            say_listed(trace, word);
        }
    }
    trace.say(".");
}

fn say_listed(trace: &mut Trace, word: usize) {
    let common = LEXICON.size(Class::Noise);
    if word < common {
        trace.word(Class::Noise, word);
    } else {
        trace.word(Class::Ladder, word - common);
    }
}

const PRESENT: [Var; 8] =
    [Var::Yard0, Var::Yard1, Var::Yard2, Var::Yard3, Var::Yard4, Var::Yard5, Var::Yard6, Var::Yard7];

/// `The sky was sunny. In the yard: rake, hoe, barrel.`
pub(crate) fn yard(trace: &mut Trace) {
    trace.say("The sky was");
    let weather = trace.draw(Var::Weather, 0, Odds::Even(5));
    trace.word(Class::Weather, weather);
    trace.say(". In the yard :");
    let (mut before, mut any) = (0, false);
    for (i, &var) in PRESENT.iter().enumerate() {
        let rho = PAIR_CORRELATIONS[i / 2];
        let rate = match (i % 2, before) {
            (0, _) => PAIR_RATE,
            (_, 1) => PAIR_RATE + rho * (1.0 - PAIR_RATE),
            _ => PAIR_RATE * (1.0 - rho),
        };
        before = trace.choose(var, 0, Odds::Chance(rate));
        if before == 1 {
            trace.hold(var, 1);
            if any {
                trace.say(",");
            }
            trace.word(Class::Yard, i);
            any = true;
        }
    }
    trace.say(if any { "." } else { "nothing ." });
}
