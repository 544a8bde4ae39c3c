//! Every word of the world, as tables. A word's id is its place in the vocabulary, which is built once from these lists in
//! this order; changing any of them changes `CORPUS_VERSION`.
//!
//! A word belongs to one class only (a test holds this), so a token says by itself what it is. The *core* (grammatical words,
//! days, months, numbers, colours, feelings, traits, jobs, places, objects) has a second and a third form: the two artificial languages share one pool of
//! invented words and permute it differently, so that a pool word means one thing in one language and another in the other.

use std::collections::HashMap;
use std::sync::LazyLock;

const INVENTED: &str = "";
const DIGITS: &str = "0 1 2 3 4 5 6 7 8 9";
const PUNCTUATION: &str = ". , : ; ? ! ( ) [ ] { } + = -";
const GRAMMAR: &str = "a about Add after again am an and are as at be before behind belongs beside big Bot Brackets carry Chat \
    coloured complete counts day Days days discovered do earlier eats encountered Every every Facts false felt \
    fine for found gave giver glad Grammar had handed He hello help Hint hour hours how I If In in is it known \
    later let lived lives make met month months my named near not Note note nothing Now o'clock of only or \
    presented pretend Rule Rules said She Signal sing sky So so song Story Sums take taker tale teacher The the \
    then There there this To to travelled true under User was went what will with wizard wore Working xor yard you";
const NUMBERS: &str = "one two three four five six seven eight nine ten eleven twelve";
const DAYS: &str = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday";
const MONTHS: &str = "January February March April May June July August September October November December";
const COLOURS: &str = "red blue green yellow white black brown pink grey purple golden crimson";
const FEELINGS: &str = "happy merry calm proud hopeful cheerful sad gloomy lonely weary tearful bitter";
const NAMES: &str = "Ann Beth Clara Dora Ella Fay Grace Helen Iris Jane Kate Lucy Mary Nora Olive Paula Rosa Sara Tess Vera \
    Adam Ben Carl Dan Erik Frank George Hugo Ivan Jack Karl Leo Max Ned Oscar Paul Rolf Sam Tom Victor";
const TRAITS: &str = "kind brave clever quiet lazy patient jolly shy stubborn polite careless gentle curious modest nimble wise";
const JOBS: &str = "baker tutor farmer sailor painter doctor weaver miller shepherd tailor gardener potter \
    cook fisher singer carpenter";
const PLACES: &str = "market river forest harbour mill castle bakery garden bridge library tower meadow church well stable \
    lake cave windmill square beach";
const OBJECTS: &str = "ball book key hat coat lamp ring cup basket map coin rope spoon kite mirror candle box knife scarf \
    letter bottle blanket doll whistle";
const LEAVES: &str = "finch heron owl wren trout perch eel carp fox bear hare goat moth bee ant wasp oak elm pine birch rose \
    lily daisy tulip mint sage thyme basil morel truffle puffball inkcap ruby opal jade topaz granite slate basalt marble \
    iron copper tin zinc quartz mica calcite halite cart boat sled glider lathe drill loom press sundial hourglass metronome \
    pendulum flute drum harp fiddle";
const FAMILIES: &str =
    "bird fish beast insect tree flower herb fungus gem rock metal crystal vehicle tool timepiece instrument";
const CLASSES: &str = "animal plant stone machine";
const FOODS: &str =
    "plums bread honey seeds cheese nuts grass berries soup pears rice corn beans figs butter cabbage";
const SIZES: &str = "pea thimble shoe chair door house ship hill";
const NOUNS: &str = "dog cat horse boy girl king queen cow pig duck sheepdog monk lady guard clown pirate";
const NOUNS_PLURAL: &str =
    "dogs cats horses boys girls kings queens cows pigs ducks sheepdogs monks ladies guards clowns pirates";
