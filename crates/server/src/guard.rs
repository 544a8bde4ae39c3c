//! Who may ask. A page of another site that a browser has open must get nothing out of a server on this machine, and start nothing:
//!
//! - the Host header is one of ours, so that no foreign name that leads here is answered (DNS rebinding);
//! - what changes or computes (every POST) comes from no other origin, and is JSON, which a form cannot send (CSRF; `body.rs`);
//! - no answer may be read by another origin: there are no CORS headers at all;
//! - where there is a token, who asks knows it. It is compared in a time that does not depend on it.

use crate::app::App;
use crate::error::Refusal;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lapidary_files::hash;
use std::sync::Arc;

/// Name of the cookie.
const NAME: &str = "lapidary_token";
/// Names of this machine to itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses whoever may not ask.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Where there is a token, a foreign name that leads here does not know it: it is kept for the name that it was given to.
    let host = if app.settings.token.is_some() { Ok(()) } else { check_host(&app, &request) };
    if let Err(refusal) = host.and_then(|()| check_origin(&request)) {
        return refusal.into_response();
    }
    let Some(token) = &app.settings.token else { return next.run(request).await };
    if request.uri().path() == "/health" || knows(request.headers(), token) {
        return next.run(request).await;
    }
    match asked(request.uri()) {
        Some(given) if request.method() == Method::GET && is_same(&given, token) => {
            welcome(request.uri(), token)
        }
        _ => {
            let hint = "open the address with ?token=TOKEN, or send the header authorization: Bearer TOKEN";
            Refusal::new(StatusCode::UNAUTHORIZED, "this server asks for its token", hint).into_response()
        }
    }
}

fn check_host(app: &App, request: &Request) -> Result<(), Refusal> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = named.or(request.uri().authority().map(|authority| authority.as_str())).unwrap_or("");
    let host = without_port(named);
    let known = LOOPBACK.iter().any(|name| host.eq_ignore_ascii_case(name))
        || app.settings.hosts.iter().any(|name| host.eq_ignore_ascii_case(name));
    match known {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("`{host}` is no name of this server"),
            "open it as localhost, or start it with --host and that name",
        )),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// A browser says where a request that changes something comes from.
fn check_origin(request: &Request) -> Result<(), Refusal> {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(());
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = header(HOST.as_str()).unwrap_or("");
    let own = match header(ORIGIN.as_str()) {
        None => header("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none"),
        Some(origin) => origin.split_once("://").is_some_and(|(_, name)| name.eq_ignore_ascii_case(host)),
    };
    match own {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "a page of another site may not ask this",
            "use the server's own page, or a program that is no browser",
        )),
    }
}

/// Does a header or a cookie hold the token?
fn knows(headers: &HeaderMap, token: &str) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let cookies =
        header(COOKIE.as_str()).unwrap_or("").split(';').filter_map(|one| one.trim().split_once('='));
    let cookie = cookies.filter(|(name, _)| *name == NAME).map(|(_, value)| value);
    // `x-api-key` and `x-secret-key` are what programs that speak Neuronpedia's routes send.
    let given = [bearer, header("x-api-key"), header("x-secret-key")];
    given.into_iter().flatten().chain(cookie).any(|given| is_same(given, token))
}

/// Both hashed, so that neither length nor content shows in the time that it takes.
fn is_same(given: &str, token: &str) -> bool {
    let (given, token) = (hash::bytes(given.as_bytes()), hash::bytes(token.as_bytes()));
    let differences = given.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0
}

/// The token of `?token=…`; it consists of letters and digits.
fn asked(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == "token").map(|(_, value)| value.to_string())
}

/// Keeps the token in a cookie, and goes on without it in the address.
fn welcome(uri: &Uri, token: &str) -> Response {
    let query = uri.query().unwrap_or("").split('&').filter(|pair| !pair.starts_with("token="));
    let query = query.collect::<Vec<_>>().join("&");
    let path = format!("/{}", uri.path().trim_start_matches('/')); // never `//host`
    let place = if query.is_empty() { path } else { format!("{path}?{query}") };
    let cookie = format!("{NAME}={token}; HttpOnly; SameSite=Strict; Path=/");
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in [(LOCATION, place), (SET_COOKIE, cookie)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        let cases = [
            ("localhost:8000", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("a:b", "a:b"),
        ];
        cases.into_iter().for_each(|(host, name)| assert_eq!(without_port(host), name));
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same("secret", "secret"));
        assert!(["", "secre", "secret ", "Secret"].iter().all(|other| !is_same(other, "secret")));
        assert_eq!(asked(&"/f?x=1&token=abc&y".parse().unwrap()).as_deref(), Some("abc"));
    }
}
