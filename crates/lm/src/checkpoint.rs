//! A checkpoint's files: one or more safetensors files whose headers have been read. Says what is in them before a weight
//! is read, and reads a tensor if all of it is finite.

use crate::error::LmError;
use crate::family::{HEAD, Names};
use crate::instead;
use crate::spec::Spec;
use crate::values::Values;
use lapidary_files::FileError;
use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_kernels::Bf16;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rows of embedding and head that are compared at a time.
const COMPARED: usize = 1024;

/// Open files and where each tensor of the model is in them.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    dir: PathBuf,
    names: &'static Names,
    files: Vec<TensorFile>,
    places: BTreeMap<String, Place>, // by name in the model, without the family's prefix
}

#[derive(Debug)]
struct Place {
    file: usize,
    name: String, // in the file
}

impl Checkpoint {
    /// Opens the files of a folder and reads their headers; `names` are those of the model's family.
    pub(crate) fn open(dir: &Path, names: &'static Names) -> Result<Checkpoint, LmError> {
        if let Some(adapter) = instead::adapter(dir) {
            return Err(adapter.into());
        }
        let one = dir.join("model.safetensors");
        let paths = if one.exists() { vec![one] } else { shards(dir)? };
        let files = paths.iter().map(|p| TensorFile::open(p)).collect::<Result<Vec<_>, _>>()?;
        // Without its head a body may have been saved without the prefix.
        let mut places = BTreeMap::new();
        for (file, name) in
            files.iter().enumerate().flat_map(|(i, f)| f.names().into_iter().map(move |n| (i, n)))
        {
            let Some(key) = names.key(&name) else { continue };
            if places.insert(key, Place { file, name: name.clone() }).is_some() {
                let found = format!("`{name}` twice");
                return Err(invalid(files[file].path(), "each tensor once", found, "fetch the files again"));
            }
        }
        Ok(Checkpoint { dir: dir.to_path_buf(), names, files, places })
    }

    /// For a config that ties the head to the embedding: is it so in the files? As in transformers, a stored head with
    /// other values is the head, and where only the head is stored it is the embedding too.
    pub(crate) fn tie_head(&mut self, embed: &str, vocab: usize, width: usize) -> Result<bool, LmError> {
        let Some(head) = self.places.get(HEAD) else { return Ok(true) };
        let Some(place) = self.places.get(embed) else {
            let place = Place { file: head.file, name: head.name.clone() };
            self.places.remove(HEAD);
            self.places.insert(embed.to_string(), place);
            return Ok(true);
        };
        let (head, place) = ((&self.files[head.file], &head.name), (&self.files[place.file], &place.name));
        for (file, name) in [head, place] {
            file.check_f32(name, &[vocab, width])?;
        }
        for first in (0..vocab).step_by(COMPARED) {
            let rows = |(file, name): (&TensorFile, &String)| {
                file.read_rows(name, width, first, COMPARED.min(vocab - first))
            };
            if rows(head)? != rows(place)? {
                return Ok(false);
            }
        }
        self.places.remove(HEAD);
        Ok(true)
    }

    /// Is a float tensor of this name and shape there?
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<(), LmError> {
        let (file, name) = self.find(name, shape)?;
        Ok(file.check_f32(name, shape)?)
    }

