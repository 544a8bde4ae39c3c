//! What comes in: JSON bodies within limits, queries, and numbers in paths. Whatever is wrong with them is said in a sentence.

use crate::app::App;
use crate::error::Refusal;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A JSON body.
pub(crate) struct Input<T>(pub(crate) T);

/// A query string.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        // A form of another site can send any other type without asking first (CSRF).
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let error = format!("expected a body of type application/json, found `{kind}`");
            let hint = "send the header content-type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, hint));
        }
        let limits = app.limits();
        let bytes = read(request.into_body(), limits.body_bytes);
        let late =
            |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", "send it at once");
        let bytes = tokio::time::timeout(limits.body_time, bytes).await.map_err(late)??;
        let wrong = |e: serde_json::Error| {
            Refusal::bad(format!("body: {e}"), "see /openapi.json for what is expected")
        };
        serde_json::from_slice(&bytes).map(Input).map_err(wrong)
    }
}

async fn read(body: Body, most: usize) -> Result<bytes::Bytes, Refusal> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Refusal::too_large(
            format!("expected a body of at most {most} bytes, found more"),
            "shorten it",
        )),
        Err(_) => Err(Refusal::bad("the body broke off", "send it again")),
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Asked(query)),
            Err(error) => Err(Refusal::bad(
                format!("query: {}", error.body_text()),
                "see /openapi.json for what is expected",
            )),
        }
    }
}

/// A feature's number in a path; what is none is not found.
pub(crate) fn index(text: &str) -> Result<u32, Refusal> {
    let missing =
        |_| Refusal::missing(format!("expected a feature's number, found `{text}`"), "numbers begin at 0");
    text.parse().map_err(missing)
}
