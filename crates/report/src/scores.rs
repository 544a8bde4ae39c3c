//! The scores of dictionaries as tables: one line each for a suite, one line per metric for a single dictionary.
//!
//! Units: L0 is active features per row; FVU and loss recovered are shares; Δloss and CE are nats per target.
//! The suite table fits in 100 columns and shows no intervals; the sheet of one dictionary shows them all.

use crate::number;
use crate::table::{self, Align};

/// A number, its 95 % interval where there is one, and how many things it was measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The estimate.
    pub value: f64,
    /// 2.5th and 97.5th percentile.
    pub interval: Option<(f64, f64)>,
    /// Rows or targets.
    pub n: u64,
}

impl Measure {
    /// `0.158 [0.151, 0.166]`, or the value alone; a count is written as one.
    pub fn text(&self) -> String {
        match self.interval {
            Some((low, high)) => number::interval(self.value, low, high, 3),
            None if self.value >= 0.0 && self.value.fract() == 0.0 => number::count(self.value as u64),
            None => number::significant(self.value, 3),
        }
    }
}

/// One dictionary's headline scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// Name, unique in the suite; usually the folder.
    pub name: String,
    /// Where it reads, `3.res`.
    pub site: String,
    /// F, number of features.
    pub width: usize,
    /// What was asked for, where it is known: `λ 0.003`, or `L0 40`.
    pub setting: Option<String>,
    /// Mean active features per row.
    pub l0: Measure,
    /// Fraction of variance unexplained.
    pub fvu: Measure,
    /// Nats per target.
    pub delta_loss: Measure,
    /// Share of what mean-ablation loses.
    pub loss_recovered: Measure,
    /// Features that fired at least once in the evaluated rows.
    pub alive: u64,
}

const SUITE: [(&str, Align); 8] = [
    ("site", Align::Left),
    ("width", Align::Right),
    ("λ", Align::Right),
    ("L0", Align::Right),
    ("FVU", Align::Right),
    ("Δloss", Align::Right),
    ("loss recovered", Align::Right),
    ("alive", Align::Right),
];

/// One line per dictionary, in the order given: site, width, λ, L0, FVU, Δloss, loss recovered, alive features.
pub fn suite_text(rows: &[ScoreRow]) -> String {
    table::text(&SUITE, &rows.iter().map(suite_cells).collect::<Vec<_>>())
}

/// The same as Markdown, the site linked to the dictionary's folder, with a last column that says which are canonical.
pub fn suite_markdown(rows: &[ScoreRow], canonical: &[String]) -> String {
    let cells = |row: &ScoreRow| {
        let mut cells = suite_cells(row);
        cells[0] = format!("[{}]({}/)", row.site, row.name);
        cells.push(if canonical.contains(&row.name) { "canonical".into() } else { String::new() });
        cells
    };
    let columns: Vec<(&str, Align)> = SUITE.into_iter().chain([("", Align::Left)]).collect();
    table::markdown(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// For a column of λ: `0.003` alone, `L0 40` whole.
pub(crate) fn setting(setting: &Option<String>) -> String {
    let text = setting.as_deref().unwrap_or("–");
    text.strip_prefix("λ ").unwrap_or(text).into()
}

fn suite_cells(row: &ScoreRow) -> Vec<String> {
    vec![
        row.site.clone(),
        number::count(row.width as u64),
        setting(&row.setting),
        number::significant(row.l0.value, 3),
        number::significant(row.fvu.value, 3),
        number::significant(row.delta_loss.value, 3),
        number::significant(row.loss_recovered.value, 3),
        number::count(row.alive),
    ]
}

/// A metric by name and unit, for the sheet of one dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What was measured.
    pub metric: String,
    /// Its unit, "nats per target".
    pub unit: String,
    /// The number.
    pub measure: Measure,
}

const SHEET: [(&str, Align); 4] = [
    ("metric", Align::Left),
    ("value [95 % interval]", Align::Right),
    ("unit", Align::Left),
    ("n", Align::Right),
];

/// One line per metric with interval, unit and n.
pub fn sheet_text(lines: &[Line]) -> String {
    table::text(&SHEET, &lines.iter().map(sheet_cells).collect::<Vec<_>>())
}

/// The same as Markdown.
pub fn sheet_markdown(lines: &[Line]) -> String {
    table::markdown(&SHEET, &lines.iter().map(sheet_cells).collect::<Vec<_>>())
}

fn sheet_cells(line: &Line) -> Vec<String> {
    vec![line.metric.clone(), line.measure.text(), line.unit.clone(), number::count(line.measure.n)]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn measure(value: f64, half: f64, n: u64) -> Measure {
        Measure { value, interval: Some((value - half, value + half)), n }
    }

    pub(crate) fn rows() -> Vec<ScoreRow> {
        let row = ScoreRow {
            name: "3.res-2048".into(),
            site: "3.res".into(),
            width: 2048,
            setting: Some("λ 0.006".into()),
            l0: measure(20.84, 0.7, 115_204),
            fvu: measure(0.0791, 0.002, 115_204),
            delta_loss: measure(0.1584, 0.0074, 115_204),
            loss_recovered: measure(0.962, 0.004, 115_204),
            alive: 1987,
        };
        let broken = ScoreRow {
            name: "0.mlp-in-64".into(),
            site: "0.mlp-in".into(),
            width: 64,
            setting: None,
            fvu: Measure { value: f64::NAN, interval: None, n: 115_204 },
            ..row.clone()
        };
        vec![row, broken]
    }

    pub(crate) fn lines() -> Vec<Line> {
        let line =
            |metric: &str, unit: &str, measure| Line { metric: metric.into(), unit: unit.into(), measure };
        vec![
            line("L0", "active features per row", measure(20.84, 0.7, 115_204)),
            line("Δloss", "nats per target", measure(0.1584, 0.0074, 115_000)),
        ]
    }

    #[test]
    fn a_suite_fits_the_terminal() {
        let expect = "\
site      width      λ    L0     FVU  Δloss  loss recovered  alive
──────────────────────────────────────────────────────────────────
3.res     2,048  0.006  20.8  0.0791  0.158           0.962  1,987
0.mlp-in     64      –  20.8     NaN  0.158           0.962  1,987
";
        let text = suite_text(&rows());
        assert_eq!(text, expect);
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn what_has_no_lambda_shows_the_l0_that_was_asked_for() {
        let row = ScoreRow { setting: Some("L0 40".into()), ..rows().remove(0) };
        assert_eq!(suite_cells(&row)[2], "L0 40");
    }

    #[test]
    fn a_sheet_shows_intervals() {
        let expect = "\
metric  value [95 % interval]  unit                           n
───────────────────────────────────────────────────────────────
L0          20.8 [20.1, 21.5]  active features per row  115,204
Δloss    0.158 [0.151, 0.166]  nats per target          115,000
";
        assert_eq!(sheet_text(&lines()), expect);
    }

    #[test]
    fn markdown_links_the_folders() {
        let markdown = suite_markdown(&rows(), &["0.mlp-in-64".into()]);
        let first = markdown.lines().nth(2).expect("a header, a rule, a row");
        assert_eq!(
            first,
            "| [3.res](3.res-2048/) | 2,048 | 0.006 | 20.8 | 0.0791 | 0.158 | 0.962 | 1,987 |  |"
        );
        assert_eq!(markdown.lines().last().map(|line| line.ends_with("| canonical |")), Some(true));
    }
}
