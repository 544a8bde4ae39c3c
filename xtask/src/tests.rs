//! Tests of tidy: a small good tree passes, and each bad one fails with its reason; the scanner on awkward text.

use crate::source::{code, has_word, list, without_tests};
use crate::tidy::{check, function_lengths};

const MANIFEST: &str = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n";
const MAP: &str = "# Map\n\n### lm\n\n- `decoder.rs` decodes.\n\n### kernels\n\n- `sum.rs` adds.\n";

/// The breaches of a tree of the given files beside a good one.
fn breaches(files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let good = [
        ("ARCHITECTURE.md", MAP),
        ("crates/lm/Cargo.toml", MANIFEST),
        ("crates/lm/src/lib.rs", "//! Prose.\n#![forbid(unsafe_code)]\n"),
        ("crates/lm/src/decoder.rs", "//! Prose about \"async\" and unsafe.\nfn f() {}\n"),
        ("crates/kernels/Cargo.toml", MANIFEST),
        ("crates/kernels/src/sum.rs", "//! Prose.\n#[target_feature(enable = \"avx2\")]\nunsafe fn f() {}\n"),
        ("target/junk.rs", "junk"),
    ];
    for (path, text) in good.iter().chain(files) {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    check(&list(dir.path()).unwrap())
}

/// Exactly one breach, which says `what`.
fn breach(path: &str, text: &str, what: &str) {
    let found = breaches(&[(path, text)]);
    assert!(
        found.len() == 1 && found[0].starts_with(path) && found[0].contains(what),
        "`{what}` is not in {found:?}"
    );
}

#[test]
fn a_good_tree_passes() {
    assert_eq!(breaches(&[]), [""; 0]);
    assert_eq!(breaches(&[("benches/a.py", "#!/usr/bin/env python3\n\"\"\"Prose.\"\"\"\n")]), [""; 0]);
    let printing_test = "//! Prose.\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() { eprintln!() }\n}\n";
    assert_eq!(breaches(&[("crates/lm/src/decoder.rs", printing_test)]), [""; 0]);
    assert_eq!(breaches(&[("crates/lm/tests/t.rs", "//! Prose.\nfn f() { println!() }\n")]), [""; 0]);
    let long_table = format!("//! A table of things.\n{}", "//\n".repeat(700));
    assert_eq!(breaches(&[("crates/lm/src/decoder.rs", &long_table)]), [""; 0]);
}

#[test]
fn each_rule_bites() {
    let file = "crates/lm/src/decoder.rs";
    breach(file, "fn f() {}\n", "does not open with prose");
    breach("benches/a.py", "import os\n", "does not open with prose");
    breach("ui/a.ts", "let x = 1;\n", "does not open with prose");
    breach(file, &format!("//! Prose.\n{}", "//\n".repeat(700)), "701 lines, more than 600");
    breach(file, "//! Prose.\nfn f() { unsafe {} }\n", "has `unsafe`");
    breach("crates/lm/src/lib.rs", "//! Prose.\n", "lacks `#![forbid(unsafe_code)]`");
    breach(file, "//! Prose.\nasync fn f() {}\n", "has `async`");
    breach(file, "//! Prose.\nfn f() { println!() }\n", "uses `println!`");
    breach(file, "//! Prose.\nuse std::time::Instant;\n", "uses `Instant`");
    breach(file, "//! Prose.\nfn f() { std::env::consts::OS; }\n", "uses `std::env`");
    breach(
        file,
        "//! Prose.\nuse lapidary_dictionary::Dictionary;\n",
        "lm knows nothing of `lapidary_dictionary`",
    );
    breach("crates/kernels/src/sum.rs", "//! Adds Layers.\n", "the word `layer`");
    breach("crates/kernels/src/sum.rs", "//! Adds.\nfn f(feature: u32) {}\n", "the word `feature`");
    breach("notes.md", concat!("see /ro", "ot/notes"), "names the machine's folder");
    breach("data/corpus.txt", "text", "not for committing");
    breach("fixtures/big.bin", &"x".repeat(2 << 20), "make a smaller fixture");
    breach("ARCHITECTURE.md", &format!("{MAP}{}", "line\n".repeat(300)), "more than 300");
    breach(
        "ARCHITECTURE.md",
        "# Map\n\n### lm\n\n### kernels\n\n- `sum.rs`\n",
        "section `lm` does not name `decoder.rs`",
    );
}

#[test]
fn arrows_are_one_way() {
    let of = |name: &str, dependency: &str, what: &str| {
        breach(&format!("crates/{name}/Cargo.toml"), &format!("{MANIFEST}{dependency}\n"), what);
    };
    of(
        "lm",
        "lapidary-dictionary.workspace = true",
        "lm must not depend on lapidary-dictionary, only on kernels, files",
    );
    of("kernels", "lapidary-files = { path = \"../files\" }", "only on nothing of ours");
    of("trainer", "lapidary-lm.workspace = true", "trainer must not depend on lapidary-lm");
    of("objective", "lapidary-store.workspace = true", "objective must not depend on lapidary-store");
    of("trainer", "tokenizers.workspace = true", "trainer must not depend on tokenizers");
    of("stats", "\n[dependencies.lapidary-lm]\nworkspace = true", "stats must not depend on lapidary-lm");
    of("gadget", "", "crate `gadget` has no arrows");
    breach("crates/store/Cargo.toml", "[package]\n", "lacks `[lints]`");
    let test_only = format!("{MANIFEST}\n[dev-dependencies]\nlapidary-kernels.workspace = true\n");
    assert_eq!(breaches(&[("crates/stats/Cargo.toml", &test_only)]), [""; 0]);
}

#[test]
fn the_scanner_blanks_prose_only() {
    let text = "let s = \"a \\\" unsafe\"; // unsafe\nlet c = '\\''; let r = r#\"unsafe \" \"#; fn f<'a>(x: &'a u8) {} /* unsafe */ 'é' end";
    let blanked = code(text);
    assert_eq!(blanked.lines().count(), text.lines().count());
    assert!(
        !blanked.contains("unsafe") && blanked.contains("fn f<'a>(x: &'a u8) {}") && blanked.contains("end")
    );
    assert_eq!(code("\"é\\é\" x"), "      x");
    assert!(code("for \"unterminated").starts_with("for "));
    assert!(has_word("a unsafe{", "unsafe") && !has_word("unsafe_code", "unsafe"));
}

#[test]
fn tests_are_cut_off_but_test_only_items_are_not() {
    let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\npub(super) mod tests {\nfn b() {}\n}\n";
    assert!(without_tests(text).contains("fn a") && !without_tests(text).contains("fn b"));
    assert_eq!(function_lengths("fn a() {\n  if x {\n  }\n}\ntrait T { fn b(); }\nfn c() {}\n"), [4, 1]);
}
