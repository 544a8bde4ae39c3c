//! Tests of our own routes over a small atlas of the embedded suite: what a page says is what the model says when its text is typed,
//! and a continuation under no strength is the default one.

use crate::common::{SOURCES, app, block_on, events, get, post, still};
use lapidary_atlas::edit::{Addition, add_explanations};
use lapidary_atlas::pages::Explanation;
use lapidary_server::{Settings, router};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn every_route_answers_as_the_contract_says() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder, Settings { command: " --dictionary X".into(), ..Settings::default() });
    let router = router(app);
    block_on(async {
        pages(&router).await;
        searches(&router).await;
        typed(&router).await;
        steered(&router).await;
        swept(&router).await;
        document(&router).await;
        let still = still(&folder, Settings::default());
        let reply = post(&still, "/api/v1/activations", &json!({ "text": "the king" })).await;
        assert_eq!((reply.status.as_u16(), reply.json()["hint"].is_string()), (409, true));
        assert_eq!(get(&still, "/api/v1/suite").await.json()["model"]["loaded"], false);
        edited(&router, &folder.path().join("atlas")).await;
        damaged(&router, &folder.path().join("atlas")).await;
    });
}

async fn pages(router: &axum::Router) {
    let suite = get(router, "/api/v1/suite").await.json();
    assert_eq!(suite["model"]["loaded"], true);
    assert_eq!(suite["has_truth"], true);
    let sources: Vec<&str> =
        suite["dictionaries"].as_array().unwrap().iter().map(|d| d["source"].as_str().unwrap()).collect();
    assert_eq!(sources, SOURCES);
    assert_eq!(get(router, "/api/v1/plots").await.json()["pareto"].as_array().unwrap().len(), 2);
    let list = get(router, "/api/v1/features/2-res-1k?sort=density&order=desc&alive=true&limit=7&offset=2")
        .await
        .json();
    let rows = list["features"].as_array().unwrap();
    assert_eq!((rows.len(), list["offset"].as_u64()), (7, Some(2)));
    let density = |row: &Value| row["density"].as_f64().unwrap();
    assert!(rows.windows(2).all(|pair| density(&pair[0]) >= density(&pair[1])), "sorted by density");
    let page = get(router, &format!("/api/v1/feature/2-res-1k/{}", rows[0]["index"])).await.json();
    assert_eq!(page["density"], rows[0]["density"]);
    let (edges, counts) = (&page["histogram"]["edges"], &page["histogram"]["counts"]);
    assert_eq!(edges.as_array().unwrap().len(), counts.as_array().unwrap().len() + 1);
    let total: u64 = counts.as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(Some(total), page["count"].as_u64(), "the histogram counts every firing");
    let random = get(router, "/api/v1/random?source=3-att-1k").await.json();
    assert_eq!(random["source"], "3-att-1k");
    for missing in [
        "/api/v1/feature/2-res-1k/1024",
        "/api/v1/feature/2-res-1k/x",
        "/api/v1/feature/none/0",
        "/api/v1/features/none",
    ] {
        let reply = get(router, missing).await;
        assert_eq!(reply.status, 404, "{missing}");
        assert!(reply.json()["error"].is_string() && reply.json()["hint"].is_string());
    }
    let strongest = get(router, "/api/v1/features/2-res-1k?sort=max&limit=50").await.json();
    let maxima: Vec<f64> =
        strongest["features"].as_array().unwrap().iter().filter_map(|f| f["max"].as_f64()).collect();
    assert!(maxima.len() == 50 && maxima.is_sorted_by(|a, b| a >= b) && maxima[0] > 0.0, "{maxima:?}");
    for bad in [
        "/api/v1/search?q=a&sort=size",
        "/api/v1/search?q=a&order=up",
        "/api/v1/search?q=a&min_score=high",
        "/api/v1/features/2-res-1k?sort=size",
        "/api/v1/features/2-res-1k?limit=x",
        "/api/v1/search?q=a&kind=b",
    ] {
        assert_eq!(get(router, bad).await.status, 400, "{bad}");
    }
}

