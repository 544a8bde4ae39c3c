//! What a file is when it is not plain text: told by its first bytes, else by its name, and refused with the way out.
//!
//! Anything in UTF-8 counts as plain text (Markdown, HTML and program code are read as they stand) but tables and JSON, whose
//! quotes, commas and keys nobody means to train on, and whose rows would all be one document.

use lapidary_files::FileError;
use std::path::Path;

/// As many first bytes as [`refuse`] wants to see.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// A format that is not plain text.
struct Format {
    name: &'static str,
    /// How names end, in lower case and without the dot.
    endings: &'static [&'static str],
    /// Where its first bytes are, and what they are.
    magic: &'static [(usize, &'static [u8])],
    /// What makes text of the file `{}`, with [`SEPARATOR`](super::read::SEPARATOR) between documents.
    way_out: &'static str,
}

const UNPACK: &str = "unpack it";
const NUMBERS: &str = "name the text that it was made of";

const FORMATS: &[Format] = &[
    Format {
        name: "a gzip archive",
        endings: &["gz", "tgz"],
        magic: &[(0, b"\x1f\x8b")],
        way_out: "unpack it: `gunzip -k '{}'`, or `tar -xzf '{}'` if it is a .tar.gz",
    },
    Format {
        name: "a Zstandard archive",
        endings: &["zst", "zstd"],
        magic: &[(0, b"\x28\xb5\x2f\xfd")],
        way_out: "unpack it: `unzstd '{}'`",
    },
    Format {
        name: "an xz archive",
        endings: &["xz", "lzma"],
        magic: &[(0, b"\xfd7zXZ\0")],
        way_out: "unpack it: `unxz -k '{}'`",
    },
    Format {
        name: "a bzip2 archive",
        endings: &["bz2", "tbz2"],
        magic: &[(4, b"1AY&SY")], // after BZh and the size of a block
        way_out: "unpack it: `bunzip2 -k '{}'`",
    },
    Format {
        name: "a Word, OpenDocument or EPUB file",
        endings: &["docx", "odt", "epub", "doc", "rtf"],
        magic: &[],
        way_out: "save it as plain text",
    },
    Format {
        name: "a PyTorch, NumPy or pickle file",
        endings: &["npy", "npz", "pt", "pth", "bin", "pkl", "safetensors", "gguf"],
        magic: &[(0, b"\x93NUMPY"), (0, b"GGUF")],
        way_out: NUMBERS,
    },
    Format {
        name: "a zip archive",
        endings: &["zip"],
        magic: &[(0, b"PK\x03\x04"), (0, b"PK\x05\x06")],
        way_out: "unpack it: `unzip '{}' -d DIR`, and name DIR",
    },
    Format {
        name: "a tar archive",
        endings: &["tar"],
        magic: &[(257, b"ustar")],
        way_out: "unpack it: `tar -xf '{}'`, and name the folder",
    },
    Format {
        name: "a 7z or rar archive",
        endings: &["7z", "rar"],
        magic: &[(0, b"7z\xbc\xaf\x27\x1c"), (0, b"Rar!\x1a\x07")],
        way_out: UNPACK,
    },
    Format {
        name: "a Parquet file",
        endings: &["parquet"],
        magic: &[(0, b"PAR1")],
        way_out: "take its column of text: `python3 -c \"import pandas; [print(t, end='<|endoftext|>') for t in \
                  pandas.read_parquet('{}')['text']]\" > TEXT.txt`",
    },
    Format {
        name: "an Arrow file of a Hugging Face dataset",
        endings: &["arrow", "feather"],
        magic: &[(0, b"ARROW1"), (0, b"\xff\xff\xff\xff")],
        way_out: "take its column of text: `python3 -c \"import datasets; [print(r['text'], end='<|endoftext|>') for r in \
                  datasets.Dataset.from_file('{}')]\" > TEXT.txt`",
    },
    Format {
        name: "a PDF",
        endings: &["pdf"],
        magic: &[(0, b"%PDF-")],
        way_out: "take its text: `pdftotext '{}' TEXT.txt`",
    },
    Format {
        name: "a SQLite database",
        endings: &["sqlite", "sqlite3", "db"],
        magic: &[(0, b"SQLite format 3\0")],
        way_out: "export its text",
    },
    Format {
        name: "a Git LFS pointer, not the file itself",
        endings: &[],
        magic: &[(0, b"version https://git-lfs.github.com/spec/")],
        way_out: "fetch the file: `git lfs pull` in its repository",
    },
    Format { name: "JSON lines", endings: &["jsonl", "ndjson"], magic: &[], way_out: JSON_LINES },
    Format {
        name: "JSON",
        endings: &["json"],
        magic: &[],
        way_out: "take its texts: `jq -j '.[].text + \"<|endoftext|>\"' '{}' > TEXT.txt`",
    },
    Format {
        name: "a table of comma-separated values",
        endings: &["csv"],
        magic: &[],
        way_out: "take its column of text: `python3 -c \"import csv; [print(r['text'], end='<|endoftext|>') for r in \
                  csv.DictReader(open('{}', newline=''))]\" > TEXT.txt`",
    },
    Format {
        name: "a table of tab-separated values",
        endings: &["tsv"],
        magic: &[],
        way_out: "take its column of text: `python3 -c \"import csv; [print(r['text'], end='<|endoftext|>') for r in \
                  csv.DictReader(open('{}', newline=''), delimiter='\\t')]\" > TEXT.txt`",
    },
];

