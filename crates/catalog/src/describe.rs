//! A model's spec in words and as JSON: what `lapidary lm info` shows, and any other front end.

use lapidary_lm::spec::{Activation, NormKind, QkNorm, Rope, RopeScaling};
use lapidary_lm::{Site, SiteKind, Spec, weights};
use std::collections::BTreeMap;

/// What the model's files say about its head.
#[derive(Clone, Copy, Debug)]
pub enum Head {
    /// It is the embedding.
    Tied,
    /// It has weights of its own.
    Own,
    /// The config says tied, the files hold another.
    OwnAgainstConfig,
}

impl Head {
    fn text(self) -> &'static str {
        match self {
            Head::Tied => "tied to the embedding",
            Head::Own => "of its own",
            Head::OwnAgainstConfig => {
                "of its own: lm_head.weight is stored and differs from the embedding that config.json ties it to"
            }
        }
    }
}

/// Width of the rows at each kind of site that the model has.
fn widths(spec: &Spec) -> BTreeMap<String, usize> {
    let kinds = SiteKind::IN_ORDER.into_iter().chain([SiteKind::Embed]);
    kinds.filter(|&k| spec.has(k)).map(|k| (k.to_string(), spec.width(Site::new(0, k)))).collect()
}

/// Every field by name; `stored`: the weights are there.
pub fn json(spec: &Spec, stored: bool, head: Head) -> serde_json::Value {
    serde_json::json!({
        "family": spec.family.to_string(), "layers": spec.n_layers, "d_model": spec.d_model, "widths": widths(spec),
        "heads": spec.heads, "kv_heads": spec.kv_heads, "d_head": spec.d_head, "d_mlp": spec.d_mlp,
        "vocab": spec.vocab, "context": spec.context, "parameters": weights::count(spec), "windows": spec.windows,
        "tied_head": spec.tied_head, "own_head_against_config": matches!(head, Head::OwnAgainstConfig),
        "weights": stored, "norm": norm(spec), "norm_eps": spec.norm_eps, "norm_offset": spec.norm_offset,
        "pre_norms": spec.pre_norms, "post_norms": spec.post_norms, "parallel": spec.parallel,
        "qk_norm": qk_norm(spec), "embed_scale": spec.embed_scale, "gated": spec.gated, "activation": activation(spec),
        "attn_scale": spec.attn_scale, "attn_cap": spec.attn_cap, "final_cap": spec.final_cap,
        "qkv_bias": spec.qkv_bias, "out_bias": spec.out_bias, "mlp_bias": spec.mlp_bias,
        "rope": spec.rope.as_ref().map(rope_json), "local_rope": spec.local_rope.as_ref().map(rope_json), "bos": spec.bos, "eos": spec.eos, "pad": spec.pad, "stops": spec.stops,
    })
}

/// Name and value of each line, for a person; `stored`: the weights are there.
pub fn table(spec: &Spec, stored: bool, head: Head) -> Vec<(&'static str, String)> {
    let sites: Vec<String> = widths(spec).iter().map(|(kind, width)| format!("{kind} {width}")).collect();
    let parameters = weights::count(spec);
    let scale = spec.embed_scale.map_or("none".to_string(), |scale| scale.to_string());
    vec![
        ("family", spec.family.to_string()),
        ("layers", spec.n_layers.to_string()),
        ("d_model", spec.d_model.to_string()),
        ("site widths", sites.join(", ")),
        ("heads", format!("{} of width {}, {} for keys and values", spec.heads, spec.d_head, spec.kv_heads)),
        ("attention", attention(spec)),
        ("sliding window", window(spec)),
        ("positions", positions(spec)),
        ("MLP", mlp(spec)),
        ("norms", norms(spec)),
        ("embedding", format!("factor {scale}")),
        ("vocabulary", spec.vocab.to_string()),
        ("head", format!("{}, soft-cap {}", head.text(), cap(spec.final_cap))),
        ("context", format!("{} tokens", spec.context)),
        (
            "parameters",
            format!("{parameters}{}", if stored { "" } else { " by the config; no weights in this folder" }),
        ),
        ("bos", ids(spec.bos.as_slice())),
        ("eos", ids(&spec.eos)),
        ("pad", ids(spec.pad.as_slice())),
        ("generation ends", format!("at {}", ids(&spec.stops))),
    ]
}

