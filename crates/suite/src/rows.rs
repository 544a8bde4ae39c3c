//! Rows of a model beside those of its randomised twin: the same windows in the same order, so that a `random-lm` baseline
//! sees exactly the text that the dictionary beside it sees. The twin's rows are named `2.res@random-lm`.

use lapidary_harvest::FusedRows;
use lapidary_lm::{Site, Spec};
use lapidary_store::{RowSource, SiteRows, SourceError};
use lapidary_trainer::{Baseline, row_set};

/// What rows there will be: the real model's, then the twin's.
pub fn site_rows(spec: &Spec, real: &[Site], random: &[Site]) -> Vec<SiteRows> {
    let named = |site: Site, baseline| SiteRows {
        site: row_set(&site.to_string(), baseline),
        width: spec.width(site),
    };
    let real = real.iter().map(|&site| named(site, None));
    real.chain(random.iter().map(|&site| named(site, Some(Baseline::RandomLm)))).collect()
}

/// Two passes that serve as one source. Fields are private: they agree with each other.
pub struct WithRandom<'a> {
    real: FusedRows<'a>,
    random: FusedRows<'a>,
    /// The real model's sites, then the twin's.
    sites: Vec<SiteRows>,
}

impl<'a> WithRandom<'a> {
    /// Both must be rows of the same corpus.
    pub fn new(real: FusedRows<'a>, random: FusedRows<'a>) -> WithRandom<'a> {
        assert_eq!(real.window_rows(), random.window_rows(), "rows of two corpora");
        let of_random =
            |s: &SiteRows| SiteRows { site: row_set(&s.site, Some(Baseline::RandomLm)), width: s.width };
        let sites = real.sites().iter().cloned().chain(random.sites().iter().map(of_random)).collect();
        WithRandom { real, random, sites }
    }
}

impl RowSource for WithRandom<'_> {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }

    fn window_rows(&self) -> &[u32] {
        self.real.window_rows()
    }

    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        let (real, random) = out.split_at_mut(self.real.sites().len());
        self.real.read(windows, real)?;
        self.random.read(windows, random)
    }
}
