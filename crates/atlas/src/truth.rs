//! What is known of every row of the text, where somebody knows it, and which of it a feature says: F1 of "the feature fires" and
//! "this is true here", over all rows.

use serde::{Deserialize, Serialize};

/// Something that is true in fewer rows is not compared: its F1 says little.
const LEAST_ROWS: u64 = 20;

/// What is true of every row, in the order of the corpus.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// Names of the yes/no questions [V]: `carry = 1`.
    pub names: Vec<String>,
    /// The same in plain words [V], where there are such.
    pub phrases: Vec<Option<String>>,
    /// Which are shown token by token [V].
    pub shown: Vec<bool>,
    /// [N + 1]: row n has `on[starts[n]..starts[n + 1]]`.
    pub starts: Vec<usize>,
    /// Questions that are answered yes.
    pub on: Vec<u32>,
}

impl Truth {
    /// Questions that are answered yes in row n.
    pub fn row(&self, n: usize) -> &[u32] {
        &self.on[self.starts[n]..self.starts[n + 1]]
    }

    /// Rows in which each is true [V].
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.names.len()];
        self.on.iter().for_each(|&v| counts[v as usize] += 1);
        counts
    }
}

/// The question that a feature answers best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Which.
    pub variable: String,
    /// In plain words, or its name.
    pub phrase: String,
    /// 2 · both / (rows where it is true + rows where the feature fires).
    pub f1: f64,
    /// The share of the feature's firings where it is true.
    pub precision: f64,
    /// The share of its rows in which the feature fires.
    pub recall: f64,
}

/// Rows in which a feature fires and something is true, of one feature [V]; empty where nothing is known.
pub type Both = Vec<u32>;

/// Adds the rows of a batch, which begins at row `first` of the corpus, to the counts of a feature that fires in the rows `at`.
pub fn see(both: &mut Both, truth: &Truth, first: usize, at: &[u32]) {
    for &n in at {
        truth.row(first + n as usize).iter().for_each(|&v| both[v as usize] += 1);
    }
}

/// The best match of a feature that fires in `fires` of `rows` rows; questions that are true in more than half of the rows, or in
/// very few, are left out. `counts` are [`Truth::counts`].
pub fn best(truth: &Truth, counts: &[u64], both: &Both, fires: u64, rows: u64) -> Option<Match> {
    let f1 = |v: usize| 2.0 * f64::from(both[v]) / (counts[v] + fires) as f64;
    let kept = (0..both.len()).filter(|&v| both[v] > 0 && (LEAST_ROWS..=rows / 2).contains(&counts[v]));
    let v = kept.reduce(|best, v| if f1(v) > f1(best) { v } else { best })?;
    Some(Match {
        variable: truth.names[v].clone(),
        phrase: truth.phrases[v].clone().unwrap_or_else(|| truth.names[v].clone()),
        f1: f1(v),
        precision: f64::from(both[v]) / fires as f64,
        recall: f64::from(both[v]) / counts[v] as f64,
    })
}

/// For every feature of a batch, counted by itself.
pub fn none_yet(truth: Option<&Truth>, width: usize) -> Vec<Both> {
    let each = truth.map_or(0, |truth| truth.names.len());
    vec![vec![0; each]; width]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 60 rows; question 0 is true in the first 30, question 1 in the first 20, question 2 in 5; the feature fires in the
    /// rows 0 to 23.
    #[test]
    fn the_best_match_by_hand() {
        let mut truth = Truth { names: ["a", "b", "c"].map(String::from).to_vec(), ..Truth::default() };
        truth.phrases = vec![None, Some("it is b".into()), None];
        truth.starts.push(0);
        for n in 0..60u32 {
            truth.on.extend((n < 30).then_some(0));
            truth.on.extend((n < 20).then_some(1));
            truth.on.extend((n < 5).then_some(2));
            truth.starts.push(truth.on.len());
        }
        let mut both = none_yet(Some(&truth), 1).remove(0);
        let at: Vec<u32> = (0..24).collect();
        see(&mut both, &truth, 0, &at);
        assert_eq!(both, [24, 20, 5]);
        let found = best(&truth, &truth.counts(), &both, 24, 60).unwrap();
        assert_eq!((found.variable.as_str(), found.phrase.as_str()), ("b", "it is b"));
        assert_eq!(found.f1, 2.0 * 20.0 / 44.0);
        assert_eq!((found.precision, found.recall), (20.0 / 24.0, 1.0));
        assert_eq!(best(&truth, &truth.counts(), &vec![0, 0, 0], 24, 60), None);
    }
}
