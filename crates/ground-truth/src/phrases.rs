//! The variables of the language that people can be shown, in plain words. `{}` stands for the value. A variable that is not
//! in this table is not shown, because its values would need explaining.

use lapidary_world::LEXICON;
use lapidary_world::lexicon::Class;

const VARIABLES: &[(&str, &str)] = &[
    ("domain", "the text is about {}"),
    ("language", "the text is in the {} language"),
    ("style", "the text is in {} style"),
    ("speaker", "the {} is speaking"),
    ("subject", "the story is now about {}"),
    ("subject's gender", "the story is now about a {}"),
    ("subject's trait", "the one it is about is {}"),
    ("subject's job", "the one it is about is a {}"),
    ("subject's place", "the one it is about is at the {}"),
    ("subject's feeling", "the one it is about feels {}"),
    ("object", "the thing found is a {}"),
    ("object's colour", "the thing found is {}"),
    ("giver", "the giver is {}"),
    ("giver's colour", "the giver wears {}"),
    ("taker", "the taker is {}"),
    ("taker's colour", "the taker wears {}"),
    ("entity", "the fact is about {}"),
    ("entity's kind", "the thing it is about is a {}"),
    ("entity's family", "the thing it is about is a kind of {}"),
    ("entity's class", "the thing it is about counts as {}"),
    ("entity's region", "the thing it is about lives in {}"),
    ("entity's colour", "the thing it is about is {}"),
    ("entity's food", "the thing it is about eats {}"),
    ("entity's keeper", "the thing it is about belongs to {}"),
    ("base day", "we count from {}"),
    ("base month", "we count from {}"),
    ("result day", "the count ends on {}"),
    ("result month", "the count ends in {}"),
    ("carry", "the ones of the sum carry {}"),
    ("ones of a", "the first number ends in {}"),
    ("ones of b", "the second number ends in {}"),
    ("tens of a", "the first number has {} tens"),
    ("tens of b", "the second number has {} tens"),
    ("sum", "the sum is {}"),
    ("ones of the sum", "the sum ends in {}"),
    ("partial sum", "the sum so far is {}"),
    ("subject noun", "the subject is the {}"),
    ("subject's number", "the subject is {}"),
    ("distractor noun", "a {} stands between subject and verb"),
    ("distractor's number", "the noun in between is {}"),
    ("verb", "what they do: {}"),
    ("bracket depth", "{} brackets are open"),
    ("brackets opened", "{} brackets were opened so far"),
    ("in-context map", "the rule of the examples is number {}"),
    ("map's input", "the rule is applied to {}"),
    ("map's output", "the rule gives {}"),
    ("topic", "the user asks how to make {}"),
    ("signal key", "the signal begins with {}"),
    ("signal cue", "the signal's cue is {}"),
    ("signal outcome", "the signal means {}"),
    ("P", "P is {}"),
    ("Q", "Q is {}"),
    ("R", "R is {}"),
    ("S", "S is {}"),
    ("operator of R", "R joins the two by {}"),
    ("operator of S", "S joins the two by {}"),
    ("weather", "the sky is {}"),
    ("listed words", "{} words were listed so far"),
    // Of yes and no: the value is left out.
    ("rake in the yard", "a rake is in this yard"),
    ("hoe in the yard", "a hoe is in this yard"),
    ("pot in the yard", "a pot is in this yard"),
    ("bucket in the yard", "a bucket is in this yard"),
    ("ladder in the yard", "a ladder is in this yard"),
    ("barrel in the yard", "a barrel is in this yard"),
    ("wheel in the yard", "a wheel is in this yard"),
    ("trough in the yard", "a trough is in this yard"),
];

