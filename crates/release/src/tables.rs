//! What was measured beside the scores, as tables: the same ones for a terminal and for `report.html`, which shows all of them.
//!
//! A cell is a text, or a value with its interval after a tab: the page sets the interval below, the terminal in brackets.

use crate::EvaluationFile;
use crate::metrics::{DictionaryMetrics, Pair, Rounded, Spread};
use crate::report::ELSEWHERE;
use crate::rows::truth_rows;
use lapidary_evaluation::comparison::{Comparison, Metric};
use lapidary_evaluation::slices::Sliced;
use lapidary_evaluation::{Interval, Score, Scores};
use lapidary_report::number::{bytes, count, percent, significant};
use lapidary_report::table::{Align, text};
use lapidary_report::truth::truth_cells;

/// Rows of pairs that a terminal shows; all are on the page.
const MOST_PAIRS: usize = 24;

/// Where a table is shown beside the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    Always,
    /// If metrics beyond the core were asked for.
    More,
    /// Never: the terminal says the same in other ways.
    Not,
}

/// One table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The section of the page that it belongs to.
    pub heading: String,
    /// What the columns are, and in which unit.
    pub caption: String,
    /// Names of columns.
    pub columns: Vec<(String, Align)>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
    terminal: Terminal,
}

/// Heading, caption and header.
type Head<'a> = (&'a str, &'a str, &'a [&'a str]);

impl Table {
    /// Columns are names, the first `left`, and then numbers; none without rows.
    fn new(
        (heading, caption, header): Head<'_>,
        left: usize,
        terminal: Terminal,
        rows: Vec<Vec<String>>,
    ) -> Option<Table> {
        let align = |n| if n < left { Align::Left } else { Align::Right };
        let columns = header.iter().enumerate().map(|(n, name)| (name.to_string(), align(n))).collect();
        (!rows.is_empty()).then(|| Table {
            heading: heading.into(),
            caption: caption.into(),
            columns,
            rows,
            terminal,
        })
    }

    fn text(&self) -> String {
        let cell = |cell: &String| match cell.split_once('\t') {
            Some((value, interval)) => format!("{value} [{}]", interval.replace(" to ", ", ")),
            None => cell.clone(),
        };
        let most = if self.heading == PAIRS.0 { MOST_PAIRS } else { usize::MAX };
        let rows: Vec<Vec<String>> =
            self.rows.iter().take(most).map(|row| row.iter().map(cell).collect()).collect();
        let more = match self.rows.len() - rows.len() {
            0 => String::new(),
            more => format!("{more} more are in evaluation.json\n"),
        };
        let columns: Vec<(&str, Align)> =
            self.columns.iter().map(|(name, align)| (&name[..], *align)).collect();
        format!("{}: {}\n{}{more}", self.heading, self.caption, text(&columns, &rows))
    }
}

/// Everything that there are numbers for, in the order of the page.
pub fn tables(file: &EvaluationFile) -> Vec<Table> {
    let of = |of: fn(&DictionaryMetrics) -> Vec<Vec<String>>| -> Vec<Vec<String>> {
        file.metrics.iter().flat_map(of).collect()
    };
    let scores = |of: fn(&Scores) -> Option<Vec<String>>| file.scores.iter().filter_map(of).collect();
    let always = |head, rows| Table::new(head, 1, Terminal::Always, rows);
    let mut out = vec![
        Table::new(LOSSES, 1, Terminal::Not, scores(losses)),
        Table::new(FIRING, 1, Terminal::Not, scores(firing)),
        Table::new(PEERS, 1, Terminal::More, scores(peers)),
        slices(file, "By position", Terminal::More, |by| by == "position"),
        slices(file, "By part of the text", Terminal::Always, |by| by != "position"),
        truth(file),
        always(TRANSFER, transfer(file)),
        always(JUDGE, of(judged)),
        Table::new(PRECISION, 2, Terminal::Always, of(precision)),
        Table::new(PROBES, 2, Terminal::Always, of(probing)),
        always(ABSORPTION, of(absorption)),
        Table::new(RAVEL, 2, Terminal::Always, of(ravel)),
        always(READABLE, of(readable)),
        always(UNIFORMITY, of(uniformity)),
    ];
    let of_pairs = if file.pairs.len() > MOST_PAIRS { Terminal::More } else { Terminal::Always };
    out.push(Table::new(PAIRS, 4, of_pairs, file.pairs.iter().map(pair).collect()));
    out.push(Table::new(SPREAD, 2, Terminal::Always, file.spread.iter().map(spread).collect()));
    out.into_iter().flatten().collect()
}

/// Those for a terminal, and what could not be measured; `more`: metrics beyond the core were asked for.
pub fn texts(file: &EvaluationFile, more: bool) -> Vec<String> {
    let shown = |table: &Table| match table.terminal {
        Terminal::Always => true,
        Terminal::More => more,
        Terminal::Not => false,
    };
    tables(file).iter().filter(|table| shown(table)).map(Table::text).chain(missing(file)).collect()
}

/// What was asked for and could not be measured, a sentence each.
pub fn missing(file: &EvaluationFile) -> Vec<String> {
    let beside = file.metrics.iter().flat_map(|m| m.missing.iter().map(|why| format!("{}: {why}", m.name)));
    beside.chain(file.transfer.iter().flat_map(|transfer| transfer.missing.iter().cloned())).collect()
}

/// The last part of a dictionary's name, which is its folder where it was named alone.
fn short(name: &str) -> String {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).into()
}