async fn searches(router: &axum::Router) {
    let list = get(router, "/api/v1/features/2-res-1k?sort=f1&order=desc&limit=1").await.json();
    let words = list["features"][0]["explanation"].as_str().unwrap();
    let word: String = words.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').collect();
    let word = word.split(' ').find(|word| word.len() > 3).expect("an explanation has a word");
    let found = get(router, &format!("/api/v1/search?q={word}&source=2-res-1k")).await.json();
    assert!(found["total"].as_u64() > Some(0), "{word}: {found}");
    let filtered =
        format!("/api/v1/search?q={word}&source=2-res-1k&sort=max&min_score=0.5&max_density=0.01&limit=1000");
    let filtered = get(router, &filtered).await.json();
    let hits = filtered["results"].as_array().unwrap();
    let at = |hit: &Value, key: &str| hit[key].as_f64().unwrap();
    assert!(hits.iter().all(|hit| at(hit, "score") >= 0.5 && at(hit, "density") <= 0.01), "{filtered}");
    assert!(hits.is_sorted_by(|a, b| at(a, "max") >= at(b, "max")), "{filtered}");
    assert!(filtered["total"].as_u64() < found["total"].as_u64());
    for (query, said) in
        [("zyzzyva", "has these words"), ("%3F%21", "type letters or digits"), ("", "nothing to search")]
    {
        let none = get(router, &format!("/api/v1/search?q={query}")).await;
        let json = none.json();
        assert_eq!((none.status.as_u16(), json["total"].as_u64()), (200, Some(0)), "{query}");
        assert!(json["note"].as_str().unwrap().contains(said), "{query}: {json}");
    }
    let index = list["features"][0]["index"].as_u64().unwrap();
    let near =
        post(router, "/api/v1/search/similar", &json!({ "source": "2-res-1k", "index": index, "limit": 3 }))
            .await
            .json();
    let cosines: Vec<f64> =
        near["results"].as_array().unwrap().iter().filter_map(|n| n["cosine"].as_f64()).collect();
    assert!(cosines.len() == 3 && cosines.is_sorted_by(|a, b| a >= b), "{near}");
}

/// The strongest place of a feature that begins its document: typing its text gives the values of the page, bit by bit.
async fn typed(router: &axum::Router) {
    let list = get(router, "/api/v1/features/2-res-1k?sort=max&order=desc&alive=true&limit=200").await.json();
    let mut compared = 0;
    for row in list["features"].as_array().unwrap() {
        let index = &row["index"];
        let page = get(router, &format!("/api/v1/feature/2-res-1k/{index}")).await.json();
        let first = |c: &&Value| c["start"] == 0;
        let Some(context) = page["contexts"]["top"].as_array().unwrap().iter().find(first) else { continue };
        let pieces: Vec<&str> =
            context["tokens"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let body = json!({ "text": pieces.concat(), "source": "2-res-1k", "index": index });
        let typed = post(router, "/api/v1/activations", &body).await.json();
        let (values, expected) = (typed["values"].as_array().unwrap(), context["values"].as_array().unwrap());
        assert_eq!(typed["special"][0], true, "BOS is special");
        assert_eq!(&values[1..], &expected[..], "{index}: {pieces:?}");
        compared += 1;
        if compared == 3 {
            let seen = post(
                router,
                "/api/v1/activations",
                &json!({ "text": pieces.concat(), "hide_dense_above": 1.0, "features_per_token": 50 }),
            )
            .await
            .json();
            let peak = context["peak"].as_u64().unwrap() as usize + 1;
            let at = seen["sources"][0]["tokens"][peak].as_array().unwrap();
            assert!(
                at.iter().any(|f| f["index"] == *index && f["value"] == context["max"]),
                "the microscope sees it: {at:?}"
            );
            let found = post(router, "/api/v1/search/text", &json!({ "text": pieces.concat(), "sort_token": peak, "sources": ["2-res-1k"], "limit": 1000 })).await.json();
            assert!(
                found["results"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|f| f["index"] == *index && f["max"] == context["max"])
            );
            return;
        }
    }
    panic!("no feature fires most at the beginning of a document");
}

async fn steered(router: &axum::Router) {
    let index =
        get(router, "/api/v1/features/2-res-1k?alive=true&limit=1").await.json()["features"][0]["index"]
            .clone();
    let feature = |strength: f64| json!([{ "source": "2-res-1k", "index": index, "method": "add", "strength": strength }]);
    let request = |features| json!({ "prompt": "the king said that", "features": features, "max_tokens": 12, "temperature": 0.0 });
    for (strength, same) in [(0.0, true), (300.0, false)] {
        let reply = post(router, "/api/v1/steer", &request(feature(strength))).await;
        assert_eq!(reply.header("content-type"), "text/event-stream");
        let events = events(&reply.text());
        let (name, done) = events.last().expect("events");
        assert_eq!(name, "done", "{events:?}");
        for which in ["default", "steered"] {
            let said = events.iter().filter(|(name, data)| name == "token" && data["which"] == which);
            let said: String = said.filter_map(|(_, data)| data["text"].as_str().map(String::from)).collect();
            assert_eq!(done[which]["text"], said, "the tokens are the text");
        }
        assert_eq!(done["default"] == done["steered"], same, "{done}");
        let command = done["command"].as_str().unwrap();
        assert!(command.starts_with("lapidary steer --dictionary X --feature 2-res-1k/"), "{command}");
        assert!(command.contains("--prompt 'the king said that'"), "{command}");
        assert!(
            done["share"]
                .as_str()
                .unwrap()
                .starts_with("/steer?prompt=the%20king%20said%20that&f=2-res-1k%2F")
        );
    }
    let bad = [
        json!({ "prompt": "the king", "features": [{ "source": "2-res-1k", "index": 5000, "method": "add", "strength": 1 }] }),
        json!({ "prompt": "the king", "features": [{ "source": "2-res-1k", "index": 1, "method": "grow", "strength": 1 }] }),
        json!({ "prompt": "the king", "features": [], "positions": "nowhere" }),
        json!({ "prompt": "the king", "features": [], "max_tokens": 257 }),
        json!({ "prompt": "the king", "features": [], "temperature": -1 }),
        json!({ "prompt": "the king ".repeat(500), "features": [] }),
        json!({ "features": [] }),
    ];
    for body in bad {
        let reply = post(router, "/api/v1/steer", &body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.json()["error"].is_string());
    }
    assert_eq!(
        post(router, "/api/v1/steer", &json!({ "prompt": "a".repeat(40_000), "features": [] })).await.status,
        413
    );
}

async fn swept(router: &axum::Router) {
    let index =
        get(router, "/api/v1/features/2-res-1k?alive=true&limit=1").await.json()["features"][0]["index"]
            .clone();
    let feature = json!({ "source": "2-res-1k", "index": index, "method": "add" });
    let request = json!({ "prompt": "the king said that", "feature": feature, "strengths": [0, 100, 1000], "max_tokens": 8, "seed": 3 });
    let events = events(&post(router, "/api/v1/steer/sweep", &request).await.text());
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["point", "point", "point", "done"]);
    let points: Vec<&Value> = events.iter().map(|(_, data)| data).collect();
    assert_eq!((points[0]["delta_loss"].as_f64(), points[0]["kl"].as_f64()), (Some(0.0), Some(0.0)));
    assert!(points[2]["kl"].as_f64() > Some(0.0), "{points:?}");
    assert_eq!(points[0]["text"], points[3]["default"]["text"]);
    let many = json!({ "prompt": "the", "feature": feature, "strengths": vec![1.0; 16] });
    assert_eq!(post(router, "/api/v1/steer/sweep", &many).await.status, 400);
}

