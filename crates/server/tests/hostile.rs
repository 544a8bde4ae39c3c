//! Hostile tests: who may not ask is refused, whatever is sent is answered below 500, memory stays flat, and markup is only text.

use crate::common::{app, block_on, get, post, send};
use axum::body::Body;
use axum::http::Request;
use lapidary_server::{Limits, Settings, router};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

/// Requests of the random test.
const REQUESTS: usize = 10_000;

#[test]
fn hostile_requests_are_refused_and_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder, Settings::default());
    let open = router(app);
    block_on(async {
        strangers(&open).await;
        oddities(&open).await;
        markup(&open).await;
        headers(&open).await;
        random(&open).await;
        assert_eq!(get(&open, "/api/v1/suite").await.status, 200);
    });
    let token = "0123456789abcdef-secret";
    let settings = Settings { token: Some(token.into()), ..Settings::default() };
    let closed = crate::common::still(&folder, settings);
    block_on(with_token(&closed, token));
    let limits = Limits { waiting: 0, ..Limits::default() };
    let busy =
        router(crate::common::app(&tempfile::tempdir().unwrap(), Settings { limits, ..Settings::default() }));
    let refused = block_on(post(&busy, "/api/v1/activations", &json!({ "text": "the king" })));
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "2"));
}

/// Other names of this machine, pages of other sites, forms.
async fn strangers(router: &axum::Router) {
    let ask = async |method: &str, uri: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(router, request.body(Body::from("{\"text\":\"the king\"}")).unwrap()).await.status.as_u16()
    };
    for host in ["evil.example", "evil.example:8420", "localhost.evil.example", "", "127.0.0.1.evil.example"]
    {
        assert_eq!(ask("GET", "/api/v1/suite", &[("host", host)]).await, 403, "{host}");
    }
    for host in ["localhost", "127.0.0.1:8420", "[::1]:8420", "LOCALHOST:1"] {
        assert_eq!(ask("GET", "/api/v1/suite", &[("host", host)]).await, 200, "{host}");
    }
    let json = ("content-type", "application/json");
    let own = ("host", "localhost:8420");
    let cases = [
        (vec![own, json], 200),
        (vec![own, json, ("origin", "http://localhost:8420")], 200),
        (vec![own, json, ("origin", "http://localhost:9999")], 403),
        (vec![own, json, ("origin", "https://evil.example")], 403),
        (vec![own, json, ("origin", "null")], 403),
        (vec![own, json, ("sec-fetch-site", "cross-site")], 403),
        (vec![own, ("content-type", "text/plain")], 415),
        (vec![own, ("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![own], 415),
    ];
    for (headers, expected) in cases {
        assert_eq!(ask("POST", "/api/v1/activations", &headers).await, expected, "{headers:?}");
    }
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let status = ask(method, "/api/v1/suite", &[own]).await;
        assert!((400..500).contains(&status), "{method}: {status}");
    }
}

/// Paths that lead out, bodies that are none, numbers that are too large.
async fn oddities(router: &axum::Router) {
    for path in [
        "/../Cargo.toml",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "//etc/passwd",
        "/api/v1/features/..%2f..%2fatlas.json",
        "/.lapidary",
        "/api/v1/feature/..%2F..%2Ftext/0",
        "/api/v1/feature/2-res-1k%00/0",
        "/%ff%fe",
    ] {
        let reply = get(router, path).await;
        assert!(reply.status.as_u16() < 500, "{path}: {}", reply.status);
        assert!(!reply.text().contains("[package]") && !reply.text().contains("root:"), "{path}");
        assert!(reply.status.as_u16() == 404 || reply.text().contains("<"), "{path}: {}", reply.text());
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "{\"text\":1}",
        "{\"text\":\"\\ud800\"}",
        "\u{0}",
        deep.as_str(),
        "{\"text\":\"\"}",
    ] {
        let request = Request::post("/api/v1/activations")
            .header("host", "localhost")
            .header("content-type", "application/json");
        let reply = send(router, request.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(reply.status, 400, "{:.40}", body);
        assert!(reply.json()["error"].is_string());
    }
    let long = json!({ "text": "a ".repeat(200_000) });
    assert_eq!(post(router, "/api/v1/activations", &long).await.status, 413);
    let long = json!({ "text": "a ".repeat(15_000) });
    assert_eq!(post(router, "/api/v1/activations", &long).await.status, 400, "too many tokens");
    let huge = json!({ "text": "the king", "features_per_token": u64::MAX, "hide_dense_above": 1e308 });
    assert_eq!(post(router, "/api/v1/activations", &huge).await.status, 200);
    assert_eq!(get(router, "/api/v1/features/2-res-1k?offset=18446744073709551615").await.status, 200);
    assert_eq!(get(router, "/api/v1/features/2-res-1k?limit=1001").await.status, 400);
    for q in [
        "%22",
        "%27%3B%20DROP%20TABLE%20feature%3B--",
        "*",
        "NEAR(",
        "a%00b",
        "%F0%9F%92%8E",
        "AND%20OR%20NOT",
        "-",
    ] {
        for kind in ["explanation", "token"] {
            let reply = get(router, &format!("/api/v1/search?q={q}&kind={kind}")).await;
            assert_eq!(reply.status, 200, "{q} {kind}: {}", reply.text());
        }
    }
}

/// A text with markup comes back as it was typed, as JSON, which no browser takes for a page.
async fn markup(router: &axum::Router) {
    let text = "<script>alert(1)</script> & \"quotes\"";
    let reply =
        post(router, "/api/v1/activations", &json!({ "text": text, "source": "2-res-1k", "index": 0 })).await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(reply.status == 200 || reply.status == 400, "{}", reply.text());
    let missing = get(router, "/api/v1/feature/%3Cscript%3Ealert(1)%3C%2Fscript%3E/0").await;
    assert_eq!((missing.status.as_u16(), missing.header("content-type")), (404, "application/json"));
}

async fn headers(router: &axum::Router) {
    let page = get(router, "/f/2-res-1k/3").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let embedded = get(router, "/organism/2-res-1k/3?embed=true&embedplots=true").await;
    assert!(embedded.header("content-security-policy").contains("frame-ancestors *"));
    assert!(page.headers.get("access-control-allow-origin").is_none());
    let suite = get(router, "/api/v1/suite").await;
    let tagged = |encoding: &str, tag: &str| {
        let request = Request::get("/api/v1/suite").header("host", "localhost");
        request.header("accept-encoding", encoding).header("if-none-match", tag).body(Body::empty()).unwrap()
    };
    let again = send(router, tagged("identity", suite.header("etag"))).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    let packed = send(router, tagged("br, gzip;q=0.5", "\"other\"")).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.bytes.as_slice()), &mut unpacked)
        .unwrap();
    assert_eq!(unpacked, suite.text());
}