/// Values whose number says nothing, in plain words.
const VALUES: &[(&str, &str)] = &[
    ("segment = story", "we are in a story"),
    ("segment = fact", "we are reading a fact about a thing"),
    ("segment = calendar", "we are counting days, months or hours"),
    ("segment = addition", "we are in a sum"),
    ("segment = column", "we are adding column by column"),
    ("segment = working", "we are adding step by step"),
    ("segment = agreement", "we are in a sentence whose verb must agree"),
    ("segment = brackets", "we are in a line of brackets"),
    ("segment = function", "we are in examples of a hidden rule"),
    ("segment = chat", "we are in a chat"),
    ("segment = signal", "we are reading what a signal means"),
    ("segment = roles", "somebody hands something to somebody"),
    ("segment = logic", "we are in a chain of true and false"),
    ("segment = yard", "we are reading what is in a yard"),
    ("segment = note", "we are in a list of random words"),
    ("answer = calendar", "this is the day, month or hour that was asked for"),
    ("answer = fact", "this word completes a fact"),
    ("answer = addition", "this digit belongs to the sum"),
    ("answer = column", "this digit had to be worked out"),
    ("answer = working", "this is the sum so far"),
    ("answer = agreement", "this verb has to agree with its subject"),
    ("answer = bracket", "this bracket closes another"),
    ("answer = function", "this is what the hidden rule gives"),
    ("answer = recipe", "this belongs to a recipe"),
    ("answer = signal", "this is what the signal means"),
    ("answer = role", "this is the colour that was asked for"),
    ("answer = logic", "this truth value follows from the others"),
    ("calendar line = 0", "a line about days"),
    ("calendar line = 1", "a line about months"),
    ("calendar line = 2", "a line about hours"),
    ("counts backwards = 0", "we count forwards"),
    ("counts backwards = 1", "we count backwards"),
    ("two-digit addends = 1", "both numbers have two digits"),
    ("carry = 0", "the ones of the sum carry nothing"),
    ("subject by pronoun = 1", "the subject is a pronoun"),
    ("asked role = 0", "the colour of the giver is asked"),
    ("asked role = 1", "the colour of the taker is asked"),
    ("forbidden topic = 0", "the user asks for something harmless"),
    ("forbidden topic = 1", "the user asks for something forbidden"),
    ("refusal = 0", "the bot will help"),
    ("refusal = 1", "the bot will refuse"),
    ("listed words = 1", "one word was listed so far"),
    ("brackets opened = 1", "one bracket was opened so far"),
    ("bracket depth = 0", "no bracket is open"),
    ("bracket depth = 1", "one bracket is open"),
    ("echo = 1", "the list is said a second time"),
    ("subject's gender = he", "the story is now about a man"),
    ("subject's gender = she", "the story is now about a woman"),
    ("innermost bracket = 0", "the innermost open bracket is round"),
    ("innermost bracket = 1", "the innermost open bracket is square"),
    ("innermost bracket = 2", "the innermost open bracket is curly"),
];

/// What a yes/no question about a token asks, as the truth names it: `carry = 1`, `word dog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The variable, without its value.
    pub variable: String,
    /// Is it a word in all its forms, not a variable?
    pub is_word: bool,
    /// Is it a word that means something by itself?
    pub is_content: bool,
    /// In plain words.
    pub meaning: String,
}

impl Question {
    /// Of an indicator by its name in the truth. None if it is not to be shown.
    pub fn parse(indicator: &str) -> Option<Question> {
        if let Some(word) = indicator.strip_prefix("word ") {
            let meaning = format!("“{word}”, in each of its forms and languages");
            let class = LEXICON.find(word).map(|word| LEXICON.class(word).0);
            let is_content = class.is_some_and(|class| !matches!(class, Class::Grammar | Class::Digit));
            return Some(Question { variable: indicator.into(), is_word: true, is_content, meaning });
        }
        let (variable, value) = indicator.split_once(" = ").unwrap_or((indicator, ""));
        let of = |table: &[(&str, &'static str)], key| Some(table.iter().find(|(name, _)| *name == key)?.1);
        let phrase = of(VALUES, indicator).or_else(|| of(VARIABLES, variable))?;
        let meaning = phrase.replace("{}", value);
        Some(Question { variable: variable.into(), is_word: false, is_content: false, meaning })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_world::{Var, variables::value_name};

    /// A name that the language does not know would never be shown.
    #[test]
    fn every_phrase_is_of_a_variable() {
        for (name, phrase) in VARIABLES {
            let var = Var::ALL.iter().find(|var| var.name() == *name);
            let var = var.unwrap_or_else(|| panic!("{name}: no such variable"));
            let needs =
                lapidary_world::variables::table()[*var as usize].kind != lapidary_world::Kind::Binary;
            assert_eq!(phrase.contains("{}"), needs, "{name}");
        }
        for (question, _) in VALUES {
            let (name, value) = question.split_once(" = ").unwrap();
            let var = Var::ALL.iter().find(|var| var.name() == name).unwrap_or_else(|| panic!("{name}"));
            assert!((0..var.values()).any(|v| value_name(*var as u16, v) == value), "{question}");
        }
    }

    #[test]
    fn questions_in_plain_words() {
        let meaning = |name: &str| Question::parse(name).map(|q| q.meaning);
        assert_eq!(meaning("base day = Monday").as_deref(), Some("we count from Monday"));
        assert_eq!(meaning("carry = 0").as_deref(), Some("the ones of the sum carry nothing"));
        assert_eq!(meaning("more = 1"), None);
        let kind = |name: &str| Question::parse(name).map(|q| (q.is_word, q.is_content));
        assert_eq!([kind("word dog"), kind("word The")], [Some((true, true)), Some((true, false))]);
    }
}
