//! The same answers as files, for any web host: the app, marked as a copy, and every GET answer that it reads. Typing and steering need
//! a server and are left out.

use crate::app::App;
use crate::assets::{FILES, first_page};
use crate::error::ServeError;
use crate::routes::router;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use lapidary_files as files;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;

/// Writes the copy into a folder; `progress` is told how many of how many files are written.
///
/// # Errors
/// A file of the atlas cannot be read, or one of the copy cannot be written.
pub async fn export(
    app: Arc<App>,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ServeError> {
    for (name, bytes) in FILES {
        let bytes = if *name == "index.html" { first_page(true).to_vec() } else { bytes.to_vec() };
        write(&folder.join(name), &bytes)?;
    }
    let (answers, router) = (answers(&app), router(app));
    for (n, (uri, name)) in (0..).zip(&answers) {
        progress(n, answers.len() as u64);
        write(&folder.join(name), &get(&router, uri).await?)?;
    }
    Ok(())
}

/// Address and file of every answer.
fn answers(app: &App) -> Vec<(String, String)> {
    let plain = ["suite", "plots"].map(|name| (format!("/api/v1/{name}"), format!("api/v1/{name}.json")));
    let mut all = plain.to_vec();
    for d in &app.atlas.suite().dictionaries {
        let source = &d.source;
        all.push((format!("/api/v1/features/{source}"), format!("api/v1/features/{source}.json")));
        let page = |f| (format!("/api/v1/feature/{source}/{f}"), format!("api/v1/feature/{source}/{f}.json"));
        all.extend((0..d.features).map(page));
    }
    all
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ServeError> {
    if let Some(parent) = path.parent() {
        files::create_dir(parent)?;
    }
    Ok(files::publish(path, bytes)?)
}

/// The answer, whole: a list is asked for in parts.
async fn get(router: &Router, uri: &str) -> Result<Vec<u8>, ServeError> {
    if !uri.starts_with("/api/v1/features/") {
        return one(router, uri).await;
    }
    let mut whole: Option<serde_json::Value> = None;
    loop {
        let listed = |list: &serde_json::Value| list["features"].as_array().map_or(0, Vec::len);
        let offset = whole.as_ref().map_or(0, listed);
        let part = one(router, &format!("{uri}?limit=1000&offset={offset}")).await?;
        let part = serde_json::from_slice(&part).map_err(|e| ServeError::Invalid(format!("{uri}: {e}")))?;
        let new = listed(&part);
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                let (all, new) = (whole["features"].as_array_mut(), part["features"].as_array());
                all.zip(new).into_iter().for_each(|(all, new)| all.extend(new.iter().cloned()));
            }
        }
        let total = whole.as_ref().and_then(|whole| whole["total"].as_u64()).unwrap_or(0);
        if new == 0 || whole.as_ref().map_or(0, listed) as u64 >= total {
            return Ok(whole.unwrap_or_default().to_string().into_bytes());
        }
    }
}

async fn one(router: &Router, uri: &str) -> Result<Vec<u8>, ServeError> {
    let broken = |what: String| ServeError::Invalid(format!("{uri}: expected an answer, found {what}"));
    let request = Request::get(uri).header("host", "localhost").body(Body::empty());
    let request = request.map_err(|e| broken(e.to_string()))?;
    let response = router.clone().oneshot(request).await.map_err(|e| broken(e.to_string()))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| broken(e.to_string()))?.to_bytes();
    match status {
        StatusCode::OK => Ok(body.to_vec()),
        status => Err(broken(format!("{status} {}", String::from_utf8_lossy(&body)))),
    }
}
