//! What the files of the families share: the form of a table of tensor names, and checks that hold for every spec.

use crate::config::Config;
use crate::error::LmError;
use crate::spec::Spec;

/// No model has more layers.
pub(super) const MAX_LAYERS: usize = 10_000;

/// The head's name inside the program, whatever a family calls it.
pub(crate) const HEAD: &str = "lm_head.weight";

/// Tensor names of a family, without `.weight` and `.bias` where both exist. Those of a layer come after `layers` and its
/// number, all but the head after a prefix that may be missing.
#[derive(Debug)]
pub(crate) struct Names {
    /// What may stand before a name, longest first; the last is what transformers writes.
    pub(crate) prefixes: &'static [&'static str],
    /// Beginnings and ends of tensors that a language model does not read: buffers of old files, other modalities.
    pub(crate) unread: &'static [&'static str],
    pub(crate) embed: &'static str,
    pub(crate) positions: Option<&'static str>,
    pub(crate) norm: &'static str,
    pub(crate) head: &'static str,
    pub(crate) layers: &'static str,
    pub(crate) attn_norm: Option<&'static str>,
    pub(crate) qkv: Qkv,
    pub(crate) o: &'static str,
    pub(crate) attn_post_norm: Option<&'static str>,
    pub(crate) mlp_norm: Option<&'static str>,
    pub(crate) mlp: Up,
    pub(crate) down: &'static str,
    pub(crate) mlp_post_norm: Option<&'static str>,
    /// Matrices of the layers are stored [in, out].
    pub(crate) transposed: bool,
}

/// How queries, keys and values are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Qkv {
    /// Three matrices.
    Apart([&'static str; 3]),
    /// One: all queries, then all keys, then all values.
    Joined(&'static str),
    /// One: of each head its query, its key and its value.
    ByHead(&'static str),
}

/// How the MLP's first product is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Up {
    /// Gate and up, two matrices.
    Gated { gate: &'static str, up: &'static str },
    /// One: gate, then up.
    Joined(&'static str),
    /// No gate.
    Plain(&'static str),
}

impl Names {
    /// What a tensor of a file is called inside the program; none: nothing reads it.
    pub(crate) fn key(&self, stored: &str) -> Option<String> {
        if self.unread.iter().any(|part| stored.starts_with(part) || stored.ends_with(part)) {
            return None;
        }
        if stored == self.head {
            return Some(HEAD.to_string());
        }
        let bare = self.prefixes.iter().find_map(|prefix| stored.strip_prefix(prefix)).unwrap_or(stored);
        Some(if bare == HEAD { stored } else { bare }.to_string())
    }

    /// What transformers calls a tensor of the program.
    pub(crate) fn stored(&self, key: &str) -> String {
        match key {
            HEAD => self.head.to_string(),
            key => format!("{}{key}", self.prefixes.last().unwrap_or(&"")),
        }
    }
}

/// Checks that hold for every family.
pub(super) fn check(config: &Config, spec: &Spec) -> Result<(), LmError> {
    let fix = "correct the file";
    if spec.n_layers > MAX_LAYERS {
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
    if spec.rope.is_some() && !spec.d_head.is_multiple_of(2) {
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

/// The window of each layer by `layer_types`, or, where that is missing, by what the family does.
pub(super) fn windows(
    c: &mut Config,
    n_layers: usize,
    window: Option<usize>,
    default: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, LmError> {
    let slides: Vec<bool> = match c.texts("layer_types")? {
        None => (0..n_layers.min(MAX_LAYERS)).map(default).collect(),
        Some(types) if types.len() != n_layers => {
            let problem = format!("expected {n_layers} entries, one per layer, found {}", types.len());
            return Err(c.error("layer_types", problem, "correct the file"));
        }
        Some(types) => types.iter().map(|t| slides(c, t)).collect::<Result<_, _>>()?,
    };
    if window.is_none() && slides.contains(&true) {
        return Err(c.error("sliding_window", "none, but some layers slide", "give the window in tokens"));
    }
    Ok(slides.into_iter().map(|slides| window.filter(|_| slides)).collect())
}

/// The same where all layers slide, or none.
pub(super) fn one_window(
    c: &mut Config,
    n_layers: usize,
    window: Option<usize>,
) -> Result<Vec<Option<usize>>, LmError> {
    let windows = windows(c, n_layers, window, |_| window.is_some())?;
    match windows.iter().all(|w| *w == window) {
        true => Ok(windows),
        false => Err(c.error(
            "layer_types",
            "not all layers slide, as sliding_window says",
            "this family has one kind of layer",
        )),
    }
}

fn slides(c: &Config, layer_type: &str) -> Result<bool, LmError> {
    match layer_type {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => {
            let problem = format!("expected sliding_attention or full_attention, found {other}");
            Err(c.error("layer_types", problem, "this kind of layer is not implemented"))
        }
    }
}
