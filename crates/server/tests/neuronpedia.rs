//! Tests of the routes that other programs know: requests and the shape of their answers, recorded in `fixtures/server/` from the
//! schemas of Neuronpedia's inference server and public API; and that the values in them are those of our own routes.
//!
//! A shape is written as an example: a string, number or boolean stands for its type, null for anything, an array for an array whose
//! elements have the shape of its first, `{"*": …}` for an object whose values have that shape.

use crate::common::{app, block_on, catalog, get, post};
use lapidary_release::atlas::Asked;
use lapidary_server::{Settings, router};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

#[test]
fn recorded_requests_have_answers_of_the_recorded_shape() {
    let folder = tempfile::tempdir().unwrap();
    let router = router(app(&folder, Settings::default()));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/server/neuronpedia.json");
    let exchanges: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    block_on(async {
        for exchange in exchanges.as_array().unwrap() {
            let (path, body) = (exchange["path"].as_str().unwrap(), &exchange["body"]);
            let reply =
                if body.is_null() { get(&router, path).await } else { post(&router, path, body).await };
            let expected = exchange["status"].as_u64().unwrap_or(200);
            assert_eq!(u64::from(reply.status.as_u16()), expected, "{path}: {}", reply.text());
            let mut problems = Vec::new();
            differs(&exchange["response"], &reply.json(), path, &mut problems);
            assert!(problems.is_empty(), "{path}: {problems:?} in {}", reply.text());
        }
        the_values_are_ours(&router).await;
        raw_rows_are_what_features_are_of(&router, &folder).await;
    });
}

/// Where `found` has not the shape of `expected`.
fn differs(expected: &Value, found: &Value, at: &str, problems: &mut Vec<String>) {
    match (expected, found) {
        (Value::Null, _) => {}
        (Value::Object(expected), Value::Object(found)) if expected.contains_key("*") => {
            found
                .iter()
                .for_each(|(key, value)| differs(&expected["*"], value, &format!("{at}.{key}"), problems));
        }
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().for_each(|(key, shape)| match found.get(key) {
                Some(value) => differs(shape, value, &format!("{at}.{key}"), problems),
                None => problems.push(format!("{at}: no {key}")),
            })
        }
        (Value::Array(expected), Value::Array(found)) => {
            let shape = expected.first().unwrap_or(&Value::Null);
            if !expected.is_empty() && found.is_empty() {
                problems.push(format!("{at}: empty"));
            }
            found.iter().for_each(|value| differs(shape, value, &format!("{at}[]"), problems));
        }
        (expected, found) if std::mem::discriminant(expected) == std::mem::discriminant(found) => {}
        (expected, found) => problems.push(format!("{at}: expected like {expected}, found {found}")),
    }
}

/// A number as it was before it was written; rows of others carry it as f64.
fn number(value: &Value) -> f32 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}")) as f32
}

fn numbers(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(number).collect()
}

async fn the_values_are_ours(router: &axum::Router) {
    let text = "The king said that it was so.";
    let dense = get(router, "/api/v1/features/2-res-1k?sort=density&order=desc&limit=1").await.json();
    let index = &dense["features"][0]["index"];
    let ours = json!({ "text": text, "source": "2-res-1k", "index": index });
    let ours = post(router, "/api/v1/activations", &ours).await.json();
    assert!(numbers(&ours["values"]).iter().any(|&v| v > 0.0), "the most frequent feature fires: {ours}");
    let single =
        json!({ "prompt": text, "model": "organism", "source": "2-res-1k", "index": index.to_string() });
    let single = post(router, "/v1/activation/single", &single).await.json();
    assert_eq!(single["tokens"], ours["tokens"]);
    assert_eq!(numbers(&single["activation"]["values"]), numbers(&ours["values"]));
    let all = json!({ "prompts": [text], "model": "organism", "source": "2-res-1k" });
    let all = post(router, "/v1/activation/source", &all).await.json();
    let active = &all["results"][0]["activeFeatures"][index.to_string()];
    for (token, value) in numbers(&ours["values"]).into_iter().enumerate() {
        let fires = active.as_array().unwrap().iter().find(|pair| pair[0] == token);
        assert_eq!(fires.map_or(0.0, |pair| number(&pair[1])), value, "token {token}");
    }
    let page = get(router, &format!("/api/v1/feature/2-res-1k/{index}")).await.json();
    let row = get(router, &format!("/api/feature/organism/2-res-1k/{index}")).await.json();
    assert_eq!(number(&row["maxActApprox"]), number(&page["max"]));
    assert_eq!(row["frac_nonzero"], page["density"]);
    let first = &row["activations"][0];
    assert_eq!((&first["tokens"], &first["binMin"]), (&page["contexts"]["top"][0]["tokens"], &json!(-1.0)));
    let ask = |stream: bool| {
        json!({ "prompt": text, "model": "organism", "steerMethod": "PROJECTION_CAP", "normalizeSteering": false,
                "types": ["DEFAULT"], "nCompletionTokens": 6, "temperature": 0.0, "strengthMultiplier": 1.0, "freqPenalty": 0,
                "seed": 16, "stream": stream })
    };
    let whole = post(router, "/v1/steer/completion", &ask(false)).await.json();
    let events = grown(&post(router, "/v1/steer/completion", &ask(true)).await.text());
    let texts: Vec<&str> = events.iter().filter_map(|e| e["outputs"][0]["output"].as_str()).collect();
    assert!(texts.len() > 3 && texts[0].starts_with(text), "{texts:?}");
    assert!(
        texts.windows(2).all(|pair| pair[1].starts_with(pair[0])),
        "each holds the one before: {texts:?}"
    );
    assert_eq!(whole, events[events.len() - 1], "the last is the whole answer");
    let ask = |stream: bool| {
        json!({ "prompt": text, "modelId": "organism", "temperature": 0.0, "n_tokens": 6, "freq_penalty": 0, "seed": 16, "stream": stream,
                "features": [{ "modelId": "organism", "layer": "2-res-1k", "index": index, "strength": 40 }] })
    };
    let whole = post(router, "/api/steer", &ask(false)).await.json();
    let events = grown(&post(router, "/api/steer", &ask(true)).await.text());
    assert!(events[0]["STEERED"].is_string() && events[0]["DEFAULT"].is_null(), "{}", events[0]);
    assert_eq!(whole, events[events.len() - 1]);
    assert_ne!(whole["STEERED"], whole["DEFAULT"]);
    explained(router, &page).await;
    likely(router, text, index).await;
}

