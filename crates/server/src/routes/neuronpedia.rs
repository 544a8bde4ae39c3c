//! Neuronpedia's public routes, as far as they are about features: the same paths, requests and answers, so that a program that
//! reads there reads here when its host is changed. A `layer` is a source id; numbers of features are strings in rows.

use super::live::{feature_of, find, read};
use super::schema::{SteerRequest, SteeredFeature};
use super::steer::{Piece, Plan, Written, client, growing};
use super::{answer, computed, row};
use crate::app::App;
use crate::body::{Input, index};
use crate::error::Refusal;
use crate::listen::Client;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use lapidary_atlas::AtlasError;
use lapidary_atlas::live::{peak, strongest, values};
use lapidary_splice::{Candidates, Steering, candidates};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use utoipa::ToSchema;

type Answer = Result<Response, Refusal>;

/// One text, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        }
    }
}

/// A number as a number or as a string.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Number {
    Number(u32),
    Text(String),
}

impl Number {
    pub(super) fn value(&self) -> Result<u32, Refusal> {
        match self {
            Number::Number(n) => Ok(*n),
            Number::Text(text) => index(text),
        }
    }
}

/// The atlas is of this model, or nothing is found.
pub(super) fn check_model(app: &App, asked: &str) -> Result<(), Refusal> {
    let own = &app.atlas.suite().model;
    match asked == own.id || asked == own.name {
        true => Ok(()),
        false => Err(Refusal::missing(
            format!("expected the model {}, found {asked}", own.id),
            "this server has one model",
        )),
    }
}

/// The feature's row, with its activations and explanations
#[utoipa::path(get, path = "/api/feature/{modelId}/{layer}/{index}",
    params(("modelId" = String, Path), ("layer" = String, Path), ("index" = String, Path)),
    responses((status = 200, body = Value), (status = 404, body = crate::error::Said)))]
pub(super) async fn feature(
    State(app): State<Arc<App>>,
    Path((model, layer, number)): Path<(String, String, String)>,
) -> Answer {
    answer(move || {
        check_model(&app, &model)?;
        let page = app.atlas.feature(&layer, index(&number)?)?;
        Ok(row::feature(&app, &page))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeatureRef {
    model_id: String,
    #[serde(alias = "layer")]
    source: String,
    index: Number,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewActivation {
    feature: FeatureRef,
    custom_text: Texts,
}

/// One feature on texts
#[utoipa::path(post, path = "/api/activation/new", request_body = NewActivation, responses((status = 200, body = Value)))]
pub(super) async fn activation_new(
    State(app): State<Arc<App>>,
    Input(request): Input<NewActivation>,
) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        let FeatureRef { model_id, source, index } = &request.feature;
        check_model(&app, model_id)?;
        let texts = limited(&app, request.custom_text.all())?;
        let one = |text: &String| activation(&app, source, index.value()?, text);
        let all = texts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(match request.custom_text {
            Texts::One(_) => all.into_iter().next().unwrap_or_default(),
            Texts::Many(_) => Value::from(all),
        })
    })
    .await
}

/// No more texts than are answered at once.
pub(super) fn limited<'a>(app: &App, texts: &'a [String]) -> Result<&'a [String], Refusal> {
    let most = app.limits().texts;
    match texts.len() {
        found if found > most || found == 0 => {
            Err(Refusal::bad(format!("expected 1 to {most} texts, found {found}"), "ask for fewer at once"))
        }
        _ => Ok(texts),
    }
}

fn activation(app: &App, source: &str, index: u32, text: &str) -> Result<Value, Refusal> {
    let read = read(app, text, vec![feature_of(app, source, index)?])?;
    let values = values(&read.features[0], index);
    let (at, max) = peak(&values);
    Ok(json!({ "tokens": read.text.pieces, "values": values, "maxValue": max, "maxValueIndex": at,
               "dfaValues": null, "dfaTargetIndex": null, "dfaMaxValue": null }))
}

