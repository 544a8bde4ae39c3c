//! One file per family: its `config.json` becomes a [`Spec`], its tensor names a [`Names`].

mod gemma;
mod gemma2;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod llama;
mod mistral;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod shared;

use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Family, RopeScaling, Spec};
pub(crate) use shared::{HEAD, Names, Qkv, Up};

/// Names of a family's tensors.
pub(crate) fn names(family: Family) -> &'static Names {
    match family {
        Family::Gemma2 => &gemma2::NAMES,
        Family::Gemma3 => &gemma3::NAMES,
        Family::Gpt2 => &gpt2::NAMES,
        Family::GptNeoX => &gpt_neox::NAMES,
        Family::Gemma | Family::Llama | Family::Mistral | Family::Qwen2 | Family::Qwen3 => &llama::NAMES,
        Family::Olmo2 => &olmo2::NAMES,
        Family::Phi3 => &phi3::NAMES,
    }
}

/// The spec that a config describes.
///
/// # Errors
/// An unknown family, or a key that is missing, contradictory, unknown or unsupported.
pub(crate) fn spec(mut config: Config) -> Result<Spec, LmError> {
    let c = &mut config;
    let (spec, harmless): (Spec, &[&str]) = match c.model_type().as_str() {
        "gemma" | "GemmaForCausalLM" => (gemma::spec(c)?, &[]),
        "gemma2" | "Gemma2ForCausalLM" => (gemma2::spec(c)?, gemma2::HARMLESS),
        "gemma3_text" | "Gemma3ForCausalLM" => (gemma3::spec(c)?, gemma3::HARMLESS),
        "gemma3" | "Gemma3ForConditionalGeneration" => (gemma3::language_half(c)?, gemma3::HARMLESS),
        "gpt2" | "GPT2LMHeadModel" => (gpt2::spec(c)?, gpt2::HARMLESS),
        "gpt_neox" | "GPTNeoXForCausalLM" => (gpt_neox::spec(c)?, &[]),
        "llama" | "LlamaForCausalLM" => (llama::spec(c)?, &[]),
        "mistral" | "MistralForCausalLM" => (mistral::spec(c)?, &[]),
        "olmo2" | "Olmo2ForCausalLM" => (olmo2::spec(c)?, &[]),
        "phi3" | "Phi3ForCausalLM" => (phi3::spec(c)?, phi3::HARMLESS),
        "qwen2" | "Qwen2ForCausalLM" => (qwen2::spec(c)?, &[]),
        "qwen3" | "Qwen3ForCausalLM" => (qwen3::spec(c)?, &[]),
        other => {
            let supported = Family::ALL.map(|f| f.to_string()).join(", ");
            let path = c.path().to_path_buf();
            return Err(LmError::Family { path, found: other.to_string(), supported });
        }
    };
    shared::check(c, &spec)?;
    config.finish(harmless)?;
    Ok(Spec { context: spec.context.min(reach(&spec)), ..spec })
}

/// The longest sequence whose rotations do not depend on its length.
fn reach(spec: &Spec) -> usize {
    match spec.rope.as_ref().map(|rope| &rope.scaling) {
        Some(RopeScaling::Long { original_context, .. }) => *original_context,
        _ => usize::MAX,
    }
}
