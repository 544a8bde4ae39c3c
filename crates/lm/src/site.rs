//! Names of places in a model: `LAYER.KIND`, such as `3.res`, or `embed`, which has no layer.
//!
//! A pattern is a comma-separated list of names; `*` stands for every layer or every kind, `all` for everything. The names
//! that TransformerLens and Hugging Face have for the same places are understood too (`hooks.rs`). What is not understood is
//! answered with the nearest name that exists.

use crate::error::LmError;
use crate::hooks::{self, Modules};
use std::fmt;
use std::str::FromStr;

/// What is read at a place; widths are d_model except for [`SiteKind::Att`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteKind {
    /// Residual stream after the layer.
    Res,
    /// The heads' outputs, concatenated head-major, before W_O; width H·A.
    Att,
    /// What the MLP adds to the stream (after the post-norm, where there is one).
    Mlp,
    /// The MLP's input: normalised, without the norm's gain (which is applied after the tap).
    MlpIn,
    /// What attention adds to the stream (after the post-norm, where there is one).
    Attn,
    /// Residual stream between attention and MLP.
    Mid,
    /// The (scaled) token embedding; has no layer.
    Embed,
}

impl SiteKind {
    /// The kinds of a layer in the order in which the layer computes them.
    pub const IN_ORDER: [SiteKind; 6] =
        [SiteKind::Att, SiteKind::Attn, SiteKind::Mid, SiteKind::MlpIn, SiteKind::Mlp, SiteKind::Res];

    fn name(self) -> &'static str {
        match self {
            SiteKind::Res => "res",
            SiteKind::Att => "att",
            SiteKind::Mlp => "mlp",
            SiteKind::MlpIn => "mlp-in",
            SiteKind::Attn => "attn",
            SiteKind::Mid => "mid",
            SiteKind::Embed => "embed",
        }
    }
}

impl fmt::Display for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// Layer, from 0; 0 for [`SiteKind::Embed`].
    pub layer: usize,
    /// What is read there.
    pub kind: SiteKind,
}

impl Site {
    /// A place in a layer.
    pub fn new(layer: usize, kind: SiteKind) -> Site {
        Site { layer, kind }
    }

    /// Sorts sites by the order in which a run meets them.
    pub fn rank(self) -> (usize, usize) {
        match SiteKind::IN_ORDER.iter().position(|&k| k == self.kind) {
            Some(within) => (self.layer, within + 1),
            None => (0, 0), // embed
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SiteKind::Embed => f.write_str("embed"),
            kind => write!(f, "{}.{kind}", self.layer),
        }
    }
}

impl FromStr for Site {
    type Err = LmError;

    /// Parses `3.res` or `embed`, or what others call it; the layer is not checked against any model.
    fn from_str(name: &str) -> Result<Site, LmError> {
        let unknown = || LmError::Site {
            found: name.to_string(),
            next: "a site is LAYER.KIND, such as `3.res`".to_string(),
        };
        let ours = hooks::ours(name, None)?;
        let s = ours.as_deref().unwrap_or(name);
        if s == "embed" {
            return Ok(Site::new(0, SiteKind::Embed));
        }
        let (layer, kind) = s.split_once('.').ok_or_else(unknown)?;
        let kind = SiteKind::IN_ORDER.into_iter().find(|k| k.name() == kind).ok_or_else(unknown)?;
        let layer = layer.parse().map_err(|_| unknown())?;
        Ok(Site { layer, kind })
    }
}

/// The sites of a model of `layers` layers that `patterns` names, each once, in the order in which a run meets them; `modules`
/// says what Hugging Face's names mean there, `lacking` which kinds it does not have, and why.
pub(crate) fn parse(
    patterns: &str,
    layers: usize,
    modules: Modules,
    lacking: &[(SiteKind, &str)],
) -> Result<Vec<Site>, LmError> {
    let (every, absent): (Vec<Site>, Vec<Site>) =
        every(layers).into_iter().partition(|site| lacking.iter().all(|(kind, _)| *kind != site.kind));
    let mut sites: Vec<Site> = Vec::new();
    for named in patterns.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (before, ours) = (sites.len(), hooks::ours(named, Some(modules))?);
        let pattern = ours.as_deref().unwrap_or(named);
        sites.extend(every.iter().copied().filter(|s| matches(pattern, *s)));
        if sites.len() == before {
            let absent = absent.iter().find(|site| matches(pattern, **site));
            let why = absent.and_then(|site| lacking.iter().find(|(kind, _)| *kind == site.kind));
            let next = why
                .map_or_else(|| nearest(pattern, layers), |(_, why)| format!("this model has none: {why}"));
            return Err(LmError::Site { found: pattern.to_string(), next });
        }
    }
    if sites.is_empty() {
        return Err(LmError::Site {
            found: patterns.to_string(),
            next: "name at least one, such as `0.res`".to_string(),
        });
    }
    sites.sort_by_key(|s| s.rank());
    sites.dedup();
    Ok(sites)
}

