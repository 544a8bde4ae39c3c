//! The web app, which the program carries: its files, and its first page for every path that is a place in the app.

use crate::app::App;
use crate::error::Refusal;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;

/// Every file of `ui/dist`: path below it, bytes.
pub(crate) const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/app.rs"));

/// Endings of files; a path that ends otherwise is a place in the app, even with a dot in it (`/browse/2-res-l0.002`).
const TYPES: [(&str, &str); 14] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
    ("webmanifest", "application/manifest+json"),
    ("php", "text/plain"),
];

/// The file of a path, or the app's first page.
pub(crate) async fn serve(State(app): State<Arc<App>>, method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if method != Method::GET && method != Method::HEAD {
        let hint = "see /openapi.json for what there is";
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path}: nothing to {method}"), hint)
            .into_response();
    }
    if let Some(bytes) = file(path) {
        return answer(path, Bytes::from_static(bytes));
    }
    if kind(path).is_some() || ["api/", "v1/", "assets/"].iter().any(|own| path.starts_with(own)) {
        let hint = "see /openapi.json for what there is";
        return Refusal::missing(format!("{path}: nothing is here"), hint).into_response();
    }
    answer("index.html", first_page(app.settings.is_static))
}

fn file(path: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

/// The app's first page; of a static copy it says so, and names files from where it lies, so that the copy works under any folder.
pub(crate) fn first_page(is_static: bool) -> Bytes {
    let page = file("index.html").unwrap_or(b"<!doctype html><title>Lapidary</title>");
    if !is_static {
        return Bytes::from_static(page);
    }
    let mark = "<head><meta name=\"lapidary-static\" content=\"true\">";
    Bytes::from(String::from_utf8_lossy(page).replacen("<head>", mark, 1).replace("=\"/", "=\"./"))
}

fn kind(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
}

fn answer(path: &str, bytes: Bytes) -> Response {
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    let text = |value: &'static str| axum::http::HeaderValue::from_static(value);
    headers.insert(CONTENT_TYPE, text(kind(path).unwrap_or("application/octet-stream")));
    // The names of built assets change with their content.
    let forever = path.starts_with("assets/");
    headers.insert(
        CACHE_CONTROL,
        text(if forever { "public, max-age=31536000, immutable" } else { "no-cache" }),
    );
    response
}
