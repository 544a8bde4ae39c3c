//! The routes of Neuronpedia's inference server (its OpenAPI document is the contract), so that its web app and its clients can be
//! pointed at this server. Chat templates, attention patterns, vectors of one's own and lenses are not offered.

use super::live::{feature_of, find, read};
use super::neuronpedia::{Number, SteerFeature, active, check_model, limited, of_set, steered, written};
use super::schema::SteerRequest;
use super::steer::{Piece, client, growing};
use super::{answer, computed};
use crate::app::App;
use crate::body::Input;
use crate::error::Refusal;
use crate::listen::Client;
use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use lapidary_atlas::live::{LiveFeature, LiveText, peak, strongest, values};
use lapidary_lm::{Site, SiteKind};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

type Answer = Result<Response, Refusal>;

/// Is the server there?
#[utoipa::path(get, path = "/health", responses((status = 200, body = Value)))]
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy" }))
}

/// Nothing is left to be done before it answers
#[utoipa::path(post, path = "/initialize", responses((status = 200, body = Value)))]
pub(super) async fn initialize() -> Json<Value> {
    Json(json!({ "status": "initialized" }))
}

/// What it can do
#[utoipa::path(get, path = "/v1/capabilities", responses((status = 200, body = Value)))]
pub(super) async fn capabilities(State(app): State<Arc<App>>) -> Json<Value> {
    let suite = app.atlas.suite();
    let sources: Vec<&str> = suite.dictionaries.iter().map(|d| d.source.as_str()).collect();
    Json(
        json!({ "model": suite.model.id, "sources": sources, "activations": app.is_live(), "steering": app.is_live(),
                 "chat": false, "logprobs": app.is_live() }),
    )
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Single {
    prompt: String,
    model: String,
    source: Option<String>,
    index: Option<Number>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SingleBatch {
    prompts: Vec<String>,
    model: String,
    source: Option<String>,
    index: Option<Number>,
}

/// One feature on a text
#[utoipa::path(post, path = "/v1/activation/single", request_body = Single, responses((status = 200, body = Value)))]
pub(super) async fn single(State(app): State<Arc<App>>, Input(request): Input<Single>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        one_feature(&app, &request.model, request.source.as_deref(), request.index.as_ref(), &request.prompt)
    })
    .await
}

/// One feature on several texts
#[utoipa::path(post, path = "/v1/activation/single-batch", request_body = SingleBatch, responses((status = 200, body = Value)))]
pub(super) async fn single_batch(State(app): State<Arc<App>>, Input(request): Input<SingleBatch>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        let SingleBatch { prompts, model, source, index } = &request;
        let one = |text: &String| one_feature(&app, model, source.as_deref(), index.as_ref(), text);
        let results = limited(&app, prompts)?.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "results": results }))
    })
    .await
}

