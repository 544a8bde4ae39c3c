//! One batch, run once without and any number of times with something spliced in.
//!
//! To splice at a site, the model is restarted from the residual stream that enters the site's layer, with a tap that
//! replaces the site. `res` and `embed` are residual streams themselves: the replaced stream enters the next layer, and
//! nothing is recomputed. Special positions (BOS, EOS, padding; position 0 without BOS) keep their own rows.

use lapidary_dictionary::Dictionary;
use lapidary_lm::{Batch, Model, Site, SiteKind, Spec};
use lapidary_text::Window;
use std::collections::BTreeMap;

/// What stands in for the rows x [n, width] of a site.
#[derive(Clone, Copy, Debug)]
pub enum Splice<'a> {
    /// These rows [n, width], in the order of [`Base::rows`].
    Rows(&'a [f32]),
    /// x̂, the dictionary's reconstruction of x.
    Reconstruct(&'a Dictionary),
    /// One vector [width] at every row: mean-ablation, when it is the mean.
    Constant(&'a [f32]),
}

/// A batch run through the untouched model.
#[derive(Clone, Debug)]
pub struct Base {
    /// The windows, concatenated; N tokens.
    pub batch: Batch,
    /// Non-special positions in the batch, ascending [n].
    pub rows: Vec<usize>,
    /// The residual stream after the last layer [N, D].
    pub residual: Vec<f32>,
    /// Rows at every position [N, width] of the asked sites and of the streams that enter their layers.
    kept: BTreeMap<Site, Vec<f32>>,
}

impl Base {
    /// Runs `windows`, each no longer than the model's context, and keeps what splices at `sites` will need.
    pub fn run(model: &Model, windows: &[Window], sites: &[Site]) -> Base {
        let batch = Batch::new(windows.iter().map(|window| window.tokens.as_slice()));
        let mut keep: Vec<Site> = sites.iter().flat_map(|&site| [site, restart(site).1]).collect();
        keep.sort_by_key(|site| site.rank());
        keep.dedup();
        let mut kept = BTreeMap::new();
        let residual = model.forward(&batch, &keep, &mut |site, rows| {
            kept.insert(site, rows.to_vec());
        });
        Base { rows: rows(&model.spec, windows, &batch), batch, residual, kept }
    }

    /// x [n, width]: the rows of `site`, special positions left out. The site is one that [`Base::run`] was given.
    pub fn x(&self, model: &Model, site: Site) -> Vec<f32> {
        let (width, all) = (model.spec.width(site), &self.kept[&site]);
        self.rows.iter().flat_map(|&n| &all[n * width..][..width]).copied().collect()
    }

    /// The residual stream after the last layer [N, D] when the rows of `site` are replaced.
    pub fn splice(&self, model: &Model, site: Site, splice: Splice) -> Vec<f32> {
        let (layer, stream) = restart(site);
        let mut residual = self.kept[&stream].clone();
        if stream == site {
            self.replace(model, site, splice, &mut residual);
            return model.forward_from(&self.batch, layer, residual, &[], &mut |_, _| ());
        }
        model.forward_from(&self.batch, layer, residual, &[site], &mut |site, all| {
            self.replace(model, site, splice, all);
        })
    }

    /// Writes what `splice` says over the non-special rows of `all` [N, width].
    pub fn replace(&self, model: &Model, site: Site, splice: Splice, all: &mut [f32]) {
        let width = model.spec.width(site);
        let row_of = |n: &usize| *n * width..(*n + 1) * width;
        match splice {
            Splice::Rows(new) => {
                assert_eq!(new.len(), self.rows.len() * width, "splice: rows [n, width]");
                let pairs = self.rows.iter().zip(new.chunks_exact(width));
                pairs.for_each(|(n, new)| all[row_of(n)].copy_from_slice(new));
            }
            Splice::Reconstruct(dictionary) => {
                let x: Vec<f32> = self.rows.iter().flat_map(|n| &all[row_of(n)]).copied().collect();
                let features = dictionary.encode(model.device, &x);
                let recon = dictionary.reconstruct(model.device, &x, &features);
                self.replace(model, site, Splice::Rows(&recon), all);
            }
            Splice::Constant(vector) => self.rows.iter().for_each(|n| all[row_of(n)].copy_from_slice(vector)),
        }
    }
}

/// Where a splice at `site` restarts the model: the layer, and the site whose rows are the stream that enters it.
fn restart(site: Site) -> (usize, Site) {
    match (site.kind, site.layer) {
        (SiteKind::Embed, _) => (0, site),
        (SiteKind::Res, layer) => (layer + 1, site),
        (_, 0) => (0, Site::new(0, SiteKind::Embed)),
        (_, layer) => (layer, Site::new(layer - 1, SiteKind::Res)),
    }
}

/// Non-special positions [n] in the batch that `windows` make, ascending.
pub fn rows(spec: &Spec, windows: &[Window], batch: &Batch) -> Vec<usize> {
    let positions = |(window, &start): (&Window, &usize)| {
        window.row_positions(spec).map(move |position| start + position).collect::<Vec<_>>()
    };
    windows.iter().zip(&batch.starts).flat_map(positions).collect()
}
