//! Matryoshka SAEs (Bussmann et al. 2025, arXiv 2503.17547): nested widths F₁ < … < F_G = F, each a dictionary of its own.
//!
//!   loss = mean over i of ‖ŝ_i − s‖²      ŝ_i = b_dec + Σ_{j < F_i} f_j W_dec,j
//!
//! Feature j is part of every prefix with F_i > j, so its gradient is the sum of their errors. Default widths: F/16, F/8,
//! F/4, F/2, F. The paper has BatchTopK; the prefixes work with every objective here (Gemma Scope 2 says JumpReLU). What is
//! logged and released is the whole.
//!
//! A step keeps one *view* of the error per prefix, and one more where an objective reconstructs twice (Gated, AuxK).

use crate::DictionaryPlan;

/// The default widths of a dictionary of `width` features; fewer where it is too narrow for five.
pub fn default_prefixes(width: usize) -> Vec<usize> {
    let mut prefixes: Vec<usize> = [16, 8, 4, 2, 1].iter().map(|part| width / part).collect();
    prefixes.retain(|&prefix| prefix > 0);
    prefixes.dedup();
    prefixes
}

/// What the last view is for, where it is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Second {
    /// The reconstruction by the gate alone.
    Gate,
    /// ê − e of the dead features, with its α.
    Dead(f64),
}

impl Second {
    pub(crate) fn of(plan: &DictionaryPlan) -> Option<Second> {
        match (&plan.objective, plan.objective.aux()) {
            (crate::Objective::Gated, _) => Some(Second::Gate),
            (_, aux) => aux.map(|aux| Second::Dead(aux.alpha)),
        }
    }
}

/// The errors that a step keeps of each row.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    /// F_1 … F_G
    pub ends: Vec<usize>,
    pub second: Option<Second>,
}

impl Views {
    pub(crate) fn new(plan: &DictionaryPlan) -> Views {
        let ends = if plan.prefixes.is_empty() { vec![plan.width] } else { plan.prefixes.clone() };
        let ascend = ends.windows(2).all(|pair| pair[0] < pair[1]) && ends[0] > 0;
        assert!(ascend && ends.last() == Some(&plan.width), "prefixes {ends:?} ascend to F = {}", plan.width);
        Views { ends, second: Second::of(plan) }
    }

    /// M: how many there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len() + usize::from(self.second.is_some())
    }

    /// The view that feature j learns from: the first prefix that has it.
    pub(crate) fn of(&self, j: usize) -> usize {
        self.ends.partition_point(|&end| end <= j)
    }

    /// The view of the second reconstruction.
    pub(crate) fn last(&self) -> usize {
        self.count() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_learns_from_the_first_prefix_that_has_it() {
        let views = Views { ends: vec![2, 5, 9], second: None };
        let of: Vec<usize> = (0..9).map(|j| views.of(j)).collect();
        assert_eq!(of, [0, 0, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(default_prefixes(4096), [256, 512, 1024, 2048, 4096]);
        assert_eq!(default_prefixes(3), [1, 3]);
    }
}
