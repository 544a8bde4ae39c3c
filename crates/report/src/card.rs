//! The page that lies beside a released dictionary, `card.md`. That of a whole release is in [`crate::suite`].
//!
//! A card answers, in this order: what is it, in which units, how do I load it, how was it made, how good is it, what can
//! it not do. It states what it was given and judges nothing.

use crate::hub::Hub;
use crate::number;
use crate::scores::{self, Line};

/// What `card.md` says of one dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Folder and title, `3.res-2048`.
    pub name: String,
    /// The language model, as a person would ask for it.
    pub model: String,
    /// What it is.
    pub kind: Kind,
    /// Of a baseline: what was withheld from it, a sentence.
    pub baseline: Option<String>,
    /// Where the dictionary reads, `3.res`.
    pub site: String,
    /// TransformerLens' name of the site, `blocks.3.hook_resid_post`.
    pub hook: String,
    /// D, width of the activation.
    pub d_in: usize,
    /// What a transcoder reconstructs.
    pub output: Option<Output>,
    /// F, number of features.
    pub width: usize,
    /// (H, d_head) where SAELens wants the heads apart, [N, H, d_head]: the `att` sites.
    pub heads: Option<(usize, usize)>,
    /// How it was trained, label and value: preset, λ, rows, seed, plan hash …
    pub training: Vec<(String, String)>,
    /// The scores with intervals, units and n.
    pub scores: Vec<Line>,
    /// What the scores were measured on, in sentences.
    pub scored_on: String,
    /// On another model: what that is, and scores there.
    pub elsewhere: Option<(String, Vec<Line>)>,
    /// What a reader of the scores must not overlook, one sentence each.
    pub remarks: Vec<String>,
    /// What it cannot do or was not tested for, one sentence each.
    pub limits: Vec<String>,
    /// For the front matter.
    pub hub: Hub,
}

/// What a dictionary is, once released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Most features per row, of a TopK encoder; else it is JumpReLU.
    pub k: Option<usize>,
    /// Does it write another site than it reads?
    pub transcoder: bool,
    /// Is there a linear path past the features?
    pub skip: bool,
}

/// What a transcoder reconstructs.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// `3.mlp`
    pub site: String,
    /// TransformerLens' name.
    pub hook: String,
    /// D_out
    pub d: usize,
}

impl Kind {
    /// `JumpReLU sparse autoencoder`, `TopK transcoder with a skip`, or several of them.
    pub(crate) fn noun(self, several: bool) -> String {
        let encoder = if self.k.is_some() { "TopK" } else { "JumpReLU" };
        let what = if self.transcoder { "transcoder" } else { "sparse autoencoder" };
        let (s, skip) = (if several { "s" } else { "" }, if self.skip { " with a skip" } else { "" });
        format!("{encoder} {what}{s}{skip}")
    }

    /// SAELens has no TopK transcoders.
    pub fn loads_in_sae_lens(self) -> bool {
        !(self.k.is_some() && self.transcoder)
    }

    /// What loads it, for the Hub.
    pub(crate) fn library(self) -> &'static str {
        if self.loads_in_sae_lens() { "saelens" } else { "lapidary" }
    }

    /// What the Hub finds it by.
    pub(crate) fn tags(self) -> Vec<&'static str> {
        let what = if self.transcoder { "transcoder" } else { "sparse-autoencoder" };
        vec![what, "mechanistic-interpretability", "lapidary"]
    }
}

impl Card {
    fn scores(&self) -> String {
        if self.scores.is_empty() {
            return "## Scores\n\nNone: it reads a model with random weights, so it cannot be spliced into this one.\n".into();
        }
        let remarks = if self.remarks.is_empty() { String::new() } else { list(&self.remarks) + "\n" };
        let there = |(text, lines): &(String, Vec<Line>)| {
            format!("\n### On another model\n\n{text}\n\n{}", scores::sheet_markdown(lines))
        };
        let elsewhere = self.elsewhere.as_ref().map(there).unwrap_or_default();
        let sheet = scores::sheet_markdown(&self.scores);
        format!("## Scores\n\n{}\n\n{remarks}{sheet}{elsewhere}", self.scored_on)
    }