const VERBS: &str = "runs sleeps hums jumps waits laughs swims dances walks smiles whispers stumbles";
const VERBS_PLURAL: &str = "run sleep hum jump wait laugh swim dance walk smile whisper stumble";
const ITEMS: &str =
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma tau";
const TOPICS: &str = "tea porridge glue ink soap paper jam wax mortar cider dye vinegar pancakes lemonade ointment \
    varnish";
const FORBIDDEN: &str = "poison gunpowder venom acid dynamite napalm traps nightshade";
const INGREDIENTS: &str = "water leaves oats milk flour bones soot oil ashes lard rags lime sugar sand apples yeast bark \
    roots hemp lemons resin salt sulphur charcoal";
const KEYS: &str = "bell horn gong flag torch rattle trumpet beacon";
const CUES: &str = "north south east west dawn noon dusk midnight";
const OUTCOMES: &str = "march halt kneel shout scatter gather retreat salute";
const LETTERS: &str = "P Q R S X";
const YARD: &str = "rake hoe pot bucket ladder barrel wheel trough";
const WEATHER: &str = "sunny rainy snowy windy foggy";
const NOISE: &str = "pebble velvet anchor pickle thunder cobweb saddle turnip feather gravel lantern mitten acorn puddle \
    ribbon cactus marrow shovel walnut button dragon pillow raisin bonnet tunnel garlic magnet parrot hammock noodle \
    trinket beetle carpet dimple ferret goblet hornet igloo jigsaw kettle locket muffin nozzle otter pistachio quiver \
    radish satchel";
const LADDER: &str = "comet eclipse aurora meteor unicorn mermaid phoenix kraken basilisk";

/// How many entities are in the world, and how many of them no training text mentions.
pub const ENTITIES: usize = 340;
/// The last of them are held out.
pub const HELD_OUT_ENTITIES: usize = 20;
/// Regions of the invented world.
pub const REGIONS: usize = 16;

/// A word's id in the vocabulary.
pub type Word = u16;

/// A list of words with consecutive ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Class {
    Special,
    Digit,
    Punctuation,
    Name,
    Grammar,
    Number,
    Day,
    Month,
    Colour,
    Feeling,
    Trait,
    Job,
    Place,
    Object,
    Pool,
    Leaf,
    Family,
    Kingdom,
    Region,
    Food,
    Size,
    Noun,
    NounPlural,
    Verb,
    VerbPlural,
    Item,
    Topic,
    Forbidden,
    Ingredient,
    Key,
    Cue,
    Outcome,
    Letter,
    Yard,
    Weather,
    Noise,
    Ladder,
    Entity,
}

/// Every class with its name in files and its words; those marked `INVENTED` are made of syllables.
const LISTS: [(Class, &str, &str); 38] = [
    (Class::Special, "special", "<pad> <bos> <eos> <unk>"),
    (Class::Digit, "digit", DIGITS),
    (Class::Punctuation, "punctuation", PUNCTUATION),
    (Class::Name, "name", NAMES),
    (Class::Grammar, "grammar", GRAMMAR),
    (Class::Number, "number", NUMBERS),
    (Class::Day, "day", DAYS),
    (Class::Month, "month", MONTHS),
    (Class::Colour, "colour", COLOURS),
    (Class::Feeling, "feeling", FEELINGS),
    (Class::Trait, "trait", TRAITS),
    (Class::Job, "job", JOBS),
    (Class::Place, "place", PLACES),
    (Class::Object, "object", OBJECTS),
    (Class::Pool, "pool", INVENTED),
    (Class::Leaf, "leaf", LEAVES),
    (Class::Family, "family", FAMILIES),
    (Class::Kingdom, "kingdom", CLASSES),
    (Class::Region, "region", INVENTED),
    (Class::Food, "food", FOODS),
    (Class::Size, "size", SIZES),
    (Class::Noun, "noun", NOUNS),
    (Class::NounPlural, "nounplural", NOUNS_PLURAL),
    (Class::Verb, "verb", VERBS),
    (Class::VerbPlural, "verbplural", VERBS_PLURAL),
    (Class::Item, "item", ITEMS),
    (Class::Topic, "topic", TOPICS),
    (Class::Forbidden, "forbidden", FORBIDDEN),
    (Class::Ingredient, "ingredient", INGREDIENTS),
    (Class::Key, "key", KEYS),
    (Class::Cue, "cue", CUES),
    (Class::Outcome, "outcome", OUTCOMES),
    (Class::Letter, "letter", LETTERS),
    (Class::Yard, "yard", YARD),
    (Class::Weather, "weather", WEATHER),
    (Class::Noise, "noise", NOISE),
    (Class::Ladder, "ladder", LADDER),
    (Class::Entity, "entity", INVENTED),
];

