//! The layout in which Neuronpedia exchanges dashboards: `config/*.jsonl`, `MODEL/SOURCE/{release,model,sourceset,source}.jsonl` and
//! `MODEL/SOURCE/{features,activations,explanations}/batch-N.jsonl.gz`, a row of its database per line. An atlas is written so, and
//! explanations are read from it.
//!
//! Where this differs, on purpose, from what SAEDashboard writes:
//!
//! 1. `frac_nonzero` is the exact share of rows; there it passes through text and is rounded to 1e-5.
//! 2. Intervals are half-open, `[binMin, binMax)`, hold about equal numbers of activations and never a silent token; there they are
//!    of equal width, closed, and the lowest holds zeros.
//! 3. The top group has one context of each document; there it has the strongest tokens, often of one text.
//! 4. `pos_str`, `neg_str` and `logits_hist_data_*` have the final norm's gain; there it is left out.
//! 5. `correlated_features_*` are of the whole dictionary and never the feature itself; there of its batch. `_l1` is empty.
//! 6. `freq_hist_data_bar_*` has bins 2^(k/8), of unequal width: values are their middles; there 50 bins of equal width.
//! 7. Special tokens have no activation, and BOS is not among the tokens. Tokens are exact text; one that is a part of a character
//!    is empty, and the last part has the character.
//! 8. `neuron_alignment_*`, `correlated_neurons_*`, `dfa*` and `vector` are empty; `topkCosSim*` is of the same source.
//! 9. `notes` of an explanation is JSON with author, score and how it was measured; `createdAt` is what the caller says, so that
//!    the same atlas gives the same bytes. Ids are hashes.

use crate::edit::Addition;
use crate::error::damaged;
use crate::pages::{Context, DictionaryInfo, Explanation, FeaturePage, Histogram, TokenEffect};
use crate::{Atlas, AtlasError};
use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use lapidary_dictionary::hooks::{Modules, hook};
use lapidary_files::{self as files, FileError, Kind, hash};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Features of a batch.
const BATCH: u32 = 256;
/// How hard batches are compressed; as there.
const LEVEL: u32 = 5;
/// Longest line of an import, bytes.
const MAX_LINE: u64 = 1 << 24;

/// A folder in this layout.
pub const EXPORT: Kind = Kind {
    name: "neuronpedia export",
    owns: &[
        "config/*.jsonl",
        "*/*/*.jsonl",
        "*/*/features/*.jsonl.gz",
        "*/*/activations/*.jsonl.gz",
        "*/*/explanations/*.jsonl.gz",
    ],
    resumed_by: None,
};

/// What an export says besides the atlas.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// Id of the account that the rows belong to.
    pub creator: &'a str,
    /// Name of the release.
    pub release: &'a str,
    /// ISO 8601.
    pub created: &'a str,
}

/// Writes an atlas into an empty folder.
///
/// # Errors
/// The atlas cannot be read, or a file not be written.
pub fn export(
    atlas: &Atlas,
    folder: &Path,
    named: &Named<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), AtlasError> {
    let suite = atlas.suite();
    let total: u64 = suite.dictionaries.iter().map(|d| d.features as u64).sum();
    let (mut done, mut methods) = (0, BTreeSet::new());
    for info in &suite.dictionaries {
        let at = folder.join(&suite.model.id).join(&info.source);
        write_heads(atlas, info, &at, named)?;
        for (batch, first) in (0..).zip((0..info.features as u32).step_by(BATCH as usize)) {
            let mut rows = Rows::default();
            for index in first..(first + BATCH).min(info.features as u32) {
                let page = atlas.feature(&info.source, index)?;
                methods.extend(page.explanations.iter().map(|e| e.method.clone()));
                rows.add(&page, info, named);
                done += 1;
            }
            rows.write(&at, batch)?;
            progress(done, total);
        }
    }
    let of =
        |method: &String| json!({ "name": type_name(method), "displayName": method, "description": method });
    lines(&folder.join("config/explanation_type.jsonl"), &methods.iter().map(of).collect::<Vec<_>>())
}

