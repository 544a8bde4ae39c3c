//! Where a long document may be cut so that its pieces, encoded one by one, give the ids of the whole.
//!
//! A tokenizer finds added tokens, normalises what stands between them, splits that into words and encodes each word. A cut
//! is safe if none of these steps looks across it. Two kinds of places are tried: before a space, and after a newline, both
//! with something other than white space on their left, and the newline on its right too. For both it is shown here, from
//! the tokenizer's own description, that
//!
//! - no added token spans the cut, or takes white space, or judges whether it stands alone, across it;
//! - the normaliser treats both sides alone as it treats them together;
//! - either the splitting into words always has a boundary there, or it splits both sides as it splits the whole and no token
//!   of the BPE vocabulary holds the two characters at the cut side by side, so that no merge reaches across it.
//!
//! What is not known to do so gives no cut: the document is then encoded at once, as exactly, in memory that grows with it.

use serde_json::Value;
use std::collections::HashSet;

/// The regular expressions that the known byte-level tokenizers split by. In a match of any of them, white space comes last,
/// first or alone: no space stands after something else, and nothing else after a newline. Look-ahead is over white space only.
const KNOWN_EXPRESSIONS: [&str; 3] = [
    // GPT-2
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    // GPT-4, Llama 3, OLMo 2
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Qwen 2 and 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// What a tokenizer has to say, as its own JSON, and its vocabulary.
pub(crate) struct Description {
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    /// Of a BPE model without affixes, whose merges say everything; else `None`.
    pub vocabulary: Option<Vec<String>>,
    pub added: Vec<Added>,
}

/// A token that is found in the text before all else.
pub(crate) struct Added {
    pub content: String,
    /// Takes white space on its left, on its right; counts only as a whole word; looked for in normalised text.
    pub lstrip: bool,
    pub rstrip: bool,
    pub single_word: bool,
    pub normalized: bool,
}

/// Where a tokenizer's documents may be cut.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// `None`: nowhere before a space. Else what must not stand on either side.
    space: Option<Sides>,
    newline: Option<Sides>,
    /// The tokenizer puts a space before every text: the one at the cut is left out.
    prepends: bool,
}

/// What a place must look like beyond its space or newline.
#[derive(Debug, Default)]
struct Sides {
    /// Only ASCII on the left, whose normal form is itself.
    ascii: bool,
    not_before: HashSet<char>,
    not_after: HashSet<char>,
    /// The BPE vocabulary's own characters, where both sides must be among them.
    known: Option<HashSet<char>>,
}

impl Sides {
    fn allow(&self, before: char, after: char) -> bool {
        let known = |c| self.known.as_ref().is_none_or(|known| known.contains(&c));
        let left = !before.is_whitespace() && (before.is_ascii() || !self.ascii);
        left && known(before) && !self.not_before.contains(&before) && !self.not_after.contains(&after)
    }
}

