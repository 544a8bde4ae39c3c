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

/// How the model's Hugging Face class names its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modules {
    /// Llama, and most others.
    Llama,
    /// Gemma 2 and 3, OLMo 2: norms after attention and MLP.
    PostNorms,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia.
    GptNeoX,
}

/// Kind, TransformerLens name after the layer.
const KINDS: [(&str, &str); 6] = [
    ("res", "hook_resid_post"),
    ("att", "attn.hook_z"),
    ("mlp", "hook_mlp_out"),
    ("mlp-in", "ln2.hook_normalized"),
    ("attn", "hook_attn_out"),
    ("mid", "hook_resid_mid"),
];

/// Sites without a layer: the embedding, and rows of a planted dictionary, which no model has and everybody calls the same.
const WITHOUT_LAYER: [(&str, &str); 2] = [("embed", "hook_embed"), ("planted", "planted")];

/// The names of `site` in a model whose modules are called so.
pub fn hook(site: &str, modules: Modules) -> Option<Hook> {
    if let Some((_, lens)) = WITHOUT_LAYER.iter().find(|(name, _)| *name == site) {
        return Some(Hook { hook_name: lens.to_string(), hf_hook_name: None, heads: false });
    }
    let (layer, kind) = site.split_once('.')?;
    let layer = canonical(layer)?;
    let (_, lens) = KINDS.iter().find(|(name, _)| *name == kind)?;
    Some(Hook {
        hook_name: format!("blocks.{layer}.{lens}"),
        hf_hook_name: module(kind, modules).map(|(layers, module)| format!("{layers}.{layer}.{module}")),
        heads: kind == "att",
    })
}

/// Hugging Face's layers, and the module of a layer whose side is a kind of site.
fn module(kind: &str, modules: Modules) -> Option<(&'static str, &'static str)> {
    let (layers, [att, mlp, attn]) = match modules {
        Modules::Llama => ("model.layers", ["self_attn.o_proj.input", "mlp.output", "self_attn.output"]),
        Modules::PostNorms => (
            "model.layers",
            [
                "self_attn.o_proj.input",
                "post_feedforward_layernorm.output",
                "post_attention_layernorm.output",
            ],
        ),
        Modules::Gpt2 => ("transformer.h", ["attn.c_proj.input", "mlp.output", "attn.output"]),
        Modules::GptNeoX => ("gpt_neox.layers", ["attention.dense.input", "mlp.output", "attention.output"]),
    };
    let module = match kind {
        "res" => "output",
        "att" => att,
        "mlp" => mlp,
        "attn" => attn,
        _ => return None,
    };
    Some((layers, module))
}

/// The site that TransformerLens calls `hook_name`.
pub fn site_of(hook_name: &str) -> Option<String> {
    if let Some((site, _)) = WITHOUT_LAYER.iter().find(|(_, lens)| *lens == hook_name) {
        return Some(site.to_string());
    }
    let (layer, lens) = hook_name.strip_prefix("blocks.")?.split_once('.')?;
    let (kind, _) = KINDS.iter().find(|(_, name)| *name == lens)?;
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
            let found = hook(site, Modules::PostNorms).unwrap();
            assert_eq!((found.hook_name.as_str(), found.hf_hook_name.as_deref()), (lens, hf));
            assert_eq!(found.heads, site == "0.att");
            assert_eq!(site_of(lens).as_deref(), Some(site));
        }
        for (site, modules, hf) in [
            ("3.mlp", Modules::Llama, "model.layers.3.mlp.output"),
            ("3.res", Modules::Gpt2, "transformer.h.3.output"),
            ("3.att", Modules::Gpt2, "transformer.h.3.attn.c_proj.input"),
            ("3.attn", Modules::GptNeoX, "gpt_neox.layers.3.attention.output"),
            ("3.att", Modules::GptNeoX, "gpt_neox.layers.3.attention.dense.input"),
        ] {
            assert_eq!(hook(site, modules).unwrap().hf_hook_name.unwrap(), hf);
        }
        for bad in ["", "res", "3.", "3.resid", "x.res", "+3.res", "03.res", "embed.3"] {
            assert_eq!(hook(bad, Modules::PostNorms), None, "{bad}");
        }
    }
}
