//! Rows of the first windows of a text, for what must look at many rows of one dictionary at once: which token, which window, which
//! document each is of, what is labelled, and the rows themselves at the sites that are asked for.

use crate::Labels;
use lapidary_lm::{Batch, Model, Site, Spec};
use lapidary_text::Window;
use std::collections::BTreeMap;

/// Of N rows.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Token of each row [N].
    pub tokens: Vec<u32>,
    /// Window of each row [N].
    pub windows: Vec<u32>,
    /// Labels, and the document of each row.
    pub labels: Labels,
    /// x [N, D] at every site.
    pub x: BTreeMap<Site, Vec<f32>>,
}

/// The first windows with `rows` rows or more, or all.
pub fn first_windows<'a>(windows: &'a [Window], spec: &Spec, rows: usize) -> &'a [Window] {
    let mut so_far = 0;
    let needed = windows.iter().take_while(|window| {
        let is_needed = so_far < rows;
        so_far += window.row_positions(spec).count();
        is_needed
    });
    &windows[..needed.count()]
}

impl Sample {
    /// Of `windows`, without labels yet. `tick` is told tokens.
    pub fn of(
        model: &Model,
        windows: &[Window],
        sites: &[Site],
        batch_tokens: usize,
        tick: &mut dyn FnMut(usize),
    ) -> Sample {
        let mut sample = Sample::default();
        let mut sites = sites.to_vec();
        sites.sort_by_key(|site| site.rank());
        sites.dedup();
        for (w, window) in windows.iter().enumerate() {
            for position in window.row_positions(&model.spec) {
                sample.tokens.push(window.tokens[position]);
                sample.windows.push(w as u32);
                sample.labels.documents.push(window.doc);
            }
        }
        for span in crate::evaluate::batches(windows, batch_tokens) {
            let windows = &windows[span];
            let batch = Batch::new(windows.iter().map(|window| window.tokens.as_slice()));
            let rows = lapidary_splice::rows(&model.spec, windows, &batch);
            model.tap(&batch, &sites, &mut |site, all| {
                let (width, x) = (model.spec.width(site), sample.x.entry(site).or_default());
                rows.iter().for_each(|&n| x.extend_from_slice(&all[n * width..][..width]));
            });
            tick(batch.len());
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Device;
    use std::path::Path;

    /// Three windows of one BOS and 3, 2 and 4 tokens; rows are those that the model gives window by window.
    #[test]
    fn rows_are_those_of_the_windows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
        let model = Model::load(&folder, Device::detect()).expect("the fixture model");
        let window = |doc, tokens: &[u32]| Window { doc, pos: 0, tokens: tokens.to_vec() };
        let windows = [window(4, &[1, 5, 6, 7]), window(4, &[1, 8, 9]), window(6, &[1, 5, 5, 6, 7])];
        assert_eq!(first_windows(&windows, &model.spec, 4).len(), 2);
        assert_eq!(first_windows(&windows, &model.spec, 3).len(), 1);
        assert_eq!(first_windows(&windows, &model.spec, 99).len(), 3);
        let site: Site = "1.res".parse().expect("a site");
        let sample = Sample::of(&model, &windows, &[site, site], 5, &mut |_| ());
        assert_eq!(sample.tokens, [5, 6, 7, 8, 9, 5, 5, 6, 7]);
        assert_eq!(sample.windows, [0, 0, 0, 1, 1, 2, 2, 2, 2]);
        assert_eq!(sample.labels.documents, [4, 4, 4, 4, 4, 6, 6, 6, 6]);
        let d = model.spec.width(site);
        let alone = lapidary_splice::Base::run(&model, &windows[2..], &[site]).x(&model, site);
        assert_eq!(sample.x[&site][5 * d..], alone);
    }
}