fn three(x: f64) -> String {
    significant(x, 3)
}

fn within(value: f64, interval: &Interval) -> String {
    beside(three(value), interval)
}

fn beside(value: String, interval: &Interval) -> String {
    match interval {
        Interval::Known { low, high } => format!("{value}\t{} to {}", three(*low), three(*high)),
        Interval::Missing { .. } => value,
    }
}

pub(crate) fn score(score: &Score) -> String {
    within(score.value, &score.interval)
}

fn none() -> String {
    "–".into()
}

const LOSSES: Head<'_> = (
    "Losses",
    "nats per target: of the untouched model, with reconstructions, the mean row, or zeros in place of every row",
    &[
        "dictionary",
        "targets",
        "CE",
        "CE spliced",
        "CE mean-ablated",
        "CE zero-ablated",
        "loss recovered (zero)",
    ],
);

fn losses(s: &Scores) -> Option<Vec<String>> {
    let optional = |x: &Option<Score>| x.as_ref().map_or_else(none, score);
    let losses = [&s.ce, &s.ce_spliced, &s.ce_ablated].map(score);
    let [ce, spliced, ablated] = losses;
    let zeros = [&s.ce_zero_ablated, &s.loss_recovered_zero].map(optional);
    let [zeroed, recovered] = zeros;
    Some(vec![short(&s.name), count(s.targets), ce, spliced, ablated, zeroed, recovered])
}

const FIRING: Head<'_> = (
    "How often features fire",
    "percentiles of active features over rows; features that never fired, and that fire in more than 10 % of rows; how steeply \
     frequencies fall with rank among the rarer half (1 is Zipf's law)",
    &["dictionary", "rows", "p5", "median", "p95", "p99", "never fired", "ultra-frequent", "tail exponent"],
);

fn firing(s: &Scores) -> Option<Vec<String>> {
    let p = s.l0_percentiles;
    let tail = s.firing.tail.as_ref().map_or_else(none, |t| within(t.exponent, &t.interval));
    let counts =
        [s.rows, p.p5, p.p50, p.p95, p.p99, s.firing.never_fired, s.firing.ultra_frequent.len() as u64];
    Some([short(&s.name)].into_iter().chain(counts.map(count)).chain([tail]).collect())
}

const PEERS: Head<'_> = (
    "The field's own numbers",
    "under their own names, with our rows: SAELens' run_evals, and SAEBench's explained variance, which is not 1 − FVU",
    &[
        "dictionary",
        "explained_variance",
        "…_legacy",
        "mse",
        "cossim",
        "l2_ratio",
        "relative_reconstruction_bias",
        "l1",
        "ce_loss_score",
        "SAEBench explained_variance",
    ],
);

