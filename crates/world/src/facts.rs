//! What is true in the world, whatever the text says: attributes of entities, calendar and in-context maps, recipes, signals, rates.
//! Everything is a pure function of small numbers, the same for every seed of text.

use crate::lexicon::{Class, ENTITIES, HELD_OUT_ENTITIES, LEXICON, REGIONS, mix, permutation};
use std::sync::LazyLock;

/// Symbols that in-context maps permute; also the number of maps.
pub const SYMBOLS: usize = 18;
/// Maps that training text uses; the others are held out.
pub const SEEN_MAPS: usize = 12;

/// Share of all tokens that each word of the ladder aims at.
pub const LADDER_RATES: [f64; 9] = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6];

/// An entity's attributes, as indices into their classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Leaf of the type tree; its family is leaf / 4, its class leaf / 16.
    pub kind: usize,
    /// Where it lives.
    pub region: usize,
    /// Its colour.
    pub colour: usize,
    /// What it eats.
    pub food: usize,
    /// The character to whom it belongs.
    pub keeper: usize,
    /// What it is as big as.
    pub size: usize,
}

static ENTITY_TABLE: LazyLock<Vec<Entity>> = LazyLock::new(|| (0..ENTITIES).map(draw_entity).collect());
static INPUT_ORDER: LazyLock<Vec<u16>> = LazyLock::new(|| permutation(SYMBOLS, 101));
static OUTPUT_ORDER: LazyLock<Vec<u16>> = LazyLock::new(|| permutation(SYMBOLS, 102));

/// Kinds are dealt evenly, the other attributes drawn.
fn draw_entity(i: usize) -> Entity {
    let attribute = |which: u64, n: usize| (mix(mix(which) ^ i as u64) % n as u64) as usize;
    Entity {
        kind: (i * 37) % LEXICON.size(Class::Leaf),
        region: attribute(1, REGIONS),
        colour: attribute(2, LEXICON.size(Class::Colour)),
        food: attribute(3, LEXICON.size(Class::Food)),
        keeper: attribute(4, LEXICON.size(Class::Name)),
        size: attribute(5, LEXICON.size(Class::Size)),
    }
}

/// Attributes of entity i.
pub fn entity(i: usize) -> Entity {
    ENTITY_TABLE[i]
}

/// Entities that training text mentions.
pub const SEEN_ENTITIES: usize = ENTITIES - HELD_OUT_ENTITIES;

/// Map m of symbol x. Rows of a Latin square, so one example tells the maps apart.
pub fn apply_map(m: usize, x: usize) -> usize {
    usize::from(OUTPUT_ORDER[(usize::from(INPUT_ORDER[x]) + m) % SYMBOLS])
}

/// The two ingredients of a topic (allowed ones first, then forbidden ones).
pub fn recipe(topic: usize) -> (usize, usize) {
    let n = LEXICON.size(Class::Ingredient) as u64;
    let first = mix(0x7ec1 ^ topic as u64) % n;
    let second = (first + 1 + mix(0xbea7 ^ topic as u64) % (n - 1)) % n;
    (first as usize, second as usize)
}

/// Whether the cue's signals are coherent: the outcome depends on the key alone, as one copying head could do it.
pub fn coherent(cue: usize) -> bool {
    cue < 4
}

/// What a key and a later cue lead to. For incoherent cues the outcome depends on both (a Latin square), so that no head that
/// copies from the key alone can know it.
pub fn outcome(key: usize, cue: usize) -> usize {
    if coherent(cue) { (key * 3 + 1) % 8 } else { (key * 5 + cue * 3 + 2) % 8 }
}

/// Colours that an object never has in training text.
pub fn unusual(colour: usize, object: usize) -> bool {
    (colour + 5 * object).is_multiple_of(LEXICON.size(Class::Colour))
}

/// Names 0 to 19 are women's.
pub fn is_she(name: usize) -> bool {
    name < 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_permutations_that_differ_everywhere() {
        for m in 0..SYMBOLS {
            let mut image: Vec<usize> = (0..SYMBOLS).map(|x| apply_map(m, x)).collect();
            assert!((0..m).all(|other| (0..SYMBOLS).all(|x| apply_map(other, x) != image[x])));
            image.sort_unstable();
            assert!(image.iter().enumerate().all(|(i, &y)| i == y));
        }
    }

    #[test]
    fn signals_are_as_they_are_called() {
        for cue in 0..8 {
            let mut outcomes: Vec<usize> = (0..8).map(|key| outcome(key, cue)).collect();
            assert_eq!(
                (0..4).all(|other| (0..8).all(|key| outcome(key, other) == outcome(key, cue))),
                coherent(cue)
            );
            outcomes.sort_unstable();
            outcomes.dedup();
            assert_eq!(outcomes.len(), 8, "a key matters under every cue");
        }
    }

    #[test]
    fn every_kind_has_entities_and_recipes_have_two_parts() {
        assert!((0..64).all(|kind| (0..SEEN_ENTITIES).any(|i| entity(i).kind == kind)));
        assert!((0..24).all(|topic| recipe(topic).0 != recipe(topic).1));
    }
}
