//! An atlas by name: its folder, or a run, a release or dictionaries, whose atlas is built into the cache at its first use.

use super::Bars;
use crate::global::Global;
use crate::terminal;
use anyhow::Context;
use lapidary_atlas::{ATLAS, Manifest, manifest};
use lapidary_files::{Mode, OutFolder};
use lapidary_release::atlas::{Asked, Dictionaries};
use std::path::{Path, PathBuf};

/// Windows of text to build an atlas from, if nobody says otherwise.
const MAX_WINDOWS: u32 = 1_000;

/// Arguments of every verb that takes an atlas and what it is of.
#[derive(clap::Args)]
pub struct SubjectArgs {
    /// Atlas folder; or run, release or dictionary
    #[arg(value_name = "ATLAS|RUN|RELEASE|DICT", default_value = "organism-suite")]
    pub subject: PathBuf,
    /// The runs, releases or dictionaries that an atlas's folder is of, for whatever needs their weights
    #[arg(long, value_name = "RUN|RELEASE|DICT", num_args = 1..)]
    pub dictionary: Vec<PathBuf>,
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Text to build an atlas from [default: the run's]
    #[arg(long, value_name = "F", num_args = 1..)]
    pub text: Vec<PathBuf>,
    /// Windows of text to build an atlas from
    #[arg(long, value_name = "N", default_value_t = MAX_WINDOWS, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_windows: u32,
    /// Site of a dictionary that does not say its own, like 3.res
    #[arg(long)]
    pub site: Option<String>,
}

/// An atlas, and the weights that it is of, if somebody says which.
pub struct Named {
    pub folder: PathBuf,
    pub asked: Asked,
    pub dictionaries: Option<Dictionaries>,
}

impl SubjectArgs {
    /// A run, a release or an atlas by name, with whatever it says of itself.
    pub fn of(subject: PathBuf, max_windows: Option<usize>) -> SubjectArgs {
        let max_windows = max_windows.map_or(MAX_WINDOWS, |n| n as u32);
        SubjectArgs {
            subject,
            dictionary: Vec::new(),
            model: None,
            text: Vec::new(),
            max_windows,
            site: None,
        }
    }

    /// Finds or builds the atlas, and opens model and dictionaries.
    pub fn open(&self, global: &Global) -> anyhow::Result<Named> {
        let path = global.catalog.find(&self.subject)?;
        if !path.join(manifest::FILE).is_file() {
            return self.built(global);
        }
        let asked = self.as_in(&Manifest::read_alone(&path)?);
        let note = |line: &str| terminal::note(line);
        let dictionaries = match self.dictionary.is_empty() {
            true => None,
            false => Some(asked.dictionaries(&global.catalog, &note)?),
        };
        Ok(Named { folder: path, asked, dictionaries })
    }

    /// The dictionaries of an atlas's folder, on the text that it is of.
    fn as_in(&self, manifest: &Manifest) -> Asked {
        let of = &manifest.suite.text;
        let known = || of.name.split(", ").map(PathBuf::from).collect();
        let text = if self.text.is_empty() { known() } else { self.text.clone() };
        Asked {
            subjects: self.dictionary.clone(),
            model: self.model.clone(),
            text,
            site: self.site.clone(),
            context: Some(of.context),
            split: of.split.parse().unwrap_or_default(),
            ..Asked::default()
        }
    }

    /// The atlas of a run or of dictionaries, which is built if it is not in the cache yet.
    fn built(&self, global: &Global) -> anyhow::Result<Named> {
        let asked = Asked {
            subjects: vec![self.subject.clone()],
            model: self.model.clone(),
            text: self.text.clone(),
            site: self.site.clone(),
            max_windows: Some(self.max_windows as usize),
            ..Asked::default()
        };
        let of = asked.dictionaries(&global.catalog, &|line| terminal::note(line))?;
        let folder = global.catalog.cache.join("atlas").join(asked.key(&of)?);
        let of = match folder.join(manifest::FILE).is_file() {
            true => of,
            false => build(&asked, of, &folder, global).context("the atlas cannot be built")?,
        };
        Ok(Named { folder, asked, dictionaries: Some(of) })
    }
}

/// Builds an atlas into the cache.
fn build(asked: &Asked, of: Dictionaries, folder: &Path, global: &Global) -> anyhow::Result<Dictionaries> {
    terminal::note(format_args!(
        "building the atlas of {} dictionaries, once, into {}",
        of.named.len(),
        folder.display()
    ));
    let runs = of.runs.clone();
    let prepared = asked.open_text(of, &global.catalog, &|line| terminal::note(line))?;
    // What an earlier start began is gone on with, once there is something to go on with.
    let mode = if folder.join("state.bin").is_file() { Mode::Resume } else { Mode::Replace };
    let out = OutFolder::open(folder, &ATLAS, mode)?;
    let (subjects, outputs) = prepared.subjects();
    let job = prepared.job(&subjects, &outputs, lapidary_atlas::build::SHARD_ROWS)?;
    let mut bars = Bars::new(global);
    job.build(&out.path, &mut |stage| bars.show(stage))?;
    out.finish()?;
    Ok(Dictionaries { runs, named: prepared.named, opened: prepared.opened })
}
