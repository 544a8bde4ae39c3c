//! Our sites under other people's names: TransformerLens hooks (which SAELens writes down) and Hugging Face modules.
//!
//! A site is the plain string `LAYER.KIND`, `embed` or `planted` here; this crate knows no model. `att` is the heads' outputs before
//! W_O, joined head-major; TransformerLens keeps them apart `[.., H, d_head]`, so SAELens must be told to reshape.

/// A site's names elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// TransformerLens, e.g. `blocks.3.hook_resid_post`.
    pub hook_name: String,
    /// Hugging Face module and its side, e.g. `model.layers.3.output`; `None` where no module has it.
    pub hf_hook_name: Option<String>,
    /// Does TransformerLens keep heads apart there (SAELens: `reshape_activations: hook_z`)?
    pub heads: bool,
}

/// Kind, TransformerLens name after the layer, HF name after the layer with post-norms (Gemma 2) and without (Llama).
const KINDS: [(&str, &str, Option<&str>, Option<&str>); 6] = [
    ("res", "hook_resid_post", Some("output"), Some("output")),
    ("att", "attn.hook_z", Some("self_attn.o_proj.input"), Some("self_attn.o_proj.input")),
    ("mlp", "hook_mlp_out", Some("post_feedforward_layernorm.output"), Some("mlp.output")),
    ("mlp-in", "ln2.hook_normalized", None, None),
    ("attn", "hook_attn_out", Some("post_attention_layernorm.output"), Some("self_attn.output")),
    ("mid", "hook_resid_mid", None, None),
];

/// Sites without a layer: the embedding, and rows of a planted dictionary, which no model has and everybody calls the same.
const WITHOUT_LAYER: [(&str, &str); 2] = [("embed", "hook_embed"), ("planted", "planted")];

/// The names of `site`; `post_norms` says whether the model has norms after attention and MLP (Gemma 2 has).
pub fn hook(site: &str, post_norms: bool) -> Option<Hook> {
    if let Some((_, lens)) = WITHOUT_LAYER.iter().find(|(name, _)| *name == site) {
        return Some(Hook { hook_name: lens.to_string(), hf_hook_name: None, heads: false });
    }
    let (layer, kind) = site.split_once('.')?;
    let layer = canonical(layer)?;
    let (_, lens, gemma, llama) = KINDS.iter().find(|(name, ..)| *name == kind)?;
    let module = if post_norms { gemma } else { llama };
    Some(Hook {
        hook_name: format!("blocks.{layer}.{lens}"),
        hf_hook_name: module.map(|module| format!("model.layers.{layer}.{module}")),
        heads: kind == "att",
    })
}

/// The site that TransformerLens calls `hook_name`.
pub fn site_of(hook_name: &str) -> Option<String> {
    if let Some((site, _)) = WITHOUT_LAYER.iter().find(|(_, lens)| *lens == hook_name) {
        return Some(site.to_string());
    }
    let (layer, lens) = hook_name.strip_prefix("blocks.")?.split_once('.')?;
    let (kind, ..) = KINDS.iter().find(|(_, name, ..)| *name == lens)?;
    Some(format!("{}.{kind}", canonical(layer)?))
}

fn canonical(layer: &str) -> Option<usize> {
    layer.parse().ok().filter(|n: &usize| n.to_string() == layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/design.md §1.
    #[test]
    fn names_are_those_of_the_design() {
        for (site, lens, hf) in [
            ("3.res", "blocks.3.hook_resid_post", Some("model.layers.3.output")),
            ("0.att", "blocks.0.attn.hook_z", Some("model.layers.0.self_attn.o_proj.input")),
            ("12.mlp", "blocks.12.hook_mlp_out", Some("model.layers.12.post_feedforward_layernorm.output")),
            ("1.mlp-in", "blocks.1.ln2.hook_normalized", None),
            ("1.attn", "blocks.1.hook_attn_out", Some("model.layers.1.post_attention_layernorm.output")),
            ("1.mid", "blocks.1.hook_resid_mid", None),
            ("embed", "hook_embed", None),
            ("planted", "planted", None),
        ] {
            let found = hook(site, true).unwrap();
            assert_eq!((found.hook_name.as_str(), found.hf_hook_name.as_deref()), (lens, hf));
            assert_eq!(found.heads, site == "0.att");
            assert_eq!(site_of(lens).as_deref(), Some(site));
        }
        assert_eq!(hook("3.mlp", false).unwrap().hf_hook_name.unwrap(), "model.layers.3.mlp.output");
        for bad in ["", "res", "3.", "3.resid", "x.res", "+3.res", "03.res", "embed.3"] {
            assert_eq!(hook(bad, true), None, "{bad}");
        }
    }
}