impl Cuts {
    /// The pieces of a text, each of `least` bytes or more up to the first safe place, in order.
    pub(crate) fn pieces<'a>(&self, text: &'a str, least: usize) -> Vec<&'a str> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(at) = self.first(rest, least) {
            pieces.push(&rest[..at]);
            rest = &rest[at + usize::from(self.prepends)..];
        }
        pieces.push(rest);
        pieces
    }

    /// The first safe place of `text` that leaves `least` bytes on its left, and something on its right.
    fn first(&self, text: &str, least: usize) -> Option<usize> {
        let from = (least..text.len()).find(|&i| text.is_char_boundary(i))?;
        let mut earlier = ' ';
        let mut before = text[..from].chars().next_back().unwrap_or(' ');
        for (at, after) in text[from..].char_indices() {
            let beyond = text[from + at + after.len_utf8()..].chars().next();
            let safe = match (before, after) {
                (_, ' ') => allow(&self.space, before, beyond?),
                ('\n', _) => !after.is_whitespace() && allow(&self.newline, earlier, after),
                _ => false,
            };
            if safe {
                return Some(from + at);
            }
            (earlier, before) = (before, after);
        }
        None
    }

    /// What a tokenizer allows.
    pub(crate) fn of(description: &Description) -> Cuts {
        let Some(normal) = Normal::of(&description.normalizer) else { return Cuts::default() };
        let unusual = |t: &Added| t.normalized && !t.content.is_ascii();
        if normal.unicode && description.added.iter().any(unusual) {
            return Cuts::default();
        }
        let mut words = Words { space: normal.space, prepends: normal.prepends, ..Words::default() };
        words.pass(&description.pre_tokenizer);
        let place = |kind: Place, end: End| match kind {
            Place::Lost => None,
            Place::Boundary => Some(end.sides(description, &normal, &words, None)),
            Place::Inside if words.bytes => None,
            Place::Inside => {
                let vocabulary = description.vocabulary.as_ref()?;
                Some(end.sides(description, &normal, &words, Some(vocabulary)))
            }
        };
        let spaced = description.added.iter().any(|t| t.content.starts_with([' ', words.space]));
        Cuts {
            space: place(words.before_space, End::Space).filter(|_| !(normal.prepends && spaced)),
            newline: place(words.after_newline, End::Newline).filter(|_| !words.prepends),
            prepends: normal.prepends,
        }
    }
}

fn allow(sides: &Option<Sides>, before: char, after: char) -> bool {
    sides.as_ref().is_some_and(|sides| sides.allow(before, after))
}

/// The two kinds of places.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Space,
    Newline,
}

impl End {
    fn sides(
        self,
        description: &Description,
        normal: &Normal,
        words: &Words,
        vocabulary: Option<&Vec<String>>,
    ) -> Sides {
        let mut sides = Sides { ascii: normal.unicode, ..Sides::default() };
        let spaces = [' ', words.space];
        for token in &description.added {
            let (first, last) = (token.content.chars().next(), token.content.chars().next_back());
            sides.forbid(self, &token.content, &spaces);
            match self {
                End::Space => {
                    // A space that is put before every part between added tokens is put after such a token too.
                    sides.not_before.extend(last.filter(|_| token.rstrip || normal.prepends));
                    sides.not_after.extend(first.filter(|_| normal.prepends));
                }
                End::Newline => {
                    sides.not_after.extend(first.filter(|_| token.lstrip || token.single_word));
                    // It would judge what follows the newline: no place is safe.
                    let judges = token.single_word && last == Some('\n');
                    sides.known = sides.known.or(judges.then(HashSet::new));
                }
            }
        }
        let Some(vocabulary) = vocabulary else { return sides };
        let mut known = HashSet::new();
        for token in vocabulary {
            sides.forbid(self, token, &spaces[1..]);
            let mut characters = token.chars();
            if let (Some(only), None) = (characters.next(), characters.next()) {
                known.insert(only);
            }
        }
        let at_cut = if self == End::Space { words.space } else { '\n' };
        let usable = known.contains(&at_cut) && sides.known.is_none();
        sides.known = Some(if usable { known } else { HashSet::new() });
        sides
    }
}

impl Sides {
    /// A token that stands across such a place forbids the character on its other side.
    fn forbid(&mut self, end: End, token: &str, spaces: &[char]) {
        for (left, right) in token.chars().zip(token.chars().skip(1)) {
            if end == End::Space && spaces.contains(&right) {
                self.not_before.insert(left);
            }
            if end == End::Newline && left == '\n' {
                self.not_after.insert(right);
            }
        }
    }
}

/// What the normaliser does.
struct Normal {
    /// Unicode's normal forms: nothing that reaches across a space or a newline.
    unicode: bool,
    /// A space is put before the text.
    prepends: bool,
    /// What a space becomes.
    space: char,
}