/// A feature's places
#[utoipa::path(post, path = "/api/activation/get", request_body = FeatureRef, responses((status = 200, body = Value)))]
pub(super) async fn activation_get(State(app): State<Arc<App>>, Input(request): Input<FeatureRef>) -> Answer {
    answer(move || {
        check_model(&app, &request.model_id)?;
        Ok(row::activations(&app.atlas.feature(&request.source, request.index.value()?)?))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceActivation {
    model_id: String,
    source: String,
    custom_text: Texts,
}

/// All active features of texts
#[utoipa::path(post, path = "/api/activation/source", request_body = SourceActivation, responses((status = 200, body = Value)))]
pub(super) async fn activation_source(
    State(app): State<Arc<App>>,
    Input(request): Input<SourceActivation>,
) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model_id)?;
        active(&app, &request.source, request.custom_text.all())
    })
    .await
}

/// Tokens and, by feature, [token, value] wherever it fires.
pub(super) fn active(app: &App, source: &str, texts: &[String]) -> Result<Value, Refusal> {
    let d = app.atlas.dictionary(source)?;
    let one = |text: &String| {
        let read = read(app, text, vec![d])?;
        let mut active: BTreeMap<u32, Vec<(usize, f32)>> = BTreeMap::new();
        for token in 0..read.features[0].rows() {
            let (index, value) = read.features[0].row(token);
            index.iter().zip(value).for_each(|(&f, &v)| active.entry(f).or_default().push((token, v)));
        }
        Ok(json!({ "tokens": read.text.pieces, "activeFeatures": active }))
    };
    let results = limited(app, texts)?.iter().map(one).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(json!({ "results": results }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchAll {
    model_id: String,
    source_set: Option<String>,
    text: String,
    #[serde(default)]
    selected_layers: Vec<String>,
    #[serde(default)]
    sort_indexes: Vec<usize>,
    density_threshold: Option<f64>,
    num_results: Option<usize>,
}

/// Features of a text over several sources
#[utoipa::path(post, path = "/api/search-all", request_body = SearchAll, responses((status = 200, body = Value)))]
pub(super) async fn search_all(State(app): State<Arc<App>>, Input(request): Input<SearchAll>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model_id)?;
        let sources = of_set(&app, request.source_set.as_deref(), &request.selected_layers)?;
        let dense = request.density_threshold.filter(|&threshold| threshold > 0.0).unwrap_or(1.0);
        let most = request.num_results.unwrap_or(50).min(100);
        let (read, found) = find(&app, &request.text, &sources, &request.sort_indexes, dense, most)?;
        let hit = |hit: &lapidary_atlas::live::LiveFeature| {
            let info = &app.atlas.suite().dictionaries[hit.subject];
            let row = app.atlas.some(&info.source, &[hit.feature])?.pop();
            let neuron = row.map(|row| {
                json!({ "modelId": request.model_id, "layer": info.source, "index": row.index.to_string(),
                        "maxActApprox": row.max, "frac_nonzero": row.density,
                        "explanations": row.explanation.map(|text| json!({ "description": text })).into_iter().collect::<Vec<_>>() })
            });
            Ok(json!({ "modelId": request.model_id, "layer": info.source, "index": hit.feature.to_string(),
                       "values": hit.values, "maxValue": hit.max, "maxValueIndex": hit.peak, "dfaValues": null,
                       "dfaTargetIndex": null, "dfaMaxValue": null, "neuron": neuron }))
        };
        let result = found.iter().map(hit).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(json!({ "tokens": read.text.pieces, "result": result, "sortIndexes": request.sort_indexes }))
    })
    .await
}

