//! Rows that are held in memory, because several trainings read them: one pass of the model serves all seeds.

use crate::LabError;
use lapidary_evaluation::low_precision::Bits;
use lapidary_store::{RowSource, SiteRows, SourceError};

/// Windows that are read at a time.
const WINDOWS: usize = 128;

/// The rows of a source. Fields are private: they agree with each other.
pub struct Held {
    sites: Vec<SiteRows>,
    window_rows: Vec<u32>,
    starts: Vec<usize>,  // [W + 1]
    rows: Vec<Vec<f32>>, // per site [rows, D]
}

impl Held {
    /// Reads all of `source`; `progress(done, total)` is told rows.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read(source: &mut dyn RowSource, progress: &mut dyn FnMut(u64, u64)) -> Result<Held, LabError> {
        let (sites, window_rows) = (source.sites().to_vec(), source.window_rows().to_vec());
        let mut starts = vec![0];
        window_rows.iter().for_each(|&n| starts.push(starts[starts.len() - 1] + n as usize));
        let total = starts[starts.len() - 1];
        let mut rows: Vec<Vec<f32>> = sites.iter().map(|s| Vec::with_capacity(total * s.width)).collect();
        let mut part = vec![Vec::new(); sites.len()];
        let all: Vec<u32> = (0..window_rows.len() as u32).collect();
        for windows in all.chunks(WINDOWS) {
            source.read(windows, &mut part).map_err(LabError::Rows)?;
            rows.iter_mut().zip(&part).for_each(|(rows, part)| rows.extend_from_slice(part));
            progress((rows[0].len() / sites[0].width) as u64, total as u64);
        }
        Ok(Held { sites, window_rows, starts, rows })
    }

    /// The rows [N, D] of a site that was read.
    pub fn rows(&self, site: &str) -> &[f32] {
        &self.rows[self.sites.iter().position(|s| s.site == site).expect("the site was asked for")]
    }

    /// A view of it as a source, with every row rounded by `round`.
    pub fn source(&self, round: Bits) -> HeldRows<'_> {
        HeldRows { held: self, round }
    }
}

/// Held rows as a source for the trainer.
pub struct HeldRows<'a> {
    held: &'a Held,
    round: Bits,
}

impl RowSource for HeldRows<'_> {
    fn sites(&self) -> &[SiteRows] {
        &self.held.sites
    }

    fn window_rows(&self) -> &[u32] {
        &self.held.window_rows
    }

    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        for ((site, rows), out) in self.held.sites.iter().zip(&self.held.rows).zip(out) {
            out.clear();
            for &w in windows {
                let [from, to] = [w as usize, w as usize + 1].map(|w| self.held.starts[w] * site.width);
                out.extend_from_slice(&rows[from..to]);
            }
            self.round.round(out, site.width);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ground_truth::planted::rows::PlantedRows;
    use lapidary_world::planted::{Planted, PlantedConfig, Size};

    #[test]
    fn held_rows_are_the_rows() {
        let config = PlantedConfig {
            d: 24,
            features: 200,
            roots: 4,
            branching: 3,
            depth: 2,
            circles: 3,
            ..Size::Everyday.config()
        };
        let planted = Planted::new(7, config);
        let mut source = PlantedRows::new(&planted, 2_100);
        let held = Held::read(&mut source, &mut |_, _| ()).unwrap();
        let (mut expected, mut found) = (vec![Vec::new()], vec![vec![1.0; 3]]);
        source.read(&[2, 0], &mut expected).unwrap();
        held.source(Bits::F32).read(&[2, 0], &mut found).unwrap();
        assert!(expected == found && found[0].len() == (52 + 1_024) * 24);
    }
}
