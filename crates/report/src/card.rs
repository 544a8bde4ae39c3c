//! Cards: the page that lies beside a released dictionary (`card.md`) and the page of a whole release (`README.md`).
//!
//! A card answers, in this order: what is it, in which units, how do I load it, how was it made, how good is it, what can
//! it not do. It states what it was given and judges nothing.

use crate::number;
use crate::scores::{self, Line, ScoreRow};

/// What `card.md` says of one dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Folder and title, `3.res-2048`.
    pub name: String,
    /// The language model, as a person would ask for it.
    pub model: String,
    /// Where the dictionary reads and writes, `3.res`.
    pub site: String,
    /// TransformerLens' name of the site, `blocks.3.hook_resid_post`.
    pub hook: String,
    /// D, width of the activation.
    pub d_in: usize,
    /// F, number of features.
    pub width: usize,
    /// (H, d_head) where SAELens wants the heads apart, [N, H, d_head]: the `att` sites.
    pub heads: Option<(usize, usize)>,
    /// How it was trained, label and value: preset, λ, rows, seed, plan hash …
    pub training: Vec<(String, String)>,
    /// The scores with intervals, units and n.
    pub scores: Vec<Line>,
    /// What the scores were measured on, one sentence.
    pub scored_on: String,
    /// What it cannot do or was not tested for, one sentence each.
    pub limits: Vec<String>,
}

impl Card {
    /// The page, Markdown.
    pub fn markdown(&self) -> String {
        let Card { name, model, site, hook, d_in, width, .. } = self;
        let place = place(site);
        let width = number::count(*width as u64);
        let sections = [
            format!(
                "# {name}\n\nA JumpReLU sparse autoencoder with {width} features on site `{site}` of **{model}**: {place}.\n"
            ),
            format!(
                "## Units\n\nRaw: the input is the activation as the model computes it, {d_in} numbers per token \
                 (TransformerLens `{hook}`), and so is the reconstruction. No scaling, no centring. A feature is active \
                 where its pre-activation is above its threshold. BOS, EOS and padding positions were never trained or \
                 scored: leave them out.\n"
            ),
            format!("## Load\n\n{}", self.snippet()),
            format!("## Training\n\n{}", pairs(&self.training)),
            format!("## Scores\n\n{}\n\n{}", self.scored_on, scores::sheet_markdown(&self.scores)),
            format!("## Limits\n\n{}", list(&self.limits)),
        ];
        sections.join("\n")
    }

    /// Python that loads the folder in SAELens.
    fn snippet(&self) -> String {
        let Card { name, hook, d_in, width, .. } = self;
        let shape =
            self.heads.map_or(format!("[N, {d_in}]"), |(heads, d_head)| format!("[N, {heads}, {d_head}]"));
        format!(
            "```python\nfrom sae_lens import SAE\n\nsae = SAE.load_from_disk(\"{name}\")\n\
             features = sae.encode(x)  # x {shape} from {hook} -> [N, {width}]\n\
             x_hat = sae.decode(features)  # {shape}\n```\n"
        )
    }
}

/// What the `README.md` of a release says.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Title.
    pub name: String,
    /// The language model.
    pub model: String,
    /// How all of them were trained, label and value.
    pub training: Vec<(String, String)>,
    /// The dictionaries, in the order of the table.
    pub rows: Vec<ScoreRow>,
    /// What the scores were measured on, one sentence.
    pub scored_on: String,
    /// One sentence each.
    pub limits: Vec<String>,
}

impl Suite {
    /// The page, Markdown, with the front matter that the Hugging Face Hub reads.
    pub fn markdown(&self) -> String {
        let Suite { name, model, rows, scored_on, .. } = self;
        let dictionaries = if rows.len() == 1 { "dictionary" } else { "dictionaries" };
        let example = rows.first().map_or("FOLDER", |row| row.name.as_str());
        let sections = [
            "---\nlibrary_name: saelens\n---\n".to_owned(),
            format!(
                "# {name}\n\nJumpReLU sparse autoencoders for **{model}**: {} {dictionaries}, made with Lapidary.\n",
                rows.len()
            ),
            format!("## Dictionaries\n\n{scored_on}\n\n{}\n{LEGEND}", scores::suite_markdown(rows)),
            format!(
                "## Load\n\n```python\nfrom sae_lens import SAE\n\nsae = SAE.load_from_disk(\"{example}\")\n```\n\n{FOLDER}"
            ),
            format!("## Training\n\n{}", pairs(&self.training)),
            format!("## Limits\n\n{}", list(&self.limits)),
        ];
        sections.join("\n")
    }
}

