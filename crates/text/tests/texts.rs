//! Texts as people have them (`fixtures/cases/text`): what each gives as documents, or what its refusal says.

use lapidary_lm::load_spec;
use lapidary_text::{Corpus, Split, Tokenizer};
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases/text").join(name)
}

fn read(paths: &[PathBuf], split: Split) -> Result<Corpus, String> {
    let organism = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/organism");
    let (tokenizer, spec) = (Tokenizer::load(&organism).unwrap(), load_spec(&organism, &[]).unwrap());
    Corpus::read(paths, &tokenizer, &spec, 128, split).map_err(|error| error.to_string())
}

#[test]
fn what_is_not_plain_text_is_refused_by_name_with_the_way_out() {
    for (name, found, way_out) in [
        ("a.jsonl", "JSON lines", "jq -j"),
        ("a.json", "found JSON;", "jq -j"),
        ("a.csv", "comma-separated", "import csv"),
        ("a.tsv", "tab-separated", "delimiter='\\t'"),
        ("a.tar", "a tar archive", "tar -xf"),
        ("a.zip", "a zip archive", "unzip"),
        ("a.txt.gz", "a gzip archive", "gunzip -k"),
        ("a.txt.zst", "a Zstandard archive", "unzstd"),
        ("a.txt.xz", "an xz archive", "unxz -k"),
        ("a.txt.bz2", "a bzip2 archive", "bunzip2 -k"),
        ("a.parquet", "a Parquet file", "pandas.read_parquet"),
        ("a.arrow", "an Arrow file", "datasets.Dataset.from_file"),
        ("hfds", "a Hugging Face dataset", "datasets.load_from_disk"),
        ("a.pdf", "a PDF", "pdftotext"),
        ("ids.npy", "NumPy", "name the text"),
        ("utf16bom.txt", "UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
        ("utf16le.txt", "UTF-16LE text", "iconv -f UTF-16LE -t UTF-8"),
        ("nul.txt", "a zero byte at offset 3", "convert it to UTF-8"),
        ("latin1.txt", "invalid bytes at offset 3", "iconv -f LATIN1"),
        ("surrogate.txt", "invalid bytes at offset 4", "convert the file"),
        ("trunc_utf8.txt", "half a character at offset 3", "is the file whole?"),
        (
            "folder",
            "folder/data.jsonl: expected plain text in UTF-8, found JSON lines",
            "take it out of the folder",
        ),
        ("none.txt", "cannot read", "check the path"),
    ] {
        let error = read(&[case(name)], Split::All).unwrap_err();
        assert!(error.contains(name) && error.contains(found) && error.contains(way_out), "{name}: {error}");
        assert!(!error.contains('\n') && !error.ends_with('.') && error.len() < 500, "{name}: {error}");
    }
}

/// The same by content alone: a copy under another name.
#[test]
fn formats_are_known_without_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for (name, found) in [
        ("a.jsonl", "JSON lines"),
        ("a.tar", "a tar archive"),
        ("a.zip", "a zip archive"),
        ("a.txt.gz", "a gzip archive"),
        ("a.txt.zst", "a Zstandard archive"),
        ("a.txt.xz", "an xz archive"),
        ("a.txt.bz2", "a bzip2 archive"),
        ("a.parquet", "a Parquet file"),
        ("a.arrow", "an Arrow file"),
        ("a.pdf", "a PDF"),
        ("ids.npy", "NumPy"),
    ] {
        let copy = dir.path().join("text.txt");
        std::fs::copy(case(name), &copy).unwrap();
        let error = read(&[copy], Split::All).unwrap_err();
        assert!(error.contains(found), "{name}: {error}");
    }
}

#[test]
fn plain_texts_have_their_documents() {
    for (name, documents) in [
        ("plain.txt", 1),
        ("sep.txt", 12),
        ("bom.txt", 12),
        ("crlf.txt", 1),
        ("sep_spaces.txt", 2),
        ("gpt2_eos_other.txt", 1), // only <|endoftext|> separates: </s> is text (docs/numerics.md §1)
        ("a.md", 1),
        ("a.html", 1),
        ("clean", 2),
    ] {
        assert_eq!(read(&[case(name)], Split::All).unwrap().documents, documents, "{name}");
    }
    let rows = |name: &str| read(&[case(name)], Split::All).unwrap();
    assert_eq!(rows("bom.txt").hash, rows("sep.txt").hash);
    assert_eq!(rows("bom.txt").windows, rows("sep.txt").windows);
}

#[test]
fn a_folders_files_are_split_as_single_files_are() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.txt", "b.txt"] {
        std::fs::copy(case("folder").join(name), dir.path().join(name)).unwrap();
    }
    let folder = read(&[dir.path().to_path_buf()], Split::All).unwrap();
    let files = read(&["a.txt", "b.txt"].map(|name| dir.path().join(name)), Split::All).unwrap();
    assert_eq!(folder.documents, 3, "b.txt has two");
    assert_eq!((folder.hash, folder.windows), (files.hash, files.windows));
}

#[test]
fn a_text_of_one_document_is_told_what_separates_documents() {
    let (train, held_out) =
        (read(&[case("plain.txt")], Split::Train), read(&[case("plain.txt")], Split::HeldOut));
    assert!(train.is_ok() != held_out.is_ok());
    let error = train.and(held_out).unwrap_err();
    assert!(
        error.contains("found 1 documents") && error.contains("separate documents by `<|endoftext|>`"),
        "{error}"
    );
    for name in ["empty.txt", "ws.txt", "bom_only.txt", "sep_only.txt"] {
        let error = read(&[case(name)], Split::All).unwrap_err();
        assert!(
            error.contains("found 0 documents") && error.contains("is the text empty?"),
            "{name}: {error}"
        );
    }
    let error = read(&[case("onechar.txt")], Split::All).unwrap_err();
    assert!(error.contains("found 1 documents") && error.contains("give more text"), "{error}");
}

/// Its `"stop": 0 0` made the tokenizers crate panic.
#[test]
fn a_broken_decoder_in_a_tokenizer_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let bad = case("../lm/tokenizer-bad-decoder.json");
    std::fs::copy(bad, dir.path().join("tokenizer.json")).unwrap();
    let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json: not a tokenizer"), "{error}");
}