/// The sources that are selected, or all of a set.
pub(super) fn of_set(app: &App, set: Option<&str>, selected: &[String]) -> Result<Vec<String>, Refusal> {
    if !selected.is_empty() {
        return Ok(selected.to_vec());
    }
    let all = app.atlas.suite().dictionaries.iter().map(|d| d.source.clone());
    let of: Vec<String> =
        all.filter(|source| set.is_none_or(|set| set.is_empty() || row::set_of(source) == set)).collect();
    match of.is_empty() {
        false => Ok(of),
        true => Err(Refusal::missing(
            format!("no source is of the set {}", set.unwrap_or("")),
            "GET /api/v1/suite names all sources",
        )),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchTopk {
    model_id: String,
    source: String,
    text: String,
    num_results: Option<usize>,
    density_threshold: Option<f64>,
}

/// The strongest features at each token of a text
#[utoipa::path(post, path = "/api/search-topk-by-token", request_body = SearchTopk, responses((status = 200, body = Value)))]
pub(super) async fn search_topk_by_token(
    State(app): State<Arc<App>>,
    Input(request): Input<SearchTopk>,
) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model_id)?;
        let d = app.atlas.dictionary(&request.source)?;
        let read = read(&app, &request.text, vec![d])?;
        let (densities, dense) = (app.densities(d)?, request.density_threshold.unwrap_or(0.01));
        let keep = |f: u32| densities.get(f as usize).is_none_or(|&density| density <= dense);
        let most = request.num_results.unwrap_or(10).min(20);
        let token = |(position, token): (usize, &String)| {
            let top = strongest(&read.features[0], position, most, keep);
            let rows = app.atlas.some(&request.source, &top.iter().map(|(f, _)| *f).collect::<Vec<_>>())?;
            let feature = |((f, value), row): (&(u32, f32), lapidary_atlas::pages::FeatureRow)| {
                json!({ "activationValue": value, "featureIndex": f,
                        "feature": { "modelId": request.model_id, "layer": request.source, "index": f.to_string(),
                                     "maxActApprox": row.max, "frac_nonzero": row.density,
                                     "explanations": row.explanation.map(|text| json!({ "description": text })).into_iter().collect::<Vec<_>>() } })
            };
            let top: Vec<Value> = top.iter().zip(rows).map(feature).collect();
            Ok(json!({ "position": position, "token": token, "topFeatures": top }))
        };
        let results = read.text.pieces.iter().enumerate().map(token).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(json!({ "source": request.source, "results": results }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SteerFeature {
    pub(super) model_id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(alias = "layer")]
    pub(super) source: String,
    pub(super) index: Number,
    pub(super) strength: f32,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Steer {
    prompt: String,
    #[serde(rename = "modelId")]
    model_id: String,
    features: Vec<SteerFeature>,
    #[serde(default = "half")]
    temperature: f64,
    #[serde(default = "forty_eight")]
    n_tokens: usize,
    #[serde(default = "sixteen")]
    seed: f64,
    #[serde(default = "one")]
    strength_multiplier: f32,
    #[serde(default = "simple")]
    steer_method: String,
    #[serde(default)]
    stream: bool,
}

fn half() -> f64 {
    0.5
}

fn forty_eight() -> usize {
    48
}

fn sixteen() -> f64 {
    16.0
}

fn one() -> f32 {
    1.0
}

fn simple() -> String {
    "SIMPLE_ADDITIVE".into()
}

/// Default and steered continuation; with `stream` after every token, each event an answer of the same form with all text so far
#[utoipa::path(post, path = "/api/steer", request_body = Steer, responses((status = 200, body = Value)))]
pub(super) async fn steer(
    State(app): State<Arc<App>>,
    of: Option<Extension<Client>>,
    Input(request): Input<Steer>,
) -> Answer {
    check_model(&app, &request.model_id)?;
    let Steer { temperature, n_tokens: max_tokens, seed, strength_multiplier, stream, .. } = request;
    let features = steered(&app, &request.features, &request.steer_method, strength_multiplier)?;
    let asked = SteerRequest {
        prompt: request.prompt,
        features,
        positions: "all".into(),
        keep_error: true,
        max_tokens,
        temperature,
        top_p: 1.0,
        seed: seed.max(0.0) as u64,
    };
    if stream {
        let kinds = ["STEERED", "DEFAULT"].map(String::from).to_vec();
        let both = |written: &[Piece]| {
            let text = |n: usize| written.get(n).map(|p| p.text.as_str()).filter(|text| !text.is_empty());
            continuations(text(1), text(0))
        };
        return growing(app, client(of), asked, (false, 0), kinds, both).await;
    }
    let own = app.clone();
    computed(&own, move || {
        let [default, steered] = written(&app, &asked, (false, 0), [true, true])?;
        let text = |written: Option<(String, Value)>| written.map(|(text, _)| text);
        Ok(continuations(text(default).as_deref(), text(steered).as_deref()))
    })
    .await
}

fn continuations(default: Option<&str>, steered: Option<&str>) -> Value {
    json!({ "DEFAULT": default, "STEERED": steered, "defaultLogProbs": null, "steeredLogProbs": null, "id": null,
            "shareUrl": null, "limit": null })
}

/// Their interventions as ours.
pub(super) fn steered(
    app: &App,
    features: &[SteerFeature],
    method: &str,
    multiplier: f32,
) -> Result<Vec<SteeredFeature>, Refusal> {
    let method = match method {
        "SIMPLE_ADDITIVE" => "add",
        "ORTHOGONAL_DECOMP" => "orthogonal",
        "PROJECTION_CAP" => "cap",
        other => {
            let error =
                format!("expected SIMPLE_ADDITIVE, ORTHOGONAL_DECOMP or PROJECTION_CAP, found `{other}`");
            return Err(Refusal::bad(error, "name one of them"));
        }
    };
    let one = |feature: &SteerFeature| {
        feature.model_id.iter().chain(&feature.model).try_for_each(|model| check_model(app, model))?;
        let (source, index) = (feature.source.clone(), feature.index.value()?);
        Ok(SteeredFeature { source, index, method: method.into(), strength: feature.strength * multiplier })
    };
    features.iter().map(one).collect()
}

/// The continuations that are wanted, [default, steered], one after the other, prompt included; of directions of length 1 if they are
/// `normal`; each with so many of the likeliest tokens at every place, if any.
pub(super) fn written(
    app: &App,
    asked: &SteerRequest,
    (normal, logprobs): (bool, usize),
    wanted: [bool; 2],
) -> Result<[Option<(String, Value)>; 2], Refusal> {
    let (live, model) = app.live()?;
    let plan = Plan::of(app, &asked.prompt, asked)?;
    let steering = plan.steering(app, live, model)?;
    let steering = if normal { steering.of_unit_directions() } else { steering };
    let go_on = |_| if app.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let one = |wanted: bool, steering: Option<&Steering<'_>>| {
        let write = || {
            let Written { text, tokens } = plan.write(live, model, steering, &mut |text| go_on(text))?;
            let likely = match logprobs {
                0 => Value::Null,
                most => likely_rows(app, &candidates(model, steering, (&plan.prompt, &tokens), most)?)?,
            };
            Ok::<_, Refusal>((asked.prompt.clone() + &text, likely))
        };
        wanted.then(write).transpose()
    };
    Ok([one(wanted[0], None)?, one(wanted[1], Some(&steering))?])
}

/// Rows of their `NPLogprob`.
pub(super) fn likely_rows(app: &App, tokens: &[Candidates]) -> Result<Value, Refusal> {
    let text = |token: u32| app.atlas.token(token);
    let one = |at: &Candidates| {
        let top =
            at.top.iter().map(|&(token, logprob)| Ok(json!({ "token": text(token)?, "logprob": logprob })));
        let top = top.collect::<Result<Vec<Value>, AtlasError>>()?;
        Ok(json!({ "token": text(at.token)?, "logprob": at.logprob, "topLogprobs": top }))
    };
    Ok(tokens.iter().map(one).collect::<Result<Vec<Value>, AtlasError>>()?.into())
}
