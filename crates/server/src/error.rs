//! What is answered when a request cannot be: `{"error": …, "hint": …}` under the status that fits; and why a server cannot start.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lapidary_atlas::AtlasError;
use lapidary_catalog::CatalogError;
use lapidary_files::FileError;
use lapidary_splice::SpliceError;
use lapidary_text::TextError;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a server cannot start, or an export cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The atlas.
    #[error(transparent)]
    Atlas(#[from] AtlasError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Place, expected, found, next step.
    #[error("{0}")]
    Invalid(String),
}

/// An answer that says why there is no other.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) said: Said,
}

/// Its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Said {
    /// What was wrong, in a sentence.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { status, said: Said { error: error.into(), hint: hint.into() } }
    }

    pub(crate) fn bad(error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error, hint)
    }

    pub(crate) fn missing(error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, error, hint)
    }

    pub(crate) fn too_large(error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error, hint)
    }

    pub(crate) fn busy() -> Refusal {
        let hint = "wait a moment and ask again";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server computes for others already", hint)
    }

    /// No weights are loaded.
    pub(crate) fn no_model() -> Refusal {
        let hint = "start the server with --model to type texts and to steer";
        Refusal::new(StatusCode::CONFLICT, "this needs the model's weights, which are not loaded", hint)
    }

    fn broken(error: impl std::fmt::Display) -> Refusal {
        let hint = "look at the server's files; the message names the one that is damaged";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), hint)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.said)).into_response();
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<AtlasError> for Refusal {
    fn from(error: AtlasError) -> Refusal {
        match error {
            AtlasError::NotFound(text) => Refusal::missing(text, "GET /api/v1/suite names all sources"),
            AtlasError::Text(error) => error.into(),
            AtlasError::Request(text) => Refusal::bad(text, "change the request"),
            other => Refusal::broken(other),
        }
    }
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Refusal {
        Refusal::bad(error.to_string(), "change the text")
    }
}

impl From<SpliceError> for Refusal {
    fn from(error: SpliceError) -> Refusal {
        Refusal::bad(error.to_string(), "change what is asked for")
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Refusal {
        Refusal::broken(error)
    }
}
