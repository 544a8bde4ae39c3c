//! Every input of `corpus/`, and every prefix and bit flip of the good ones, goes through its reader: none may panic.

use lapidary_fuzz::{READERS, read, seeds};
use std::path::{Path, PathBuf};

fn corpus(reader: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(reader)
}

#[test]
fn what_the_fuzzer_found_stays_mended() {
    for (reader, _) in READERS {
        let inputs = corpus(reader).read_dir().unwrap_or_else(|_| panic!("corpus/{reader} is there"));
        let paths: Vec<PathBuf> = inputs.map(|entry| entry.unwrap().path()).collect();
        assert!(!paths.is_empty(), "corpus/{reader} has inputs");
        for path in paths {
            read(reader, &std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn cut_short_or_with_a_flipped_bit() {
    for (reader, good) in seeds::good() {
        for step in 0..256 {
            let at = good.len() * step / 256;
            read(reader, &good[..at]);
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (step % 8);
            read(reader, &flipped);
        }
    }
}

/// A seed that is refused at its first byte would leave the fuzzer outside. (Those that are read by hand, as in the
/// formats' own tests.)
#[test]
fn the_good_seeds_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    for (reader, good) in seeds::good() {
        match reader {
            "params_npz" => {
                write("params.npz", &good);
                lapidary_dictionary::load(folder.path()).unwrap();
            }
            "model_config" => {
                write("config.json", &good);
                lapidary_lm::load_spec(folder.path(), &[]).unwrap();
            }
            "tokenizer" => {
                write("tokenizer.json", &good);
                let tokenizer = lapidary_text::Tokenizer::load(folder.path()).unwrap();
                assert_eq!(tokenizer.decode(&tokenizer.encode("a b").unwrap()).unwrap(), "a b");
            }
            "checkpoint" => {
                write("c.safetensors", &good);
                lapidary_trainer::load_checkpoint(&folder.path().join("c.safetensors"), &seeds::plan())
                    .unwrap();
            }
            "gguf" => {
                write("a.gguf", &good);
                let path = folder.path().join("a.gguf");
                lapidary_lm::ModelFolder::open(&path, &[]).unwrap();
                assert_eq!(lapidary_text::Tokenizer::load(&path).unwrap().encode("ab!").unwrap(), [5, 7]);
            }
            "suite" => {
                write("suite.toml", &good);
                let suite = lapidary_suite::Suite::read(&folder.path().join("suite.toml")).unwrap();
                assert_eq!(suite.grids(&seeds::spec()).unwrap().len(), 2);
            }
            _ => {}
        }
    }
}

/// Writes the seeds into the corpus, for the fuzzer: `cargo test -p lapidary-fuzz -- --ignored`.
#[test]
#[ignore = "writes into the repository"]
fn write_the_seeds() {
    for (reader, good) in seeds::good() {
        std::fs::create_dir_all(corpus(reader)).unwrap();
        std::fs::write(corpus(reader).join("good"), good).unwrap();
    }
}