fn one_feature(
    app: &App,
    model: &str,
    source: Option<&str>,
    index: Option<&Number>,
    text: &str,
) -> Result<Value, Refusal> {
    check_model(app, model)?;
    let (Some(source), Some(index)) = (source, index) else {
        return Err(Refusal::bad(
            "expected source and index, found one of them or none",
            "vectors of one's own are not offered",
        ));
    };
    let index = index.value()?;
    let read = read(app, text, vec![feature_of(app, source, index)?])?;
    let values = values(&read.features[0], index);
    let (at, max) = peak(&values);
    Ok(json!({
        "activation": { "values": values, "maxValue": max, "maxValueIndex": at, "dfaValues": null,
                        "dfaTargetIndex": null, "dfaMaxValue": null },
        "tokens": read.text.pieces, "tokensIsSpecial": read.text.special,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct All {
    prompt: String,
    model: String,
    source_set: String,
    selected_sources: Vec<String>,
    sort_by_token_indexes: Vec<usize>,
    #[serde(default)]
    num_results: Option<usize>,
}

/// The strongest features of a text over a set of sources
#[utoipa::path(post, path = "/v1/activation/all", request_body = All, responses((status = 200, body = Value)))]
pub(super) async fn all(State(app): State<Arc<App>>, Input(request): Input<All>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model)?;
        let sources = of_set(&app, Some(&request.source_set), &request.selected_sources)?;
        let (at, most) =
            (&request.sort_by_token_indexes, request.num_results.unwrap_or(25).min(app.limits().results));
        let (read, found) = find(&app, &request.prompt, &sources, at, 1.0, most)?;
        let one = |hit: &LiveFeature| {
            let sum: Option<f32> = (!at.is_empty()).then(|| at.iter().map(|&t| hit.values[t]).sum());
            json!({ "source": app.atlas.suite().dictionaries[hit.subject].source, "index": hit.feature,
                    "values": hit.values, "sumValues": sum, "maxValue": hit.max, "maxValueIndex": hit.peak,
                    "dfaValues": null, "dfaTargetIndex": null, "dfaMaxValue": null })
        };
        let activations: Vec<Value> = found.iter().map(one).collect();
        Ok(json!({ "activations": activations, "tokens": read.text.pieces, "counts": null }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct TopkByToken {
    prompt: String,
    model: String,
    source: String,
    #[serde(rename = "topK", default)]
    top_k: Option<usize>,
}

/// The strongest features at each token of a text
#[utoipa::path(post, path = "/v1/activation/topk-by-token", request_body = TopkByToken, responses((status = 200, body = Value)))]
pub(super) async fn topk_by_token(State(app): State<Arc<App>>, Input(request): Input<TopkByToken>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model)?;
        let read = read(&app, &request.prompt, vec![app.atlas.dictionary(&request.source)?])?;
        let most = request.top_k.unwrap_or(5).min(100);
        let result = |(position, token): (usize, &String)| {
            let top = strongest(&read.features[0], position, most, |_| true).into_iter();
            let top: Vec<Value> = top.map(|(f, value)| json!({ "featureIndex": f, "activationValue": value })).collect();
            json!({ "tokenPosition": position, "token": token, "isSpecial": read.text.special[position], "topFeatures": top })
        };
        let results: Vec<Value> = read.text.pieces.iter().enumerate().map(result).collect();
        Ok(json!({ "tokens": read.text.pieces, "results": results }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Source {
    prompts: Vec<String>,
    model: String,
    source: String,
}

/// All active features of texts
#[utoipa::path(post, path = "/v1/activation/source", request_body = Source, responses((status = 200, body = Value)))]
pub(super) async fn source(State(app): State<Arc<App>>, Input(request): Input<Source>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model)?;
        active(&app, &request.source, &request.prompts)
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    prompts: Vec<String>,
    model: Option<String>,
    #[serde(default)]
    layers: Vec<usize>,
    hook_point: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The residual stream after layers, of all if none is named, at the last token of each text
#[utoipa::path(post, path = "/v1/activation/raw", request_body = Raw, responses((status = 200, body = Value)))]
pub(super) async fn raw(State(app): State<Arc<App>>, Input(request): Input<Raw>) -> Answer {
    const POINT: &str = "residual_stream";
    const KIND: &str = "final_output_token";
    for (name, asked, offered) in [("hookPoint", &request.hook_point, POINT), ("type", &request.kind, KIND)] {
        if let Some(asked) = asked.as_ref().filter(|asked| *asked != offered) {
            let error = format!("{name}: expected {offered}, found `{asked}`");
            return Err(Refusal::bad(error, "nothing else is offered"));
        }
    }
    let own = app.clone();
    computed(&own, move || {
        request.model.iter().try_for_each(|model| check_model(&app, model))?;
        let (live, model) = app.live()?;
        let layers = match request.layers.as_slice() {
            [] => (0..model.spec.n_layers).collect(),
            some => some.iter().copied().collect::<BTreeSet<usize>>(),
        };
        if let Some(layer) = layers.iter().find(|&&layer| layer >= model.spec.n_layers) {
            let error = format!("layers: expected numbers below {}, found {layer}", model.spec.n_layers);
            return Err(Refusal::bad(error, "layers begin at 0"));
        }
        let sites: Vec<Site> = layers.iter().map(|&layer| Site::new(layer, SiteKind::Res)).collect();
        let one = |prompt: &String| {
            let text =
                LiveText::read(&live.opened.tokenizer, model, prompt, app.limits().text_tokens)?;
            let last = text.tokens.len() - 1;
            let activations: Vec<Value> = layers
                .iter()
                .zip(text.last(model, &sites))
                .map(|(layer, x)| json!({ "layer": layer, "tokenIndices": [last], "values": [x] }))
                .collect();
            Ok(json!({ "tokenIds": text.tokens, "tokenStrings": text.pieces, "activations": activations }))
        };
        let results = limited(&app, &request.prompts)?.iter().map(one).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(json!({ "hookPoint": POINT, "type": KIND, "dtype": "float32", "device": "cpu", "results": results }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokenize {
    model: String,
    text: String,
    #[serde(default)]
    prepend_bos: Option<bool>,
}

/// The tokens of a text
#[utoipa::path(post, path = "/v1/tokenize", request_body = Tokenize, responses((status = 200, body = Value)))]
pub(super) async fn tokenize(State(app): State<Arc<App>>, Input(request): Input<Tokenize>) -> Answer {
    let own = app.clone();
    computed(&own, move || {
        check_model(&app, &request.model)?;
        let (live, model) = app.live()?;
        let most = app.limits().text_tokens;
        let read = LiveText::read(&live.opened.tokenizer, model, &request.text, most)?;
        let bos = model.spec.bos.is_some();
        let skipped = usize::from(bos && request.prepend_bos == Some(false));
        Ok(json!({ "tokens": read.tokens[skipped..], "tokenStrings": read.pieces[skipped..], "prependBos": bos && skipped == 0 }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct FeatureOf {
    model: String,
    source: String,
    index: Number,
}

/// A feature's decoder row
#[utoipa::path(post, path = "/v1/util/sae-vector", request_body = FeatureOf, responses((status = 200, body = Value)))]
pub(super) async fn sae_vector(State(app): State<Arc<App>>, Input(request): Input<FeatureOf>) -> Answer {
    answer(move || {
        check_model(&app, &request.model)?;
        let index = request.index.value()?;
        let d = feature_of(&app, &request.source, index)?;
        let dictionary = app.live()?.0.subject(d).dictionary;
        let vector = &dictionary.w_dec[index as usize * dictionary.d_out..][..dictionary.d_out];
        Ok(json!({ "vector": vector, "hookName": app.hook(d) }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopkByCosine {
    model: String,
    source: String,
    num_results: usize,
    feature: Option<FeatureOf>,
}

/// Features of a source with the nearest decoder rows
#[utoipa::path(post, path = "/v1/util/sae-topk-by-decoder-cossim", request_body = TopkByCosine, responses((status = 200, body = Value)))]
pub(super) async fn topk_by_cosine(
    State(app): State<Arc<App>>,
    Input(request): Input<TopkByCosine>,
) -> Answer {
    answer(move || {
        check_model(&app, &request.model)?;
        let Some(of) = &request.feature else {
            return Err(Refusal::bad(
                "expected a feature, found none",
                "vectors of one's own are not offered",
            ));
        };
        let index = of.index.value()?;
        let nearest = super::pages::nearest(&app, &of.source, index)?.into_iter();
        let feature =
            |source: &str, index: u32| json!({ "model": request.model, "source": source, "index": index });
        let nearest = nearest.filter(|one| one.source == request.source).take(request.num_results);
        let list: Vec<Value> = nearest
            .map(|one| json!({ "feature": feature(&one.source, one.index), "cosineSimilarity": one.cosine }))
            .collect();
        Ok(json!({ "feature": feature(&of.source, index), "topkDecoderCossimFeatures": list }))
    })
    .await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Completion {
    prompt: String,
    model: String,
    steer_method: String,
    normalize_steering: bool,
    types: Vec<String>,
    n_completion_tokens: usize,
    temperature: f64,
    strength_multiplier: f32,
    seed: f64,
    #[serde(default)]
    features: Vec<SteerFeature>,
    #[serde(default)]
    stream: Option<bool>,
    /// Likeliest tokens at every place of the answer, at most 10; a stream has them where an answer ends.
    #[serde(default)]
    n_logprobs: Option<usize>,
}

/// A continuation, steered, default or both; with `stream` after every token, each event an answer of the same form with all text so far
#[utoipa::path(post, path = "/v1/steer/completion", request_body = Completion, responses((status = 200, body = Value)))]
pub(super) async fn completion(
    State(app): State<Arc<App>>,
    of: Option<Extension<Client>>,
    Input(request): Input<Completion>,
) -> Answer {
    check_model(&app, &request.model)?;
    if let Some(other) = request.types.iter().find(|kind| !["STEERED", "DEFAULT"].contains(&kind.as_str())) {
        let error = format!("types: expected STEERED or DEFAULT, found `{other}`");
        return Err(Refusal::bad(error, "name one of them"));
    }
    let features = steered(&app, &request.features, &request.steer_method, request.strength_multiplier)?;
    let asked = SteerRequest {
        prompt: request.prompt,
        features,
        positions: "all".into(),
        keep_error: true,
        max_tokens: request.n_completion_tokens,
        temperature: request.temperature,
        top_p: 1.0,
        seed: request.seed.max(0.0) as u64,
    };
    let (kinds, normal) = (request.types, request.normalize_steering);
    let logprobs = request.n_logprobs.unwrap_or(0);
    if logprobs > 10 {
        let error = format!("nLogprobs: expected at most 10, found {logprobs}");
        return Err(Refusal::bad(error, "ask for fewer"));
    }
    if request.stream == Some(true) {
        let all = |written: &[Piece]| {
            let output = |p: &Piece| json!({ "type": p.kind, "output": p.text, "logprobs": p.logprobs });
            let outputs: Vec<Value> = written.iter().map(output).collect();
            json!({ "outputs": outputs })
        };
        return growing(app, client(of), asked, (normal, logprobs), kinds, all).await;
    }
    let own = app.clone();
    computed(&own, move || {
        let wanted = ["DEFAULT", "STEERED"].map(|kind| kinds.iter().any(|asked| asked == kind));
        let [default, steered] = written(&app, &asked, (normal, logprobs), wanted)?;
        let whole = |kind: &str, written: Option<(String, Value)>| {
            written.map(|(text, logprobs)| json!({ "type": kind, "output": text, "logprobs": logprobs }))
        };
        let outputs: Vec<Value> =
            [whole("STEERED", steered), whole("DEFAULT", default)].into_iter().flatten().collect();
        Ok(json!({ "outputs": outputs }))
    })
    .await
}
