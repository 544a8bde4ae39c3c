//! What the atlas knows without a model: the suite, lists, feature pages, searches, plots.

use super::answer;
use super::schema::{ListQuery, ParetoPoint, Plots, SearchQuery, SimilarRequest, SourceQuery};
use crate::app::App;
use crate::body::{Asked, Input, index};
use crate::error::{Refusal, Said};
use axum::extract::{Path, State};
use axum::response::Response;
use lapidary_atlas::pages::{FeatureList, FeatureName, FeaturePage, SearchPage, Similar, SuitePage};
use lapidary_atlas::{SearchKind, Sort, Wanted};
use serde::Serialize;
use std::sync::Arc;

type Answer = Result<Response, Refusal>;

/// The suite: model, text, dictionaries, scores
#[utoipa::path(get, path = "/api/v1/suite", responses((status = 200, body = SuitePage)))]
pub(super) async fn suite(State(app): State<Arc<App>>) -> Answer {
    answer(move || {
        let mut suite = serde_json::to_value(app.atlas.suite()).unwrap_or_default();
        suite["model"]["loaded"] = app.is_live().into();
        Ok(suite)
    })
    .await
}

/// Features of a dictionary, sorted
#[utoipa::path(get, path = "/api/v1/features/{source}", params(("source" = String, Path), ListQuery),
    responses((status = 200, body = FeatureList), (status = 404, body = Said)))]
pub(super) async fn features(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    answer(move || {
        let wanted = Wanted {
            sort: sort(query.sort.as_deref())?,
            descending: descending(query.order.as_deref())?,
            min_density: query.min_density,
            max_density: query.max_density,
            min_max: query.min_max,
            min_score: query.min_score,
            alive: query.alive.unwrap_or(false),
            offset: query.offset.unwrap_or(0),
            limit: limit(&app, query.limit)?,
        };
        Ok(app.atlas.features(&source, &wanted)?)
    })
    .await
}

fn sort(name: Option<&str>) -> Result<Option<Sort>, Refusal> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let wrong = || {
        let error = format!("sort: expected density, max, index or f1, found `{name}`");
        Refusal::bad(error, "name one of them")
    };
    Ok(Some(Sort::named(name).ok_or_else(wrong)?))
}

fn descending(name: Option<&str>) -> Result<Option<bool>, Refusal> {
    match name.unwrap_or("") {
        "" => Ok(None),
        "asc" => Ok(Some(false)),
        "desc" => Ok(Some(true)),
        other => {
            Err(Refusal::bad(format!("order: expected asc or desc, found `{other}`"), "name one of them"))
        }
    }
}

fn limit(app: &App, asked: Option<u64>) -> Result<u64, Refusal> {
    let most = app.limits().results as u64;
    match asked.unwrap_or(50) {
        limit if limit <= most => Ok(limit),
        limit => Err(Refusal::bad(
            format!("limit: expected at most {most}, found {limit}"),
            "ask again with offset for the rest",
        )),
    }
}

/// All about a feature
#[utoipa::path(get, path = "/api/v1/feature/{source}/{index}", params(("source" = String, Path), ("index" = u32, Path)),
    responses((status = 200, body = FeaturePage), (status = 404, body = Said)))]
pub(super) async fn feature(
    State(app): State<Arc<App>>,
    Path((source, number)): Path<(String, String)>,
) -> Answer {
    answer(move || Ok(app.atlas.feature(&source, index(&number)?)?)).await
}

/// A feature that fires, another each time
#[utoipa::path(get, path = "/api/v1/random", params(SourceQuery), responses((status = 200, body = FeatureName), (status = 404, body = Said)))]
pub(super) async fn random(State(app): State<Arc<App>>, Asked(query): Asked<SourceQuery>) -> Answer {
    let source = query.source.filter(|source| !source.is_empty());
    answer(move || Ok(app.atlas.random(source.as_deref(), app.draw())?)).await
}

/// Features by words of their explanations, or by a token; `note` says why nothing was found
#[utoipa::path(get, path = "/api/v1/search", params(SearchQuery), responses((status = 200, body = SearchPage), (status = 400, body = Said)))]
pub(super) async fn search(State(app): State<Arc<App>>, Asked(query): Asked<SearchQuery>) -> Answer {
    answer(move || {
        let kind = match query.kind.as_deref().unwrap_or("explanation") {
            "explanation" => SearchKind::Explanation,
            "token" => SearchKind::Token,
            other => {
                return Err(Refusal::bad(
                    format!("kind: expected explanation or token, found `{other}`"),
                    "name one of them",
                ));
            }
        };
        if query.q.len() > 1_000 {
            return Err(Refusal::bad("q: expected at most 1000 bytes, found more", "search fewer words"));
        }
        let source = query.source.as_deref().filter(|source| !source.is_empty());
        let wanted = Wanted {
            sort: sort(query.sort.as_deref())?,
            descending: descending(query.order.as_deref())?,
            min_density: query.min_density,
            max_density: query.max_density,
            min_max: query.min_max,
            min_score: query.min_score,
            alive: false,
            offset: query.offset.unwrap_or(0),
            limit: limit(&app, query.limit)?,
        };
        Ok(app.atlas.search(&query.q, kind, source, &wanted)?)
    })
    .await
}

/// Features with a similar direction.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SimilarFound {
    results: Vec<Similar>,
}

/// Features with a similar decoder direction, in this dictionary and in others
#[utoipa::path(post, path = "/api/v1/search/similar", request_body = SimilarRequest,
    responses((status = 200, body = SimilarFound), (status = 404, body = Said)))]
pub(super) async fn similar(State(app): State<Arc<App>>, Input(request): Input<SimilarRequest>) -> Answer {
    answer(move || {
        let mut results = nearest(&app, &request.source, request.index)?;
        results.truncate(request.limit.unwrap_or(20));
        Ok(SimilarFound { results })
    })
    .await
}

/// The neighbours that the atlas keeps, the nearest first.
pub(super) fn nearest(app: &App, source: &str, index: u32) -> Result<Vec<Similar>, Refusal> {
    let neighbours = app.atlas.feature(source, index)?.neighbours;
    let mut all = [neighbours.same, neighbours.across].concat();
    all.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
    Ok(all)
}

/// Sparsity against fidelity, by dictionary
#[utoipa::path(get, path = "/api/v1/plots", responses((status = 200, body = Plots)))]
pub(super) async fn plots(State(app): State<Arc<App>>) -> Answer {
    answer(move || {
        let suite = app.atlas.suite();
        let point = |d: &lapidary_atlas::pages::DictionaryInfo| {
            let score = |key: &str| d.scores.get(key).copied().flatten();
            let interval = |key: &str| d.intervals.get(key).copied();
            ParetoPoint {
                source: d.source.clone(),
                site: d.site.clone(),
                l0: score("l0").unwrap_or(d.mean_active),
                l0_ci: interval("l0"),
                fvu: score("fvu"),
                fvu_ci: interval("fvu"),
                delta_loss: score("delta_loss"),
                delta_loss_ci: interval("delta_loss"),
            }
        };
        Ok(Plots { pareto: suite.dictionaries.iter().map(point).collect(), notes: suite.notes.clone() })
    })
    .await
}
