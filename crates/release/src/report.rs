//! `report.html`: the scores of a run or a release on one page that opens offline, and its pictures as files, each with its data.
//! The page shows what `evaluation.json` has, and measures nothing.

use crate::canonical::Canonical;
use crate::entry::Entry;
use crate::figures::{Figure, against_truth, elsewhere, firing, layers, pareto, slices, widths};
use crate::file::remarks;
use crate::tables::{missing, score, tables};
use crate::{EvaluationFile, ReleaseError};
use lapidary_files::{self as files, Kind};
use lapidary_report::html::{Html, Part, Section, html};
use lapidary_report::number::count;
use lapidary_report::plot::Plot;
use lapidary_report::table::Align;
use std::path::Path;

/// The page's name in its folder.
pub const FILE_NAME: &str = "report.html";
/// The pictures' folder.
pub const PLOTS: &str = "plots";

/// A folder with nothing but the page and its pictures.
pub const REPORT: Kind =
    Kind { name: "report", owns: &["report.html", "plots/*.svg", "plots/*.csv"], resumed_by: None };

/// What the page is made of.
pub struct Report<'a> {
    /// The page's title.
    pub name: &'a str,
    /// Scores, and what they stand on.
    pub file: &'a EvaluationFile,
    /// Every scored dictionary.
    pub entries: Vec<Entry<'a>>,
    /// One for each site and width.
    pub canonical: Canonical,
}

/// Pictures that belong together.
pub struct Group {
    /// `L0 against FVU and Δloss`
    pub heading: &'static str,
    /// How to read them.
    pub text: String,
    /// In order.
    pub figures: Vec<Figure>,
    /// How many of them belong side by side.
    pub abreast: usize,
}

const PARETO: &str = "Fewer active features and less loss are better: nearer the lower left corner. A line joins the dictionaries of \
    one site, width and architecture by their L0; whiskers are 95 % intervals over documents. Grey is there to be beaten.";
const LAYERS: &str = "The canonical dictionary of each site.";
const FIRING: &str = "Features by the share of rows in which they are active, of the widest canonical dictionaries, at most six layers of a \
    kind. Features that never fired in these rows are in no bin; the table counts the others (alive).";
const POSITION: &str =
    "Canonical dictionaries, at most seven of a kind; bins of positions double, bands are 95 % intervals.";
const PARTS: &str = "The same scores on parts of the text: named sets of documents, or who speaks in a chat. Each part has its own variance.";
const WIDTH: &str = "Width";
const WIDTHS: &str = "The same site and architecture at several widths, compared at one L0: values are interpolated, in the logarithm of \
    L0, between the dictionaries of each width, and so are the ends of their intervals.";
/// Its table has the same heading.
pub(crate) const ELSEWHERE: &str = "On another model";
const ON_ANOTHER: &str = "The same dictionaries and tokens on another model, with its own rows, means and losses; whiskers are 95 % intervals over documents.";
const TRUTH: &str = "The text is of a language whose variables are known at every token. F1: does one feature fire where one variable has \
    one value? One feature for each, mean over those that a linear probe finds in the activations. Grey has to be beaten by 0.05.";

