//! Tests of the routes that other programs know: requests and the shape of their answers, recorded in `fixtures/server/` from the
//! schemas of Neuronpedia's inference server and public API; and that the values in them are those of our own routes.
//!
//! A shape is written as an example: a string, number or boolean stands for its type, null for anything, an array for an array whose
//! elements have the shape of its first, `{"*": …}` for an object whose values have that shape.

mod common;

use common::{app, block_on, get, post};
use lapidary_server::{Settings, router};
use serde_json::{Value, json};
use std::path::Path;

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

async fn the_values_are_ours(router: &axum::Router) {
    let ours = json!({ "text": "the king said", "source": "2-res-1k", "index": 7 });
    let ours = post(router, "/api/v1/activations", &ours).await.json();
    let single =
        json!({ "prompt": "the king said", "model": "organism", "source": "2-res-1k", "index": "7" });
    let single = post(router, "/v1/activation/single", &single).await.json();
    assert_eq!((&single["tokens"], &single["activation"]["values"]), (&ours["tokens"], &ours["values"]));
    let all = json!({ "prompts": ["the king said"], "model": "organism", "source": "2-res-1k" });
    let all = post(router, "/v1/activation/source", &all).await.json();
    let active = all["results"][0]["activeFeatures"].as_object().unwrap();
    for (token, value) in ours["values"].as_array().unwrap().iter().enumerate() {
        let fires = active.get("7").and_then(|list| list.as_array()?.iter().find(|pair| pair[0] == token));
        assert_eq!(
            fires.map_or(0.0, |pair| pair[1].as_f64().unwrap()),
            value.as_f64().unwrap(),
            "token {token}"
        );
    }
    let page = get(router, "/api/v1/feature/2-res-1k/7").await.json();
    let row = get(router, "/api/feature/organism/2-res-1k/7").await.json();
    assert_eq!((&row["maxActApprox"], &row["frac_nonzero"]), (&page["max"], &page["density"]));
}