async fn with_token(router: &axum::Router, token: &str) {
    let ask = async |uri: &str, name: &str, value: &str| {
        let request = Request::get(uri).header("host", "any.example").header(name, value);
        send(router, request.body(Body::empty()).unwrap()).await
    };
    for (name, value) in [
        ("accept", "x"),
        ("authorization", "Bearer wrong"),
        ("cookie", "lapidary_token="),
        ("x-api-key", "0123456789abcdef-secre"),
    ] {
        assert_eq!(ask("/api/v1/suite", name, value).await.status, 401, "{name}: {value}");
    }
    assert_eq!(ask("/api/v1/suite?token=wrong", "accept", "x").await.status, 401);
    let bearer = format!("Bearer {token}");
    for (name, value) in [("authorization", bearer.as_str()), ("x-api-key", token), ("x-secret-key", token)] {
        assert_eq!(ask("/api/v1/suite", name, value).await.status, 200, "{name}");
    }
    let welcome = ask(&format!("//evil.example/f?token={token}&x=1"), "accept", "x").await;
    assert_eq!((welcome.status.as_u16(), welcome.header("location")), (303, "/evil.example/f?x=1"));
    let cookie = welcome.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(ask("/api/v1/suite", "cookie", cookie.split(';').next().unwrap()).await.status, 200);
    assert_eq!(ask("/health", "accept", "x").await.status, 200);
}