impl<'a> Report<'a> {
    /// `target`: the L0 of the canonical choice.
    pub fn new(
        name: &'a str,
        file: &'a EvaluationFile,
        entries: Vec<Entry<'a>>,
        target: Option<f64>,
    ) -> Report<'a> {
        let canonical = Canonical::new(&entries, target);
        Report { name, file, entries, canonical }
    }

    /// All pictures that there are data for.
    pub fn groups(&self) -> Vec<Group> {
        let Report { entries, canonical, file, .. } = self;
        let groups = [
            ("L0 against FVU and Δloss", PARETO.to_string(), pareto::figures(entries)),
            (
                "Over the layers",
                format!("{LAYERS} {}", canonical.rule()),
                layers::figures(entries, canonical),
            ),
            ("How often features fire", FIRING.into(), firing::figures(entries, canonical)),
            ("By position", POSITION.into(), slices::by_position(entries, &file.metrics, canonical)),
            ("By part of the text", PARTS.into(), slices::by_part(entries, &file.metrics, canonical)),
            (WIDTH, WIDTHS.into(), widths::figures(entries)),
            (ELSEWHERE, ON_ANOTHER.into(), elsewhere::figures(file, entries)),
            ("Against the truth", TRUTH.into(), against_truth::figures(file.truth.as_ref())),
        ];
        let abreast = |heading| if heading == WIDTH { 3 } else { 2 };
        let group = |(heading, text, figures)| Group { heading, text, figures, abreast: abreast(heading) };
        groups.into_iter().map(group).filter(|group| !group.figures.is_empty()).collect()
    }

    /// The page.
    pub fn html(&self) -> String {
        let mut sections: Vec<Section> = self.groups().into_iter().map(section).collect();
        sections.push(self.table());
        for table in tables(self.file) {
            let parts = [Part::Text(sentence(&table.caption)), Part::Table(table.columns, table.rows)];
            match sections.iter_mut().find(|section| section.heading == table.heading) {
                Some(section) => section.parts.extend(parts),
                None => sections.push(Section { heading: table.heading, parts: parts.into() }),
            }
        }
        let missing = missing(self.file);
        if !missing.is_empty() {
            sections.push(Section { heading: "Not measured".into(), parts: vec![Part::List(missing)] });
        }
        sections.push(Section { heading: "Words".into(), parts: vec![Part::List(words())] });
        html(&Html { title: self.name.into(), lead: self.lead(), sections, foot: self.foot() })
    }

    /// Publishes the page in `folder` and its pictures below it; pictures of an earlier page go.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ReleaseError> {
        let plots = folder.join(PLOTS);
        files::create_dir(&plots)?;
        let mut written = Vec::new();
        for Figure { file, plot } in self.groups().into_iter().flat_map(|group| group.figures) {
            for (ending, text) in [("svg", plot.svg()), ("csv", plot.csv())] {
                let name = format!("{file}.{ending}");
                files::publish(&plots.join(&name), text.as_bytes())?;
                written.push(name);
            }
        }
        remove_others(&plots, &written)?;
        Ok(files::publish(&folder.join(FILE_NAME), self.html().as_bytes())?)
    }

    fn lead(&self) -> Vec<String> {
        let baselines = self.entries.iter().filter(|e| e.baseline.is_some()).count();
        let own = self.entries.len() - baselines;
        let dictionaries = if own == 1 { "dictionary" } else { "dictionaries" };
        let beaten = match baselines {
            0 => String::new(),
            1 => " and a baseline".into(),
            n => format!(" and {n} baselines"),
        };
        let what = format!("{own} {dictionaries}{beaten} of {}.", self.file.model);
        vec![format!("{what} {}", self.file.scored_on())]
    }

    fn foot(&self) -> String {
        let plan = self.file.plan_hash.as_ref().map(|hash| format!(", plan {hash:.16}")).unwrap_or_default();
        let text = &self.file.text.hash;
        format!(
            "Made by lapidary from evaluation.json. Text {text:.16}{plan}. All numbers with more digits are in evaluation.json and plots/*.csv."
        )
    }

    fn table(&self) -> Section {
        let columns =
            ["site", "kind", "width", "asked for", "L0", "FVU", "Δloss", "loss recovered", "alive", ""];
        let align = |n| if (4..9).contains(&n) || n == 2 { Align::Right } else { Align::Left };
        let columns = columns.iter().enumerate().map(|(n, name)| (name.to_string(), align(n))).collect();
        let rows = self.entries.iter().enumerate().map(|(n, entry)| self.row(n, entry)).collect();
        let remarks: Vec<String> = self.entries.iter().flat_map(|e| self.remarks(e)).collect();
        let mut parts =
            vec![Part::Text(self.canonical.rule() + " Small: 95 % intervals."), Part::Table(columns, rows)];
        if !remarks.is_empty() {
            parts.push(Part::List(remarks));
        }
        Section { heading: "Table".into(), parts }
    }

    fn row(&self, n: usize, entry: &Entry<'_>) -> Vec<String> {
        let s = entry.scores;
        let kind = match &entry.baseline {
            Some(baseline) => format!("{}, {baseline}", entry.architecture),
            None => entry.architecture.clone(),
        };
        let canonical = if self.canonical.chosen.contains(&n) { "canonical" } else { "" };
        vec![
            entry.place.clone(),
            kind,
            count(s.width as u64),
            entry.setting.map_or("–".into(), |setting| setting.to_string()),
            score(&s.l0),
            score(&s.fvu),
            score(&s.delta_loss),
            score(&s.loss_recovered),
            count(s.firing.alive),
            canonical.into(),
        ]
    }

    fn remarks(&self, entry: &Entry<'_>) -> Vec<String> {
        let of = |remark| format!("{}: {remark}", entry.scores.name);
        remarks(self.file, entry.scores).into_iter().map(of).collect()
    }
}

fn section(group: Group) -> Section {
    let plots: Vec<Plot> = group.figures.into_iter().map(|figure| figure.plot).collect();
    let rows = plots.chunks(group.abreast).map(|row| Part::Plots(row.to_vec()));
    Section {
        heading: group.heading.into(),
        parts: std::iter::once(Part::Text(group.text)).chain(rows).collect(),
    }
}

/// With a capital and a full stop.
fn sentence(caption: &str) -> String {
    let mut letters = caption.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

fn words() -> Vec<String> {
    [
        "L0: mean number of active features per row; a row is the activation at one token.",
        "FVU: fraction of variance unexplained, Σ‖x − x̂‖² over the variance of x. 0 is perfect; 1 is the mean row.",
        "Δloss: rise of the model's next-token loss when every row is replaced by its reconstruction, nats per target.",
        "Loss recovered: 1 − Δloss over the rise when every row is replaced by the mean row.",
        "Alive: features that fired at least once in the evaluated rows.",
        "Intervals: 95 %, by resampling documents.",
    ]
    .map(String::from)
    .into()
}

/// Pictures that this page does not have.
fn remove_others(plots: &Path, written: &[String]) -> Result<(), ReleaseError> {
    let failed = files::FileError::io(plots, "clear");
    let entries: Vec<_> = plots.read_dir().map_err(failed)?.flatten().collect();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = [".svg", ".csv"].iter().any(|ending| name.ends_with(ending));
        if ours && !written.contains(&name) {
            std::fs::remove_file(entry.path()).map_err(files::FileError::io(&entry.path(), "remove"))?;
        }
    }
    Ok(())
}
