//! All routes, and the document that describes them, made from the same list.

mod explanations;
mod inference;
mod live;
mod neuronpedia;
mod pages;
mod row;
mod schema;
mod steer;

use crate::app::App;
use crate::error::Refusal;
use crate::finish::finish;
use crate::guard::guard;
use crate::{assets, work};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt;
use serde::Serialize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the document says of the whole.
#[derive(OpenApi)]
#[openapi(info(
    title = "Lapidary",
    description = "Features of a language model's dictionaries: pages, search, activations, steering. Errors are {error, hint}."
))]
struct Document;

/// Every route of the server.
pub fn router(app: Arc<App>) -> Router {
    let (router, document) = described().split_for_parts();
    let document = serde_json::to_vec(&document).unwrap_or_default();
    let document = get(move || async move { ([(CONTENT_TYPE, "application/json")], document.clone()) });
    router
        .route("/openapi.json", document)
        .fallback(assets::serve)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(calm))
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(from_fn(finish))
        .with_state(app)
}

/// The routes that the document describes.
fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(pages::suite))
        .routes(routes!(pages::features))
        .routes(routes!(pages::feature))
        .routes(routes!(pages::random))
        .routes(routes!(pages::search))
        .routes(routes!(pages::similar))
        .routes(routes!(pages::plots))
        .routes(routes!(live::activations))
        .routes(routes!(live::search_text))
        .routes(routes!(steer::steer))
        .routes(routes!(steer::sweep))
        .routes(routes!(neuronpedia::feature))
        .routes(routes!(neuronpedia::activation_new))
        .routes(routes!(neuronpedia::activation_get))
        .routes(routes!(neuronpedia::activation_source))
        .routes(routes!(neuronpedia::search_all))
        .routes(routes!(neuronpedia::search_topk_by_token))
        .routes(routes!(explanations::search))
        .routes(routes!(explanations::generate))
        .routes(routes!(neuronpedia::steer))
        .routes(routes!(inference::health))
        .routes(routes!(inference::initialize))
        .routes(routes!(inference::capabilities))
        .routes(routes!(inference::single))
        .routes(routes!(inference::single_batch))
        .routes(routes!(inference::all))
        .routes(routes!(inference::topk_by_token))
        .routes(routes!(inference::source))
        .routes(routes!(inference::raw))
        .routes(routes!(inference::tokenize))
        .routes(routes!(inference::sae_vector))
        .routes(routes!(inference::topk_by_cosine))
        .routes(routes!(inference::completion))
}

async fn wrong_method() -> Refusal {
    let hint = "see /openapi.json for what there is";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method", hint)
}

/// A failure of ours is answered, and ends nothing else.
async fn calm(request: axum::extract::Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            let hint = "report the request that you sent";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed", hint).into_response()
        }
    }
}

/// A JSON answer that a thread which may block has made.
async fn answer<T: Serialize>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    work::run(|| json(&work()?)).await
}

/// A JSON answer that was computed in a place of its own.
async fn computed<T: Serialize>(
    app: &App,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    app.work.compute(|| json(&work()?)).await
}

fn json(value: &impl Serialize) -> Result<Response, Refusal> {
    let failed =
        |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is no JSON", "report the request");
    let bytes = serde_json::to_vec(value).map_err(failed)?;
    let mut response = bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
