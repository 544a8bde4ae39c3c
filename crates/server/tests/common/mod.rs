//! Shared by the tests: a small atlas of two of the embedded suite's dictionaries, and a router that is asked without a socket.
#![allow(unreachable_pub)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use lapidary_atlas::Atlas;
use lapidary_atlas::build::SHARD_ROWS;
use lapidary_catalog::Catalog;
use lapidary_kernels::Device;
use lapidary_release::atlas::Asked;
use lapidary_server::{App, Live, Settings, router};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tower::ServiceExt;

/// The dictionaries' names in ids.
pub const SOURCES: [&str; 2] = ["2-res-1k", "3-att-1k"];

pub fn catalog(folder: &TempDir) -> Catalog {
    Catalog {
        data: folder.path().join("data"),
        cache: folder.path().join("cache"),
        home: None,
        device: Device::detect(),
        ignore_config_keys: Vec::new(),
        precision: None,
        note: |_| {},
        hidden: Default::default(),
    }
}

/// An atlas of the dictionaries on some documents of the language; with its model.
pub fn app(folder: &TempDir, settings: Settings) -> Arc<App> {
    let catalog = catalog(folder);
    let name = |site: &str| PathBuf::from(format!("organism-suite/{site}-width1024-lambda0.002"));
    let asked = Asked {
        subjects: vec![name("2.res"), name("3.att")],
        model: Some("organism".into()),
        text: vec!["world:seed=5,tokens=60000".into()],
        ..Asked::default()
    };
    let prepared = asked.open(&catalog, &|_| {}).expect("what is embedded can be opened");
    let (subjects, outputs) = prepared.subjects();
    let out = folder.path().join("atlas");
    std::fs::create_dir_all(&out).unwrap();
    prepared
        .job(&subjects, &outputs, SHARD_ROWS)
        .unwrap()
        .build(&out, &mut |_| {})
        .expect("the atlas is built");
    let live = Live { opened: prepared.opened, dictionaries: prepared.named };
    let atlas = Atlas::open(&out).expect("it was just built");
    Arc::new(App::new(atlas, Some(live), settings).expect("the dictionaries are those of the atlas"))
}

/// The same without a model.
pub fn still(folder: &TempDir, settings: Settings) -> Router {
    let atlas = Atlas::open(&folder.path().join("atlas")).expect("it is built");
    router(Arc::new(App::new(atlas, None, settings).unwrap()))
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.expect("a router answers");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole answer").to_bytes().to_vec();
    Reply { status: head.status, headers: head.headers, bytes }
}

pub async fn get(router: &Router, uri: &str) -> Reply {
    send(router, Request::get(uri).header("host", "localhost:1").body(Body::empty()).unwrap()).await
}

pub async fn post(router: &Router, uri: &str, body: &Value) -> Reply {
    let request = Request::post(uri).header("host", "localhost:1").header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

/// Events of a stream.
pub fn events(text: &str) -> Vec<(String, Value)> {
    let of = |block: &str| {
        let line =
            |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(|l| l.trim().to_string()));
        Some((line("event:")?, serde_json::from_str(&line("data:")?).ok()?))
    };
    text.split("\n\n").filter_map(of).collect()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}
