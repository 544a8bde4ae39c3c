//! What can be true of a token, as one table.
//!
//! A *variable* is either one of the grammar's own ([`Var`]: the domain, whose turn it is, a carry, the base day of a calendar
//! line), or the *lexeme* of a word (binary: this token is a form of that word, in any language, singular or plural).
//! [`Variable::values`] says how many values it has; a score that needs yes or no takes (variable, value) pairs. The word
//! "latent" is left to features of dictionaries.

use crate::facts::LADDER_RATES;
use crate::kinds::{Domain, Kind, Segment, Task};
use crate::lexicon::{Class, ENTITIES, LEXICON, Word};
use serde::Serialize;

macro_rules! variables {
    ($($var:ident $name:literal $kind:ident $values:expr, $parent:expr;)*) => {
        /// A variable of the grammar; its id is its place here, below [`FIRST_LEXEME`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Var { $($var),* }

        /// Name, kind, number of values and parent of each, by id.
        const SPECS: &[(&str, Kind, usize, Option<Var>)] = &[$(($name, Kind::$kind, $values, $parent)),*];

        impl Var {
            /// All of them, by id.
            pub const ALL: &'static [Var] = &[$(Var::$var),*];
        }
    };
}

variables! {
    Domain "domain" Categorical 8, None;
    Language "language" Categorical 3, None;
    Style "style" Categorical 2, None;
    Segment "segment" Categorical 15, Some(Var::Domain);
    Answer "answer" Categorical 12, None;
    Form "form" Categorical 8, Some(Var::Style);
    More "more" Categorical 8, None;
    Event "story event" Categorical 8, Some(Var::Segment);
    Subject "subject" Categorical 40, None;
    Gender "subject's gender" Categorical 2, Some(Var::Subject);
    Pronoun "subject by pronoun" Categorical 2, None;
    Trait "subject's trait" RoleBound 16, Some(Var::Subject);
    Job "subject's job" RoleBound 16, Some(Var::Subject);
    Place "subject's place" RoleBound 20, Some(Var::Subject);
    Object "object" Categorical 24, None;
    ObjectColour "object's colour" RoleBound 12, Some(Var::Object);
    Feeling "subject's feeling" RoleBound 12, Some(Var::Subject);
    Other "other character" RoleBound 40, None;
    Giver "giver" RoleBound 40, Some(Var::Segment);
    GiverColour "giver's colour" RoleBound 12, Some(Var::Giver);
    Taker "taker" RoleBound 40, Some(Var::Segment);
    TakerColour "taker's colour" RoleBound 12, Some(Var::Taker);
    Asked "asked role" Categorical 2, None;
    About "entity" Categorical ENTITIES, None;
    Attribute "attribute" Categorical 8, Some(Var::About);
    EntityKind "entity's kind" Categorical 64, Some(Var::EntityFamily);
    EntityFamily "entity's family" Categorical 16, Some(Var::EntityClass);
    EntityClass "entity's class" Categorical 4, Some(Var::About);
    EntityRegion "entity's region" Categorical 16, Some(Var::About);
    EntityColour "entity's colour" Categorical 12, Some(Var::About);
    EntityFood "entity's food" Categorical 16, Some(Var::About);
    EntityKeeper "entity's keeper" Categorical 40, Some(Var::About);
    EntitySize "entity's size" Categorical 8, Some(Var::About);
    Calendar "calendar line" Categorical 3, Some(Var::Segment);
    Backwards "counts backwards" Categorical 2, Some(Var::Calendar);
    BaseDay "base day" Cyclic 7, Some(Var::Calendar);
    BaseMonth "base month" Cyclic 12, Some(Var::Calendar);
    BaseHour "base hour" Cyclic 24, Some(Var::Calendar);
    Offset "offset" Integer 13, Some(Var::Calendar);
    ResultDay "result day" Cyclic 7, Some(Var::BaseDay);
    ResultMonth "result month" Cyclic 12, Some(Var::BaseMonth);
    ResultHour "result hour" Cyclic 24, Some(Var::BaseHour);
    TwoDigits "two-digit addends" Categorical 2, Some(Var::Segment);
    TensA "tens of a" Integer 10, Some(Var::Segment);
    OnesA "ones of a" Integer 10, Some(Var::Segment);
    TensB "tens of b" Integer 10, Some(Var::Segment);
    OnesB "ones of b" Integer 10, Some(Var::Segment);
    Carry "carry" Categorical 2, Some(Var::OnesB);
    Sum "sum" Integer 199, Some(Var::Carry);
    SumTens "tens of the sum" Integer 10, Some(Var::Sum);
    SumOnes "ones of the sum" Integer 10, Some(Var::Sum);
    Column "column" Integer 3, Some(Var::Segment);
    Addend "addend" Integer 10, Some(Var::Segment);
    Partial "partial sum" Integer 37, Some(Var::Addend);
    Hinted "answer leaked by a hint" Categorical 2, Some(Var::Segment);
    Decorative "step is decorative" Categorical 2, Some(Var::Hinted);
    Noun "subject noun" Categorical 16, Some(Var::Segment);
    Number "subject's number" Categorical 2, Some(Var::Noun);
    Distractor "distractor noun" Categorical 16, Some(Var::Segment);
    DistractorNumber "distractor's number" Categorical 2, Some(Var::Distractor);
    Verb "verb" Categorical 12, Some(Var::Segment);
    Depth "bracket depth" Integer 5, Some(Var::Segment);
    Innermost "innermost bracket" Categorical 3, Some(Var::Depth);
    Opens "brackets opened" Integer 8, Some(Var::Segment);
    Map "in-context map" Categorical 18, Some(Var::Segment);
    Input "map's input" RoleBound 18, Some(Var::Map);
    Output "map's output" RoleBound 18, Some(Var::Map);
    Example "example" Integer 8, Some(Var::Map);
    Turn "chat turn" Categorical 3, Some(Var::Segment);
    Speaker "speaker" Categorical 2, Some(Var::Segment);
    Topic "topic" Categorical 24, Some(Var::Turn);
    Forbidden "forbidden topic" Categorical 2, Some(Var::Topic);
    Wrapper "wrapper" Categorical 7, Some(Var::Turn);
    Refused "refusal" Categorical 2, Some(Var::Forbidden);
    Key "signal key" Categorical 8, Some(Var::Segment);
    Cue "signal cue" Categorical 8, Some(Var::Segment);
    Outcome "signal outcome" Categorical 8, Some(Var::Key);
    Coherent "coherent signal" Categorical 2, Some(Var::Cue);
    Hops "hops" Integer 3, Some(Var::Segment);
    ValueP "P" RoleBound 2, Some(Var::Segment);
    ValueQ "Q" RoleBound 2, Some(Var::Segment);
    ValueR "R" RoleBound 2, Some(Var::OperatorR);
    ValueS "S" RoleBound 2, Some(Var::OperatorS);
    OperatorR "operator of R" Categorical 3, Some(Var::Segment);
    OperatorS "operator of S" Categorical 3, Some(Var::Segment);
    OperandS "operand of S" Categorical 2, Some(Var::OperatorS);
    Weather "weather" Categorical 5, Some(Var::Segment);
    Yard0 "rake in the yard" Binary 2, Some(Var::Segment);
    Yard1 "hoe in the yard" Binary 2, Some(Var::Yard0);
    Yard2 "pot in the yard" Binary 2, Some(Var::Segment);
    Yard3 "bucket in the yard" Binary 2, Some(Var::Yard2);
    Yard4 "ladder in the yard" Binary 2, Some(Var::Segment);
    Yard5 "barrel in the yard" Binary 2, Some(Var::Yard4);
    Yard6 "wheel in the yard" Binary 2, Some(Var::Segment);
    Yard7 "trough in the yard" Binary 2, Some(Var::Yard6);
    Noise "noise" Categorical 60, Some(Var::Segment);
    Echo "echo" Categorical 2, Some(Var::Segment);
    Listed "listed words" Integer 9, Some(Var::Segment);
}

