//! A feature as Neuronpedia's rows have it (`Neuron`, `Activation`, `Explanation`), so that programs that read those read these.
//!
//! Deliberate differences: histograms leave zeros out and their bins are half-open; logits are with the final norm's gain; quantile
//! contexts are a uniform sample; there are no neurons, votes or vectors here, and those fields are empty.

use crate::app::App;
use lapidary_atlas::pages::{Context, Explanation, FeaturePage, Histogram, TokenEffect};
use serde_json::{Value, json};

/// Who made these rows, where a person would be named.
const CREATOR: &str = "lapidary";

/// The set of a source: `2-res-1k` → `res-1k`.
pub(super) fn set_of(source: &str) -> &str {
    source.split_once('-').map_or(source, |(_, set)| set)
}

/// A feature with everything that belongs to it.
pub(super) fn feature(app: &App, page: &FeaturePage) -> Value {
    let mut row = neuron(app, page);
    row["activations"] = activations(page);
    row["explanations"] =
        page.explanations.iter().enumerate().map(|(n, said)| explanation(page, n, said)).collect();
    (row["comments"], row["lists"]) = (json!([]), json!([]));
    row["source"] = json!({ "id": page.source, "modelId": page.model, "setName": set_of(&page.source),
                            "visibility": "PUBLIC", "creatorId": CREATOR, "hookName": hook(app, &page.source) });
    row
}

fn neuron(app: &App, page: &FeaturePage) -> Value {
    let (effects, frequencies) = (page.logits.as_ref(), bars(&page.histogram));
    let ends = |of: fn(&lapidary_atlas::pages::Logits) -> &Vec<TokenEffect>| {
        let list = effects.map(of).map(Vec::as_slice).unwrap_or_default();
        let (tokens, values): (Vec<&str>, Vec<f32>) =
            list.iter().map(|e| (e.token.as_str(), e.value)).unzip();
        (json!(tokens), json!(values))
    };
    let (positive, negative) = (ends(|l| &l.top), ends(|l| &l.bottom));
    let logits = effects.map_or_else(|| (json!([]), json!([])), |l| bars(&l.histogram));
    let alike: (Vec<u32>, Vec<f32>) = page.neighbours.same.iter().map(|n| (n.index, n.cosine)).unzip();
    let together: (Vec<u32>, Vec<f32>) =
        page.correlated.features.iter().map(|c| (c.index, c.pearson)).unzip();
    let heads: Vec<f32> = page.heads.iter().flatten().map(|head| head.share).collect();
    json!({
        "modelId": page.model, "layer": page.source, "index": page.index.to_string(),
        "sourceSetName": set_of(&page.source), "creatorId": CREATOR, "createdAt": "1970-01-01T00:00:00.000Z",
        "maxActApprox": page.max, "hasVector": false, "vector": [], "vectorLabel": null,
        "vectorDefaultSteerStrength": null, "hookName": hook(app, &page.source),
        "topkCosSimIndices": alike.0, "topkCosSimValues": alike.1,
        "neuron_alignment_indices": [], "neuron_alignment_values": [], "neuron_alignment_l1": [],
        "correlated_neurons_indices": [], "correlated_neurons_pearson": [], "correlated_neurons_l1": [],
        "correlated_features_indices": together.0, "correlated_features_pearson": together.1,
        "correlated_features_l1": [], "neg_str": negative.0, "neg_values": negative.1,
        "pos_str": positive.0, "pos_values": positive.1, "frac_nonzero": page.density,
        "freq_hist_data_bar_heights": frequencies.0, "freq_hist_data_bar_values": frequencies.1,
        "logits_hist_data_bar_heights": logits.0, "logits_hist_data_bar_values": logits.1,
        "decoder_weights_dist": heads, "umap_cluster": null, "umap_log_feature_sparsity": null,
        "umap_x": null, "umap_y": null,
    })
}

/// Heights and left edges.
fn bars(histogram: &Histogram) -> (Value, Value) {
    let edges = &histogram.edges[..histogram.counts.len().min(histogram.edges.len())];
    (json!(histogram.counts), json!(edges))
}

fn hook(app: &App, source: &str) -> Value {
    let d = app.atlas.dictionary(source).ok();
    d.and_then(|d| app.hook(d)).map_or(Value::Null, Value::from)
}

/// The top contexts (binMin −1), then those of the quantiles.
pub(super) fn activations(page: &FeaturePage) -> Value {
    let top = page.contexts.top.iter().map(|context| (context, [-1.0, -1.0, 0.0]));
    let quantiles = page.contexts.quantiles.iter().flat_map(|q| {
        let bin = [q.low, q.high, q.share];
        q.contexts.iter().map(move |context| (context, bin))
    });
    top.chain(quantiles).enumerate().map(|(n, (context, bin))| activation(page, n, context, bin)).collect()
}

fn activation(page: &FeaturePage, n: usize, context: &Context, [low, high, share]: [f64; 3]) -> Value {
    let least = context.values.iter().copied().fold(f32::INFINITY, f32::min);
    json!({
        "id": format!("{}/{n}", page.id), "tokens": context.tokens, "values": context.values,
        "maxValue": context.max, "maxValueTokenIndex": context.peak, "minValue": least,
        "modelId": page.model, "layer": page.source, "index": page.index.to_string(), "creatorId": CREATOR,
        "createdAt": "1970-01-01T00:00:00.000Z", "dataSource": null, "dataIndex": context.document.to_string(),
        "dfaValues": [], "dfaTargetIndex": null, "dfaMaxValue": null, "lossValues": [], "logitContributions": null,
        "zQIndices": [], "zKIndices": [], "zValues": [],
        "binMin": low, "binMax": high, "binContains": share, "qualifyingTokenIndex": context.peak,
    })
}

/// Explanation number n of a feature.
pub(super) fn explanation(page: &FeaturePage, n: usize, said: &Explanation) -> Value {
    let scores = said.score.map(|value| {
        json!({ "value": value, "explanationScoreTypeName": said.score_name, "jsonDetails": said.how_measured })
    });
    json!({
        "id": format!("{}/explanation/{n}", page.id), "modelId": page.model, "layer": page.source,
        "index": page.index.to_string(), "description": said.text, "authorId": said.author,
        "typeName": said.method, "explanationModelName": null, "notes": said.how_measured,
        "scores": scores.into_iter().collect::<Vec<_>>(), "votes": [],
    })
}