/// Without temperature the likeliest token is the one that is written, under an intervention too.
async fn likely(router: &axum::Router, text: &str, index: &Value) {
    let features = json!([{ "model": "organism", "source": "2-res-1k", "index": index, "strength": 40.0 }]);
    let mut ask = json!({ "prompt": text, "model": "organism", "steerMethod": "SIMPLE_ADDITIVE", "normalizeSteering": false,
                      "types": ["STEERED", "DEFAULT"], "nCompletionTokens": 6, "temperature": 0.0, "strengthMultiplier": 1.0,
                      "freqPenalty": 0, "seed": 16, "nLogprobs": 3, "features": features });
    let whole = post(router, "/v1/steer/completion", &ask).await.json();
    let outputs = whole["outputs"].as_array().unwrap();
    for output in outputs {
        let tokens = output["logprobs"].as_array().unwrap();
        let said: String = tokens.iter().map(|t| t["token"].as_str().unwrap()).collect();
        // Between digits the tokenizer writes no space, although each of its tokens has one.
        let letters = |text: &str| text.replace(' ', "");
        assert_eq!(letters(output["output"].as_str().unwrap()), letters(&format!("{text}{said}")));
        for token in tokens {
            let top: Vec<f64> = token["topLogprobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["logprob"].as_f64().unwrap())
                .collect();
            assert!(top.len() == 3 && top.is_sorted_by(|a, b| a >= b), "{token}");
            assert_eq!(
                (&token["topLogprobs"][0]["token"], top[0]),
                (&token["token"], token["logprob"].as_f64().unwrap())
            );
            assert!(top.iter().map(|logprob| logprob.exp()).sum::<f64>() <= 1.0 + 1e-9);
        }
    }
    assert_ne!(outputs[0]["logprobs"], outputs[1]["logprobs"]);
    ask["stream"] = json!(true);
    let events = grown(&post(router, "/v1/steer/completion", &ask).await.text());
    assert!(events[0]["outputs"][0]["logprobs"].is_null(), "{}", events[0]);
    assert_eq!(whole, events[events.len() - 1], "the last event of a stream has them too");
}

/// Events of a stream without names.
fn grown(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// By the author or in the way that is asked for; else the first of the page.
async fn explained(router: &axum::Router, page: &Value) {
    let all = page["explanations"].as_array().unwrap();
    assert!(all.len() > 1, "{page}");
    let last = &all[all.len() - 1];
    for (key, value, expected) in [
        ("explanationType", last["method"].clone(), last),
        ("explanationModelName", all[0]["author"].clone(), &all[0]),
        ("explanationModelName", json!("gpt-4o"), &all[0]),
    ] {
        let ask = json!({ "modelId": "organism", "layer": "2-res-1k", "index": page["index"], key: value });
        let found = post(router, "/api/explanation/generate", &ask).await.json();
        let found = &found["explanation"];
        assert_eq!((&found["description"], &found["typeName"]), (&expected["text"], &expected["method"]));
    }
}

/// The residual stream at the last token, put through the dictionary by hand, is what the dictionary's features are there.
async fn raw_rows_are_what_features_are_of(router: &axum::Router, folder: &TempDir) {
    let asked = Asked {
        subjects: vec!["organism-suite/2.res-width1024-lambda0.002".into()],
        model: Some("organism".into()),
        ..Asked::default()
    };
    let of = asked.dictionaries(&catalog(folder), &|_| {}).expect("it is embedded");
    let dictionary = &of.named[0].dictionary;
    let prompts = ["The king said that it was so.", "Note: comet gravel"];
    let ask = json!({ "prompts": prompts, "model": "organism", "layers": [2, 1] });
    let raw = post(router, "/v1/activation/raw", &ask).await.json();
    for (prompt, result) in prompts.iter().zip(raw["results"].as_array().unwrap()) {
        let activations = result["activations"].as_array().unwrap();
        assert_eq!(activations.iter().map(|a| a["layer"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
        let x = numbers(&activations[1]["values"][0]);
        let ask = json!({ "prompt": prompt, "model": "organism", "source": "2-res-1k", "topK": 3 });
        let top = post(router, "/v1/activation/topk-by-token", &ask).await.json();
        let last = top["results"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(activations[1]["tokenIndices"], json!([last["tokenPosition"]]));
        assert!(!last["topFeatures"].as_array().unwrap().is_empty());
        for feature in last["topFeatures"].as_array().unwrap() {
            let f = feature["featureIndex"].as_u64().unwrap() as usize;
            let row = &dictionary.w_enc[f * dictionary.d_in..][..dictionary.d_in];
            let product: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let z = product + f64::from(dictionary.b_enc[f]);
            let value = feature["activationValue"].as_f64().unwrap();
            assert!((z - value).abs() < 1e-4 * value, "{f}: {z} {value}");
        }
    }
}
