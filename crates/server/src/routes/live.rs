//! Texts that somebody types: the microscope, one feature on a text, features of a text.

use super::computed;
use super::schema::{ActivationsRequest, Firing, Microscope, Seen, Tested, TextFound, TextHit, TextSearch};
use crate::app::App;
use crate::body::Input;
use crate::error::{Refusal, Said};
use axum::extract::State;
use axum::response::Response;
use lapidary_atlas::live::{LiveFeature, LiveText, rank, strongest, values};
use lapidary_kernels::Csr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A text that was read, with the features of some dictionaries.
pub(super) struct Read {
    pub(super) text: LiveText,
    /// Numbers of the dictionaries.
    pub(super) dictionaries: Vec<usize>,
    /// Of each of them [T, F].
    pub(super) features: Vec<Csr>,
}

/// Reads a text and encodes it by some dictionaries.
pub(super) fn read(app: &App, text: &str, dictionaries: Vec<usize>) -> Result<Read, Refusal> {
    let (live, model) = app.live()?;
    let limits = app.limits();
    if text.len() > limits.text_bytes {
        let error = format!("text: expected at most {} bytes, found {}", limits.text_bytes, text.len());
        return Err(Refusal::too_large(error, "shorten it"));
    }
    let text = LiveText::read(&live.opened.tokenizer, model, text, limits.text_tokens)?;
    let subjects: Vec<_> = dictionaries.iter().map(|&d| live.subject(d)).collect();
    let features = text.encode(model, &subjects)?;
    Ok(Read { text, dictionaries, features })
}

/// Numbers of the named dictionaries, or of all.
pub(super) fn named(app: &App, sources: &[String]) -> Result<Vec<usize>, Refusal> {
    if sources.is_empty() {
        return Ok((0..app.atlas.suite().dictionaries.len()).collect());
    }
    let numbers =
        sources.iter().map(|source| app.atlas.dictionary(source)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(numbers.into_iter().collect())
}

/// The number of a dictionary that has this feature.
pub(super) fn feature_of(app: &App, source: &str, index: u32) -> Result<usize, Refusal> {
    let d = app.atlas.dictionary(source)?;
    let features = app.atlas.suite().dictionaries[d].features;
    match (index as usize) < features {
        true => Ok(d),
        false => Err(Refusal::missing(
            format!("{source}/{index}: expected a feature below {features}, found none"),
            "numbers begin at 0",
        )),
    }
}

/// What fires at the tokens of a text: the strongest features of every dictionary, or one feature's values
#[utoipa::path(post, path = "/api/v1/activations", request_body = ActivationsRequest,
    responses((status = 200, body = Microscope, description = "with index: {tokens, special, values}"),
              (status = 400, body = Said), (status = 409, body = Said), (status = 503, body = Said)))]
pub(super) async fn activations(
    State(app): State<Arc<App>>,
    Input(request): Input<ActivationsRequest>,
) -> Result<Response, Refusal> {
    let own = app.clone();
    match (request.index, request.source.clone()) {
        (Some(index), Some(source)) => {
            computed(&own, move || test(&app, &request.text, &source, index)).await
        }
        (Some(_), None) => Err(Refusal::bad("index: expected a source with it, found none", "add source")),
        (None, _) => computed(&own, move || microscope(&app, &request)).await,
    }
}

fn test(app: &App, text: &str, source: &str, index: u32) -> Result<Tested, Refusal> {
    let read = read(app, text, vec![feature_of(app, source, index)?])?;
    let values = values(&read.features[0], index);
    Ok(Tested { tokens: read.text.pieces, special: read.text.special, values })
}

fn microscope(app: &App, request: &ActivationsRequest) -> Result<Microscope, Refusal> {
    let sources: Vec<String> = request.source.iter().cloned().collect();
    let read = read(app, &request.text, named(app, &sources)?)?;
    let most = request.features_per_token.min(50);
    let seen = read.dictionaries.iter().zip(&read.features);
    let sources = seen.map(|(&d, features)| see(app, d, features, most, request.hide_dense_above));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    Ok(Microscope { tokens: read.text.pieces, special: read.text.special, sources })
}

