//! The text of ids that come one by one, said as soon as it is certain: a character whose bytes are split over tokens is
//! held back until it is whole.

use crate::TextError;
use crate::Tokenizer;

/// Ids so far and what was said of their text. All that [`TextStream::push`] and [`TextStream::finish`] return, one after
/// another, is what [`Tokenizer::decode`] makes of all ids.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    said: String,
}

impl<'a> TextStream<'a> {
    /// Nothing yet.
    pub fn new(tokenizer: &'a Tokenizer) -> TextStream<'a> {
        TextStream { tokenizer, ids: Vec::new(), said: String::new() }
    }

    /// Adds ids; what can be said now.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn push(&mut self, ids: &[u32]) -> Result<String, TextError> {
        self.ids.extend_from_slice(ids);
        // A run of single bytes is text only as a whole: one more may make it invalid, and then every byte of it is.
        let bytes = self.ids.iter().rev().take_while(|&&id| self.tokenizer.is_byte(id)).count();
        let text = self.tokenizer.decode(&self.ids[..self.ids.len() - bytes])?;
        // A character that has begun shows as replacement characters at the end.
        Ok(self.say(text.trim_end_matches(char::REPLACEMENT_CHARACTER)))
    }

    /// What was held back and will not become whole.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<String, TextError> {
        let text = self.tokenizer.decode(&self.ids)?;
        Ok(self.say(&text))
    }

    /// The part of `text` that was not said yet. (Of a decoder that goes back on its words, nothing until it agrees again.)
    fn say(&mut self, text: &str) -> String {
        let new = text.strip_prefix(self.said.as_str()).unwrap_or_default().to_string();
        self.said += &new;
        new
    }
}

/// The text that `ids` add to that of the ids before them.
///
/// # Errors
/// The tokenizer's decoder fails.
pub fn continuation(tokenizer: &Tokenizer, before: &[u32], ids: &[u32]) -> Result<String, TextError> {
    let mut stream = TextStream::new(tokenizer);
    stream.push(before)?;
    Ok(stream.push(ids)? + &stream.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Tokens are the given texts, in this order.
    fn tokenizer(tokens: &[String], decoder: Value, byte_fallback: bool) -> Tokenizer {
        let vocab: serde_json::Map<String, Value> =
            tokens.iter().enumerate().map(|(i, t)| (t.clone(), i.into())).collect();
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": byte_fallback,
                       "ignore_merges": false, "vocab": vocab, "merges": [] }
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
        Tokenizer::load(dir.path()).unwrap()
    }

    /// As Llama 2 and Gemma have it: bytes `<0x00>` … `<0xFF>`, then words with `▁` for a space.
    fn sentence_piece() -> Tokenizer {
        let bytes = (0..256).map(|b| format!("<0x{b:02X}>"));
        let words = ["▁one", "▁two", "é", "▁", "\u{fffd}"].map(String::from);
        let decoder = json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" },
            { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] });
        tokenizer(&bytes.chain(words).collect::<Vec<_>>(), decoder, true)
    }

    /// As GPT-2 and Llama 3 have it: token b is byte b, written as one of 256 printable characters.
    fn byte_level() -> Tokenizer {
        let printable =
            |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        let mut next = 256;
        let mut letter = |b: u32| {
            let code = if printable(b) { b } else { next };
            next += u32::from(code == next);
            char::from_u32(code).unwrap().to_string()
        };
        let tokens: Vec<String> = (0..256).map(&mut letter).collect();
        let decoder = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        tokenizer(&tokens, decoder, false)
    }

    /// Everything that is said, piece by piece; the whole must be what decode says.
    fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut stream = TextStream::new(tokenizer);
        let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(&[id]).unwrap()).collect();
        pieces.push(stream.finish().unwrap());
        assert_eq!(pieces.concat(), tokenizer.decode(ids).unwrap(), "{ids:?}");
        pieces
    }

    #[test]
    fn split_characters_are_held_back_until_they_are_whole() {
        let bytes = byte_level();
        let ids: Vec<u32> = "aé你b".bytes().map(u32::from).collect();
        assert_eq!(pieces(&bytes, &ids), ["a", "", "é", "", "", "你", "b", ""]);
        assert_eq!(pieces(&bytes, &[0x61, 0xe4, 0xbd]), ["a", "", "", "\u{fffd}"]); // never whole
        assert_eq!(pieces(&bytes, &[0xe4, 0x61]), ["", "\u{fffd}a", ""]);
    }

    #[test]
    fn runs_of_single_bytes_are_said_at_their_end() {
        let (one, two) = (256, 257);
        let words = sentence_piece();
        assert_eq!(pieces(&words, &[one, two]), ["one", " two", ""]);
        assert_eq!(pieces(&words, &[one, 0xe4, 0xbd, 0xa0, two]), ["one", "", "", "", "你 two", ""]);
        assert_eq!(pieces(&words, &[one, 0x0a]), ["one", "", "\n"]);
        // The valid `A` becomes invalid with the byte after it.
        assert_eq!(pieces(&words, &[0x41, 0xe4, two]), ["", "", "\u{fffd}\u{fffd} two", ""]);
    }

    #[test]
    fn a_continuation_is_what_is_added() {
        let bytes = byte_level();
        let ids: Vec<u32> = "aé你b".bytes().map(u32::from).collect();
        assert_eq!(continuation(&bytes, &ids[..2], &ids[2..]).unwrap(), "é你b");
        assert_eq!(continuation(&bytes, &ids[..3], &ids[3..4]).unwrap(), "\u{fffd}");
    }

    /// Every sequence of four tokens from a set that has all kinds, and long random ones.
    #[test]
    fn the_pieces_are_the_whole() {
        let words = sentence_piece();
        let kinds = [256u32, 258, 259, 260, 0x41, 0xe4, 0xbd, 0xa0, 0xff];
        for n in 0..kinds.len().pow(4) {
            let ids: Vec<u32> = (0..4).map(|i| kinds[n / kinds.len().pow(i) % kinds.len()]).collect();
            pieces(&words, &ids);
        }
        let bytes = byte_level();
        for seed in 0..50u32 {
            let ids: Vec<u32> =
                (0..40u32).map(|i| (seed * 7919 + i * i * 104_729 + i * 31) / 7 % 256).collect();
            pieces(&bytes, &ids);
        }
    }
}
