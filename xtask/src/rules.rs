//! The rules of `cargo xtask tidy` that look at one file at a time; each is a function that appends its breaches.
//! ARCHITECTURE.md lists what they stand for.

use crate::source::{Source, code, has_word, without_tests};

/// Lines of a file that is neither a table nor a set of tests.
const MAX_LINES: usize = 600;
const MAX_MAP_LINES: usize = 300;
/// Fixtures are KiBs.
const MAX_BYTES: u64 = 1 << 20;
/// What the binary carries: the organism and its dictionaries, each file by itself.
const MAX_MODEL_BYTES: u64 = 12 << 20;
/// What only the binary and the chores may touch: the terminal, the environment, the clock, unseeded randomness.
const WORLD: [&str; 11] = [
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "std::env",
    "env::var",
    "env::args",
    "SystemTime",
    "Instant",
    "thread_rng",
    "from_os_rng",
];

pub(crate) fn check(file: &Source, breaches: &mut Vec<String>) {
    let mut found = Vec::new();
    size(file, &mut found);
    machine_paths(file, &mut found);
    prose(file, &mut found);
    if file.path.ends_with(".rs") {
        rust(file, &mut found);
    }
    breaches.extend(found.into_iter().map(|what| format!("{}: {what}", file.path)));
}

fn size(file: &Source, found: &mut Vec<String>) {
    let lines = file.text.lines().count();
    if is_program(&file.path) && lines > MAX_LINES {
        let head = file.text.lines().take(5).collect::<Vec<_>>().join(" ").to_lowercase();
        if !has_word(&head, "table") && !has_word(&head, "tests") {
            let rule = "divide it, or say on top that it is a table or a set of tests";
            found.push(format!("{lines} lines, more than {MAX_LINES}; {rule}"));
        }
    }
    if file.path == "ARCHITECTURE.md" && lines > MAX_MAP_LINES {
        found.push(format!("{lines} lines, more than {MAX_MAP_LINES}; a map is read in one sitting"));
    }
    let most = if file.path.starts_with("models/") { MAX_MODEL_BYTES } else { MAX_BYTES };
    if file.bytes > most {
        found.push(format!("{} bytes, more than {most}; make a smaller fixture", file.bytes));
    }
    if ["data/", "runs/", "release/", "target/"].iter().any(|folder| file.path.starts_with(folder)) {
        found.push("this folder is not for committing; add it to .gitignore".into());
    }
}

fn is_program(path: &str) -> bool {
    [".rs", ".py", ".ts", ".tsx"].iter().any(|end| path.ends_with(end))
}

/// Every program opens with prose: `//!`, a docstring, or a comment.
fn prose(file: &Source, found: &mut Vec<String>) {
    let mut lines = file.text.lines().skip_while(|l| l.starts_with("#!/"));
    let first = lines.next().unwrap_or_default();
    let opens = match file.path.rsplit('.').next() {
        Some("rs") => first.starts_with("//! ") || first.starts_with("#![doc = include_str!"),
        Some("py") => first.starts_with("\"\"\"") || first.starts_with("r\"\"\""),
        Some("ts" | "tsx") => first.starts_with("//") || first.starts_with("/*"),
        _ => true,
    };
    if !opens {
        found.push("does not open with prose: say what the file is, and what it leaves out".into());
    }
}

/// No folder of somebody's machine in any text.
fn machine_paths(file: &Source, found: &mut Vec<String>) {
    if file.path == "Cargo.lock" {
        return;
    }
    for folder in ["root", "work", "home", "tmp", "Users"] {
        let needle = format!("/{folder}/");
        let absolute = |(i, _): (usize, &str)| {
            !file.text[..i].ends_with(|c: char| c.is_alphanumeric() || "._-}$)~>".contains(c))
        };
        if file.text.match_indices(&needle).any(absolute) {
            found.push(format!("names the machine's folder {needle}; use a relative path or an argument"));
        }
    }
}

fn rust(file: &Source, found: &mut Vec<String>) {
    let code = code(&file.text);
    let name = file.path.strip_prefix("crates/").and_then(|p| p.split('/').next()).unwrap_or("xtask");
    if name != "kernels" {
        let root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
        if root && !code.contains("#![forbid(unsafe_code)]") {
            found.push("lacks `#![forbid(unsafe_code)]`; only kernels has unsafe code".into());
        }
        if has_word(&code, "unsafe") {
            found.push("has `unsafe`, which only kernels may".into());
        }
    }
    if has_word(&code, "async") && name != "server" {
        found.push("has `async`, which only the server may".into());
    }
    let is_test =
        !file.path.contains("/src/") || file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    if name != "lapidary" && name != "xtask" && !is_test {
        let code = without_tests(&code);
        for word in
            WORLD.iter().filter(|word| has_word(code, word.trim_end_matches('!')) && code.contains(*word))
        {
            found.push(format!("uses `{word}`; only the binary prints, reads the environment or the clock"));
        }
    }
    vocabulary(name, file, &code, found);
}

/// Words that a crate must not know.
fn vocabulary(name: &str, file: &Source, code: &str, found: &mut Vec<String>) {
    let forbidden: &[&str] = match name {
        "objective" => &["tokenizers", "lapidary_lm", "lapidary_text", "lapidary_store", "lapidary_files"],
        "trainer" => &["tokenizers", "lapidary_lm", "lapidary_text"],
        "lm" => &["lapidary_dictionary", "lapidary_splice"],
        "store" => &["lapidary_lm", "lapidary_trainer"],
        "evaluation" => &["lapidary_trainer"],
        _ => &[],
    };
    for word in forbidden.iter().filter(|word| has_word(code, word)) {
        found.push(format!("{name} knows nothing of `{word}`"));
    }
    if name == "kernels" {
        let mut text = file.text.to_lowercase();
        let syntax =
            ["target_feature", "cfg(feature", "is_x86_feature_detected", "is_aarch64_feature_detected"];
        // The norm is called so, and is arithmetic.
        for known in syntax.into_iter().chain(["layernorm", "layer_norm"]) {
            text = text.replace(known, "");
        }
        for word in ["feature", "layer"].iter().filter(|word| text.contains(**word)) {
            found.push(format!("kernels knows arithmetic only, and not the word `{word}`"));
        }
    }
}
