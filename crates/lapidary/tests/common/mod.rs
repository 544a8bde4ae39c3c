//! What the end-to-end tests share: the real binary, a tiny model (random weights, `llama.rs`) with its text and suite in a
//! folder of their own, and a comparison of whole run folders.

pub mod llama;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Documents of the tiny text.
const DOCUMENTS: usize = 150;

/// The binary; its stderr keeps to one line per message whatever the machine's environment says.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(args).env_remove("LAPIDARY_FAIL");
    command
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ran {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }
}

pub fn lapidary(args: &[&str]) -> Ran {
    command(args).output().expect("the binary runs").into()
}

/// Runs the binary, which must succeed; its stdout.
pub fn good(args: &[&str]) -> String {
    let ran = lapidary(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.error);
    ran.out
}

/// A model, a text and a suite of two dictionaries, in a folder that goes away.
pub struct Tiny {
    folder: TempDir,
}

impl Tiny {
    /// A suite of so many steps of 128 rows.
    pub fn new(steps: u64) -> Tiny {
        let tiny = Tiny { folder: tempfile::tempdir().expect("a folder") };
        llama::write(&tiny.path("model"));
        tiny.write("text.txt", &llama::documents(DOCUMENTS).join("\n<|endoftext|>\n"));
        tiny.write("suite.toml", &tiny.suite(steps));
        tiny
    }

    fn suite(&self, steps: u64) -> String {
        let (model, text, tokens) = (self.path("model"), self.path("text.txt"), steps * 128);
        format!(
            "model = {model:?}\ntext = [{text:?}]\ncontext = 64\nsites = \"0.res,1.att\"\nwidths = [40]\n\
             lambdas = [0.003]\ntokens = {tokens}\npreset = \"short\"\n\n[rows]\npool_rows = 512\nnorm_rows = 512\n\n\
             [recipe]\nbatch = 128\n"
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of `name` as text.
    pub fn at(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writable");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    /// Writes `to`, the suite with `line` instead of the line that sets the same key (or after it, if there is none).
    pub fn variant(&self, to: &str, lines: &[&str]) {
        let mut text = self.read("suite.toml");
        for line in lines {
            let key = line.split(" = ").next().expect("a key");
            let old: Vec<&str> = text.lines().filter(|l| l.starts_with(&format!("{key} = "))).collect();
            text = match old.first() {
                Some(old) => text.replace(old, line),
                None => format!("{line}\n{text}"),
            };
        }
        self.write(to, &text);
    }

    /// `lapidary train suite.toml --out OUT …`, not yet run.
    pub fn train(&self, out: &str, more: &[&str]) -> Command {
        let (suite, out) = (self.at("suite.toml"), self.at(out));
        command(&[&["train", &suite, "--out", &out][..], more].concat())
    }

    /// Trains, which must succeed.
    pub fn trained(&self, out: &str, more: &[&str]) -> Ran {
        let ran: Ran = self.train(out, more).output().expect("the binary runs").into();
        assert_eq!(ran.code, Some(0), "{out} {more:?}: {}", ran.error);
        ran
    }
}

/// Every file below a folder, without those that hold wall times or places.
pub fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_string();
                out.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, folder, &mut out);
    let apart = |name: &str| ["timing.jsonl", "places.json"].iter().any(|end| name.ends_with(end));
    out.retain(|name, _| !apart(name) && !name.contains("tensorboard/"));
    out
}

/// Both have the same files with the same bytes, apart from those in `but`.
pub fn assert_same(a: &Path, b: &Path, but: &[&str], when: &str) {
    let (a, b) = (bytes(a), bytes(b));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b), "{when}");
    let differing: Vec<_> = a.keys().filter(|n| a[*n] != b[*n] && !but.contains(&n.as_str())).collect();
    assert!(differing.is_empty(), "{when}: {differing:?} differ");
}
