//! An atlas is built: the pass, then a file of records for each dictionary, the text that they show, the rows, and `atlas.json`
//! last. Each file is published whole, under the hash of all inputs: a build that was killed goes on after the last of them.

use crate::effects::effects;
use crate::explain::{explanations, most_frequent};
use crate::manifest::{FORMAT, Manifest};
use crate::neighbours::{self, Neighbour, Units};
use crate::pages::{DictionaryInfo, FeatureRow, SuitePage};
use crate::pass::{DictionarySeen, Pass, State};
use crate::pieces::{pieces, vocabulary};
use crate::record::{FeatureRecord, Numbers, WindowRecord, bands, head_shares};
use crate::rows::{FIRES, PROMOTES, Writer};
use crate::shard::{self, Shard};
use crate::together::most_correlated;
use crate::truth::{self, Truth};
use crate::{AtlasError, Subject};
use lapidary_files::{self as files, FileError, hash};
use lapidary_lm::{Model, Site, SiteKind};
use lapidary_text::{Corpus, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// Correlated features that are listed.
const CORRELATED: usize = 10;
/// Features of all dictionaries together up to which every pair of dictionaries is compared; of more only those of the same kind
/// or layer, and those of neighbouring layers.
const ALL_PAIRS: usize = 1 << 16;
/// Rows after which the state is published, if nobody says otherwise.
pub const SHARD_ROWS: u64 = 1 << 18;

/// What an atlas is built of.
pub struct Job<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The text.
    pub corpus: &'a Corpus,
    /// What is known of every row, if it is.
    pub truth: Option<&'a Truth>,
    /// What is known of the suite; the numbers of the pass are filled in. One of `dictionaries` for each subject, in this order.
    pub suite: SuitePage,
    /// The dictionaries, and what each writes.
    pub subjects: &'a [Subject<'a>],
    /// The site that each writes.
    pub outputs: &'a [Site],
    /// Rows after which the state is published.
    pub shard_rows: u64,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Windows of the pass, done and in all.
    Windows(u64, u64),
    /// Dictionaries whose records are written, done and in all.
    Dictionaries(u64, u64),
}