fn write_heads(atlas: &Atlas, info: &DictionaryInfo, at: &Path, named: &Named<'_>) -> Result<(), AtlasError> {
    let (suite, Named { creator, release, created }) = (atlas.suite(), named);
    let (model, set) = (&suite.model.id, set_name(&info.source));
    let text = &suite.text;
    let heads = [
        (
            "release",
            json!({ "name": release, "description": suite.description, "descriptionShort": suite.name, "urls": [],
                "creatorNameShort": "lapidary", "creatorName": "lapidary", "creatorId": creator, "createdAt": created }),
        ),
        (
            "model",
            json!({ "id": model, "instruct": false, "displayNameShort": model, "displayName": suite.model.name,
                "creatorId": creator, "createdAt": created, "updatedAt": created }),
        ),
        (
            "sourceset",
            json!({ "modelId": model, "name": set, "creatorId": creator, "createdAt": created, "creatorName": "lapidary",
                "releaseName": release, "description": format!("{} - {}", info.kind, info.features),
                "visibility": "PUBLIC" }),
        ),
        (
            "source",
            json!({ "id": info.source, "modelId": model, "setName": set, "creatorId": creator, "createdAt": created,
                "hasDashboards": true, "inferenceEnabled": false, "visibility": "PUBLIC", "dataset": text.name,
                "num_prompts": text.documents, "num_tokens_in_prompt": text.context,
                "notes": text.special_tokens_policy }),
        ),
    ];
    heads
        .iter()
        .try_for_each(|(name, row)| lines(&at.join(format!("{name}.jsonl")), std::slice::from_ref(row)))
}

/// `2-res-1k__l0-40` → `res-1k`
fn set_name(source: &str) -> &str {
    let set = source.split_once('-').map_or(source, |(_, set)| set);
    set.split_once("__").map_or(set, |(set, _)| set)
}

fn type_name(method: &str) -> String {
    method.replace(' ', "-")
}

/// The rows of a batch.
#[derive(Default)]
struct Rows {
    features: Vec<Value>,
    activations: Vec<Value>,
    explanations: Vec<Value>,
}

/// What an explanation's `notes` say.
#[derive(Serialize, Deserialize)]
struct Notes {
    author: String,
    method: String,
    score: Option<f64>,
    score_name: String,
    how_measured: String,
}

impl Rows {
    fn add(&mut self, page: &FeaturePage, info: &DictionaryInfo, named: &Named<'_>) {
        let bands = page.contexts.quantiles.iter().map(|q| (q.low, q.high, q.share, &q.contexts));
        let groups = std::iter::once((-1.0, -1.0, -1.0, &page.contexts.top)).chain(bands);
        for (group, (low, high, share, contexts)) in groups.enumerate() {
            for (rank, context) in contexts.iter().enumerate() {
                let id = id(&format!("{} activation {group} {rank}", page.id));
                self.activations.push(activation(page, context, [low, high, share], id, named));
            }
        }
        for (n, e) in page.explanations.iter().enumerate() {
            let Explanation { text, author, method, score, score_name, how_measured } = e.clone();
            let type_name = type_name(&method);
            let notes = Notes { author, method, score, score_name, how_measured };
            self.explanations.push(json!({
                "id": id(&format!("{} explanation {n}", page.id)), "modelId": page.model, "layer": page.source,
                "index": page.index.to_string(), "description": text, "authorId": named.creator, "embedding": null,
                "triggeredById": null, "typeName": type_name, "explanationModelName": null,
                "notes": serde_json::to_string(&notes).expect("plain data"), "createdAt": named.created,
            }));
        }
        self.features.push(feature(page, info, named));
    }

    fn write(&self, at: &Path, batch: u32) -> Result<(), AtlasError> {
        let kinds = [
            ("features", &self.features),
            ("activations", &self.activations),
            ("explanations", &self.explanations),
        ];
        kinds.into_iter().try_for_each(|(kind, rows)| {
            let path = at.join(kind).join(format!("batch-{batch}.jsonl.gz"));
            make_folder(&path)?;
            files::publish_with(&path, |out| {
                let mut out = GzBuilder::new().mtime(0).write(out, Compression::new(LEVEL));
                rows.iter().try_for_each(|row| writeln!(out, "{row}"))?;
                out.finish().map(|_| ())
            })?;
            Ok(())
        })
    }
}

