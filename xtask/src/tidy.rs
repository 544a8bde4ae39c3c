//! `cargo xtask tidy`: the house rules as a test. Prints the lengths of our functions, for information, and one line per
//! breach; any breach fails.

use crate::source::{Source, code, list, without_tests};
use crate::{arrows, circles, rules};
use std::path::Path;

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let files = list(root)?;
    let mut lengths: Vec<usize> = files
        .iter()
        .filter(|f| f.path.ends_with(".rs") && f.path.contains("/src/") && !f.path.ends_with("/tests.rs"))
        .flat_map(|f| function_lengths(without_tests(&code(&f.text))))
        .collect();
    lengths.sort_unstable();
    let at = |share: f64| lengths.get((share * lengths.len() as f64) as usize).copied().unwrap_or(0);
    let (median, p90, longest) = (at(0.5), at(0.9), lengths.last().copied().unwrap_or(0));
    println!("tidy: {} functions, lines: median {median}, p90 {p90}, longest {longest}", lengths.len());
    let breaches = check(&files);
    for breach in &breaches {
        eprintln!("tidy: {breach}");
    }
    anyhow::ensure!(breaches.is_empty(), "{} breaches of the house rules (ARCHITECTURE.md)", breaches.len());
    println!("tidy: {} files follow the house rules", files.len());
    Ok(())
}

/// All breaches, a line each.
pub(crate) fn check(files: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        rules::check(file, &mut breaches);
        arrows::check(file, &mut breaches);
    }
    circles::check(files, &mut breaches);
    manifests(files, &mut breaches);
    map(files, &mut breaches);
    breaches
}

/// Every crate takes the workspace's lints; the binary, which prints, has lints of its own.
fn manifests(files: &[Source], breaches: &mut Vec<String>) {
    for file in files.iter().filter(|f| f.path.ends_with("/Cargo.toml")) {
        let own = file.path == "crates/lapidary/Cargo.toml" && file.text.contains("[lints.");
        if !own && !file.text.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{}: lacks `[lints]` with `workspace = true`", file.path));
        }
    }
}

/// The codemap names every source file, in the section of its crate.
fn map(files: &[Source], breaches: &mut Vec<String>) {
    let Some(map) = files.iter().find(|f| f.path == "ARCHITECTURE.md") else {
        breaches.push("ARCHITECTURE.md: missing; the repository needs a map".into());
        return;
    };
    for file in files {
        let Some((name, path)) = file.path.strip_prefix("crates/").and_then(|p| p.split_once("/src/")) else {
            continue;
        };
        let known = ["lib.rs", "main.rs", "mod.rs", "error.rs", "tests.rs"].iter().any(|n| path.ends_with(n));
        let section = map.text.split("\n### ").find(|s| s.starts_with(&format!("{name}\n"))).unwrap_or("");
        if !known && !section.contains(&format!("`{path}`")) {
            breaches.push(format!("ARCHITECTURE.md: section `{name}` does not name `{path}`"));
        }
    }
}

/// Lines of each function in blanked code, from `fn` to its closing brace.
pub(crate) fn function_lengths(code: &str) -> Vec<usize> {
    let mut lengths = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let is_word = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let body = code[start..].find(['{', ';']).map(|i| start + i);
        if let Some(body) = body.filter(|&i| is_word && code.as_bytes()[i] == b'{') {
            let mut depth = 0;
            let closes = |c: char| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0
            };
            let end = code[body..].find(closes).map_or(code.len(), |i| body + i);
            lengths.push(code[start..code.len().min(end + 1)].lines().count());
        }
    }
    lengths
}
