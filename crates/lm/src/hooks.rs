//! What TransformerLens and Hugging Face call our sites: `blocks.3.hook_resid_post`, `model.layers.3` and `transformer.h.3` are
//! `3.res`.
//!
//! Names are read here, for whoever asks for a site; a dictionary's files, which write them down, have a table of their own in
//! `lapidary-dictionary`, that knows no model (a test of the binary holds the two together). `*` may stand for the layer. A
//! name that others have for a place that is none of our sites is refused with what it is, never taken for a neighbour.

use crate::error::LmError;

/// What decides which place a Hugging Face module is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modules {
    /// The model has norms after attention and MLP, before they are added to the stream (Gemma 2 and 3, OLMo 2).
    pub post_norms: bool,
    /// The model scales its embedding after the module (Gemma).
    pub scaled_embedding: bool,
    /// The model adds learned positions to its embedding before the first layer (GPT-2).
    pub learned_positions: bool,
}

/// TransformerLens, after `blocks.L.`.
const LENS: [(&str, &str); 6] = [
    ("hook_resid_post", "res"),
    ("attn.hook_z", "att"),
    ("hook_mlp_out", "mlp"),
    ("ln2.hook_normalized", "mlp-in"),
    ("hook_attn_out", "attn"),
    ("hook_resid_mid", "mid"),
];

/// Hugging Face's layers, and what a family calls the parts that Llama calls otherwise.
const LAYERS: [(&str, &[(&str, &str)]); 4] = [
    ("model.layers.", &[]),
    ("model.language_model.layers.", &[]), // beside an image tower
    (
        "transformer.h.",
        &[("attn.c_proj", "self_attn.o_proj"), ("attn", "self_attn"), ("ln_2", "post_attention_layernorm")],
    ),
    ("gpt_neox.layers.", &[("attention.dense", "self_attn.o_proj"), ("attention", "self_attn")]),
];

/// Our name of what others call `name`; `None` if it is no name of theirs. `modules` is `None` where no model is at hand:
/// then a module that is one place in one family and another in another is refused.
///
/// # Errors
/// A name of theirs for a place that is not one of our sites.
pub(crate) fn ours(name: &str, modules: Option<Modules>) -> Result<Option<String>, LmError> {
    if name == "hook_embed" {
        return Ok(Some("embed".to_string()));
    }
    let refused = |next: String| LmError::Site { found: name.to_string(), next };
    if ["transformer.wte", "gpt_neox.embed_in"].contains(&name.strip_suffix(".output").unwrap_or(name)) {
        return Ok(Some("embed".to_string()));
    }
    if name.strip_suffix(".output").unwrap_or(name) == "model.embed_tokens" {
        return match modules {
            Some(Modules { scaled_embedding: false, .. }) => Ok(Some("embed".to_string())),
            Some(_) => {
                Err(refused("it is not yet scaled there; `embed` is the scaled embedding".to_string()))
            }
            None => Err(refused("say `embed` if you mean the scaled embedding".to_string())),
        };
    }
    let layered = |after: &str| {
        let (layer, rest) = after.split_once('.').unwrap_or((after, ""));
        let is_layer = layer == "*" || layer.parse::<usize>().is_ok();
        let problem = || refused(format!("expected the number of a layer, or *, found `{layer}`"));
        is_layer.then(|| (layer.to_string(), rest.to_string())).ok_or_else(problem)
    };
    let site = if let Some(after) = name.strip_prefix("blocks.") {
        let (layer, rest) = layered(after)?;
        lens(&layer, &rest, modules)
    } else {
        let found = LAYERS.iter().find_map(|(prefix, parts)| Some((name.strip_prefix(prefix)?, *parts)));
        let Some((after, parts)) = found else { return Ok(None) };
        let (layer, rest) = layered(after)?;
        match parts {
            [] => module(&layer, &rest, modules),
            parts => module(&layer, &in_llama(&rest, parts), Some(PLAIN)),
        }
    };
    site.map(Some).map_err(refused)
}