    /// Title and first paragraph; of a baseline both say that it is one.
    fn head(&self) -> String {
        let Card { name, .. } = self;
        match &self.baseline {
            None => format!("# {name}\n\n{}\n", self.what()),
            Some(baseline) => {
                format!(
                    "# {name}, a baseline\n\n**There to be beaten, not to be used.** {baseline}\n\n{}\n",
                    self.what()
                )
            }
        }
    }

    /// The page, Markdown.
    pub fn markdown(&self) -> String {
        let sections = [
            self.hub.front_matter(self.kind.library(), &self.kind.tags()),
            self.head(),
            format!(
                "## Units\n\nRaw: {} No scaling, no centring. {} BOS, EOS and padding positions were never trained or \
                 scored: leave them out.\n",
                self.sides(),
                self.activity()
            ),
            format!("## Load\n\n{}\n{}\n{}", self.python(), self.rust(), self.command_line()),
            format!("## Training\n\n{}", pairs(&self.training)),
            self.scores(),
            format!("## Limits\n\n{}", list(&self.limits)),
        ];
        sections.join("\n")
    }

    fn what(&self) -> String {
        let Card { model, site, width, kind, .. } = self;
        let (noun, width, here) = (kind.noun(false), number::count(*width as u64), place(site));
        match &self.output {
            None => format!("A {noun} with {width} features on site `{site}` of **{model}**: {here}."),
            Some(Output { site: to, .. }) => format!(
                "A {noun}, {width} features, of **{model}**; it reads site `{site}`, {here}, and reconstructs site \
                 `{to}`, {}.",
                place(to)
            ),
        }
    }

    fn sides(&self) -> String {
        let Card { hook, d_in, .. } = self;
        let input = format!(
            "the input is the activation as the model computes it, {d_in} numbers per token (TransformerLens `{hook}`)"
        );
        match &self.output {
            None => format!("{input}, and so is the reconstruction."),
            Some(Output { hook, d, .. }) => {
                format!("{input}; the output is another, {d} numbers per token (`{hook}`).")
            }
        }
    }

    fn activity(&self) -> String {
        match self.kind.k {
            None => "A feature is active where its pre-activation is above its threshold.".into(),
            Some(k) => {
                format!("A feature is active where its pre-activation is above 0 and among the {k} largest.")
            }
        }
    }

    /// Python that loads the folder in SAELens, where SAELens has a class for it.
    fn python(&self) -> String {
        let Card { name, hook, d_in, width, .. } = self;
        if !self.kind.loads_in_sae_lens() {
            return "In Python: SAELens has no TopK transcoders; the command line below reads it.\n".into();
        }
        let shape =
            self.heads.map_or(format!("[N, {d_in}]"), |(heads, d_head)| format!("[N, {heads}, {d_head}]"));
        let (out, hook_out) = match &self.output {
            Some(Output { d, hook, .. }) => (format!("[N, {d}]"), format!(" at {hook}")),
            None => (shape.clone(), String::new()),
        };
        // Of a skip transcoder, decode alone would leave out the skip.
        let x_hat = if self.kind.skip { "sae(x)" } else { "sae.decode(features)" };
        format!(
            "In Python:\n\n```python\nfrom sae_lens import SAE\n\nsae = SAE.load_from_disk(\"{name}\")\n\
             features = sae.encode(x)  # x {shape} from {hook} -> [N, {width}]\n\
             x_hat = {x_hat}  # {out}{hook_out}\n```\n"
        )
    }

