//! Rows in flight: the windows that are asked for go through the model in runs of bounded size, and what the taps see goes
//! straight to where it is wanted. A window's rows do not depend on its company (the model is batch-invariant).

use crate::HarvestError;
use lapidary_lm::{Batch, Model, Site};
use lapidary_store::{RowDtype, RowSource, SiteRows, SourceError};
use lapidary_text::Corpus;
use std::collections::HashSet;

/// Tokens of one run of the model, at most (a longer window runs alone).
pub const RUN_TOKENS: usize = 8192;

/// The rows of a corpus, made by a model when they are asked for. Fields are private: they agree with each other.
pub struct FusedRows<'a> {
    model: &'a Model,
    corpus: &'a Corpus,
    sites: Vec<Site>,
    site_rows: Vec<SiteRows>,
    window_rows: Vec<u32>,
    dtype: RowDtype,
}

impl<'a> FusedRows<'a> {
    /// Rows of every window of `corpus` at `sites`, rounded to `dtype`.
    ///
    /// # Errors
    /// No site, one twice, or one that the model does not have.
    pub fn new(
        model: &'a Model,
        corpus: &'a Corpus,
        sites: &[Site],
        dtype: RowDtype,
    ) -> Result<FusedRows<'a>, HarvestError> {
        let mut seen = HashSet::new();
        for site in sites {
            model.spec.parse_sites(&site.to_string())?;
            if !seen.insert(site) {
                return Err(HarvestError::Twice { site: site.to_string() });
            }
        }
        if sites.is_empty() {
            return Err(HarvestError::NoSites);
        }
        let row = |&site: &Site| SiteRows { site: site.to_string(), width: model.spec.width(site) };
        Ok(FusedRows {
            model,
            corpus,
            sites: sites.to_vec(),
            site_rows: sites.iter().map(row).collect(),
            window_rows: corpus.window_rows(&model.spec),
            dtype,
        })
    }

    /// One run of the model: appends the rows of `windows` to `out`.
    fn run(&self, windows: &[u32], out: &mut [Vec<f32>]) {
        let windows = windows.iter().map(|&w| &self.corpus.windows[w as usize]);
        let batch = Batch::new(windows.clone().map(|w| w.tokens.as_slice()));
        let starts = windows.zip(&batch.starts);
        let keep: Vec<usize> =
            starts.flat_map(|(w, &s)| w.row_positions(&self.model.spec).map(move |p| s + p)).collect();
        self.model.tap(&batch, &self.sites, &mut |site, values| {
            let s = self.sites.iter().position(|&other| other == site).expect("a tapped site was asked for");
            let (width, from) = (self.site_rows[s].width, out[s].len());
            keep.iter().for_each(|&n| out[s].extend_from_slice(&values[n * width..][..width]));
            self.dtype.round(&mut out[s][from..]);
        });
    }
}

impl RowSource for FusedRows<'_> {
    fn sites(&self) -> &[SiteRows] {
        &self.site_rows
    }

    fn window_rows(&self) -> &[u32] {
        &self.window_rows
    }

    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        let rows: usize = windows.iter().map(|&w| self.window_rows[w as usize] as usize).sum();
        for (site, out) in self.site_rows.iter().zip(out.iter_mut()) {
            out.clear();
            out.reserve_exact(rows * site.width); // pools are large and differ little: doubling would waste half
        }
        let silent = |w: &u32| self.window_rows[*w as usize] == 0;
        let windows: Vec<u32> = windows.iter().copied().filter(|w| !silent(w)).collect();
        for run in runs(&windows, |w| self.corpus.windows[w as usize].tokens.len()) {
            self.run(run, out);
        }
        Ok(())
    }
}

/// Cuts windows into consecutive runs of at most [`RUN_TOKENS`] tokens, one window at least.
pub(crate) fn runs(windows: &[u32], tokens: impl Fn(u32) -> usize) -> Vec<&[u32]> {
    let (mut runs, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, &w) in windows.iter().enumerate() {
        sum += tokens(w);
        if sum > RUN_TOKENS && i > start {
            runs.push(&windows[start..i]);
            (start, sum) = (i, tokens(w));
        }
    }
    if start < windows.len() {
        runs.push(&windows[start..]);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_bounded_and_keep_the_order() {
        let windows = [0, 1, 2, 3, 4];
        let tokens = |w| [5000, 3192, 1, 9000, 7][w as usize];
        assert_eq!(runs(&windows, tokens), [&[0, 1][..], &[2], &[3], &[4]]);
        assert!(runs(&[], tokens).is_empty());
        assert_eq!(runs(&[2, 4], tokens), [[2, 4]]);
    }
}
