//! One file per family: its `config.json` becomes a [`Spec`], its tensor names a [`Names`].

mod gemma2;
mod llama;
mod shared;

use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Family, Spec};
pub(crate) use shared::Names;

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
