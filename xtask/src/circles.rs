//! Files of a crate that point one way: no file names one that in turn needs it. A file needs those whose modules it declares
//! and those that it names by `crate::…` or `super::…`. What `lib.rs` passes on is the root's, which needs all others: inside the
//! crate a thing is named by its own module.

use crate::source::{Source, code, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// Crates whose files have been put in order; a crate joins when its circles are gone.
const ORDERED: [&str; 2] = ["lm", "world"];

/// Module path of each file, `lib` for the root, with the modules that it names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Breaches of all ordered crates: one per circle's first file.
pub(crate) fn check(files: &[Source], breaches: &mut Vec<String>) {
    for name in ORDERED {
        let arrows = arrows(files, &format!("crates/{name}/src/"));
        let circle = arrows.keys().find_map(|module| circle(&arrows, module));
        if let Some(circle) = circle {
            breaches.push(format!("crates/{name}: files in a circle: {}", circle.join(" → ")));
        }
    }
}

fn arrows(files: &[Source], folder: &str) -> Arrows {
    let sources = files.iter().filter_map(|f| Some((module(f.path.strip_prefix(folder)?)?, f)));
    let texts: BTreeMap<String, String> =
        sources.map(|(module, f)| (module, without_tests(&code(&f.text)).to_string())).collect();
    let named = |(own, text): (&String, &String)| {
        let mut named: BTreeSet<String> = texts.keys().filter(|m| parent(m) == own).cloned().collect();
        named.extend(paths(own, text).iter().map(|path| nearest(path, &texts)));
        named.remove(own);
        (own.clone(), named)
    };
    texts.iter().map(named).collect()
}

/// `segments/mod.rs` and `segments.rs` are `segments`, `segments/fact.rs` is `segments::fact`.
fn module(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    Some(path.strip_suffix("/mod").unwrap_or(path).replace('/', "::"))
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("lib", |(parent, _)| parent)
}

/// Every `crate::…` and `super::…` in a module's code, from the root and as far as it is a path: `trace::Odds`.
fn paths(own: &str, code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let after = |word: &'static str| {
        let rest = code.match_indices(word).map(move |(i, word)| &code[i + word.len()..]);
        rest.map(move |rest| &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())])
    };
    let above = after("super::").map(|path| format!("{}::{path}", parent(own)));
    after("crate::").map(str::to_string).chain(above).collect()
}

/// The longest beginning of a path that is a file, or the root.
fn nearest(path: &str, files: &BTreeMap<String, String>) -> String {
    let parts: Vec<&str> = path.split("::").collect();
    let beginnings = (1..=parts.len()).rev().map(|n| parts[..n].join("::"));
    beginnings.into_iter().find(|m| files.contains_key(m)).unwrap_or_else(|| "lib".into())
}

/// The shortest way from a file back to itself.
fn circle(arrows: &Arrows, start: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_string()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in arrows.get(way.last()?).into_iter().flatten() {
                let way: Vec<String> = way.iter().chain([next]).cloned().collect();
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source {
            path: format!("crates/world/src/{path}"),
            text: (*text).into(),
            bytes: 0,
        };
        let mut breaches = Vec::new();
        check(&files.iter().map(source).collect::<Vec<_>>(), &mut breaches);
        breaches
    }

    #[test]
    fn circles_are_found_and_the_way_up_is_not_one() {
        let (a, b) = (("a.rs", "use crate::b::c::C;"), ("b/mod.rs", "mod c;\nfn f() {}"));
        let (root, plain) = (("lib.rs", "pub use a::A;"), ("b/c.rs", "pub struct C; // crate::a"));
        assert!(breaches(&[root, a, b, plain]).is_empty());
        let back = ("b/c.rs", "use crate::a::A;");
        assert_eq!(breaches(&[root, a, b, back]), ["crates/world: files in a circle: a → b::c → a"]);
        let above = ("b/c.rs", "use super::f;");
        assert_eq!(breaches(&[root, a, b, above]), ["crates/world: files in a circle: b → b::c → b"]);
        let beside = [("b/c.rs", "use super::d::D;"), ("b/d.rs", "pub struct D;")];
        assert!(breaches(&[&[root, a, b][..], &beside].concat()).is_empty());
        let by_root = ("b/c.rs", "use crate::{A, B};");
        assert!(breaches(&[root, a, b, by_root])[0].contains("lib"));
        let tests = ("b/c.rs", "pub struct C;\n#[cfg(test)]\nmod tests { use crate::a::A; }");
        assert!(breaches(&[root, a, b, tests]).is_empty());
    }
}