fn peers(s: &Scores) -> Option<Vec<String>> {
    let p = s.peers.as_ref()?;
    let l = &p.sae_lens;
    let numbers = [
        &l.explained_variance,
        &l.explained_variance_legacy,
        &l.mse,
        &l.cossim,
        &l.l2_ratio,
        &l.relative_reconstruction_bias,
        &l.l1,
        &l.ce_loss_score,
        &p.sae_bench.explained_variance,
    ];
    Some([short(&s.name)].into_iter().chain(numbers.map(score)).collect())
}

/// A line for each dictionary and slice of every slicing that is `wanted`.
fn slices(
    file: &EvaluationFile,
    heading: &str,
    terminal: Terminal,
    wanted: fn(&str) -> bool,
) -> Option<Table> {
    let line = |name: &str, by: &str, s: &lapidary_evaluation::slices::SliceScores| {
        let [fvu, ce, delta, recovered] = [&s.fvu, &s.ce, &s.delta_loss, &s.loss_recovered].map(score);
        let (slice, rows, l0) = (s.slice.clone(), count(s.l0.n), score(&s.l0));
        vec![short(name), by.into(), slice, rows, l0, fvu, ce, delta, recovered]
    };
    let of = |m: &DictionaryMetrics| -> Vec<Vec<String>> {
        let slicings = m.slices.iter().filter(|s| wanted(&s.by));
        let lines = |sliced: &Sliced| -> Vec<Vec<String>> {
            sliced.slices.iter().map(|s| line(&m.name, &sliced.by, s)).collect()
        };
        slicings.flat_map(lines).collect()
    };
    let header = ["dictionary", "by", "part", "rows", "L0", "FVU", "CE", "Δloss", "loss recovered"];
    let caption = "scores of a part of the rows and targets; FVU is a share of the part's own variance";
    Table::new((heading, caption, &header), 3, terminal, file.metrics.iter().flat_map(of).collect())
}

fn truth(file: &EvaluationFile) -> Option<Table> {
    let (header, rows) = truth_cells(&truth_rows(file.truth.as_ref()?));
    let caption = "F1: does one feature fire where a variable has one of its values? Mean over the variables that the model represents; the last \
                   four are the same of baselines. Valid: beats each by 0.05";
    Table::new(("Against the truth", caption, &header), 1, Terminal::Not, rows)
}

const TRANSFER: Head<'_> = (
    ELSEWHERE,
    "the same dictionaries on the same tokens of another model. Differences are there less at home, paired over documents; alive: features that fire \
     at home, there, in both; correlation of ln frequency over those of both",
    &[
        "dictionary",
        "on",
        "L0",
        "ΔL0",
        "FVU",
        "ΔFVU",
        "Δloss",
        "of Δloss",
        "alive at home",
        "there",
        "in both",
        "correlation",
    ],
);

fn transfer(file: &EvaluationFile) -> Vec<Vec<String>> {
    let row = |place: usize| -> Option<Vec<String>> {
        let (model, found) = file.elsewhere(place)?;
        let change = |metric| found.change(metric).map_or_else(none, difference);
        let s = &found.scores;
        let pairs = [(&s.l0, Metric::L0), (&s.fvu, Metric::Fvu), (&s.delta_loss, Metric::DeltaLoss)];
        let scores = pairs.iter().flat_map(|(found, metric)| [score(found), change(*metric)]);
        let f = &found.firing;
        let counts = [f.home, f.there, f.both].map(count);
        let names = [short(&s.name), model.name.clone()];
        Some(
            names
                .into_iter()
                .chain(scores)
                .chain(counts)
                .chain([within(f.correlation, &f.interval)])
                .collect(),
        )
    };
    (0..file.scores.len()).filter_map(row).collect()
}

const JUDGE: Head<'_> = (
    "By a judge",
    "explanations of features before a model that is asked: detection and fuzzing (chance 0.5), simulation (correlation), answers that could not \
     be read",
    &["dictionary", "judge", "features", "detection", "fuzzing", "simulation", "unread"],
);