/// Ids below it are the grammar's own variables, the others lexemes: of word w it is `FIRST_LEXEME` + w.
pub const FIRST_LEXEME: usize = SPECS.len();

/// One row of the table of variables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    /// Its id, the row's number.
    pub id: u16,
    /// What it is, in words.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// Number of values, from 0.
    pub values: usize,
    /// Ids of the variables that it depends on or is a case of.
    pub parents: Vec<u16>,
    /// Variables with the same group never hold at one token together.
    pub exclusive: Option<String>,
    /// Share of tokens that the grammar aims at, where it aims at one.
    pub target: Option<f64>,
}

impl Var {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        SPECS[self as usize].0
    }

    /// How many values it has.
    pub fn values(self) -> usize {
        SPECS[self as usize].2
    }
}

/// A variable's value in words: `Monday` for value 0 of the base day, the number where nothing better is known. Files hold these
/// names; a test pins all of them. Panics if a value that has a name is not below the variable's number of values.
pub fn value_name(variable: u16, value: usize) -> String {
    let nth = |class, i| LEXICON.words[usize::from(LEXICON.word(class, i))].clone();
    let word = |class| nth(class, value);
    let Some(&var) = Var::ALL.get(usize::from(variable)) else { return value.to_string() };
    match var {
        Var::Domain => Domain::ALL[value].name().into(),
        Var::Segment => Segment::ALL[value].name().into(),
        Var::Answer => Task::ALL[value].name().into(),
        Var::Subject | Var::Other | Var::Giver | Var::Taker | Var::EntityKeeper => word(Class::Name),
        Var::Trait => word(Class::Trait),
        Var::Job => word(Class::Job),
        Var::Place => word(Class::Place),
        Var::Object => word(Class::Object),
        Var::ObjectColour | Var::GiverColour | Var::TakerColour | Var::EntityColour => word(Class::Colour),
        Var::Feeling => word(Class::Feeling),
        Var::About => word(Class::Entity),
        Var::EntityKind => word(Class::Leaf),
        Var::EntityFamily => word(Class::Family),
        Var::EntityClass => word(Class::Kingdom),
        Var::EntityRegion => word(Class::Region),
        Var::EntityFood => word(Class::Food),
        Var::EntitySize => word(Class::Size),
        Var::BaseDay | Var::ResultDay => word(Class::Day),
        Var::BaseMonth | Var::ResultMonth => word(Class::Month),
        Var::Noun | Var::Distractor => word(Class::Noun),
        Var::Number | Var::DistractorNumber => ["singular", "plural"][value].into(),
        Var::Gender => ["he", "she"][value].into(),
        Var::Language => ["English", "second", "third"][value].into(),
        Var::Style => ["plain", "formal"][value].into(),
        Var::Speaker => ["user", "bot"][value].into(),
        Var::Verb => word(Class::VerbPlural),
        Var::Input | Var::Output => word(Class::Item),
        Var::Key => word(Class::Key),
        Var::Cue => word(Class::Cue),
        Var::Outcome => word(Class::Outcome),
        Var::Weather => word(Class::Weather),
        Var::ValueP | Var::ValueQ | Var::ValueR | Var::ValueS => ["false", "true"][value].into(),
        Var::OperatorR | Var::OperatorS => ["and", "or", "xor"][value].into(),
        Var::Topic if value < LEXICON.size(Class::Topic) => word(Class::Topic),
        Var::Topic => nth(Class::Forbidden, value - LEXICON.size(Class::Topic)),
        _ => value.to_string(),
    }
}