    /// With the crates `dictionary` and `kernels` of Lapidary.
    fn rust(&self) -> String {
        let Card { name, d_in, .. } = self;
        let d_out = self.output.as_ref().map_or(*d_in, |output| output.d);
        format!(
            "In Rust, with the crates `lapidary-dictionary` and `lapidary-kernels`:\n\n```rust\n\
             let (dictionary, meta) = lapidary_dictionary::load(Path::new(\"{name}\"))?;\n\
             let device = lapidary_kernels::Device::detect();\n\
             let features = dictionary.encode(device, &x); // x [N, {d_in}], row by row\n\
             let x_hat = dictionary.reconstruct(device, &x, &features); // [N, {d_out}]\n```\n"
        )
    }

    /// Is it whole, and features of activations in a file.
    fn command_line(&self) -> String {
        let Card { name, d_in, hook, .. } = self;
        format!(
            "On the command line, for activations [N, {d_in}] from {hook} in a safetensors file:\n\n```\n\
             lapidary verify {name}\nlapidary encode {name} --in x.safetensors --out features.safetensors\n```\n"
        )
    }
}

/// A site in words: `3.res` is the residual stream after layer 3. An unknown kind is named as it is.
fn place(site: &str) -> String {
    let (layer, kind) = site.split_once('.').unwrap_or(("", site));
    match kind {
        "res" => format!("the residual stream after layer {layer}"),
        "att" => format!(
            "the attention heads' outputs of layer {layer}, concatenated, before the output projection"
        ),
        "mlp" => format!("what the MLP of layer {layer} adds to the residual stream"),
        "mlp-in" => format!("the normalised input of layer {layer}'s MLP, without the norm's gain"),
        "attn" => format!("what attention of layer {layer} adds to the residual stream"),
        "mid" => format!("the residual stream between attention and MLP of layer {layer}"),
        "embed" => "the token embedding that enters the first layer".to_owned(),
        _ => format!("site {site}"),
    }
}

pub(crate) fn pairs(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(label, value)| format!("- {label}: {value}\n")).collect()
}