fn see(app: &App, d: usize, features: &Csr, most: usize, dense: f64) -> Result<Seen, Refusal> {
    let info = &app.atlas.suite().dictionaries[d];
    let densities = app.densities(d)?;
    let keep = |f: u32| densities.get(f as usize).is_none_or(|&density| density <= dense);
    let tokens: Vec<_> = (0..features.rows()).map(|t| strongest(features, t, most, keep)).collect();
    let said = said(app, &info.source, tokens.iter().flatten().map(|&(f, _)| f))?;
    let firing = |(index, value): (u32, f32)| Firing {
        index,
        value,
        density: densities.get(index as usize).copied().unwrap_or(0.0),
        explanation: said.get(&index).cloned().flatten(),
    };
    let tokens = tokens.into_iter().map(|token| token.into_iter().map(firing).collect()).collect();
    Ok(Seen { source: info.source.clone(), site: info.site.clone(), tokens })
}

/// The first explanation of each of some features.
fn said(
    app: &App,
    source: &str,
    features: impl Iterator<Item = u32>,
) -> Result<BTreeMap<u32, Option<String>>, Refusal> {
    let once: Vec<u32> = features.collect::<BTreeSet<_>>().into_iter().collect();
    Ok(app.atlas.some(source, &once)?.into_iter().map(|row| (row.index, row.explanation)).collect())
}

/// Features of a text, over several dictionaries: the strongest first
#[utoipa::path(post, path = "/api/v1/search/text", request_body = TextSearch,
    responses((status = 200, body = TextFound), (status = 400, body = Said), (status = 409, body = Said)))]
pub(super) async fn search_text(
    State(app): State<Arc<App>>,
    Input(request): Input<TextSearch>,
) -> Result<Response, Refusal> {
    let own = app.clone();
    computed(&own, move || {
        let at: Vec<usize> = request.sort_token.into_iter().collect();
        let dense = request.max_density.unwrap_or(1.0);
        let most = request.limit.unwrap_or(50).min(app.limits().results);
        let (read, found) = find(&app, &request.text, &request.sources, &at, dense, most)?;
        let hits = found.into_iter().map(|hit| text_hit(&app, hit));
        Ok(TextFound { results: hits.collect::<Result<_, _>>()?, tokens: read.text.pieces })
    })
    .await
}

/// The strongest features of a text that are not too dense; numbers of dictionaries are those of the atlas.
pub(super) fn find(
    app: &App,
    text: &str,
    sources: &[String],
    at: &[usize],
    dense: f64,
    most: usize,
) -> Result<(Read, Vec<LiveFeature>), Refusal> {
    let read = read(app, text, named(app, sources)?)?;
    let tokens = read.text.tokens.len();
    if let Some(token) = at.iter().find(|&&token| token >= tokens) {
        return Err(Refusal::bad(
            format!("expected a token below {tokens} to sort by, found {token}"),
            "numbers begin at 0",
        ));
    }
    let densities = read.dictionaries.iter().map(|&d| app.densities(d)).collect::<Result<Vec<_>, _>>()?;
    let keep = |s: usize, f: u32| densities[s].get(f as usize).is_none_or(|&density| density <= dense);
    let mut found = rank(&read.features, at, most, keep);
    found.iter_mut().for_each(|hit| hit.subject = read.dictionaries[hit.subject]);
    Ok((read, found))
}

fn text_hit(app: &App, hit: LiveFeature) -> Result<TextHit, Refusal> {
    let source = app.atlas.suite().dictionaries[hit.subject].source.clone();
    let row = app.atlas.some(&source, &[hit.feature])?.pop();
    Ok(TextHit {
        density: row.as_ref().map_or(0.0, |row| row.density),
        explanation: row.and_then(|row| row.explanation),
        source,
        index: hit.feature,
        values: hit.values,
        max: hit.max,
    })
}