/// The variable of a word: all forms of a noun or verb and all languages share one, punctuation has none. Pool words stand for
/// others and have none of their own.
pub fn lexeme(word: Word) -> Option<u16> {
    let lexicon = &*LEXICON;
    let (class, i) = lexicon.class(word);
    let base = match class {
        Class::Special | Class::Punctuation | Class::Pool => return None,
        Class::NounPlural => lexicon.word(Class::Noun, i),
        Class::VerbPlural => lexicon.word(Class::Verb, i),
        _ => word,
    };
    Some((FIRST_LEXEME + usize::from(base)) as u16)
}

/// The whole table; rows of words that are nobody's lexeme are left as empty names, so that id = row.
pub fn table() -> Vec<Variable> {
    let mut table: Vec<Variable> = SPECS.iter().enumerate().map(of_grammar).collect();
    table.extend((0..LEXICON.words.len()).map(|word| of_word(word as Word)));
    table
}

fn of_grammar((id, &(name, kind, values, parent)): (usize, &(&str, Kind, usize, Option<Var>))) -> Variable {
    let parents = parent.iter().map(|&p| p as u16).collect();
    Variable { id: id as u16, name: name.into(), kind, values, parents, exclusive: None, target: None }
}

/// Words of one token exclude each other; kinds of things have their family and class as parents.
fn of_word(word: Word) -> Variable {
    let id = (FIRST_LEXEME + usize::from(word)) as u16;
    let own = lexeme(word) == Some(id);
    let (class, i) = LEXICON.class(word);
    let above = |class, i| vec![FIRST_LEXEME as u16 + LEXICON.word(class, i)];
    Variable {
        id,
        name: if own { format!("word {}", LEXICON.words[usize::from(word)]) } else { String::new() },
        kind: Kind::Binary,
        values: 2,
        parents: match class {
            Class::Leaf => above(Class::Family, i / 4),
            Class::Family => above(Class::Kingdom, i / 4),
            _ => Vec::new(),
        },
        exclusive: own.then(|| class.name().into()),
        target: (class == Class::Ladder).then(|| LADDER_RATES[i]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_variables_and_every_parent_exists() {
        let table = table();
        let named = table.iter().filter(|variable| !variable.name.is_empty()).count();
        assert!(named >= 1_000, "{named} variables");
        for (row, variable) in table.iter().enumerate() {
            assert_eq!(row, usize::from(variable.id));
            assert!(variable.parents.iter().all(|&p| usize::from(p) < table.len() && p != variable.id));
        }
    }
}