/// Requests drawn from the document of the routes, with wrong types, wild numbers and strange words mixed in.
async fn random(router: &axum::Router) {
    let document = get(router, "/openapi.json").await.json();
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(7));
    let routes: Vec<(String, String, Value)> = routes(&document);
    let mut memory = None;
    for n in 0..REQUESTS {
        let (path, method, operation) = &routes[draw.below(routes.len())];
        let uri = draw.uri(path, operation);
        let body = draw.body(operation, &document);
        let request = Request::builder().method(method.as_str()).uri(&uri).header("host", "localhost");
        let request = request
            .header("content-type", if draw.below(20) == 0 { "text/plain" } else { "application/json" });
        let Ok(request) = request.body(Body::from(body.clone())) else { continue };
        let reply = send(router, request).await;
        assert!(reply.status.as_u16() < 500, "{n}: {method} {uri} {body}: {} {}", reply.status, reply.text());
        if n == REQUESTS / 5 {
            memory = resident();
        }
    }
    if let (Some(before), Some(after)) = (memory, resident()) {
        assert!(after < before + (64 << 20), "memory grew from {before} to {after} bytes");
    }
}

/// Bytes of this process in memory, where the system says.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Path, method and description of every route.
fn routes(document: &Value) -> Vec<(String, String, Value)> {
    let of = |(path, methods): (&String, &Value)| {
        let one =
            |(method, operation): (&String, &Value)| (path.clone(), method.to_uppercase(), operation.clone());
        methods.as_object().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn word(&mut self) -> String {
        const WORDS: [&str; 22] = [
            "2-res-1k",
            "3-att-1k",
            "organism",
            "res-1k",
            "the king said",
            "7",
            "1024",
            "-1",
            "add",
            "clamp",
            "all",
            "answer",
            "",
            "\u{0}",
            "💎é",
            "<script>",
            "../..",
            "NaN",
            "1e999",
            "STEERED",
            "SIMPLE_ADDITIVE",
            "explanation",
        ];
        WORDS[self.below(WORDS.len())].to_string()
    }

    fn uri(&mut self, path: &str, operation: &Value) -> String {
        let escaped = |text: String| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let part = |part: &str, draw: &mut Draw| {
            if part.starts_with('{') { escaped(draw.word()) } else { part.to_string() }
        };
        let mut uri = path.split('/').map(|p| part(p, self)).collect::<Vec<_>>().join("/");
        let queries = operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
        let mut separator = '?';
        for name in queries.filter_map(|p| p["name"].as_str()) {
            if self.below(2) == 0 {
                uri += &format!("{separator}{name}={}", escaped(self.word()));
                separator = '&';
            }
        }
        uri
    }

    fn body(&mut self, operation: &Value, document: &Value) -> String {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() || self.below(30) == 0 {
            return self.word();
        }
        let mut text = self.value(schema, document, 0).to_string();
        if self.below(25) == 0 {
            let cut = self.below(text.len() + 1);
            text = text.chars().take(cut).collect();
        }
        text
    }

    fn value(&mut self, schema: &Value, document: &Value, depth: usize) -> Value {
        if self.below(25) == 0 || depth > 6 {
            return self.odd();
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/components/schemas/")) {
            return self.value(&document["components"]["schemas"][name], document, depth + 1);
        }
        if let Some(one) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let one = one[self.below(one.len())].clone();
            return self.value(&one, document, depth + 1);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[self.below(kinds.len())].clone(),
            kind => kind.clone(),
        };
        match kind.as_str().unwrap_or("object") {
            "string" => self.word().into(),
            "boolean" => (self.below(2) == 0).into(),
            "integer" => [0u64, 1, 2, 3, 4][self.below(5)].into(),
            "number" => [0.0, 0.5, 1.0, -3.0, 40.0][self.below(5)].into(),
            "array" => {
                (0..self.below(4)).map(|_| self.value(&schema["items"], document, depth + 1)).collect()
            }
            "null" => Value::Null,
            _ => {
                let fields = schema["properties"].as_object().cloned().unwrap_or_default();
                let kept: Vec<_> = fields.into_iter().filter(|_| self.below(12) > 0).collect();
                kept.into_iter()
                    .map(|(name, schema)| (name, self.value(&schema, document, depth + 1)))
                    .collect()
            }
        }
    }

    fn odd(&mut self) -> Value {
        let odd = [
            Value::Null,
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e308),
            json!(-1),
            json!([]),
            json!({}),
            json!("x".repeat(3_000)),
            json!([[[]]]),
            json!(true),
            json!(0.1),
        ];
        odd[self.below(odd.len())].clone()
    }
}
