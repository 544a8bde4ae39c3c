//! Pairs of texts about invented things, for interchange: `Xyz lives in` and the same of another thing, with what either would be followed by.
//! They are the language's own minimal pairs, of fresh documents: one draw, the thing, is replaced, and everything else is kept.

use lapidary_catalog::World;
use lapidary_evaluation::disentangling::{Pair, Pairs};
use lapidary_world::facts::entity;
use lapidary_world::lexicon::Class;
use lapidary_world::{Choice, Corpus, LEXICON, Task, Var, Word};

/// Attributes that do not follow from one another.
const ATTRIBUTES: [(&str, Class); 6] = [
    ("kind", Class::Leaf),
    ("region", Class::Region),
    ("colour", Class::Colour),
    ("food", Class::Food),
    ("keeper", Class::Name),
    ("size", Class::Size),
];
/// Longest text, tokens.
const LONGEST: usize = 40;
/// Documents that are looked through for each pair, at most.
const PER_PAIR: u64 = 200;
/// What makes a seed of fresh documents of a seed.
const FRESH: u64 = 0x7061_6972;

/// About `most` pairs, half of them of things with an even number, for choosing, and half of things with an odd one.
pub fn pairs(world: &World, bos: Option<u32>, most: usize) -> Pairs {
    let fresh = Corpus { seed: world.corpus.seed ^ FRESH, ..world.corpus };
    let mut out = Pairs { attributes: ATTRIBUTES.map(|(name, _)| name.into()).to_vec(), pairs: Vec::new() };
    let mut left = [most / 2; 2];
    for n in 0..PER_PAIR * most as u64 {
        if left == [0, 0] {
            break;
        }
        let Some(pair) = of_document(&fresh, n, bos) else { continue };
        let left = &mut left[usize::from(pair.is_fitted)];
        if *left > 0 {
            *left -= 1;
            out.pairs.push(pair);
        }
    }
    out
}

/// The first thing that a document says an attribute of, and another in its place.
fn of_document(corpus: &Corpus, n: u64, bos: Option<u32>) -> Option<Pair> {
    let choices = corpus.choices(n);
    let about = choices.iter().find(|choice| choice.var == Var::About && usize::from(choice.at) < LONGEST)?;
    let tokens = corpus.tokens(n);
    let at = usize::from(about.at);
    let (class, u) = LEXICON.class(*tokens.get(at)?);
    if class != Class::Entity || u != usize::from(about.option) {
        return None; // another order of words
    }
    let v = twin_of(u, about, n);
    let pair = corpus.pair(n, *about, v as u16);
    let end = (at + 1..tokens.len().min(LONGEST)).find(|&i| is_answer(&pair.base, i))?;
    let (word, _) = LEXICON.class(tokens[end]);
    let asked = ATTRIBUTES.iter().position(|(_, class)| *class == word)?;
    let values = [u, v].map(values);
    let twin = &pair.twin.tokens;
    let alike = |i: usize| i == at || tokens[i] == twin[i];
    let as_known = twin.len() > end
        && u32::from(tokens[end]) == values[0][asked]
        && u32::from(twin[end]) == values[1][asked];
    let differs = |a: &usize| values[0][*a] != values[1][*a];
    let others = (1..ATTRIBUTES.len()).map(|k| (asked + k) % ATTRIBUTES.len()).filter(differs);
    let others: Vec<usize> = others.collect();
    if !as_known || !(0..end).all(alike) || !differs(&asked) || others.is_empty() {
        return None;
    }
    let window =
        |tokens: &[Word]| bos.into_iter().chain(tokens[..end].iter().map(|&w| u32::from(w))).collect();
    Some(Pair {
        base: window(&tokens),
        twin: window(twin),
        at: at + usize::from(bos.is_some()),
        asked,
        other: others[n as usize % others.len()],
        values,
        is_fitted: u.is_multiple_of(2),
    })
}

/// Another thing of the same half.
fn twin_of(u: usize, about: &Choice, n: u64) -> usize {
    let half = usize::from(about.options) / 2;
    let step = 1 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % (half - 1);
    (u / 2 + step) % half * 2 + u % 2
}

fn is_answer(sample: &lapidary_world::Sample, i: usize) -> bool {
    let fact = Task::ALL.iter().position(|task| *task == Task::Fact);
    let answer = |mark: &lapidary_world::Mark| {
        mark.variable == Var::Answer as u16 && Some(usize::from(mark.value)) == fact
    };
    sample.at(i).iter().any(answer)
}

/// The words that say a thing's attributes.
fn values(thing: usize) -> Vec<u32> {
    let of = entity(thing);
    let nth = [of.kind, of.region, of.colour, of.food, of.keeper, of.size];
    ATTRIBUTES.iter().zip(nth).map(|((_, class), i)| u32::from(LEXICON.word(*class, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pairs say is parsed back by the language itself: base and twin followed by their answers are text of it, and nothing but the
    /// thing differs.
    #[test]
    fn pairs_are_of_the_language_and_differ_in_the_thing() {
        let world: World = "world:seed=3,tokens=1000".parse().expect("a text");
        let found = pairs(&world, Some(1), 40);
        assert_eq!(found.pairs.len(), 40);
        assert_eq!(found.pairs.iter().filter(|pair| pair.is_fitted).count(), 20);
        for pair in &found.pairs {
            let differ: Vec<usize> = (0..pair.base.len()).filter(|&i| pair.base[i] != pair.twin[i]).collect();
            assert_eq!((differ, pair.base.len()), (vec![pair.at], pair.twin.len()));
            assert!(pair.asked != pair.other && pair.base.len() <= LONGEST);
            for (side, tokens) in [&pair.base, &pair.twin].into_iter().enumerate() {
                let said = tokens[1..].iter().copied().chain([pair.values[side][pair.asked]]);
                let words: Vec<Word> = said.map(|token| token as Word).collect();
                assert!(
                    lapidary_world::parse(world.corpus.config, &words).is_ok(),
                    "{}",
                    lapidary_world::render(&words)
                );
                // The other value of the same attribute is not what the language says.
                let wrong =
                    [&words[..words.len() - 1], &[pair.values[1 - side][pair.asked] as Word]].concat();
                assert!(lapidary_world::parse(world.corpus.config, &wrong).is_err());
            }
        }
    }
}