    /// The tensor's elements.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Values, LmError> {
        let (file, name) = self.find(name, shape)?;
        let (values, bad) = if file.dtype(name) == Some(Dtype::BF16) {
            let bits = file.read_pod::<u16>(name, Dtype::BF16, shape)?;
            let values: Vec<Bf16> = bits.into_iter().map(Bf16).collect();
            let bad = values.iter().position(|v| !v.widen().is_finite()).map(|at| (at, values[at].widen()));
            (Values::Bf16(values), bad)
        } else {
            let values = file.read_f32(name, shape)?;
            let bad = values.iter().position(|v| !v.is_finite()).map(|at| (at, values[at]));
            (Values::from(values), bad)
        };
        match bad {
            None => Ok(values),
            Some((at, value)) => {
                let found = format!("{value} in `{name}` at {:?}", index(at, shape));
                let next = "the file is damaged, or the model's training diverged: fetch another";
                Err(invalid(file.path(), "finite weights", found, next))
            }
        }
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<(&TensorFile, &str), LmError> {
        match self.places.get(name) {
            Some(place) => Ok((&self.files[place.file], &place.name)),
            None => {
                let found = format!("none in {} tensors", self.places.len());
                let next = match name {
                    HEAD => {
                        "if the head is the embedding, config.json must say `\"tie_word_embeddings\": true`"
                    }
                    _ => "the checkpoint does not fit config.json: fetch both again",
                };
                let expected = format!("a tensor `{}` of shape {shape:?}", self.names.stored(name));
                Err(invalid(&self.dir, expected, found, next))
            }
        }
    }

    /// Nothing but `needed` may be there: it would have changed the maths.
    pub(crate) fn check_nothing_else(&self, needed: &[String], spec: &Spec) -> Result<(), LmError> {
        let needed: BTreeSet<&String> = needed.iter().collect();
        let others = self.places.iter().filter(|(key, _)| !needed.contains(key));
        let others: Vec<&Place> = others.map(|(_, place)| place).collect();
        let Some(first) = others.first() else { return Ok(()) };
        let expected = format!("only tensors that a {} model of {} layers reads", spec.family, spec.n_layers);
        let found = match others.len() {
            1 => format!("`{}`", first.name),
            n => format!("`{}` and {} more", first.name, n - 1),
        };
        let next = "config.json does not describe this checkpoint, or the model is not supported";
        Err(invalid(self.files[first.file].path(), expected, found, next))
    }
}

/// Where element `at` of a row-major tensor is.
fn index(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&n| {
            let i = at % n;
            at /= n;
            i
        })
        .collect();
    index.reverse();
    index
}

/// The files that `model.safetensors.index.json` names.
fn shards(dir: &Path) -> Result<Vec<PathBuf>, LmError> {
    let path = dir.join("model.safetensors.index.json");
    if !path.exists() {
        let expected = "model.safetensors or model.safetensors.index.json in it";
        return Err(match instead::error(dir, expected) {
            Some(error) => error.into(),
            None => LmError::NoWeights { path: dir.to_path_buf() },
        });
    }
    let names = shard_names(&path)?;
    let (there, missing): (Vec<_>, Vec<_>) = names.iter().map(|n| dir.join(n)).partition(|p| p.exists());
    if missing.is_empty() {
        return Ok(there);
    }
    let missing: Vec<_> = missing.iter().filter_map(|p| p.file_name()?.to_str()).collect();
    let found = format!("{} of them; missing: {}", there.len(), missing.join(", "));
    Err(invalid(&path, format!("{} shards beside it", names.len()), found, "fetch the missing ones"))
}

fn shard_names(path: &Path) -> Result<BTreeSet<String>, LmError> {
    let text = lapidary_files::read_string(path, 100 << 20)?;
    let bad = |found: String| invalid(path, "an index of shards", found, "fetch the file again");
    let index: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let map =
        index.get("weight_map").and_then(Value::as_object).ok_or_else(|| bad("no `weight_map`".into()))?;
    let names: Option<BTreeSet<String>> = map.values().map(|n| n.as_str().map(String::from)).collect();
    let names =
        names.filter(|names| !names.is_empty()).ok_or_else(|| bad("a shard without a name".into()))?;
    match names.iter().find(|n| Path::new(n).file_name() != Some(n.as_ref())) {
        Some(outside) => Err(bad(format!("`{outside}`, which is not a file of this folder"))),
        None => Ok(names),
    }
}

fn invalid(path: &Path, expected: impl Into<String>, found: String, next: &str) -> LmError {
    FileError::invalid(path, expected, found, next).into()
}