const LEGEND: &str = "\
λ: sparsity coefficient. L0: mean active features per row. FVU: fraction of variance unexplained. Δloss: rise of the
model's next-token loss when every row is replaced by its reconstruction, nats per target. Loss recovered: 1 − Δloss over
the rise when every row is replaced by the mean row. Alive: features that fired at least once in the evaluated rows.
Intervals are in each folder's `card.md`.
";

const FOLDER: &str = "\
Each folder holds `cfg.json` and `sae_weights.safetensors` (SAELens), `lapidary.json` (units, site, hashes of model, text
and plan, a probe with expected outputs) and `card.md`. Weights are in raw units: feed activations as the model computes them.
";

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

fn pairs(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(label, value)| format!("- {label}: {value}\n")).collect()
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            name: "3.att-2048".into(),
            model: "stories260k".into(),
            site: "3.att".into(),
            hook: "blocks.3.attn.hook_z".into(),
            d_in: 64,
            width: 2048,
            heads: Some((8, 8)),
            training: vec![("preset".into(), "short".into()), ("λ".into(), "0.006".into())],
            scores: scores::tests::lines(),
            scored_on: "115,204 held-out rows of 384 documents.".into(),
            limits: vec!["Trained on children's stories only.".into()],
        }
    }

    #[test]
    fn a_card_reads_from_what_to_limits() {
        let expect = r#"# 3.att-2048

A JumpReLU sparse autoencoder with 2,048 features on site `3.att` of **stories260k**: the attention heads' outputs of layer 3, concatenated, before the output projection.

## Units

Raw: the input is the activation as the model computes it, 64 numbers per token (TransformerLens `blocks.3.attn.hook_z`), and so is the reconstruction. No scaling, no centring. A feature is active where its pre-activation is above its threshold. BOS, EOS and padding positions were never trained or scored: leave them out.

## Load

```python
from sae_lens import SAE

sae = SAE.load_from_disk("3.att-2048")
features = sae.encode(x)  # x [N, 8, 8] from blocks.3.attn.hook_z -> [N, 2048]
x_hat = sae.decode(features)  # [N, 8, 8]
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
    fn a_suite_page_links_its_dictionaries() {
        let suite = Suite {
            name: "stories260k-jumprelu".into(),
            model: "stories260k".into(),
            training: vec![("rows".into(), "6,000,000".into())],
            rows: scores::tests::rows()[..1].to_vec(),
            scored_on: "115,204 held-out rows.".into(),
            limits: vec!["A toy.".into()],
        };
        let page = suite.markdown();
        let expect = "\
---
library_name: saelens
---

# stories260k-jumprelu

JumpReLU sparse autoencoders for **stories260k**: 1 dictionary, made with Lapidary.

## Dictionaries

115,204 held-out rows.

| site | width | λ | L0 | FVU | Δloss | loss recovered | alive |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| [3.res](3.res-2048/) | 2,048 | 0.006 | 20.8 | 0.0791 | 0.158 | 0.962 | 1,987 |

λ: sparsity coefficient.";
        assert!(page.starts_with(expect), "{page}");
        assert!(page.contains("sae = SAE.load_from_disk(\"3.res-2048\")\n"));
        assert!(page.ends_with("## Limits\n\n- A toy.\n"));
    }

    #[test]
    fn every_kind_of_site_has_words() {
        for kind in ["res", "att", "mlp", "mlp-in", "attn", "mid"] {
            assert!(place(&format!("7.{kind}")).contains("layer 7"), "{kind}");
        }
        assert_eq!(place("embed"), "the token embedding that enters the first layer");
    }
}