fn feature(page: &FeaturePage, info: &DictionaryInfo, named: &Named<'_>) -> Value {
    let hook = hook(&info.site, Modules::Llama).map(|h| h.hook_name);
    let (nothing, none) = (Vec::new(), Histogram::default());
    let (top, bottom, effects) = match &page.logits {
        Some(logits) => (&logits.top, &logits.bottom, &logits.histogram),
        None => (&nothing, &nothing, &none),
    };
    let strings = |list: &[TokenEffect]| list.iter().map(|t| t.token.clone()).collect::<Vec<_>>();
    let values = |list: &[TokenEffect]| list.iter().map(|t| t.value).collect::<Vec<_>>();
    let (same, correlated) = (&page.neighbours.same, &page.correlated.features);
    let mut heads: Vec<_> = page.heads.iter().flatten().collect();
    heads.sort_by_key(|h| h.head);
    json!({
        "modelId": page.model, "layer": page.source, "index": page.index.to_string(),
        "sourceSetName": set_name(&page.source), "creatorId": named.creator, "createdAt": named.created,
        "maxActApprox": page.max, "hasVector": false, "vector": [], "vectorLabel": null,
        "vectorDefaultSteerStrength": 10, "hookName": hook,
        "topkCosSimIndices": same.iter().map(|s| s.index).collect::<Vec<_>>(),
        "topkCosSimValues": same.iter().map(|s| s.cosine).collect::<Vec<_>>(),
        "neuron_alignment_indices": [], "neuron_alignment_values": [], "neuron_alignment_l1": [],
        "correlated_neurons_indices": [], "correlated_neurons_pearson": [], "correlated_neurons_l1": [],
        "correlated_features_indices": correlated.iter().map(|c| c.index).collect::<Vec<_>>(),
        "correlated_features_pearson": correlated.iter().map(|c| c.pearson).collect::<Vec<_>>(),
        "correlated_features_l1": [],
        "neg_str": strings(bottom), "neg_values": values(bottom), "pos_str": strings(top), "pos_values": values(top),
        "frac_nonzero": page.density,
        "freq_hist_data_bar_heights": page.histogram.counts, "freq_hist_data_bar_values": middles(&page.histogram),
        "logits_hist_data_bar_heights": effects.counts, "logits_hist_data_bar_values": middles(effects),
        "decoder_weights_dist": heads.iter().map(|h| h.share).collect::<Vec<_>>(),
    })
}

fn middles(histogram: &Histogram) -> Vec<f64> {
    histogram.edges.windows(2).map(|edge| f64::midpoint(edge[0], edge[1])).collect()
}

fn activation(
    page: &FeaturePage,
    c: &Context,
    [low, high, share]: [f64; 3],
    id: String,
    named: &Named<'_>,
) -> Value {
    let largest = |best: usize, at: usize| if c.values[at] > c.values[best] { at } else { best };
    let at = (0..c.values.len()).reduce(largest).unwrap_or(0);
    json!({
        "id": id, "tokens": c.tokens, "values": c.values, "index": page.index.to_string(), "layer": page.source,
        "modelId": page.model, "maxValue": c.values.get(at), "maxValueTokenIndex": at,
        "minValue": c.values.iter().copied().reduce(f32::min), "creatorId": named.creator, "createdAt": named.created,
        "dataSource": null, "dataIndex": format!("{}:{}", c.document, c.start), "dfaValues": [], "dfaTargetIndex": null,
        "dfaMaxValue": null, "lossValues": [], "logitContributions": null,
        "binMin": low, "binMax": high, "binContains": share, "qualifyingTokenIndex": c.peak,
    })
}

/// 25 letters, as there.
fn id(of: &str) -> String {
    format!("c{}", &hash::bytes(of.as_bytes())[..24])
}

fn lines(path: &Path, rows: &[Value]) -> Result<(), AtlasError> {
    make_folder(path)?;
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    Ok(files::publish(path, text.as_bytes())?)
}

fn make_folder(path: &Path) -> Result<(), AtlasError> {
    Ok(files::create_dir(path.parent().expect("a file in a folder"))?)
}

