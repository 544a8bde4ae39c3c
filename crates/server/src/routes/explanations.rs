//! Neuronpedia's public routes about explanations: found by words, and asked for.

use super::neuronpedia::{Number, check_model};
use super::{answer, row};
use crate::app::App;
use crate::body::Input;
use crate::error::{Refusal, Said};
use axum::extract::State;
use axum::response::Response;
use lapidary_atlas::pages::{Explanation, Found};
use lapidary_atlas::{SearchKind, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::Arc;
use utoipa::ToSchema;

type Answer = Result<Response, Refusal>;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Search {
    model_id: String,
    #[serde(default)]
    layers: Vec<String>,
    query: String,
    #[serde(default)]
    offset: u64,
}

/// Results of a page.
const PAGE: u64 = 20;

/// Features by words of their explanations, twenty to a page
#[utoipa::path(post, path = "/api/explanation/search", request_body = Search, responses((status = 200, body = Value)))]
pub(super) async fn search(State(app): State<Arc<App>>, Input(request): Input<Search>) -> Answer {
    answer(move || {
        check_model(&app, &request.model_id)?;
        let (query, offset) = (&request.query, request.offset);
        let wanted = Wanted { limit: offset.saturating_add(PAGE).min(1_000), ..Wanted::default() };
        let one = |source: Option<&str>| app.atlas.search(query, SearchKind::Explanation, source, &wanted);
        let pages = match request.layers.as_slice() {
            [] => vec![one(None)?],
            layers => layers.iter().map(|layer| one(Some(layer))).collect::<Result<Vec<_>, _>>()?,
        };
        let total: u64 = pages.iter().map(|page| page.total).sum();
        let found: Vec<Found> = pages.into_iter().flat_map(|page| page.results).collect();
        let shown = found.iter().skip(offset as usize).take(PAGE as usize).map(|hit| {
            json!({ "modelId": request.model_id, "layer": hit.source, "index": hit.index.to_string(),
                    "description": hit.explanation, "cosine_similarity": null,
                    "neuron": { "modelId": request.model_id, "layer": hit.source, "index": hit.index.to_string(),
                                "maxActApprox": hit.max, "frac_nonzero": hit.density } })
        });
        let shown: Vec<Value> = shown.collect();
        let next = offset.saturating_add(shown.len() as u64);
        Ok(json!({ "request": { "modelId": request.model_id, "layers": request.layers, "query": query, "offset": offset },
                   "resultsCount": shown.len(), "hasMore": next < total, "nextOffset": next, "results": shown }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generate {
    model_id: String,
    layer: String,
    index: Number,
    explanation_type: Option<String>,
    explanation_model_name: Option<String>,
}

/// An explanation of a feature: of the author and the way that are asked for if the atlas has one, else its best
///
/// Nothing is asked of a model here: `lapidary atlas explain` has explanations written, and the answer says by whom.
#[utoipa::path(post, path = "/api/explanation/generate", request_body = Generate, responses((status = 200, body = Value), (status = 404, body = Said)))]
pub(super) async fn generate(State(app): State<Arc<App>>, Input(request): Input<Generate>) -> Answer {
    answer(move || {
        check_model(&app, &request.model_id)?;
        let page = app.atlas.feature(&request.layer, request.index.value()?)?;
        let fits = |said: &Explanation| {
            usize::from(Some(&said.author) == request.explanation_model_name.as_ref())
                + usize::from(Some(&said.method) == request.explanation_type.as_ref())
        };
        // Of equals the first, which is the best.
        let best = (0..page.explanations.len()).max_by_key(|&n| (fits(&page.explanations[n]), Reverse(n)));
        let none = || {
            let error = format!("{}: expected an explanation of it in the atlas, found none", page.id);
            Refusal::missing(error, "`lapidary atlas explain` writes them, by rules or by a judge")
        };
        let n = best.ok_or_else(none)?;
        Ok(json!({ "explanation": row::explanation(&page, n, &page.explanations[n]) }))
    })
    .await
}