impl Job<'_> {
    /// Builds into a folder that is empty, or that a build of the same inputs began.
    ///
    /// # Errors
    /// A dictionary of another model, or a file that cannot be read or written.
    pub fn build(
        mut self,
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Manifest, AtlasError> {
        let key = self.key();
        let state_file = folder.join("state.bin");
        if let Ok(done) = Manifest::read(folder)
            && done.key == key
        {
            remove(&state_file)?;
            return Ok(done);
        }
        files::create_dir(&folder.join("features"))?;
        let missing: Vec<usize> =
            (0..self.subjects.len()).filter(|&d| !self.is_written(folder, d, &key)).collect();
        if !missing.is_empty() {
            let windows = self.corpus.windows.len() as u64;
            let state =
                self.pass(&key).run(&state_file, &mut |done| progress(Progress::Windows(done, windows)))?;
            self.write_records(folder, &key, &state, &missing, progress)?;
        }
        let shards = self.shards(folder)?;
        self.write_text(folder, &key, &shards)?;
        let rows = self.write_rows(folder, &shards)?;
        self.finish(folder, key, rows, &state_file)
    }

    /// blake3 of everything that an atlas depends on.
    fn key(&mut self) -> String {
        for (info, subject) in self.suite.dictionaries.iter_mut().zip(self.subjects) {
            info.weights = weights_hash(subject);
        }
        self.suite.text.rows = self.corpus.window_rows(&self.model.spec).iter().map(|&n| u64::from(n)).sum();
        self.suite.has_truth = self.truth.is_some();
        let suite = serde_json::to_string(&self.suite).expect("plain data");
        let truth = self.truth.map_or(String::new(), |t| t.names.join("\n"));
        let windows = self.corpus.windows.len();
        hash::bytes(format!("{FORMAT} {suite} {windows} {} {truth}", self.corpus.hash).as_bytes())
    }

    fn pass<'a>(&'a self, key: &'a str) -> Pass<'a> {
        let Job { model, corpus, subjects, truth, shard_rows, .. } = *self;
        Pass { model, corpus, subjects, truth, key, shard_rows }
    }

    fn is_written(&self, folder: &Path, d: usize, key: &str) -> bool {
        Shard::open(&folder.join(self.file(d))).is_ok_and(|shard| shard.key == key)
    }

    /// Name of a dictionary's file of records.
    fn file(&self, d: usize) -> String {
        records_file(&self.suite.dictionaries[d].source)
    }

    fn shards(&self, folder: &Path) -> Result<Vec<Shard>, AtlasError> {
        (0..self.subjects.len()).map(|d| Shard::open(&folder.join(self.file(d)))).collect()
    }

    fn write_records(
        &self,
        folder: &Path,
        key: &str,
        state: &State,
        missing: &[usize],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), AtlasError> {
        let counts = self.truth.map(Truth::counts).unwrap_or_default();
        let directions = Directions::of(self);
        for (done, &d) in (0..).zip(missing) {
            progress(Progress::Dictionaries(done, missing.len() as u64));
            let records = self.records(d, &state.dictionaries[d], state.rows, &counts, &directions);
            shard::write(&folder.join(self.file(d)), key, records.into_iter())?;
        }
        progress(Progress::Dictionaries(missing.len() as u64, missing.len() as u64));
        Ok(())
    }

    fn records(
        &self,
        d: usize,
        seen: &DictionarySeen,
        rows: u64,
        counts: &[u64],
        directions: &Directions,
    ) -> Vec<FeatureRecord> {
        let partners: Vec<_> = seen.features.iter().map(|f| f.partners.clone()).collect();
        let correlated = most_correlated(&partners, seen.correlated_rows.max(1), CORRELATED);
        let (same, across) = directions.neighbours(self, d);
        let effects = match &directions.stream[d] {
            Some(rows) => effects(self.model, rows),
            None => vec![None; seen.features.len()],
        };
        let (dictionary, heads) = (self.subjects[d].dictionary, self.model.spec.heads);
        let at_heads = self.outputs[d].kind == SiteKind::Att;
        let lists = correlated.into_iter().zip(same).zip(across).zip(effects);
        let of = |(f, (((correlated, same), across), effects))| {
            let of: &crate::pass::FeatureSeen = &seen.features[f];
            let row = &dictionary.w_dec[f * dictionary.d_out..][..dictionary.d_out];
            FeatureRecord {
                count: of.seen.count,
                max: of.seen.max,
                levels: of.seen.levels.clone(),
                effects,
                same,
                across,
                correlated,
                heads: at_heads.then(|| head_shares(row, heads)),
                truth: self.truth.and_then(|truth| truth::best(truth, counts, &of.both, of.seen.count, rows)),
                top: of.seen.top.clone(),
                bands: bands(&of.seen),
            }
        };
        lists.enumerate().map(of).collect()
    }

    /// The windows that are shown, and the vocabulary.
    fn write_text(&self, folder: &Path, key: &str, shards: &[Shard]) -> Result<(), AtlasError> {
        let mut wanted = BTreeSet::new();
        for shard in shards {
            for f in 0..shard.len {
                wanted.extend(shard.read::<FeatureRecord>(f)?.windows());
            }
        }
        let spec = &self.model.spec;
        let first = usize::from(spec.bos.is_some());
        let (mut row, mut windows) = (0, Vec::new());
        let shown = self.shown();
        for (w, window) in (0u32..).zip(&self.corpus.windows) {
            let rows: Vec<usize> = window.row_positions(spec).collect();
            if wanted.contains(&w) {
                let mut pieces = pieces(self.tokenizer, &window.tokens[first..])?;
                pieces.splice(..0, (0..first).map(|_| String::new()));
                let truth = self.truth.map(|truth| {
                    let mut on = vec![Numbers::new(); window.tokens.len()];
                    for (n, &position) in rows.iter().enumerate() {
                        on[position] =
                            truth.row(row + n).iter().filter_map(|v| shown.get(v).copied()).collect();
                    }
                    on
                });
                windows.push(Some((window.pos, pieces, truth)));
            } else {
                windows.push(None);
            }
            row += rows.len();
        }
        shard::write(
            &folder.join("text.bin"),
            key,
            windows.iter().map(|w| w.as_ref().map(|w| record(first, w))),
        )?;
        shard::write(&folder.join("vocabulary.bin"), key, vocabulary(self.tokenizer, spec.vocab)?.into_iter())
    }

    /// Number among the names that are shown, by number among all.
    fn shown(&self) -> BTreeMap<u32, u32> {
        let shown = self.truth.map(|t| t.shown.as_slice()).unwrap_or_default();
        (0u32..).zip(shown).filter(|(_, shown)| **shown).map(|(v, _)| v).zip(0..).collect()
    }

    /// The rows, under a name that their content gives; the name.
    fn write_rows(&mut self, folder: &Path, shards: &[Shard]) -> Result<String, AtlasError> {
        let part = folder.join("rows.part");
        let _ = std::fs::remove_file(&part);
        let words = Shard::open(&folder.join("vocabulary.bin"))?;
        let mut text = Text { shard: Shard::open(&folder.join("text.bin"))?, read: BTreeMap::new() };
        let writer = Writer::create(&part)?;
        for (d, shard) in shards.iter().enumerate() {
            let (mut alive, mut fired) = (0, 0);
            for f in 0..shard.len {
                let record: FeatureRecord = shard.read(f)?;
                alive += usize::from(record.count > 0);
                fired += record.count;
                add_row(&writer, d, f as u32, &record, self.suite.text.rows, &mut text, &words)?;
            }
            let info: &mut DictionaryInfo = &mut self.suite.dictionaries[d];
            info.alive = alive;
            info.mean_active = fired as f64 / self.suite.text.rows.max(1) as f64;
        }
        writer.finish()?;
        publish_rows(folder, &part)
    }

    fn finish(self, folder: &Path, key: String, rows: String, state: &Path) -> Result<Manifest, AtlasError> {
        let mut names: Vec<String> = (0..self.subjects.len()).map(|d| self.file(d)).collect();
        names.extend(["text.bin".into(), "vocabulary.bin".into(), rows.clone()]);
        let truth_names = self.truth.map_or(Vec::new(), |t| {
            t.names.iter().zip(&t.shown).filter(|(_, shown)| **shown).map(|(name, _)| name.clone()).collect()
        });
        let mut manifest =
            Manifest { format: FORMAT, key, suite: self.suite, truth_names, rows, files: BTreeMap::new() };
        manifest.publish(folder, &names)?;
        remove(state)?;
        Ok(manifest)
    }
}

