//! Scores against a known truth as a table, with the reasons of verdicts and the words below it.
//!
//! The table fits in 110 columns. F1, null and baselines are means over the same variables, two decimals: the verdict's
//! margin is 0.05.

use crate::number;
use crate::scores::{self, Measure};
use crate::table::{self, Align};

/// One dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthRow {
    /// Where it reads, `3.res`, or how else it is called.
    pub site: String,
    /// F, number of features.
    pub width: usize,
    /// What was asked for, where it is known: `λ 0.003`, or `L0 40`.
    pub setting: Option<String>,
    /// Mean features that fire in a row.
    pub l0: f64,
    /// Mean one-to-one F1 over the variables that the model represents; n of them.
    pub f1: Measure,
    /// What chance gives.
    pub null: Option<f64>,
    /// Variables found and represented, represented, known.
    pub counts: [u64; 3],
    /// F1 of frozen decoder, random model, principal components, neurons.
    pub baselines: [Option<f64>; 4],
    /// One word.
    pub verdict: String,
    /// Why it is so.
    pub reason: Option<String>,
}

const COLUMNS: [(&str, Align); 12] = [
    ("site", Align::Left),
    ("width", Align::Right),
    ("λ", Align::Right),
    ("L0", Align::Right),
    ("F1 [95 %]", Align::Right),
    ("null", Align::Right),
    ("found/rep/known", Align::Right),
    ("frozen", Align::Right),
    ("random", Align::Right),
    ("PCA", Align::Right),
    ("neurons", Align::Right),
    ("verdict", Align::Left),
];

/// Width of the text below the table.
const WIDTH: usize = 108;

const WORDS: &str = "\
F1: does one feature fire where a variable of the text has one of its values? Mean over those that the model
represents (a linear probe reads them), one feature each; null: by chance. found/rep/known: represented ones
with a feature of F1 ≥ 0.5, represented, asked about. The last four: the same F1 with a frozen decoder, on a
model with random weights, of principal components and neurons. Valid: beats each by 0.05.
";

/// The table's header and cells.
pub fn truth_cells(rows: &[TruthRow]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    (COLUMNS.iter().map(|(name, _)| *name).collect(), rows.iter().map(cells).collect())
}

/// The table, a line per reason, and what the words mean. Reasons that are the same stand once.
pub fn truth_text(rows: &[TruthRow]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut out = table::text(&COLUMNS, &cells) + "\n";
    for (reason, of) in reasons(rows) {
        out += &wrapped(&format!("{}: {reason}", of.join(", ")));
    }
    if rows.iter().any(|row| row.reason.is_some()) {
        out += "\n";
    }
    out + WORDS
}

fn cells(row: &TruthRow) -> Vec<String> {
    let two = |x: Option<f64>| x.map_or("–".into(), fixed);
    let f1 = match row.f1.interval {
        Some((low, high)) => format!("{} [{}, {}]", fixed(row.f1.value), fixed(low), fixed(high)),
        None => fixed(row.f1.value),
    };
    let [frozen, random, pca, neurons] = row.baselines.map(two);
    vec![
        row.site.clone(),
        number::count(row.width as u64),
        scores::setting(&row.setting),
        number::significant(row.l0, 3),
        f1,
        two(row.null),
        row.counts.map(|n| n.to_string()).join("/"),
        frozen,
        random,
        pca,
        neurons,
        row.verdict.clone(),
    ]
}

fn fixed(x: f64) -> String {
    if x.is_finite() { format!("{x:.2}") } else { "–".into() }
}

/// Lines of at most [`WIDTH`], where words allow; all but the first are set in.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        let gap = match column {
            0 => "",
            _ if column + 1 + length <= WIDTH => " ",
            _ => "\n  ",
        };
        column = if gap.len() > 1 { 2 + length } else { column + gap.len() + length };
        out += gap;
        out += word;
    }
    out + "\n"
}

/// Each reason with the dictionaries that have it, in order of appearance.
fn reasons(rows: &[TruthRow]) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let Some(reason) = &row.reason else { continue };
        let reason = format!("{}, {reason}", row.verdict);
        let setting = row.setting.as_ref().map(|setting| format!(" {setting}")).unwrap_or_default();
        let name = format!("{} {}{setting}", row.site, number::count(row.width as u64));
        match out.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, of)) => of.push(name),
            None => out.push((reason, vec![name])),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(site: &str, lambda: f64, verdict: &str, reason: Option<&str>) -> TruthRow {
        TruthRow {
            site: site.into(),
            width: 1024,
            setting: Some(format!("λ {lambda}")),
            l0: 12.345,
            f1: Measure { value: 0.3141, interval: Some((0.2996, 0.33)), n: 807 },
            null: Some(0.0312),
            counts: [101, 807, 1588],
            baselines: [Some(0.08), None, Some(0.12), Some(0.125)],
            verdict: verdict.into(),
            reason: reason.map(String::from),
        }
    }

    #[test]
    fn the_page_is_narrow_and_says_a_reason_once() {
        let missing = Some("no random-lm baseline");
        let mut last = row("5.mlp", 0.01, "invalid", Some("gap to pca 0.012"));
        last.f1 = Measure { value: f64::NAN, interval: None, n: 0 };
        last.null = None;
        let rows = [
            row("3.res", 0.003, "valid", None),
            row("3.att", 0.003, "unproven", missing),
            row("3.att", 0.01, "unproven", missing),
            last,
        ];
        let page = truth_text(&rows);
        let expect = "\
site   width      λ    L0          F1 [95 %]  null  found/rep/known  frozen  random   PCA  neurons  verdict
────────────────────────────────────────────────────────────────────────────────────────────────────────────
3.res  1,024  0.003  12.3  0.31 [0.30, 0.33]  0.03     101/807/1588    0.08       –  0.12     0.12  valid
3.att  1,024  0.003  12.3  0.31 [0.30, 0.33]  0.03     101/807/1588    0.08       –  0.12     0.12  unproven
3.att  1,024   0.01  12.3  0.31 [0.30, 0.33]  0.03     101/807/1588    0.08       –  0.12     0.12  unproven
5.mlp  1,024   0.01  12.3                  –     –     101/807/1588    0.08       –  0.12     0.12  invalid

3.att 1,024 λ 0.003, 3.att 1,024 λ 0.01: unproven, no random-lm baseline
5.mlp 1,024 λ 0.01: invalid, gap to pca 0.012

F1: does one feature fire";
        assert!(page.starts_with(expect), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 110), "{page}");
        let many = vec![rows[1].clone(); 9];
        assert!(truth_text(&many).lines().all(|line| line.chars().count() <= 110), "{}", truth_text(&many));
        assert!(truth_text(&rows[..1]).contains("valid\n\nF1: does"));
    }
}