fn judged(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |j: &crate::judging::JudgeScores| {
        let [detection, fuzzing, simulation] =
            [&j.detection, &j.fuzzing, &j.simulation].map(|mean| within(mean.value, &mean.interval));
        let unread = count(j.parse_failures);
        vec![short(&m.name), j.model.clone(), count(j.n), detection, fuzzing, simulation, unread]
    };
    m.judge.iter().filter(|j| j.n > 0).map(row).collect()
}

const PRECISION: Head<'_> = (
    "In fewer bits",
    "every dictionary with its matrices in fewer bits, against itself in f32: what each score changes by, paired over documents, p of the change \
     of Δloss, the share of active features that flip, and of features whose activations stay the same (correlation of 0.95 and more)",
    &["dictionary", "bits", "size", "L0", "FVU", "Δloss", "p", "flips", "survive"],
);

fn precision(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |r: &Rounded| {
        let found = |metric: Metric| r.changes.iter().find(|c| c.metric == metric);
        let [l0, fvu, delta] =
            [Metric::L0, Metric::Fvu, Metric::DeltaLoss].map(|m| found(m).map_or_else(none, difference));
        let p = found(Metric::DeltaLoss).map_or_else(none, |c| format!("{:.3}", c.p));
        let shares = [r.survival.flip_rate, r.survival.survival].map(percent);
        let [flips, survive] = shares;
        vec![short(&m.name), r.bits.name().into(), bytes(r.bytes), l0, fvu, delta, p, flips, survive]
    };
    m.precision.iter().map(row).collect()
}

/// With a sign.
pub(crate) fn difference(c: &Comparison) -> String {
    let sign = if c.difference > 0.0 { "+" } else { "" };
    beside(format!("{sign}{}", three(c.difference)), &c.interval)
}

const PROBES: Head<'_> = (
    "Probes of labels",
    "on documents that they were not fitted on, means over labels: of k features, and of as many principal components, neurons and random features; \
     dense reads all of the row",
    &["dictionary", "of", "k", "labels", "AUROC", "F1"],
);

fn probing(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |p: &lapidary_evaluation::probing::ProbeMeans| {
        let k = p.k.map_or("all".into(), |k| k.to_string());
        let [auroc, f1] = [within(p.auroc, &p.auroc_interval), within(p.f1, &p.f1_interval)];
        vec![short(&m.name), p.source.clone(), k, count(p.n), auroc, f1]
    };
    m.probing.iter().map(row).collect()
}

const ABSORPTION: Head<'_> = (
    "Absorption of labels",
    "fraction and full as published, over all labels that a probe finds; of the labels that the split features stand for (F1 of .5), the share of \
     rows in which a narrower feature fires in their place: narrow, by directions; by labels, without them; off, how far the two are apart",
    &["dictionary", "labels", "split", "F1", "fraction", "full", "stood for", "narrow", "by labels", "off"],
);

fn absorption(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |a: &lapidary_evaluation::absorption::Absorption| {
        vec![
            short(&m.name),
            count(a.n),
            format!("{:.2}", a.split),
            three(a.f1),
            within(a.fraction, &a.fraction_interval),
            within(a.full, &a.full_interval),
            count(a.stood_for),
            within(a.narrow, &a.narrow_interval),
            within(a.stood_for_exact, &a.stood_for_exact_interval),
            within(a.off, &a.off_interval),
        ]
    };
    m.absorption.iter().map(row).collect()
}

const RAVEL: Head<'_> = (
    "Attributes by interchange",
    "k columns of one attribute are swapped from the token on that names a thing. Cause: the model then says the attribute of the other thing; isolation: asked \
     for another attribute, it says what it said; score: their mean, which is .5 for changing nothing. Whole: the rows are swapped",
    &["dictionary", "of", "k", "pairs", "cause", "isolation", "score"],
);

fn ravel(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let of = |found: &lapidary_evaluation::disentangling::Disentangling| -> Vec<Vec<String>> {
        let row = |s: &lapidary_evaluation::disentangling::Interchange| {
            let cause = within(s.cause, &s.cause_interval);
            let isolation = within(s.isolation, &s.isolation_interval);
            let score = within(s.score, &s.score_interval);
            vec![short(&m.name), s.source.clone(), three(s.k), count(found.n), cause, isolation, score]
        };
        found.sources.iter().map(row).collect()
    };
    m.ravel.iter().flat_map(of).collect()
}