/// A line of an explanations' batch; other keys are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    layer: String,
    index: String,
    description: String,
    author_id: Option<String>,
    type_name: Option<String>,
    explanation_model_name: Option<String>,
    notes: Option<String>,
}

/// The explanations in a folder of this layout: of a source, of a model, or of all. Those of `source`, if one is named, are taken for
/// it whatever their layer says; of the others only those whose layer is a source of the atlas, and how many are not.
///
/// # Errors
/// Nothing is found, or a file cannot be read: which, and in which line.
pub fn read_explanations(
    atlas: &Atlas,
    folder: &Path,
    source: Option<&str>,
) -> Result<(Vec<Addition>, usize), AtlasError> {
    let only = source.map(|source| atlas.dictionary(source)).transpose()?;
    let (mut found, mut batches, mut foreign) = (Vec::new(), Vec::new(), 0);
    find_batches(folder, 3, &mut batches)?;
    if batches.is_empty() {
        let folder = folder.display();
        return Err(damaged(format!(
            "{folder}: expected explanations/batch-N.jsonl.gz in it or in a folder below, found none; name a folder of an export"
        )));
    }
    for batch in &batches {
        read_batch(batch, &mut |line, number| {
            let Some(dictionary) = only.or_else(|| atlas.dictionary(&line.layer).ok()) else {
                foreign += 1;
                return Ok(());
            };
            let features = atlas.suite().dictionaries[dictionary].features;
            match line.index.parse::<u32>() {
                Ok(index) if (index as usize) < features => {
                    found.push(Addition { dictionary, index, explanation: line.explanation() });
                    Ok(())
                }
                _ => Err(broken(batch, number, &format!("feature {} of {features}", line.index))),
            }
        })?;
    }
    Ok((found, foreign))
}

/// `batch-*.jsonl.gz` of folders `explanations`, sorted.
fn find_batches(folder: &Path, depth: u32, out: &mut Vec<PathBuf>) -> Result<(), AtlasError> {
    let entries = folder.read_dir().map_err(FileError::io(folder, "read"))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let inside = folder.file_name().is_some_and(|name| name == "explanations");
    for path in paths {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && depth > 0 {
            find_batches(&path, depth - 1, out)?;
        } else if inside && name.starts_with("batch-") && name.ends_with(".jsonl.gz") {
            out.push(path);
        }
    }
    Ok(())
}

fn read_batch(
    path: &Path,
    each: &mut dyn FnMut(Line, usize) -> Result<(), AtlasError>,
) -> Result<(), AtlasError> {
    let file = File::open(path).map_err(FileError::io(path, "open"))?;
    let mut lines = BufReader::new(GzDecoder::new(BufReader::new(file)));
    for number in 1.. {
        let mut text = String::new();
        let read = std::io::Read::take(&mut lines, MAX_LINE).read_line(&mut text);
        if read.map_err(FileError::io(path, "read"))? == 0 {
            return Ok(());
        }
        if !text.trim().is_empty() {
            each(serde_json::from_str(&text).map_err(|e| broken(path, number, &e.to_string()))?, number)?;
        }
    }
    Ok(())
}

fn broken(path: &Path, line: usize, found: &str) -> AtlasError {
    let path = path.display();
    damaged(format!(
        "{path}: line {line}: expected an explanation of a feature of the atlas, found {found}; is it of this suite?"
    ))
}

impl Line {
    fn explanation(self) -> Explanation {
        let notes = self.notes.as_deref().and_then(|notes| serde_json::from_str::<Notes>(notes).ok());
        if let Some(Notes { author, method, score, score_name, how_measured }) = notes {
            return Explanation { text: self.description, author, method, score, score_name, how_measured };
        }
        let by = self.explanation_model_name.or(self.author_id);
        Explanation {
            text: self.description,
            author: by.unwrap_or_else(|| "unknown".into()),
            method: self.type_name.unwrap_or_else(|| "imported".into()),
            score: None,
            score_name: String::new(),
            how_measured: "imported from Neuronpedia's layout, which had no score of it".into(),
        }
    }
}