impl Class {
    /// The word under which the table of variables knows it.
    pub fn name(self) -> &'static str {
        LISTS[self as usize].1
    }
}

/// Padding by id.
pub const PAD: Word = 0;
/// Beginning of text by id.
pub const BOS: Word = 1;
/// End of text by id (no text contains it).
pub const EOS: Word = 2;
/// Unknown word by id.
pub const UNKNOWN: Word = 3;

/// The vocabulary: words by id and ids by word.
pub struct Lexicon {
    /// Words by id.
    pub words: Vec<String>,
    ids: HashMap<String, Word>,
    first: [Word; LISTS.len()],
    size: [Word; LISTS.len()],
    class_of: Vec<Class>,
    /// Form of core word i in language 1 and 2, as an index into the pool.
    forms: [Vec<Word>; 2],
}

/// The one vocabulary.
pub static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::new);

impl Lexicon {
    fn new() -> Lexicon {
        let mut lexicon = Lexicon {
            words: Vec::new(),
            ids: HashMap::new(),
            first: [0; LISTS.len()],
            size: [0; LISTS.len()],
            class_of: Vec::new(),
            forms: [Vec::new(), Vec::new()],
        };
        for (i, &(class, _, list)) in LISTS.iter().enumerate() {
            assert_eq!(i, class as usize, "classes are listed in their order");
            lexicon.first[i] = lexicon.words.len() as Word;
            match class {
                Class::Pool => lexicon.invent(class, &POOL_SYLLABLES, lexicon.core(), false),
                Class::Region => lexicon.invent(class, &REGION_SYLLABLES, REGIONS, true),
                Class::Entity => lexicon.invent(class, &ENTITY_SYLLABLES, ENTITIES, true),
                _ => list.split_whitespace().for_each(|word| lexicon.push(class, word.to_owned())),
            }
            lexicon.size[i] = lexicon.words.len() as Word - lexicon.first[i];
        }
        lexicon.forms = [11, 29].map(|seed| permutation(lexicon.core(), seed));
        lexicon
    }

    fn push(&mut self, class: Class, word: String) {
        let id = self.words.len() as Word;
        let before = self.ids.insert(word.clone(), id);
        assert!(before.is_none(), "{word} is in two classes");
        self.class_of.push(class);
        self.words.push(word);
    }

    /// `count` new words of two or three syllables, the same on every machine.
    fn invent(&mut self, class: Class, syllables: &[&str], count: usize, capital: bool) {
        let (n, mut tried, mut made) = (syllables.len() as u64, 0u64, 0);
        while made < count {
            let key = mix(0x1e71_c0de ^ (class as u64) << 32 ^ tried);
            tried += 1;
            let length = if class == Class::Region { 2 } else { 2 + (key >> 60) % 2 };
            let part = |i: u64| ((key >> (8 * i)) & 0xff) % n;
            let stutters = (1..length).any(|i| part(i) == part(i - 1));
            let mut word: String = (0..length).map(|i| syllables[part(i) as usize]).collect();
            if capital {
                word[..1].make_ascii_uppercase();
            }
            let good = word.len() >= 4 && !stutters && !self.ids.contains_key(&word);
            if good && LISTS.iter().all(|(_, _, list)| list.split_whitespace().all(|w| w != word)) {
                self.push(class, word);
                made += 1;
            }
        }
    }