pub(crate) fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            name: "3.att-2048".into(),
            model: "stories260k".into(),
            kind: Kind::default(),
            baseline: None,
            output: None,
            site: "3.att".into(),
            hook: "blocks.3.attn.hook_z".into(),
            d_in: 64,
            width: 2048,
            heads: Some((8, 8)),
            training: vec![("preset".into(), "short".into()), ("λ".into(), "0.006".into())],
            scores: scores::tests::lines(),
            scored_on: "115,204 held-out rows of 384 documents.".into(),
            elsewhere: None,
            remarks: Vec::new(),
            limits: vec!["Trained on children's stories only.".into()],
            hub: Hub::default(),
        }
    }

    #[test]
    fn a_card_reads_from_what_to_limits() {
        let expect = r#"---
library_name: saelens
tags:
- sparse-autoencoder
- mechanistic-interpretability
- lapidary
---

# 3.att-2048

A JumpReLU sparse autoencoder with 2,048 features on site `3.att` of **stories260k**: the attention heads' outputs of layer 3, concatenated, before the output projection.

## Units

Raw: the input is the activation as the model computes it, 64 numbers per token (TransformerLens `blocks.3.attn.hook_z`), and so is the reconstruction. No scaling, no centring. A feature is active where its pre-activation is above its threshold. BOS, EOS and padding positions were never trained or scored: leave them out.

## Load

In Python:

```python
from sae_lens import SAE

sae = SAE.load_from_disk("3.att-2048")
features = sae.encode(x)  # x [N, 8, 8] from blocks.3.attn.hook_z -> [N, 2048]
x_hat = sae.decode(features)  # [N, 8, 8]
```

In Rust, with the crates `lapidary-dictionary` and `lapidary-kernels`:

```rust
let (dictionary, meta) = lapidary_dictionary::load(Path::new("3.att-2048"))?;
let device = lapidary_kernels::Device::detect();
let features = dictionary.encode(device, &x); // x [N, 64], row by row
let x_hat = dictionary.reconstruct(device, &x, &features); // [N, 64]
```

On the command line, for activations [N, 64] from blocks.3.attn.hook_z in a safetensors file:

```
lapidary verify 3.att-2048
lapidary encode 3.att-2048 --in x.safetensors --out features.safetensors
```

## Training

- preset: short
- λ: 0.006

## Scores

115,204 held-out rows of 384 documents.

| metric | value [95 % interval] | unit | n |
| --- | ---: | --- | ---: |
| L0 | 20.8 [20.1, 21.5] | active features per row | 115,204 |
| Δloss | 0.158 [0.151, 0.166] | nats per target | 115,000 |

## Limits

- Trained on children's stories only.
"#;
        assert_eq!(card().markdown(), expect);
    }

    #[test]
    fn a_baseline_says_so_before_anything_else() {
        let page = Card { baseline: Some("frozen-decoder: nobody trained it.".into()), ..card() }.markdown();
        let expect = "---\n\n# 3.att-2048, a baseline\n\n**There to be beaten, not to be used.** frozen-decoder: nobody trained \
                      it.\n\nA JumpReLU sparse autoencoder";
        assert!(page.contains(expect), "{page}");
    }

    #[test]
    fn what_must_not_be_overlooked_stands_beside_the_scores() {
        let remarks = vec!["Its FVU of 7.70e25 is above 1.".to_owned()];
        let page = Card { remarks, ..card() }.markdown();
        assert!(page.contains("of 384 documents.\n\n- Its FVU of 7.70e25 is above 1.\n\n| metric"), "{page}");
    }

    #[test]
    fn scores_on_another_model_stand_below_those_at_home() {
        let page = Card { elsewhere: Some(("On chat.".into(), scores::tests::lines())), ..card() }.markdown();
        let below = "| 115,000 |\n\n### On another model\n\nOn chat.\n\n| metric |";
        assert!(page.contains(below) && page.ends_with("Trained on children's stories only.\n"), "{page}");
    }

    #[test]
    fn a_card_says_what_kind_it_is() {
        let output = Output { site: "3.mlp".into(), hook: "blocks.3.hook_mlp_out".into(), d: 64 };
        let kind = Kind { k: None, transcoder: true, skip: true };
        let transcoder = Card { output: Some(output), kind, heads: None, ..card() };
        let page = transcoder.markdown();
        let what = "A JumpReLU transcoder with a skip, 2,048 features, of **stories260k**; it reads site `3.att`, the \
                    attention heads' outputs of layer 3, concatenated, before the output projection, and reconstructs \
                    site `3.mlp`, what the MLP of layer 3 adds to the residual stream.";
        assert!(page.contains(what), "{page}");
        assert!(
            page.contains("the output is another, 64 numbers per token (`blocks.3.hook_mlp_out`)."),
            "{page}"
        );
        assert!(page.contains("x_hat = sae(x)  # [N, 64] at blocks.3.hook_mlp_out"), "{page}");
        let kind = Kind { k: Some(40), ..kind };
        let page = Card { kind, ..transcoder }.markdown();
        assert!(page.contains("lapidary encode 3.att-2048") && !page.contains("load_from_disk"), "{page}");
        let page = Card { kind: Kind { k: Some(40), ..Kind::default() }, ..card() }.markdown();
        assert!(page.contains("A TopK sparse autoencoder with 2,048 features on site"), "{page}");
        assert!(page.contains("above 0 and among the 40 largest."), "{page}");
    }

    #[test]
    fn every_kind_of_site_has_words() {
        for kind in ["res", "att", "mlp", "mlp-in", "attn", "mid"] {
            assert!(place(&format!("7.{kind}")).contains("layer 7"), "{kind}");
        }
        assert_eq!(place("embed"), "the token embedding that enters the first layer");
    }
}
