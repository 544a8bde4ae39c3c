//! `lapidary lm generate`: prompt and continuation, said as they come.

use super::{GenerateArgs, tokens};
use crate::global::Global;
use crate::terminal;
use lapidary_lm::Sampling;
use lapidary_text::{TextStream, Tokenizer};
use std::ops::ControlFlow;

pub fn generate(args: GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let files = args.model.open(global)?;
    let prompt = tokens(&args.input, &args.model, &files.spec, global)?;
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p, seed: args.seed };
    sampling.check()?;
    // With ids as input the tokenizer is welcome, not needed.
    let tokenizer = match args.model.tokenizer(global) {
        Ok(tokenizer) => Some(tokenizer),
        Err(_) if args.input.tokens.is_some() => None,
        Err(e) => return Err(e),
    };
    if global.dry_run {
        let (given, room) = (prompt.len(), args.max_tokens.min(files.spec.context - prompt.len()));
        let json = serde_json::json!({ "prompt": prompt, "max_tokens": room });
        return global.tell(&json, format_args!("{given} tokens, and at most {room} new ones"));
    }
    let model = files.load(global.catalog.device, global.catalog.precision.unwrap_or_default())?;
    if global.json {
        let new = model.generate(&prompt, args.max_tokens, &sampling, &mut |_| ControlFlow::Continue(()))?;
        let whole = [prompt.as_slice(), &new].concat();
        let text = tokenizer.map(|tokenizer| tokenizer.decode(&whole)).transpose()?;
        let json = serde_json::json!({ "text": text, "prompt": prompt, "tokens": new });
        return terminal::line(format_args!("{json:#}"));
    }
    let mut voice = Voice::new(tokenizer.as_ref());
    let mut said = voice.say(&prompt);
    if said.is_ok() {
        model.generate(&prompt, args.max_tokens, &sampling, &mut |token| {
            said = voice.say(&[token]);
            if said.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    said?;
    terminal::line(voice.finish()?)
}

/// Tokens become text, or, without a tokenizer, a list of ids.
enum Voice<'a> {
    Text(TextStream<'a>),
    Ids { separator: &'static str },
}

impl<'a> Voice<'a> {
    fn new(tokenizer: Option<&'a Tokenizer>) -> Voice<'a> {
        tokenizer.map_or(Voice::Ids { separator: "" }, |t| Voice::Text(TextStream::new(t)))
    }

    /// Writes what is certain of the text up to these tokens.
    fn say(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        match self {
            Voice::Text(stream) => terminal::print(stream.push(tokens)?),
            Voice::Ids { separator } => tokens.iter().try_for_each(|token| {
                terminal::print(format_args!("{separator}{token}"))?;
                *separator = ",";
                Ok(())
            }),
        }
    }

    /// What is left to say.
    fn finish(self) -> anyhow::Result<String> {
        match self {
            Voice::Text(stream) => Ok(stream.finish()?),
            Voice::Ids { .. } => Ok(String::new()),
        }
    }
}
