//! `lapidary lm info`: everything that a model's config resolves to, and what its files hold by their headers. Reads no
//! weights; a folder with a config alone will do.

use super::InfoArgs;
use crate::global::Global;
use crate::terminal;
use lapidary_lm::spec::RopeScaling;
use lapidary_lm::{LmError, ModelFolder, Site, SiteKind, Spec, load_spec, weights};
use std::collections::BTreeMap;

/// What the model's files say about its head.
#[derive(Clone, Copy)]
enum Head {
    Tied,
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

pub fn info(args: InfoArgs, global: &Global) -> anyhow::Result<()> {
    let folder = args.model.folder(global)?;
    let ignored = &global.catalog.ignore_config_keys;
    let (spec, stored, against) = match ModelFolder::open(&folder, ignored) {
        Ok(files) => (files.spec.clone(), true, files.own_head_against_config),
        Err(LmError::NoWeights { .. }) => (load_spec(&folder, ignored)?, false, false),
        Err(e) => return Err(e.into()),
    };
    let head = match (spec.tied_head, against) {
        (true, _) => Head::Tied,
        (false, false) => Head::Own,
        (false, true) => Head::OwnAgainstConfig,
    };
    if global.json {
        return terminal::line(format_args!("{:#}", json(&spec, stored, head)));
    }
    let rows = table(&spec, stored, head);
    terminal::write(|out| rows.iter().try_for_each(|(name, value)| writeln!(out, "{name:<15} {value}")))
}

/// Width of the rows at each kind of site.
fn widths(spec: &Spec) -> BTreeMap<String, usize> {
    let kinds = SiteKind::IN_ORDER.into_iter().chain([SiteKind::Embed]);
    kinds.map(|k| (k.to_string(), spec.width(Site::new(0, k)))).collect()
}

fn json(spec: &Spec, stored: bool, head: Head) -> serde_json::Value {
    serde_json::json!({
        "family": spec.family.to_string(), "layers": spec.n_layers, "d_model": spec.d_model, "widths": widths(spec),
        "heads": spec.heads, "kv_heads": spec.kv_heads, "d_head": spec.d_head, "d_mlp": spec.d_mlp,
        "vocab": spec.vocab, "context": spec.context, "parameters": weights::count(spec), "windows": spec.windows,
        "tied_head": spec.tied_head, "own_head_against_config": matches!(head, Head::OwnAgainstConfig),
        "weights": stored, "norm_eps": spec.norm_eps, "norm_offset": spec.norm_offset, "post_norms": spec.post_norms,
        "embed_scale": spec.embed_scale, "activation": format!("{:?}", spec.activation),
        "attn_scale": spec.attn_scale, "attn_cap": spec.attn_cap, "final_cap": spec.final_cap,
        "attn_bias": spec.attn_bias, "mlp_bias": spec.mlp_bias, "rope_theta": spec.rope_theta,
        "rope_scaling": rope(spec), "bos": spec.bos, "eos": spec.eos, "pad": spec.pad, "stops": spec.stops,
    })
}

fn table(spec: &Spec, stored: bool, head: Head) -> Vec<(&'static str, String)> {
    let sites: Vec<String> = widths(spec).iter().map(|(kind, width)| format!("{kind} {width}")).collect();
    let cap = |cap: Option<f32>| cap.map_or("none".to_string(), |cap| cap.to_string());
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let parameters = weights::count(spec);
    let scale = spec.embed_scale.map_or("none".to_string(), |scale| scale.to_string());
    vec![
        ("family", spec.family.to_string()),
        ("layers", spec.n_layers.to_string()),
        ("d_model", spec.d_model.to_string()),
        ("site widths", sites.join(", ")),
        ("heads", format!("{} of width {}, {} for keys and values", spec.heads, spec.d_head, spec.kv_heads)),
        (
            "attention",
            format!(
                "scale {}, soft-cap {}, biases: {}",
                spec.attn_scale,
                cap(spec.attn_cap),
                yes(spec.attn_bias)
            ),
        ),
        ("sliding window", window(spec)),
        ("RoPE", format!("base {}, {}", spec.rope_theta, rope(spec))),
        ("MLP", format!("width {}, {:?}, biases: {}", spec.d_mlp, spec.activation, yes(spec.mlp_bias))),
        (
            "norms",
            format!(
                "ε {:e}, gain {} + w, after each half too: {}",
                spec.norm_eps,
                spec.norm_offset,
                yes(spec.post_norms)
            ),
        ),
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

fn rope(spec: &Spec) -> String {
    match spec.rope_scaling {
        RopeScaling::None => "not stretched".to_string(),
        RopeScaling::Linear { factor } => format!("stretched by {factor}"),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => format!(
            "stretched by {factor} as in Llama 3 (low {low_freq_factor}, high {high_freq_factor}, first context {original_context})"
        ),
    }
}