fn remove(state: &Path) -> Result<(), AtlasError> {
    if state.is_file() {
        std::fs::remove_file(state).map_err(FileError::io(state, "remove"))?;
    }
    Ok(())
}

/// The file of records of a dictionary.
pub(crate) fn records_file(source: &str) -> String {
    format!("features/{source}.bin")
}

/// Publishes a finished file of rows under a name that its content gives; the name.
pub(crate) fn publish_rows(folder: &Path, part: &Path) -> Result<String, AtlasError> {
    let name = format!("rows-{}.sqlite", &hash::file(part)?[..16]);
    let mut from = File::open(part).map_err(FileError::io(part, "open"))?;
    files::publish_with(&folder.join(&name), |out| std::io::copy(&mut from, out).map(|_| ()))?;
    std::fs::remove_file(part).map_err(FileError::io(part, "remove"))?;
    Ok(name)
}

/// A window that is shown: its start, its pieces, what is true of them.
type Gathered = (u32, Vec<String>, Option<Vec<Numbers>>);

fn record(first: usize, (start, pieces, truth): &Gathered) -> WindowRecord<'_> {
    WindowRecord {
        start: *start,
        first: first as u32,
        pieces: pieces.iter().map(String::as_str).collect(),
        truth: truth.clone(),
    }
}

/// Windows of the text, many of which are asked for again.
struct Text {
    shard: Shard,
    read: BTreeMap<u32, Vec<String>>,
}

/// Windows that are held at a time.
const HELD: usize = 4_096;