impl Normal {
    /// `None` of a normaliser that is not known to leave both sides alone.
    fn of(json: &Value) -> Option<Normal> {
        let mut normal = Normal { unicode: false, prepends: false, space: ' ' };
        let mut prepended = None;
        for step in flat(json, "normalizers") {
            match step["type"].as_str()? {
                "NFC" | "NFD" | "NFKC" | "NFKD" => normal.unicode = true,
                "Prepend" => prepended = Some(step["prepend"].as_str()?),
                "Replace" if step["pattern"]["String"] == " " => normal.space = single(&step["content"])?,
                _ => return None,
            }
        }
        normal.prepends = prepended.is_some();
        let a_space = prepended.is_none_or(|text| text.chars().eq([normal.space]));
        (a_space && !(normal.unicode && normal.prepends)).then_some(normal)
    }
}

/// What is known of a place after the steps of the pre-tokenizer so far.
#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    /// Inside a word, or not: both sides are split as in the whole.
    #[default]
    Inside,
    /// Between words, whatever comes later.
    Boundary,
    /// Nothing is known.
    Lost,
}

#[derive(Default)]
struct Words {
    before_space: Place,
    after_newline: Place,
    space: char,
    /// Bytes have become letters: the vocabulary is not in the text's own characters.
    bytes: bool,
    /// Something is put before the first word of a text, or before each.
    prepends: bool,
}

impl Words {
    fn pass(&mut self, json: &Value) {
        for step in flat(json, "pretokenizers") {
            let (space, newline) = self.step(step);
            let then = |place: &mut Place, next| {
                if *place == Place::Inside {
                    *place = next;
                }
            };
            then(&mut self.before_space, space);
            then(&mut self.after_newline, newline);
        }
    }

    /// What one step makes of a place before a space and of one after a newline.
    fn step(&mut self, json: &Value) -> (Place, Place) {
        use Place::{Boundary, Inside, Lost};
        let plain = self.space == ' ';
        match json["type"].as_str().unwrap_or_default() {
            "WhitespaceSplit" | "Whitespace" | "BertPreTokenizer" if plain => (Boundary, Boundary),
            "ByteLevel" => {
                self.prepends |= json["add_prefix_space"] != false;
                self.bytes = true;
                match json["use_regex"] != false {
                    true if plain => (Boundary, Boundary),
                    true => (Lost, Lost),
                    false => (Inside, Inside),
                }
            }
            "Metaspace" => {
                self.prepends |= json["prepend_scheme"] != "never";
                match single(&json["replacement"]) {
                    Some(space) => self.space = space,
                    None => return (Lost, Lost),
                }
                (if json["split"] != false { Boundary } else { Inside }, Inside)
            }
            "Digits" => (Inside, Inside),
            "Punctuation" if ["Isolated", "Removed"].iter().any(|b| json["behavior"] == *b) => {
                (Inside, Inside)
            }
            "Split" => self.split(json),
            _ => (Lost, Lost),
        }
    }

    fn split(&self, json: &Value) -> (Place, Place) {
        use Place::{Boundary, Inside, Lost};
        let keeps = json["behavior"] == "Isolated" && json["invert"] == false;
        let keeps = keeps || (json["behavior"] == "Removed" && json["invert"] == true);
        let expression = json["pattern"]["Regex"].as_str();
        if keeps && self.space == ' ' && expression.is_some_and(|e| KNOWN_EXPRESSIONS.contains(&e)) {
            return (Boundary, Boundary);
        }
        // Gemma splits at spaces when its normaliser has left none.
        match json["pattern"]["String"] == " " && self.space != ' ' {
            true => (Inside, Inside),
            false => (Lost, Lost),
        }
    }
}

/// The steps of a sequence, which may hold others, or the only one; none of `null`.
fn flat<'a>(json: &'a Value, list: &str) -> Vec<&'a Value> {
    match json.get(list).and_then(Value::as_array) {
        Some(steps) => steps.iter().flat_map(|step| flat(step, list)).collect(),
        None if json.is_null() => Vec::new(),
        None => vec![json],
    }
}

/// A string of one character.
fn single(json: &Value) -> Option<char> {
    let mut characters = json.as_str()?.chars();
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests;