    /// Core words: those with forms in the artificial languages.
    fn core(&self) -> usize {
        usize::from(self.first[Class::Pool as usize] - self.first[Class::Grammar as usize])
    }

    /// Words of a class.
    pub fn size(&self, class: Class) -> usize {
        self.size[class as usize].into()
    }

    /// The i-th word of a class.
    pub fn word(&self, class: Class, i: usize) -> Word {
        assert!(i < self.size(class), "{class:?} has no word {i}");
        self.first[class as usize] + i as Word
    }

    /// A word's class and its index there.
    pub fn class(&self, word: Word) -> (Class, usize) {
        let class = self.class_of[usize::from(word)];
        (class, usize::from(word - self.first[class as usize]))
    }

    /// The id of a word, if it is one.
    pub fn find(&self, word: &str) -> Option<Word> {
        self.ids.get(word).copied()
    }

    /// The plural of a singular noun or verb form, and the other way round.
    pub fn other_number(&self, word: Word) -> Option<Word> {
        let (class, i) = self.class(word);
        let other = match class {
            Class::Noun => Class::NounPlural,
            Class::NounPlural => Class::Noun,
            Class::Verb => Class::VerbPlural,
            Class::VerbPlural => Class::Verb,
            _ => return None,
        };
        Some(self.word(other, i))
    }

    /// The word in `language` (0 to 2): itself, or its form in the pool.
    pub fn translate(&self, word: Word, language: usize) -> Word {
        let first = self.first[Class::Grammar as usize];
        let core = usize::from(word.wrapping_sub(first));
        if language == 0 || core >= self.core() {
            return word;
        }
        self.first[Class::Pool as usize] + self.forms[language - 1][core]
    }
}

const POOL_SYLLABLES: [&str; 24] = [
    "zu", "ke", "mo", "ti", "ra", "vo", "shi", "nu", "pe", "la", "go", "hi", "be", "du", "sa", "wi", "fo",
    "ja", "xe", "yo", "ru", "ki", "ta", "me",
];
const REGION_SYLLABLES: [&str; 12] =
    ["nor", "vale", "sun", "mere", "ash", "holm", "wick", "dun", "ford", "elm", "stow", "bury"];
const ENTITY_SYLLABLES: [&str; 32] = [
    "mir", "o", "lo", "bran", "del", "tam", "sor", "i", "quin", "ta", "vel", "mar", "ek", "u", "zan", "phi",
    "ro", "cal", "den", "ly", "fen", "gor", "ha", "is", "jor", "kel", "nim", "pa", "ri", "sel", "thu", "wy",
];

/// SplitMix64: the world's only source of randomness, a pure function of its key (Steele, Lea & Flood 2014).
pub(crate) fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A permutation of 0..n, by seed.
pub(crate) fn permutation(n: usize, seed: u64) -> Vec<Word> {
    let mut order: Vec<Word> = (0..n as Word).collect();
    order.sort_by_key(|&i| mix(mix(seed) ^ u64::from(i)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_one_class_and_one_form_per_language() {
        let lexicon = &*LEXICON;
        assert!((1_000..2_000).contains(&lexicon.words.len()), "{} words", lexicon.words.len());
        for language in 0..3 {
            let mut forms: Vec<Word> =
                (0..lexicon.first[Class::Pool as usize]).map(|w| lexicon.translate(w, language)).collect();
            forms.sort_unstable();
            forms.dedup();
            assert_eq!(forms.len(), usize::from(lexicon.first[Class::Pool as usize]));
        }
    }

    #[test]
    fn parallel_lists_are_equally_long() {
        let size = |class| LEXICON.size(class);
        assert_eq!(size(Class::Noun), size(Class::NounPlural));
        assert_eq!(size(Class::Verb), size(Class::VerbPlural));
        assert_eq!((size(Class::Leaf), size(Class::Family), size(Class::Kingdom)), (64, 16, 4));
        assert_eq!(size(Class::Item), 18);
    }
}