impl Text {
    /// What a token adds to the text.
    fn piece(&mut self, window: u32, position: u32) -> Result<String, AtlasError> {
        if !self.read.contains_key(&window) {
            if self.read.len() == HELD {
                self.read.clear();
            }
            let mut bytes = Vec::new();
            let record: Option<WindowRecord> = self.shard.read_into(u64::from(window), &mut bytes)?;
            let pieces = record.into_iter().flat_map(|w| w.pieces).map(str::to_string).collect();
            self.read.insert(window, pieces);
        }
        Ok(self.read[&window].get(position as usize).cloned().unwrap_or_default())
    }
}

fn add_row(
    writer: &Writer,
    d: usize,
    index: u32,
    record: &FeatureRecord,
    rows: u64,
    text: &mut Text,
    words: &Shard,
) -> Result<(), AtlasError> {
    let mut peaks = Vec::with_capacity(record.top.len());
    for place in &record.top {
        peaks.push(text.piece(place.window, place.position)?);
    }
    let explanations = if record.count > 0 { explanations(record, &peaks, rows) } else { Vec::new() };
    let mut tokens: Vec<(String, &str)> = peaks.iter().map(|p| (p.trim().to_string(), FIRES)).collect();
    for (token, _) in record.effects.iter().flat_map(|e| &e.with_gain.top) {
        tokens.push((words.read::<String>(u64::from(*token))?.trim().to_string(), PROMOTES));
    }
    tokens.retain(|(text, _)| !text.is_empty());
    let row = FeatureRow {
        index,
        density: record.count as f64 / rows.max(1) as f64,
        max: record.max,
        explanation: explanations.first().map(|e| e.text.clone()),
        top_token: most_frequent(&peaks).map_or(String::new(), |(token, _)| token.to_string()),
        f1: record.truth.as_ref().map(|m| m.f1),
    };
    writer.add(d, record.count, &row, &explanations, &tokens)
}

/// blake3 of a dictionary's arrays: by it an atlas knows its dictionaries again.
pub fn weights_hash(subject: &Subject<'_>) -> String {
    let d = subject.dictionary;
    let arrays = [&d.w_enc, &d.b_enc, &d.threshold, &d.w_dec, &d.b_dec];
    let mut lines: Vec<String> = arrays.iter().map(|a| hash::bytes(bytemuck::cast_slice(a))).collect();
    lines.push(format!("{:?}", d.activation));
    hash::bytes(lines.join("\n").as_bytes())
}

/// Directions of all dictionaries.
struct Directions {
    /// What each adds to the residual stream [F, D], if it does.
    stream: Vec<Option<Vec<f32>>>,
    /// The same, of length 1.
    units: Vec<Option<Units>>,
}

impl Directions {
    fn of(job: &Job<'_>) -> Directions {
        let of = |(subject, output): (&Subject<'_>, &Site)| {
            job.model.to_stream(*output, &subject.dictionary.w_dec)
        };
        let stream: Vec<_> = job.subjects.iter().zip(job.outputs).map(of).collect();
        let d = job.model.spec.d_model;
        let units = stream.iter().map(|rows| rows.as_ref().map(|rows| Units::of(rows, d))).collect();
        Directions { stream, units }
    }

    /// Of each feature of dictionary d: neighbours in its own dictionary, and in others.
    fn neighbours(&self, job: &Job<'_>, d: usize) -> (Vec<Vec<Neighbour>>, Vec<Vec<Neighbour>>) {
        let (dictionary, device) = (job.subjects[d].dictionary, job.model.device);
        let (mut same, mut across) =
            (vec![Vec::new(); dictionary.width()], vec![Vec::new(); dictionary.width()]);
        let own = Units::of(&dictionary.w_dec, dictionary.d_out);
        neighbours::add(&mut same, &own, &own, d, true, device);
        let all: usize = job.subjects.iter().map(|s| s.dictionary.width()).sum();
        let near = |other: usize| {
            let (a, b) = (job.outputs[d], job.outputs[other]);
            a.layer == b.layer || a.kind == b.kind && a.layer.abs_diff(b.layer) == 1
        };
        for other in (0..job.subjects.len()).filter(|&o| o != d && (all <= ALL_PAIRS || near(o))) {
            if let (Some(of), Some(among)) = (&self.units[d], &self.units[other]) {
                neighbours::add(&mut across, of, among, other, false, device);
            }
        }
        (same, across)
    }
}