/// Of the families that have names of their own.
const PLAIN: Modules = Modules { post_norms: false, scaled_embedding: false, learned_positions: false };

/// A part of a layer as Llama calls it.
fn in_llama(rest: &str, parts: &[(&str, &str)]) -> String {
    let (part, side) = match rest.rsplit_once('.') {
        Some((part, side)) if ["input", "output"].contains(&side) => (part, format!(".{side}")),
        _ => (rest, String::new()),
    };
    let llama = parts.iter().find(|(theirs, _)| *theirs == part).map_or(part, |(_, llama)| llama);
    format!("{llama}{side}")
}

fn lens(layer: &str, rest: &str, modules: Option<Modules>) -> Result<String, String> {
    if let Some((_, kind)) = LENS.iter().find(|(hook, _)| *hook == rest) {
        return Ok(format!("{layer}.{kind}"));
    }
    match (rest, layer.parse::<usize>()) {
        ("hook_resid_pre", Ok(0)) if modules.is_some_and(|m| m.learned_positions) => {
            Err("learned positions are in it, which no site has; `embed` is without them".to_string())
        }
        // What enters a layer is what left the one before.
        ("hook_resid_pre", Ok(0)) => Ok("embed".to_string()),
        ("hook_resid_pre", Ok(layer)) => Ok(format!("{}.res", layer - 1)),
        ("hook_resid_pre", Err(_)) => Err("say `embed,*.res`, which has what enters every layer".to_string()),
        _ => {
            let known: Vec<&str> = LENS.iter().map(|(hook, _)| *hook).collect();
            Err(format!(
                "of TransformerLens's hooks these are sites: {}, hook_resid_pre, hook_embed",
                known.join(", ")
            ))
        }
    }
}