const JSON_LINES: &str = "take its texts: `jq -j '.text + \"<|endoftext|>\"' '{}' > TEXT.txt`";

/// Nothing, if a file of this name that begins so may be plain text.
pub(crate) fn refuse(path: &Path, head: &[u8]) -> Result<(), FileError> {
    refuse_binary(path, head)?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if let Some(format) = FORMATS.iter().find(|f| f.endings.contains(&ending.as_str())) {
        return Err(foreign(path, format.name, format.way_out));
    }
    match is_json_lines(head) {
        true => Err(foreign(path, "JSON lines", JSON_LINES)),
        false => Ok(()),
    }
}

/// Nothing, if what begins so may be text of any kind, whatever its name.
pub(crate) fn refuse_binary(path: &Path, head: &[u8]) -> Result<(), FileError> {
    if let Some(encoding) = wide_encoding(head) {
        let way_out = format!("convert it: `iconv -f {encoding} -t UTF-8 '{{}}' > TEXT.txt`");
        return Err(foreign(path, &format!("{encoding} text"), &way_out));
    }
    let begins = |&(at, magic): &(usize, &[u8])| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    match FORMATS.iter().find(|format| format.magic.iter().any(begins)) {
        Some(format) => Err(foreign(path, format.name, format.way_out)),
        None => Ok(()),
    }
}

/// Nothing, if the folder is no dataset that `datasets` saved.
pub(crate) fn refuse_dataset(folder: &Path) -> Result<(), FileError> {
    let marks = ["dataset_info.json", "dataset_dict.json", "state.json"];
    match marks.iter().any(|name| folder.join(name).is_file()) {
        false => Ok(()),
        true => Err(foreign(
            folder,
            "a Hugging Face dataset",
            "take its column of text: `python3 -c \"import datasets; [print(r['text'], end='<|endoftext|>') for r in \
             datasets.load_from_disk('{}')]\" > TEXT.txt`",
        )),
    }
}

fn foreign(path: &Path, found: &str, way_out: &str) -> FileError {
    let next = way_out.replace("{}", &path.display().to_string());
    FileError::invalid(path, "plain text in UTF-8", found, next)
}

/// UTF-16 or UTF-32, by byte-order mark, or by the zeros of its plain letters.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    let marks: [(&[u8], &str); 4] = [
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ];
    if let Some((_, name)) = marks.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Some(name);
    }
    let pairs = head.chunks_exact(2);
    let (total, mut high, mut low) = (pairs.len(), 0, 0);
    for pair in pairs {
        high += usize::from(pair[0] == 0 && pair[1] != 0);
        low += usize::from(pair[0] != 0 && pair[1] == 0);
    }
    match (total > 1 && 3 * low > total, total > 1 && 3 * high > total) {
        (true, false) => Some("UTF-16LE"),
        (false, true) => Some("UTF-16BE"),
        _ => None,
    }
}

/// Are the first two lines with anything in them JSON objects? One alone may be a document about JSON.
fn is_json_lines(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let lines = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let object =
        |line: &[u8]| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok();
    let first: Vec<&[u8]> = lines.take(2).collect();
    first.len() == 2 && first.into_iter().all(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, head: &[u8]) -> String {
        refuse(Path::new(name), head).map_or_else(|e| e.to_string(), |()| "text".into())
    }

    #[test]
    fn formats_are_told_by_content_and_by_name() {
        for (name, head, expect) in [
            ("a.txt", &b"\x1f\x8b\x08rest"[..], "a gzip archive; unpack it: `gunzip -k 'a.txt'`"),
            ("a.GZ", b"plain", "a gzip archive"),
            ("a.txt", b"PAR1rest", "Parquet"),
            ("a.docx", b"plain", "Word"),
            ("a.csv", b"id,text\n", "comma-separated"),
            ("a.json", b"[]", "JSON; take its texts"),
            ("a.txt", b"{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n{\"te", "JSON lines; take its texts: `jq -j"),
            ("a.txt", b"\xff\xfea\0b\0", "UTF-16 text; convert it: `iconv -f UTF-16 -t UTF-8 'a.txt'"),
            ("a.txt", b"a\0b\0c\0d\0", "UTF-16LE text"),
            ("a.txt", b"\0a\0b\0c\0d", "UTF-16BE text"),
            ("a.txt", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ] {
            assert!(found(name, head).contains(expect), "{name}: {}", found(name, head));
        }
    }

    #[test]
    fn text_is_text() {
        for (name, head) in [
            ("a.md", &b"# Title"[..]),
            ("a.html", b"<html><body>"),
            ("a.rs", b"fn main() {}"),
            ("a", b""),
            ("a.txt", b"x"),
            ("a.txt", b"{\"a\": 1}\nis an object"),
            ("a.txt", b"{\"a\": 1}\n<|endoftext|>\n{\"b\": 2}"),
            ("a.txt", "d\u{e9}j\u{e0} vu \u{6771}\u{4eac}".as_bytes()),
        ] {
            assert_eq!(found(name, head), "text", "{name}");
        }
    }
}
