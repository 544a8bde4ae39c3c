//! One file per family: its `config.json` becomes a [`Spec`], its tensor names a [`Names`].

mod gemma2;
mod llama;
mod shared;

use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Family, RopeScaling, Spec};
pub(crate) use shared::{HEAD, Names, Qkv, Up};

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
pub(crate) fn spec(mut config: Config) -> Result<Spec, LmError> {
    let c = &mut config;
    let (spec, harmless) = match c.model_type().as_str() {
        "gemma2" | "Gemma2ForCausalLM" => (gemma2::spec(c)?, gemma2::HARMLESS),
        "llama" | "LlamaForCausalLM" => (llama::spec(c)?, NOTHING),
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

/// Keys that are harmless in a family and not in all.
const NOTHING: &[&str] = &[];

/// The longest sequence whose rotations do not depend on its length.
fn reach(spec: &Spec) -> usize {
    match spec.rope.as_ref().map(|rope| &rope.scaling) {
        Some(RopeScaling::Long { original_context, .. }) => *original_context,
        _ => usize::MAX,
    }
}