fn module(layer: &str, rest: &str, modules: Option<Modules>) -> Result<String, String> {
    let post_norms = modules.map(|m| m.post_norms);
    let site = |kind: &str| Ok(format!("{layer}.{kind}"));
    match (rest.strip_suffix(".output").unwrap_or(rest), post_norms) {
        ("" | "output", _) => site("res"),
        ("self_attn.o_proj" | "self_attn.o_proj.input", _) if !rest.ends_with("output") => site("att"),
        ("post_feedforward_layernorm", Some(true) | None) => site("mlp"),
        ("mlp", Some(false)) => site("mlp"),
        ("self_attn", Some(false)) => site("attn"),
        ("post_attention_layernorm", Some(true)) => site("attn"),
        ("mlp" | "self_attn", Some(true)) => {
            Err(format!("what it says is normed before it is added to the stream; `{layer}.mlp` and `{layer}.attn` come after"))
        }
        ("post_attention_layernorm", Some(false)) => {
            Err(format!("the norm's gain is in it; `{layer}.mlp-in` is the same without the gain"))
        }
        ("mlp" | "self_attn" | "post_attention_layernorm", None) => {
            Err(format!("which site it is depends on the model; say `{layer}.mlp`, `{layer}.attn` or `{layer}.mlp-in`"))
        }
        _ => Err("of a layer's modules these are sites: the layer itself (res), self_attn.o_proj (its input, att), mlp, \
                  self_attn (GPT-2: attn, attn.c_proj; GPT-NeoX: attention, attention.dense), and in Gemma 2 and 3 and OLMo 2 \
                  post_attention_layernorm (attn) and post_feedforward_layernorm (mlp)"
            .to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: Option<Modules> = Some(PLAIN);
    const GPT2: Option<Modules> = Some(Modules { learned_positions: true, ..PLAIN });
    const GEMMA: Option<Modules> =
        Some(Modules { post_norms: true, scaled_embedding: true, learned_positions: false });

    fn said(name: &str, modules: Option<Modules>) -> String {
        match ours(name, modules) {
            Ok(Some(site)) => site,
            Ok(None) => "none of theirs".to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// The table of docs/design.md §1, read backwards.
    #[test]
    fn other_peoples_names_are_ours() {
        for (name, llama, gemma) in [
            ("blocks.3.hook_resid_post", "3.res", "3.res"),
            ("blocks.0.attn.hook_z", "0.att", "0.att"),
            ("blocks.12.hook_mlp_out", "12.mlp", "12.mlp"),
            ("blocks.1.ln2.hook_normalized", "1.mlp-in", "1.mlp-in"),
            ("blocks.1.hook_attn_out", "1.attn", "1.attn"),
            ("blocks.*.hook_resid_mid", "*.mid", "*.mid"),
            ("blocks.4.hook_resid_pre", "3.res", "3.res"),
            ("blocks.0.hook_resid_pre", "embed", "embed"),
            ("hook_embed", "embed", "embed"),
            ("model.layers.3", "3.res", "3.res"),
            ("model.layers.3.output", "3.res", "3.res"),
            ("model.layers.3.self_attn.o_proj", "3.att", "3.att"),
            ("model.layers.3.self_attn.o_proj.input", "3.att", "3.att"),
            ("model.layers.3.mlp", "3.mlp", "normed before it is added"),
            ("model.layers.3.self_attn.output", "3.attn", "normed before it is added"),
            ("model.layers.3.post_attention_layernorm", "without the gain", "3.attn"),
            ("model.layers.3.post_feedforward_layernorm.output", "these are sites", "3.mlp"),
            ("model.embed_tokens", "embed", "not yet scaled"),
            ("model.layers.3.self_attn.o_proj.output", "these are sites", "these are sites"),
            ("blocks.3.attn.hook_q", "hook_resid_post, attn.hook_z", "hook_resid_post, attn.hook_z"),
            ("blocks.x.hook_resid_post", "found `x`", "found `x`"),
            ("3.res", "none of theirs", "none of theirs"),
        ] {
            assert!(said(name, LLAMA).contains(llama), "{name}: {}", said(name, LLAMA));
            assert!(said(name, GEMMA).contains(gemma), "{name}: {}", said(name, GEMMA));
        }
    }

    #[test]
    fn families_with_names_of_their_own() {
        for (name, ours) in [
            ("transformer.h.3", "3.res"),
            ("transformer.h.3.output", "3.res"),
            ("transformer.h.*.attn.c_proj.input", "*.att"),
            ("transformer.h.0.attn.c_proj", "0.att"),
            ("transformer.h.0.attn.c_proj.output", "these are sites"),
            ("transformer.h.0.attn.output", "0.attn"),
            ("transformer.h.0.mlp", "0.mlp"),
            ("transformer.h.0.ln_2", "without the gain"),
            ("transformer.wte", "embed"),
            ("gpt_neox.layers.2", "2.res"),
            ("gpt_neox.layers.2.attention.dense.input", "2.att"),
            ("gpt_neox.layers.2.attention", "2.attn"),
            ("gpt_neox.layers.2.mlp.output", "2.mlp"),
            ("gpt_neox.embed_in.output", "embed"),
            ("model.language_model.layers.1", "1.res"),
            ("blocks.1.hook_resid_pre", "0.res"),
            ("blocks.0.hook_resid_pre", "learned positions are in it"),
        ] {
            assert!(said(name, GPT2).contains(ours), "{name}: {}", said(name, GPT2));
        }
        assert_eq!(said("transformer.h.3.attn", None), "3.attn");
    }

    #[test]
    fn without_a_model_only_what_is_the_same_everywhere() {
        assert_eq!(said("model.layers.3", None), "3.res");
        assert_eq!(said("model.layers.3.post_feedforward_layernorm", None), "3.mlp");
        assert!(said("model.layers.3.mlp", None).contains("depends on the model"));
        assert!(said("model.embed_tokens", None).contains("say `embed`"));
    }
}
