//! One file per family: its `config.json` becomes a [`Spec`], its tensor names a [`Names`].

mod gemma2;
mod llama;

use crate::LmError;
use crate::config::Config;
use crate::spec::{Family, Spec};

/// Tensor names of a family; those of a layer come after `layers.L.`, all after an optional `model.`.
pub(crate) struct Names {
    pub(crate) embed: &'static str,
    pub(crate) norm: &'static str,
    pub(crate) attn_norm: &'static str,
    pub(crate) attn_post_norm: Option<&'static str>,
    pub(crate) mlp_norm: &'static str,
    pub(crate) mlp_post_norm: Option<&'static str>,
}

/// Names of a family's tensors.
pub(crate) fn names(family: Family) -> &'static Names {
    match family {
        Family::Gemma2 => &gemma2::NAMES,
        Family::Llama => &llama::NAMES,
    }
}

/// The spec that a config describes.
///
/// # Errors
/// An unknown family, or a key that is missing, contradictory, unknown or unsupported.
pub(crate) fn spec(config: Config) -> Result<Spec, LmError> {
    let spec = match config.model_type().as_str() {
        "gemma2" | "Gemma2ForCausalLM" => gemma2::spec(config)?,
        "llama" | "LlamaForCausalLM" => llama::spec(config)?,
        other => {
            let supported = Family::ALL.map(|f| f.to_string()).join(", ");
            let path = config.path().to_path_buf();
            return Err(LmError::Family { path, found: other.to_string(), supported });
        }
    };
    Ok(spec)
}

/// Checks that hold for every family.
fn check(config: &Config, spec: &Spec) -> Result<(), LmError> {
    let fix = "correct the file";
    if spec.n_layers > 10_000 {
        return Err(config.error(
            "num_hidden_layers",
            format!("{} layers are not plausible", spec.n_layers),
            fix,
        ));
    }
    if !spec.heads.is_multiple_of(spec.kv_heads) {
        let problem = format!("{} does not divide num_attention_heads = {}", spec.kv_heads, spec.heads);
        return Err(config.error("num_key_value_heads", problem, fix));
    }
    if !spec.d_head.is_multiple_of(2) {
        return Err(config.error("head_dim", format!("expected an even number, found {}", spec.d_head), fix));
    }
    match spec.bos.filter(|&id| id as usize >= spec.vocab) {
        Some(id) => Err(config.error(
            "bos_token_id",
            format!("{id} is outside the vocabulary of {}", spec.vocab),
            fix,
        )),
        None => Ok(()),
    }
}
