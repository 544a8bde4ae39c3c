//! What the files of the families share: the form of a table of tensor names, and checks that hold for every spec.

use crate::config::Config;
use crate::error::LmError;
use crate::spec::Spec;

/// Tensor names of a family; those of a layer come after `layers.L.`, all after an optional `model.`.
pub(crate) struct Names {
    pub(crate) embed: &'static str,
    pub(crate) norm: &'static str,
    pub(crate) attn_norm: &'static str,
    pub(crate) attn_post_norm: Option<&'static str>,
    pub(crate) mlp_norm: &'static str,
    pub(crate) mlp_post_norm: Option<&'static str>,
}

/// Checks that hold for every family.
pub(super) fn check(config: &Config, spec: &Spec) -> Result<(), LmError> {
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
