//! The canonical choice: one dictionary for each place and width, by a rule that anybody can apply again. As in the Gemma Scope
//! paper it is the one whose L0 is nearest a target; of two that are equally near, the one with the smaller FVU.

use crate::entry::Entry;
use lapidary_report::number::significant;

/// The choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    /// L0 that was aimed at.
    pub target: f64,
    /// Was the target given? Else it is the median L0.
    pub given: bool,
    /// Places in the entries, in their order.
    pub chosen: Vec<usize>,
}

impl Canonical {
    /// Among dictionaries that are not baselines and whose L0 is a number; `target` or else their median L0, to two digits.
    pub fn new(entries: &[Entry<'_>], target: Option<f64>) -> Canonical {
        let eligible = |e: &&Entry<'_>| e.baseline.is_none() && e.scores.l0.value.is_finite();
        let aim =
            target.unwrap_or_else(|| median(entries.iter().filter(eligible).map(|e| e.scores.l0.value)));
        let key = |e: &Entry<'_>| ((e.scores.l0.value - aim).abs(), e.scores.fvu.value);
        let is_nearer = |a: &Entry<'_>, b: &Entry<'_>| {
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_lt()
        };
        let mut chosen: Vec<usize> = Vec::new();
        for (n, entry) in entries.iter().enumerate().filter(|(_, e)| eligible(e)) {
            let same = |&&mut m: &&mut usize| {
                entries[m].place == entry.place && entries[m].scores.width == entry.scores.width
            };
            match chosen.iter_mut().find(same) {
                Some(best) if is_nearer(entry, &entries[*best]) => *best = n,
                Some(_) => {}
                None => chosen.push(n),
            }
        }
        Canonical { target: aim, given: target.is_some(), chosen }
    }

    /// The rule, a sentence.
    pub fn rule(&self) -> String {
        let target = self.target;
        let whence = if self.given { "" } else { ", the median of all" };
        format!(
            "Canonical is, at each site and width, the dictionary whose L0 is nearest {target}{whence}; of two as near, the one with the smaller FVU."
        )
    }
}

/// To two digits; 0 of nothing. The lower of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    significant(middle, 2).parse().unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    #[test]
    fn nearest_the_target_at_each_place_and_width() {
        let all = [
            scores("2.res", 64, 5.0, 0.3),
            scores("2.res", 64, 11.0, 0.2),
            scores("2.res", 128, 30.0, 0.1),
            scores("4.res", 64, 8.0, 0.3),
            scores("4.res", 64, 12.0, 0.2),
            scores("4.res", 64, 10.0, 0.0),
        ];
        let mut entries: Vec<Entry<'_>> = all.iter().map(|s| Entry::new(s, &s.site, None)).collect();
        entries[5].baseline = Some("frozen decoder".into());
        // 8 and 12 are as near: the smaller FVU. What is there to be beaten is not chosen.
        assert_eq!(Canonical::new(&entries, Some(10.0)).chosen, [1, 2, 4]);
        // L0 5, 8, 11, 12, 30: the median is 11.
        let own = Canonical::new(&entries, None);
        assert_eq!((own.target, own.chosen.as_slice()), (11.0, &[1, 2, 4][..]));
        assert!(own.rule().contains("nearest 11, the median of all"), "{}", own.rule());
        assert_eq!(Canonical::new(&[], None).chosen, Vec::<usize>::new());
    }
}