/// All sites of a model in the order in which a run meets them.
fn every(layers: usize) -> Vec<Site> {
    let embed = Site::new(0, SiteKind::Embed);
    let of_layer = |l| SiteKind::IN_ORDER.into_iter().map(move |k| Site::new(l, k));
    std::iter::once(embed).chain((0..layers).flat_map(of_layer)).collect()
}

fn matches(pattern: &str, site: Site) -> bool {
    if pattern == "all" || pattern == site.to_string() {
        return true;
    }
    let Some((layer, kind)) = pattern.split_once('.') else { return false };
    let in_layer = site.kind != SiteKind::Embed;
    let is = |pattern: &str, value: String| pattern == "*" || pattern == value;
    in_layer && is(layer, site.layer.to_string()) && is(kind, site.kind.to_string())
}

/// What the writer of `pattern` probably meant.
fn nearest(pattern: &str, layers: usize) -> String {
    let digits: String = pattern.chars().filter(char::is_ascii_digit).collect();
    let kind: String = pattern.chars().filter(|c| c.is_ascii_alphabetic() || "-_".contains(*c)).collect();
    let kind = nearest_kind(&kind.to_lowercase());
    let last = layers - 1;
    let advice = "kinds are res, att, mlp, mlp-in, attn, mid and embed";
    match digits.parse::<usize>() {
        _ if kind == SiteKind::Embed => format!("did you mean `embed`? {advice}"),
        Ok(layer) if layer > last => {
            format!("the model has layers 0 to {last}; did you mean `{last}.{kind}`?")
        }
        Ok(layer) => format!("did you mean `{layer}.{kind}`? {advice}"),
        Err(_) => format!("did you mean `*.{kind}`? {advice}"),
    }
}

fn nearest_kind(text: &str) -> SiteKind {
    let score = |kind: &SiteKind| strsim::jaro_winkler(kind.name(), text);
    let kinds = SiteKind::IN_ORDER.into_iter().chain([SiteKind::Embed]);
    kinds.max_by(|a, b| score(a).total_cmp(&score(b))).expect("there are kinds")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: Modules = Modules { post_norms: false, scaled_embedding: false, learned_positions: false };

    fn check(patterns: &str, expect: &str) {
        check_lacking(patterns, expect, &[]);
    }

    fn check_lacking(patterns: &str, expect: &str, lacking: &[(SiteKind, &str)]) {
        let found = match parse(patterns, 5, LLAMA, lacking) {
            Ok(sites) => sites.iter().map(Site::to_string).collect::<Vec<_>>().join(" "),
            Err(e) => e.to_string(),
        };
        assert!(found.contains(expect), "{patterns}: {found}");
    }

    #[test]
    fn patterns() {
        check("3.res, 0.mlp,0.mlp", "0.mlp 3.res");
        check("*.att", "0.att 1.att 2.att 3.att 4.att");
        check("1.*", "1.att 1.attn 1.mid 1.mlp-in 1.mlp 1.res");
        check("embed,0.att", "embed 0.att");
        check("blocks.0.hook_resid_post, model.layers.1.mlp,hook_embed", "embed 0.res 1.mlp");
        check("blocks.*.attn.hook_z", "0.att 1.att 2.att 3.att 4.att");
        check("blocks.2.hook_resid_pre,blocks.0.hook_resid_pre", "embed 1.res");
        assert_eq!(parse("all", 5, LLAMA, &[]).unwrap().len(), 31);
        assert!(parse("all", 5, LLAMA, &[]).unwrap().is_sorted_by_key(|s| s.rank()));
    }

    #[test]
    fn what_a_model_lacks_is_refused_by_name_and_left_out_of_patterns() {
        let lacking = [(SiteKind::Mid, "for a reason")];
        check_lacking("3.mid", "this model has none: for a reason", &lacking);
        check_lacking("blocks.3.hook_resid_mid", "this model has none: for a reason", &lacking);
        check_lacking("1.*", "1.att 1.attn 1.mlp-in 1.mlp 1.res", &lacking);
        check_lacking("3.mids", "did you mean `3.mid`", &lacking);
        assert_eq!(parse("all", 5, LLAMA, &lacking).unwrap().len(), 26);
    }

    #[test]
    fn mistakes_are_answered_with_the_nearest_name() {
        check("3.rez", "did you mean `3.res`");
        check("3.resid", "did you mean `3.res`");
        check("res.3", "did you mean `3.res`");
        check("3.mlp_in", "did you mean `3.mlp-in`");
        check("*.rs", "did you mean `*.res`");
        check("res", "did you mean `*.res`");
        check("att", "did you mean `*.att`");
        check("7.rez", "layers 0 to 4; did you mean `4.res`");
        check("5.res", "did you mean `4.res`");
        check("embedding", "did you mean `embed`");
        check("blocks.7.hook_resid_post", "layers 0 to 4; did you mean `4.res`");
        check("blocks.0.hook_resid", "TransformerLens");
        check(" , ", "name at least one");
    }

    #[test]
    fn names_round_trip() {
        for site in every(2) {
            assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
        }
        assert!("x.res".parse::<Site>().is_err());
    }
}
