//! The page of a whole release, `README.md`: what it is, a table, plots, how to load it, how it was made, what it cannot do. It states
//! what it was given and judges nothing.

use crate::card::{Kind, list, pairs};
use crate::hub::Hub;
use crate::scores::{self, ScoreRow};

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
    /// Pictures beside the table: what they show, and their file.
    pub plots: Vec<(String, String)>,
    /// By which rule some are canonical, and their names.
    pub canonical: (String, Vec<String>),
    /// For the front matter.
    pub hub: Hub,
}

impl Suite {
    /// The page, Markdown, with the front matter that the Hugging Face Hub reads.
    pub fn markdown(&self) -> String {
        let Suite { rows, scored_on, canonical: (rule, canonical), .. } = self;
        let remarks = if self.remarks.is_empty() { String::new() } else { list(&self.remarks) + "\n" };
        let sections = [
            Some(self.front_matter()),
            Some(self.head()),
            Some(format!(
                "## Dictionaries\n\n{scored_on}\n\n{}\n{remarks}{rule}\n\n{LEGEND}",
                scores::suite_markdown(rows, canonical)
            )),
            self.pictures(),
            self.baselines_section(),
            Some(format!("## Load\n\n{}\n{FOLDER}", self.snippet())),
            Some(format!("## Training\n\n{}", pairs(&self.training))),
            (!self.left_out.is_empty()).then(|| format!("## Left out\n\n{}", list(&self.left_out))),
            Some(format!("## Limits\n\n{}", list(&self.limits))),
        ];
        sections.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    fn front_matter(&self) -> String {
        let library = if self.example.is_some() { "saelens" } else { "lapidary" };
        let mut tags: Vec<&str> =
            self.kinds.iter().flat_map(|kind| kind.tags()).chain(["lapidary"]).collect();
        tags.sort_unstable_by_key(|tag| (*tag == "lapidary", *tag == "mechanistic-interpretability", *tag));
        tags.dedup();
        self.hub.front_matter(library, &tags)
    }

    /// The plots of the page, which has more.
    fn pictures(&self) -> Option<String> {
        let picture = |(what, file): &(String, String)| format!("![{what}]({file})\n");
        let pictures: String = self.plots.iter().map(picture).collect();
        let more =
            "`report.html` has these and more on one page that opens offline; `plots/` their data as CSV.";
        (!pictures.is_empty()).then(|| format!("## Plots\n\n{pictures}\n{more}\n"))
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

#[cfg(test)]
mod tests {
    use super::*;

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
            plots: vec![("L0 against FVU".into(), "plots/a.svg".into())],
            canonical: ("Canonical is the one nearest 20.".into(), vec!["3.res-2048".into()]),
            hub: Hub::default(),
        }
    }

    #[test]
    fn a_suite_page_links_its_dictionaries() {
        let page = suite().markdown();
        let expect = "\
---
library_name: saelens
tags:
- sparse-autoencoder
- mechanistic-interpretability
- lapidary
---

# stories260k-jumprelu

JumpReLU sparse autoencoders for **stories260k**: 1 dictionary, made with Lapidary.

## Dictionaries

115,204 held-out rows.

| site | width | λ | L0 | FVU | Δloss | loss recovered | alive |  |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| [3.res](3.res-2048/) | 2,048 | 0.006 | 20.8 | 0.0791 | 0.158 | 0.962 | 1,987 | canonical |

Canonical is the one nearest 20.

λ: sparsity coefficient,";
        assert!(page.starts_with(expect), "{page}");
        assert!(page.contains("## Plots\n\n![L0 against FVU](plots/a.svg)\n\n`report.html`"), "{page}");
        assert!(page.contains("sae = SAE.load_from_disk(\"3.res-2048\")\n"));
        assert!(page.ends_with("## Limits\n\n- A toy.\n"));
    }

    #[test]
    fn baselines_are_listed_apart() {
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
    fn remarks_and_what_is_left_out() {
        let remarks = vec!["Its FVU of 7.70e25 is above 1.".to_owned()];
        let left_out = vec!["0.res-64: its FVU is NaN.".into()];
        let page = Suite { remarks, left_out, ..suite() }.markdown();
        assert!(page.contains("| canonical |\n\n- Its FVU of 7.70e25 is above 1.\n\nCanonical is"), "{page}");
        assert!(page.contains("## Left out\n\n- 0.res-64: its FVU is NaN.\n"), "{page}");
    }

    #[test]
    fn a_suite_without_what_sae_lens_loads_does_not_send_people_there() {
        let page = Suite { example: None, ..suite() }.markdown();
        assert!(page.starts_with("---\nlibrary_name: lapidary\n"), "{page}");
        assert!(page.contains("lapidary encode FOLDER") && !page.contains("load_from_disk"), "{page}");
    }
}
