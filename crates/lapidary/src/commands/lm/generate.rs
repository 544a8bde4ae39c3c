//! `lapidary lm generate`: prompt and continuation, said as they come.

use super::{GenerateArgs, tokens};
use crate::global::Global;
use lapidary_lm::Sampling;
use lapidary_lm::text::{TextStream, Tokenizer};
use std::io::{StdoutLock, Write};
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
    let mut out = std::io::stdout().lock();
    if global.dry_run {
        let room = args.max_tokens.min(files.spec.context - prompt.len());
        return Ok(writeln!(out, "{} tokens, and at most {room} new ones", prompt.len())?);
    }
    let model = files.load(global.device)?;
    if global.json {
        let new = model.generate(&prompt, args.max_tokens, &sampling, &mut |_| ControlFlow::Continue(()))?;
        let whole = [prompt.as_slice(), &new].concat();
        let text = tokenizer.map(|tokenizer| tokenizer.decode(&whole)).transpose()?;
        let json = serde_json::json!({ "text": text, "prompt": prompt, "tokens": new });
        return Ok(writeln!(out, "{json:#}")?);
    }
    let mut voice = Voice::new(tokenizer.as_ref());
    let mut said = voice.say(&prompt, &mut out);
    if said.is_ok() {
        model.generate(&prompt, args.max_tokens, &sampling, &mut |token| {
            said = voice.say(&[token], &mut out);
            if said.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    said?;
    Ok(writeln!(out, "{}", voice.finish()?)?)
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
    fn say(&mut self, tokens: &[u32], out: &mut StdoutLock<'_>) -> anyhow::Result<()> {
        match self {
            Voice::Text(stream) => write!(out, "{}", stream.push(tokens)?)?,
            Voice::Ids { separator } => {
                for token in tokens {
                    write!(out, "{separator}{token}")?;
                    *separator = ",";
                }
            }
        }
        Ok(out.flush()?)
    }

    /// What is left to say.
    fn finish(self) -> anyhow::Result<String> {
        match self {
            Voice::Text(stream) => Ok(stream.finish()?),
            Voice::Ids { .. } => Ok(String::new()),
        }
    }
}
