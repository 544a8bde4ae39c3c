//! Which crate may depend on which (ARCHITECTURE.md draws the same). Checked against the `[dependencies]` of every
//! manifest; `[dev-dependencies]` are free, because tests may build what the crate must not know.

use crate::source::Source;

/// Crate and what it may depend on, in the order of the data's way up.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("kernels", &[]),
    ("files", &[]),
    ("stats", &[]),
    ("report", &[]),
    ("world", &[]),
    ("gguf", &["files"]),
    ("lm", &["kernels", "files", "gguf"]),
    ("text", &["files", "gguf", "lm"]),
    ("store", &["files"]),
    ("dictionary", &["kernels", "files"]),
    ("harvest", &["files", "lm", "text", "store"]),
    ("objective", &["kernels", "dictionary"]),
    ("trainer", &["kernels", "files", "store", "dictionary", "objective"]),
    ("splice", &["kernels", "lm", "text", "dictionary"]),
    ("evaluation", &["kernels", "lm", "text", "dictionary", "splice", "stats"]),
    ("atlas", &["files", "kernels", "lm", "text", "store", "harvest", "dictionary"]),
    ("catalog", &["files", "kernels", "lm", "text", "world"]),
    ("suite", &["files", "kernels", "lm", "text", "store", "harvest", "dictionary", "trainer", "catalog"]),
    (
        "ground-truth",
        &["kernels", "lm", "text", "store", "harvest", "dictionary", "evaluation", "world", "catalog"],
    ),
    (
        "release",
        &[
            "files",
            "kernels",
            "lm",
            "text",
            "store",
            "harvest",
            "dictionary",
            "trainer",
            "evaluation",
            "report",
            "world",
            "atlas",
            "catalog",
            "suite",
            "ground-truth",
        ],
    ),
    ("server", &["files", "kernels", "lm", "text", "dictionary", "splice", "atlas", "catalog", "suite"]),
    (
        "lab",
        &[
            "files",
            "kernels",
            "stats",
            "report",
            "lm",
            "text",
            "store",
            "harvest",
            "dictionary",
            "trainer",
            "splice",
            "evaluation",
            "world",
            "catalog",
            "suite",
            "ground-truth",
        ],
    ),
    (
        "lapidary",
        &[
            "kernels",
            "files",
            "stats",
            "report",
            "lm",
            "text",
            "store",
            "dictionary",
            "harvest",
            "objective",
            "trainer",
            "splice",
            "evaluation",
            "world",
            "atlas",
            "catalog",
            "suite",
            "ground-truth",
            "release",
            "server",
            "lab",
        ],
    ),
];

/// Crates of others that one of ours alone may use.
const OWNERS: &[(&str, &str)] =
    &[("tokenizers", "text"), ("reqwest", "text"), ("ureq", "text"), ("hyper", "server"), ("axum", "server")];

/// Breaches in `crates/NAME/Cargo.toml`.
pub(crate) fn check(file: &Source, breaches: &mut Vec<String>) {
    let Some(name) = file.path.strip_prefix("crates/").and_then(|p| p.strip_suffix("/Cargo.toml")) else {
        return;
    };
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        breaches.push(format!("{}: crate `{name}` has no arrows; add it to xtask/src/arrows.rs", file.path));
        return;
    };
    for other in dependencies(&file.text) {
        let ours = other.strip_prefix("lapidary-");
        if ours.is_some_and(|other| !allowed.contains(&other)) {
            let allowed = if allowed.is_empty() { "nothing of ours".into() } else { allowed.join(", ") };
            breaches.push(format!("{}: {name} must not depend on {other}, only on {allowed}", file.path));
        }
        let owner = OWNERS.iter().find(|(known, _)| *known == other);
        if owner.is_some_and(|(_, owner)| *owner != name) {
            breaches.push(format!("{}: {name} must not depend on {other}", file.path));
        }
    }
}

/// Names in `[dependencies]` and `[build-dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section == "dependencies" || section == "build-dependencies";
            names.extend(section.strip_prefix("dependencies.").map(str::to_string));
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.push(line.split(['.', '=', ' ']).next().unwrap_or_default().to_string());
        }
    }
    names
}