const READABLE: Head<'_> = (
    "Without a judge",
    "rules of at most 4 literals, on documents that they were not found on; intruder (chance 0.2); example embedding (chance 0.5)",
    &["dictionary", "features", "rule F1", "precision", "recall", "intruder", "embedding"],
);

fn readable(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    if m.rules.is_none() && m.examples.is_none() {
        return Vec::new();
    }
    let rules = m.rules.as_ref().map(|r| &r.means);
    let n = rules.map(|r| r.n).or(m.examples.as_ref().map(|e| e.intruder.n)).unwrap_or(0);
    let mean = |mean: &lapidary_evaluation::examples::Mean| within(mean.value, &mean.interval);
    vec![vec![
        short(&m.name),
        count(n),
        rules.map_or_else(none, |r| within(r.f1, &r.interval)),
        rules.map_or_else(none, |r| three(r.precision)),
        rules.map_or_else(none, |r| three(r.recall)),
        m.examples.as_ref().map_or_else(none, |e| mean(&e.intruder)),
        m.examples.as_ref().map_or_else(none, |e| mean(&e.embedding)),
    ]]
}

const UNIFORMITY: Head<'_> = (
    "Uniformity of active features",
    "exp(entropy)/L0 of their effects on the next token's logit, and of their sizes",
    &["dictionary", "rows", "L0", "effects", "sizes"],
);

fn uniformity(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |u: &lapidary_evaluation::uniformity::Uniformity| {
        let effect = within(u.effect, &u.interval);
        vec![short(&m.name), count(u.n), three(u.l0), effect, three(u.size)]
    };
    m.uniformity.iter().map(row).collect()
}

const PAIRS: Head<'_> = (
    "Against each other",
    "dictionaries of one site on the same tokens, paired over documents; at matched L0 the curves of two kinds, read off between their points. Better \
     or worse only where the 95 % interval of the difference excludes 0",
    &["a", "b", "metric", "a is", "compared", "a − b", "p"],
);

fn pair(pair: &Pair) -> Vec<String> {
    let c = &pair.comparison;
    let at = match c.levels.as_slice() {
        [] => "as they are".to_string(),
        [first, .., last] => format!("L0 {first:.1}–{last:.1}"),
        [one] => format!("L0 {one:.1}"),
    };
    let outcome = if c.metric == Metric::L0 { "–" } else { pair.judged.outcome.name() };
    let names = [short(&pair.a), short(&pair.b), c.metric.name().into(), outcome.into()];
    names.into_iter().chain([at, difference(c), format!("{:.3}", c.p)]).collect()
}

const SPREAD: Head<'_> = (
    "Over seeds",
    "dictionaries that differ in the seed of their run only",
    &["dictionaries", "metric", "seeds", "mean", "deviation"],
);

fn spread(s: &Spread) -> Vec<String> {
    let seeds = count(s.seeds.len() as u64);
    vec![s.of.clone(), s.metric.clone(), seeds, three(s.mean), three(s.deviation)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_stands_in_brackets_on_a_terminal() {
        let head = ("Heading", "caption", &["dictionary", "n", "FVU"][..]);
        let row = vec!["a".into(), "12".into(), "0.125\t0.1 to 0.2".into()];
        let table = Table::new(head, 1, Terminal::More, vec![row]).expect("a row");
        let expect = "Heading: caption\ndictionary   n               FVU\n────────────────────────────────\na           12  0.125 [0.1, 0.2]\n";
        assert_eq!(table.text(), expect);
        assert_eq!(Table::new(head, 1, Terminal::More, Vec::new()), None);
    }

    #[test]
    fn a_name_that_is_a_folder_is_its_last_part() {
        assert_eq!(short("runs/a/3.res-width64/"), "3.res-width64");
        assert_eq!(within(0.5, &Interval::Missing { reason: "x".into() }), "0.500");
    }
}
