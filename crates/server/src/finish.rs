//! Every answer on its way out: headers that tell a browser what it may do with it, an ETag, and compression. Streams pass untouched.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use lapidary_files::hash;
use std::io::Write;

/// Nothing but what the server itself sends; no script or style that stands in a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ";
/// Shorter answers are not compressed.
const LEAST: usize = 1_024;

/// Adds what every answer has.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let embedded = request.uri().query().is_some_and(|q| q.split('&').any(|pair| pair == "embed=true"));
    let asked = Asked {
        method: request.method().clone(),
        packed: accepts_gzip(request.headers()),
        known: request.headers().get(IF_NONE_MATCH).cloned(),
    };
    let mut response = next.run(request).await;
    protect(response.headers_mut(), embedded);
    match is_stream(&response) {
        true => response,
        false => asked.whole(response).await,
    }
}

fn protect(headers: &mut HeaderMap, embedded: bool) {
    let fixed = |text| HeaderValue::from_static(text);
    // A feature's page may stand in a notebook; it then offers nothing to click on.
    let policy = format!("{POLICY}{}", if embedded { "*" } else { "'none'" });
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).expect("plain text"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert("cross-origin-resource-policy", fixed("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(fixed("no-cache"));
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        gzip && !parts.any(|part| part.replace(' ', "") == "q=0")
    })
}

/// What of the request the answer depends on.
struct Asked {
    method: Method,
    packed: bool,
    known: Option<HeaderValue>,
}

impl Asked {
    async fn whole(self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        let Ok(body) = body.collect().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let mut bytes = body.to_bytes();
        if self.method == Method::GET && head.status == StatusCode::OK {
            let tag = format!("\"{}\"", &hash::bytes(&bytes)[..24]);
            let same = self.known.as_ref().and_then(|known| known.to_str().ok());
            let same = same
                .is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
            head.headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal"));
            if same {
                head.status = StatusCode::NOT_MODIFIED;
                head.headers.remove(CONTENT_LENGTH);
                return Response::from_parts(head, Body::empty());
            }
        }
        head.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.packed && bytes.len() >= LEAST && is_text(&head.headers) {
            bytes = gzip(&bytes);
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        head.headers.remove(CONTENT_LENGTH);
        let body = Body::from(bytes);
        debug_assert!(body.size_hint().exact().is_some());
        Response::from_parts(head, body)
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    ["application/json", "text/", "image/svg"].iter().any(|text| kind.starts_with(text))
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    packed.write_all(bytes).and_then(|()| packed.finish()).map_or_else(|_| Bytes::new(), Bytes::from)
}
