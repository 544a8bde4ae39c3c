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
    /// What a reader of the scores must not overlook, one sentence each.
    pub remarks: Vec<String>,
    /// What it cannot do or was not tested for, one sentence each.
    pub limits: Vec<String>,
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
    fn noun(self, several: bool) -> String {
        let encoder = if self.k.is_some() { "TopK" } else { "JumpReLU" };
        let what = if self.transcoder { "transcoder" } else { "sparse autoencoder" };
        let (s, skip) = (if several { "s" } else { "" }, if self.skip { " with a skip" } else { "" });
        format!("{encoder} {what}{s}{skip}")
    }

    /// SAELens has no TopK transcoders.
    pub fn loads_in_sae_lens(self) -> bool {
        !(self.k.is_some() && self.transcoder)
    }
}

impl Card {
    fn scores(&self) -> String {
        if self.scores.is_empty() {
            return "## Scores\n\nNone: it reads a model with random weights, so it cannot be spliced into this one.\n".into();
        }
        let remarks = if self.remarks.is_empty() { String::new() } else { list(&self.remarks) + "\n" };
        format!("## Scores\n\n{}\n\n{remarks}{}", self.scored_on, scores::sheet_markdown(&self.scores))
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
            self.head(),
            format!(
                "## Units\n\nRaw: {} No scaling, no centring. {} BOS, EOS and padding positions were never trained or \
                 scored: leave them out.\n",
                self.sides(),
                self.activity()
            ),
            format!("## Load\n\n{}", self.snippet()),
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

    /// Python that loads the folder in SAELens; what SAELens has no class for is encoded by Lapidary.
    fn snippet(&self) -> String {
        let Card { name, hook, d_in, width, .. } = self;
        if !self.kind.loads_in_sae_lens() {
            return format!(
                "SAELens has no TopK transcoders. Activations [N, {d_in}] from {hook}, saved as safetensors:\n\n\
                 ```\nlapidary encode {name} --in x.safetensors --out features.safetensors\n```\n"
            );
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
            "```python\nfrom sae_lens import SAE\n\nsae = SAE.load_from_disk(\"{name}\")\n\
             features = sae.encode(x)  # x {shape} from {hook} -> [N, {width}]\n\
             x_hat = {x_hat}  # {out}{hook_out}\n```\n"
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
    /// What the dictionaries are, baselines apart.
    pub kinds: Vec<Kind>,
    /// A folder that SAELens loads, if there is one.
    pub example: Option<String>,
    /// Released baselines: folder, and what was withheld from it.
    pub baselines: Vec<(String, String)>,
    /// How all of them were trained, label and value.
    pub training: Vec<(String, String)>,
    /// The dictionaries, in the order of the table.
    pub rows: Vec<ScoreRow>,
    /// What the scores were measured on, in sentences.
    pub scored_on: String,
    /// What a reader of the table must not overlook, one sentence each.
    pub remarks: Vec<String>,
    /// What the plan has and the release has not, and why; one sentence each.
    pub left_out: Vec<String>,
    /// One sentence each.
    pub limits: Vec<String>,
}

impl Suite {
    /// The page, Markdown, with the front matter that the Hugging Face Hub reads.
    pub fn markdown(&self) -> String {
        let Suite { rows, scored_on, .. } = self;
        let remarks = if self.remarks.is_empty() { String::new() } else { list(&self.remarks) + "\n" };
        let sections = [
            self.example.as_ref().map(|_| "---\nlibrary_name: saelens\n---\n".to_owned()),
            Some(self.head()),
            Some(format!(
                "## Dictionaries\n\n{scored_on}\n\n{}\n{remarks}{LEGEND}",
                scores::suite_markdown(rows)
            )),
            self.baselines_section(),
            Some(format!("## Load\n\n{}\n{FOLDER}", self.snippet())),
            Some(format!("## Training\n\n{}", pairs(&self.training))),
            (!self.left_out.is_empty()).then(|| format!("## Left out\n\n{}", list(&self.left_out))),
            Some(format!("## Limits\n\n{}", list(&self.limits))),
        ];
        sections.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    fn head(&self) -> String {
        let Suite { name, model, .. } = self;
        let mut nouns: Vec<String> = self.kinds.iter().map(|kind| kind.noun(true)).collect();
        nouns.dedup();
        let several = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let mut parts = Vec::new();
        if !self.kinds.is_empty() {
            parts.push(several(self.kinds.len(), "dictionary", "dictionaries"));
        }
        if !self.baselines.is_empty() {
            nouns.push("baselines".into());
            parts.push(several(self.baselines.len(), "baseline", "baselines") + ", there to be beaten");
        }
        let (nouns, parts) = (nouns.join(", "), parts.join(" and "));
        format!("# {name}\n\n{nouns} for **{model}**: {parts}, made with Lapidary.\n")
    }

    fn baselines_section(&self) -> Option<String> {
        let line = |(name, why): &(String, String)| format!("- [{name}]({name}/): {why}\n");
        let lines: String = self.baselines.iter().map(line).collect();
        (!lines.is_empty()).then(|| format!("## Baselines\n\nThere to be beaten, not to be used.\n\n{lines}"))
    }

    fn snippet(&self) -> String {
        match &self.example {
            Some(folder) => {
                format!(
                    "```python\nfrom sae_lens import SAE\n\nsae = SAE.load_from_disk(\"{folder}\")\n```\n"
                )
            }
            None => {
                "SAELens has no TopK transcoders; `lapidary encode FOLDER --in X.safetensors` reads them.\n"
                    .into()
            }
        }
    }
}

const LEGEND: &str = "\
λ: sparsity coefficient, or the L0 that was asked for. L0: mean active features per row. FVU: fraction of variance unexplained. Δloss: rise of the
model's next-token loss when every row is replaced by its reconstruction, nats per target. Loss recovered: 1 − Δloss over
the rise when every row is replaced by the mean row; by zeros, as SAELens has it, in each folder's `card.md`. Alive: features that fired at least once in the evaluated rows.
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
            remarks: Vec::new(),
            limits: vec!["Trained on children's stories only.".into()],
        }
    }

    fn suite() -> Suite {
        Suite {
            name: "stories260k-jumprelu".into(),
            model: "stories260k".into(),
            kinds: vec![Kind::default()],
            example: Some("3.res-2048".into()),
            baselines: Vec::new(),
            training: vec![("rows".into(), "6,000,000".into())],
            rows: scores::tests::rows()[..1].to_vec(),
            scored_on: "115,204 held-out rows.".into(),
            remarks: Vec::new(),
            left_out: Vec::new(),
            limits: vec!["A toy.".into()],
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
        let page = suite().markdown();
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

λ: sparsity coefficient,";
        assert!(page.starts_with(expect), "{page}");
        assert!(page.contains("sae = SAE.load_from_disk(\"3.res-2048\")\n"));
        assert!(page.ends_with("## Limits\n\n- A toy.\n"));
    }

    #[test]
    fn a_baseline_says_so_before_anything_else() {
        let page = Card { baseline: Some("frozen-decoder: nobody trained it.".into()), ..card() }.markdown();
        let expect = "# 3.att-2048, a baseline\n\n**There to be beaten, not to be used.** frozen-decoder: nobody trained \
                      it.\n\nA JumpReLU sparse autoencoder";
        assert!(page.starts_with(expect), "{page}");
        let baselines = vec![("3.res-2048-random".into(), "random: nothing was trained.".into())];
        let page = Suite { baselines, ..suite() }.markdown();
        let first = "JumpReLU sparse autoencoders, baselines for **stories260k**: 1 dictionary and 1 baseline, there to be \
                     beaten, made with Lapidary.";
        assert!(page.contains(first), "{page}");
        assert!(
            page.contains("- [3.res-2048-random](3.res-2048-random/): random: nothing was trained.\n"),
            "{page}"
        );
    }

    #[test]
    fn what_must_not_be_overlooked_stands_beside_the_scores() {
        let remarks = vec!["Its FVU of 7.70e25 is above 1.".to_owned()];
        let page = Card { remarks: remarks.clone(), ..card() }.markdown();
        assert!(page.contains("of 384 documents.\n\n- Its FVU of 7.70e25 is above 1.\n\n| metric"), "{page}");
        let left_out = vec!["0.res-64: its FVU is NaN.".into()];
        let page = Suite { remarks, left_out, ..suite() }.markdown();
        assert!(page.contains("| 1,987 |\n\n- Its FVU of 7.70e25 is above 1.\n\nλ:"), "{page}");
        assert!(page.contains("## Left out\n\n- 0.res-64: its FVU is NaN.\n"), "{page}");
    }

    #[test]
    fn a_suite_without_what_sae_lens_loads_does_not_send_people_there() {
        let page = Suite { example: None, ..suite() }.markdown();
        assert!(page.starts_with("# stories260k-jumprelu"), "{page}");
        assert!(page.contains("lapidary encode FOLDER") && !page.contains("load_from_disk"), "{page}");
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