/// Somebody adds an explanation while the atlas is served.
async fn edited(router: &axum::Router, folder: &Path) {
    let explanation = Explanation {
        text: "zyzzyvas".into(),
        author: "somebody".into(),
        method: "by hand".into(),
        score: Some(0.75),
        score_name: "F1".into(),
        how_measured: "not at all".into(),
    };
    let addition = Addition { dictionary: 0, index: 17, explanation };
    assert_eq!(add_explanations(folder, &[addition]).expect("it is an atlas"), 1);
    let found = get(router, "/api/v1/search?q=zyzzyva&min_score=0.75").await.json();
    let hit = &found["results"][0];
    assert_eq!((&found["total"], &hit["source"], &hit["index"]), (&1.into(), &"2-res-1k".into(), &17.into()));
    assert_eq!((&hit["score"], &hit["score_name"]), (&0.75.into(), &"F1".into()));
    let page = get(router, "/api/v1/feature/2-res-1k/17").await;
    assert!(page.status == 200 && page.text().contains("zyzzyvas"));
}

/// A file that is damaged while the atlas is served is the server's fault, and is named.
async fn damaged(router: &axum::Router, folder: &Path) {
    let refused = async |uri: &str, name: &str| {
        let reply = get(router, uri).await;
        let error = reply.json()["error"].as_str().unwrap().to_string();
        assert!(reply.status == 500 && error.contains(name), "{uri}: {} {error}", reply.status);
    };
    std::fs::OpenOptions::new()
        .write(true)
        .open(folder.join("features/3-att-1k.bin"))
        .unwrap()
        .set_len(200)
        .unwrap();
    refused("/api/v1/feature/3-att-1k/1000", "3-att-1k.bin").await;
    assert_eq!(get(router, "/api/v1/feature/2-res-1k/0").await.status, 200, "the others are whole");
    let rows = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rows = rows.into_iter().find(|path| path.extension().is_some_and(|end| end == "sqlite")).unwrap();
    std::fs::write(&rows, "no database").unwrap();
    refused("/api/v1/search?q=a", rows.file_name().unwrap().to_str().unwrap()).await;
}

async fn document(router: &axum::Router) {
    let document = get(router, "/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    for path in
        ["/api/v1/suite", "/api/v1/steer", "/api/feature/{modelId}/{layer}/{index}", "/v1/activation/all"]
    {
        assert!(paths.contains_key(path), "{path}");
    }
    // Every schema that is spoken of is there.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