fn ids(ids: &[u32]) -> String {
    match ids {
        [] => "none".to_string(),
        ids => ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn window(spec: &Spec) -> String {
    let slides = spec.windows.iter().flatten().count();
    match spec.windows.iter().flatten().next() {
        Some(window) => format!("{window} tokens in {slides} of {} layers", spec.n_layers),
        None => "none".to_string(),
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn cap(cap: Option<f32>) -> String {
    cap.map_or("none".to_string(), |cap| cap.to_string())
}

fn attention(spec: &Spec) -> String {
    let norms = match spec.qk_norm {
        QkNorm::None => "",
        QkNorm::Head => ", queries and keys normed head by head",
        QkNorm::Whole => ", queries and keys normed whole",
    };
    let (scale, cap) = (spec.attn_scale, cap(spec.attn_cap));
    let (qkv, out) = (yes(spec.qkv_bias), yes(spec.out_bias));
    format!("scale {scale}, soft-cap {cap}, biases: {qkv}, on the output: {out}{norms}")
}

fn mlp(spec: &Spec) -> String {
    let gate = if spec.gated { "gated" } else { "plain" };
    let beside = if spec.parallel { ", beside attention" } else { "" };
    format!("width {}, {gate} {}, biases: {}{beside}", spec.d_mlp, activation(spec), yes(spec.mlp_bias))
}

fn activation(spec: &Spec) -> &'static str {
    match spec.activation {
        Activation::Silu => "SiLU",
        Activation::Gelu => "GELU",
        Activation::GeluTanh => "GELU (tanh)",
    }
}

fn norm(spec: &Spec) -> &'static str {
    match spec.norm {
        NormKind::Rms => "RMSNorm",
        NormKind::Layer => "LayerNorm",
    }
}

fn norms(spec: &Spec) -> String {
    let (before, after) = (yes(spec.pre_norms), yes(spec.post_norms));
    let (kind, eps, offset) = (norm(spec), spec.norm_eps, spec.norm_offset);
    format!("{kind}, ε {eps:e}, gain {offset} + w, before each half: {before}, after it: {after}")
}

fn qk_norm(spec: &Spec) -> Option<&'static str> {
    match spec.qk_norm {
        QkNorm::None => None,
        QkNorm::Head => Some("head"),
        QkNorm::Whole => Some("whole"),
    }
}

fn positions(spec: &Spec) -> String {
    let Some(all) = &spec.rope else { return "learned".to_string() };
    let one = |rope: &Rope| {
        let part =
            if rope.width == spec.d_head { String::new() } else { format!(" of {} components", rope.width) };
        format!("RoPE{part}, base {}, {}", rope.theta, scaling(&rope.scaling))
    };
    let local = spec.local_rope.as_ref().map(|rope| format!("; with a window: {}", one(rope)));
    one(all) + &local.unwrap_or_default()
}

fn rope_json(rope: &Rope) -> serde_json::Value {
    serde_json::json!({ "theta": rope.theta, "width": rope.width, "scaling": scaling(&rope.scaling) })
}

fn scaling(scaling: &RopeScaling) -> String {
    match scaling {
        RopeScaling::None => "not stretched".to_string(),
        RopeScaling::Linear { factor } => format!("stretched by {factor}"),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => format!(
            "stretched by {factor} as in Llama 3 (low {low_freq_factor}, high {high_freq_factor}, first context {original_context})"
        ),
        RopeScaling::Yarn { factor, beta_fast, beta_slow, original_context, truncate, attention_factor } => {
            format!(
                "stretched by {factor} as in YaRN (fast {beta_fast}, slow {beta_slow}, first context {original_context}, whole \
             components: {}, times {attention_factor})",
                yes(*truncate)
            )
        }
        RopeScaling::Dynamic => "stretched beyond the context only (dynamic), which is refused".to_string(),
        RopeScaling::Long { attention_factor, original_context, .. } => format!(
            "stretched as in LongRoPE up to the first context {original_context} (times {attention_factor}); longer is refused"
        ),
    }
}
