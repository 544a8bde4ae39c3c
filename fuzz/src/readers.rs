//! One function per reader. Each writes its input where the reader looks for it, in a folder of the thread's own, and reads.

use lapidary_files::Log;
use lapidary_files::tensors::TensorFile;
use lapidary_gguf::GgufFile;
use lapidary_kernels::Device;
use lapidary_lm::{ModelFolder, Precision};
use lapidary_store::StoreReader;
use lapidary_text::Tokenizer;
use std::path::Path;

/// A name and what reads.
pub type Reader = (&'static str, fn(&[u8]));

/// All of them.
pub const READERS: [Reader; 11] = [
    ("safetensors", safetensors),
    ("sae_lens", sae_lens),
    ("params_npz", params_npz),
    ("lapidary_json", lapidary_json),
    ("model_config", model_config),
    ("tokenizer", tokenizer),
    ("manifest", manifest),
    ("checkpoint", checkpoint),
    ("log", log),
    ("suite", suite),
    ("gguf", gguf),
];

/// Feeds `input` to the reader of this name.
///
/// # Panics
/// No reader has the name; or, which is what is looked for, the reader panics.
pub fn read(name: &str, input: &[u8]) {
    let (_, reader) = READERS.iter().find(|(known, _)| *known == name).expect("a reader has this name");
    reader(input);
}

fn with_folder(run: impl FnOnce(&Path)) {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder");
    }
    FOLDER.with(|folder| run(folder.path()));
}

fn with_file(name: &str, bytes: &[u8], run: impl FnOnce(&Path)) {
    with_folder(|folder| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        run(&path);
    });
}

/// The two files of an input.
fn two(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return (input, &[]) };
    rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()))
}

/// Every tensor of a safetensors file.
fn safetensors(input: &[u8]) {
    with_file("a.safetensors", input, |path| {
        let Ok(file) = TensorFile::open(path) else { return };
        for name in file.names() {
            let shape = file.shape(&name).expect("a listed tensor has a shape").to_vec();
            let _ = file.read_f32(&name, &shape);
        }
        file.metadata();
    });
}

/// `cfg.json` and weights as SAELens writes them, read and used.
fn sae_lens(input: &[u8]) {
    let (config, weights) = two(input);
    with_folder(|folder| {
        let folder = folder.join("sae_lens");
        let _ = std::fs::create_dir(&folder);
        std::fs::write(folder.join("cfg.json"), config).expect("a temporary file can be written");
        std::fs::write(folder.join("sae_weights.safetensors"), weights)
            .expect("a temporary file can be written");
        let _ = lapidary_dictionary::sae_lens::provenance(&folder);
        use_dictionary(&folder);
    });
}

/// What loads must also encode and decode.
fn use_dictionary(path: &Path) {
    let Ok((dictionary, _)) = lapidary_dictionary::load(path) else { return };
    let x = vec![0.5; dictionary.d_in];
    let features = dictionary.encode(Device::detect(), &x);
    dictionary.reconstruct(Device::detect(), &x, &features);
}

/// Gemma Scope's archive.
fn params_npz(input: &[u8]) {
    with_file("params.npz", input, use_dictionary);
}

/// `lapidary.json` beside a good dictionary of ours.
fn lapidary_json(input: &[u8]) {
    with_folder(|folder| {
        let folder = folder.join("ours");
        if !folder.exists() {
            crate::seeds::save_dictionary(&folder);
        }
        std::fs::write(folder.join("lapidary.json"), input).expect("a temporary file can be written");
        use_dictionary(&folder);
    });
}

/// A model's `config.json`.
fn model_config(input: &[u8]) {
    with_file("config.json", input, |path| {
        let _ = lapidary_lm::load_spec(path.parent().expect("the file is in a folder"), &[]);
    });
}

/// `tokenizer.json`.
fn tokenizer(input: &[u8]) {
    with_file("tokenizer.json", input, |path| use_tokenizer(path.parent().expect("the file is in a folder")));
}

/// Loaded, used and used backwards.
fn use_tokenizer(path: &Path) {
    let Ok(tokenizer) = Tokenizer::load(path) else { return };
    if let Ok(ids) = tokenizer.encode("Once there was a <s> 1,000 ☃") {
        let _ = tokenizer.decode(&ids);
    }
}

/// A GGUF file: every tensor, the model if it is one (and small), the tokenizer.
fn gguf(input: &[u8]) {
    with_file("a.gguf", input, |path| {
        let Ok(file) = GgufFile::open(path) else { return };
        for (name, info) in file.tensors() {
            let _ = file.read_f32(name, &info.shape);
        }
        if let Ok(files) = ModelFolder::open(path, &[]) {
            let _ = files.load(Device::detect(), Precision::F32);
        }
        use_tokenizer(path);
    });
}

/// A store's manifest; its shards are not there.
fn manifest(input: &[u8]) {
    with_file("manifest.json", input, |path| {
        let _ = StoreReader::open(path.parent().expect("the file is in a folder"));
    });
}

/// A checkpoint of a small run.
fn checkpoint(input: &[u8]) {
    with_file("step-000000001.safetensors", input, |path| {
        let _ = lapidary_trainer::load_checkpoint(path, &crate::seeds::plan());
    });
}

/// A suite file, and what its tables ask for of a small model.
fn suite(input: &[u8]) {
    with_file("suite.toml", input, |path| {
        if let Ok(suite) = lapidary_suite::Suite::read(path) {
            let _ = suite.grids(&crate::seeds::spec());
        }
    });
}

/// `metrics.jsonl` on resume: the first two bytes say how long the log was when its checkpoint was made.
fn log(input: &[u8]) {
    let Some((length, text)) = input.split_first_chunk::<2>() else { return };
    with_file("metrics.jsonl", text, |path| {
        if let Ok(mut log) = Log::open(path, u64::from(u16::from_le_bytes(*length))) {
            let _ = log.append("{}\n");
        }
    });
}
