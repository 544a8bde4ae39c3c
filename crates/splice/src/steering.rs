//! Interventions on a running model, checked once and applied at every step (`intervention.rs` has the formulas).
//!
//! All features of a dictionary are encoded from the rows as the model made them, before anything is done at their site; then the
//! interventions are made in the order in which they were asked for, each on what the ones before it left. Special positions (BOS,
//! EOS, padding; position 0 without BOS) keep their rows.

use crate::SpliceError;
use crate::intervention::{Method, Positions};
use lapidary_dictionary::Dictionary;
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Model, Sampling, Site, Stretch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A dictionary where it stands in the model.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// How errors call it.
    pub name: &'a str,
    /// What it reads.
    pub site: Site,
    /// What it writes; `site`, unless it is a transcoder.
    pub output: Site,
    /// Its features.
    pub dictionary: &'a Dictionary,
}

/// One feature, and what is done with it.
#[derive(Clone, Copy, Debug)]
pub struct Intervention<'a> {
    /// Whose feature.
    pub of: Placed<'a>,
    /// Its index.
    pub feature: usize,
    /// What is done.
    pub method: Method,
    /// s, in the units of the feature's values; for [`Method::Orthogonal`] a factor.
    pub strength: f32,
}

/// A model's interventions, ready to be applied.
#[derive(Clone, Debug)]
pub struct Steering<'a> {
    model: &'a Model,
    interventions: Vec<Intervention<'a>>,
    positions: Positions,
    keep_error: bool,
    /// Everything that is read or written, in the order of a run.
    sites: Vec<Site>,
}

/// Values of one feature at some rows, by number of the intervention; x̂ of the rows where errors are not kept.
#[derive(Default)]
struct Encoded {
    values: BTreeMap<usize, Vec<f32>>,
    reconstructions: BTreeMap<Site, Vec<f32>>,
}

impl<'a> Steering<'a> {
    /// Checks the interventions against the model. Without `keep_error` the rows are replaced by the dictionary's reconstruction
    /// before anything else is done.
    ///
    /// # Errors
    /// Names the intervention that cannot be made: a zero vector, a feature that does not exist, a dictionary of another model.
    pub fn new(
        model: &'a Model,
        interventions: Vec<Intervention<'a>>,
        positions: Positions,
        keep_error: bool,
    ) -> Result<Steering<'a>, SpliceError> {
        interventions.iter().try_for_each(|one| one.check(model))?;
        if !keep_error {
            one_reconstruction(&interventions)?;
        }
        let mut sites: Vec<Site> =
            interventions.iter().flat_map(|one| [one.of.site, one.of.output]).collect();
        sites.sort_by_key(|site| site.rank());
        sites.dedup();
        Ok(Steering { model, interventions, positions, keep_error, sites })
    }

    /// The same with every direction scaled to length 1: strengths of [`Method::Add`] and [`Method::Cap`] are then lengths.
    pub fn of_unit_directions(mut self) -> Steering<'a> {
        for one in &mut self.interventions {
            let d = one.direction();
            if let Method::Add | Method::Cap = one.method {
                one.strength /= self.model.device.dot(d, d).sqrt();
            }
        }
        self
    }

    /// Continues `prompt` under the interventions, as [`Model::generate`] does without.
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn generate(
        &self,
        prompt: &[u32],
        max_tokens: usize,
        sampling: &Sampling,
        each: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, SpliceError> {
        let mut encoded = Encoded::default();
        let mut tap = |stretch: Stretch<'_>, site, rows: &mut [f32]| {
            self.apply(stretch, site, rows, &mut encoded);
        };
        Ok(self.model.generate_tapped(prompt, max_tokens, sampling, &self.sites, &mut tap, each)?)
    }

    /// The residual stream after the last layer `[N, D]` of one sequence, the first `prompt` tokens of which are the prompt.
    ///
    /// # Errors
    /// A sequence that the model cannot read.
    pub fn forward(&self, tokens: &[u32], prompt: usize) -> Result<Vec<f32>, SpliceError> {
        self.model.spec.check_tokens(tokens)?;
        let mut encoded = Encoded::default();
        let stretch = Stretch { first: 0, tokens, prompt };
        Ok(self.model.forward(&Batch::new([tokens]), &self.sites, &mut |site, rows| {
            self.apply(stretch, site, rows, &mut encoded);
        }))
    }

    /// Does at `site` what is to be done there with the rows `[n, width]` of a stretch.
    fn apply(&self, stretch: Stretch<'_>, site: Site, rows: &mut [f32], encoded: &mut Encoded) {
        let width = rows.len() / stretch.tokens.len();
        let chosen = self.chosen(stretch);
        if chosen.is_empty() {
            return;
        }
        let x: Vec<f32> = chosen.iter().flat_map(|&n| &rows[n * width..][..width]).copied().collect();
        self.encode(site, &x, encoded);
        if let Some(recon) = encoded.reconstructions.remove(&site) {
            let pairs = chosen.iter().zip(recon.chunks_exact(width));
            pairs.for_each(|(&n, recon)| rows[n * width..][..width].copy_from_slice(recon));
        }
        for (i, one) in self.interventions.iter().enumerate().filter(|(_, one)| one.of.output == site) {
            let values = encoded.values.remove(&i).expect("the site that it reads comes first");
            for (&n, f) in chosen.iter().zip(values) {
                one.apply(self.model.device, f, &mut rows[n * width..][..width]);
            }
        }
    }

    /// Rows of a stretch that are changed: those of the asked positions that are not special.
    fn chosen(&self, stretch: Stretch<'_>) -> Vec<usize> {
        let spec = &self.model.spec;
        let is_row = |position: usize, token| !spec.is_special(token) && (position > 0 || spec.bos.is_some());
        let keep = |&n: &usize| {
            let position = stretch.first + n;
            self.positions.has(position, stretch.prompt) && is_row(position, stretch.tokens[n])
        };
        (0..stretch.tokens.len()).filter(keep).collect()
    }

    /// Encodes x `[n, width]`, once for each dictionary that reads `site`.
    fn encode(&self, site: Site, x: &[f32], encoded: &mut Encoded) {
        let mut done: Vec<*const Dictionary> = Vec::new();
        for one in self.interventions.iter().filter(|one| one.of.site == site) {
            let dictionary = one.of.dictionary;
            if done.contains(&std::ptr::from_ref(dictionary)) {
                continue;
            }
            done.push(dictionary);
            let features = dictionary.encode(self.model.device, x);
            for (i, other) in self.interventions.iter().enumerate() {
                if std::ptr::eq(other.of.dictionary, dictionary) && other.of.site == site {
                    let value = |n| {
                        features
                            .row(n)
                            .0
                            .binary_search(&(other.feature as u32))
                            .map(|at| features.row(n).1[at])
                    };
                    let values = (0..features.rows()).map(|n| value(n).unwrap_or(0.0)).collect();
                    encoded.values.insert(i, values);
                }
            }
            if !self.keep_error {
                let recon = dictionary.reconstruct(self.model.device, x, &features);
                encoded.reconstructions.insert(one.of.output, recon);
            }
        }
    }
}

impl<'a> Intervention<'a> {
    /// d `[width]`.
    fn direction(&self) -> &'a [f32] {
        let width = self.of.dictionary.d_out;
        &self.of.dictionary.w_dec[self.feature * width..][..width]
    }

    fn check(&self, model: &Model) -> Result<(), SpliceError> {
        let Placed { name, site, output, dictionary } = self.of;
        let (name, feature) = (name.to_string(), self.feature);
        self.of.check(model)?;
        if feature >= dictionary.width() {
            return Err(SpliceError::Feature { name, features: dictionary.width(), found: feature });
        }
        if self.direction().iter().all(|&x| x == 0.0) {
            return Err(SpliceError::ZeroVector { name, feature });
        }
        if !self.strength.is_finite() {
            return Err(SpliceError::Strength { name, feature, found: self.strength });
        }
        debug_assert!(site.rank() <= output.rank(), "a dictionary writes after it reads");
        Ok(())
    }

    /// Changes a row x `[width]` in which the feature has the value f.
    fn apply(&self, device: Device, f: f32, x: &mut [f32]) {
        let (d, s) = (self.direction(), self.strength);
        let along = |x: &[f32]| device.dot(x, d) / device.dot(d, d);
        let factor = match self.method {
            Method::Add => s,
            Method::Clamp => s - f,
            Method::Cap => (s - along(x)).min(0.0),
            Method::Orthogonal => (s - 1.0) * along(x),
            Method::Ablate => -f,
        };
        device.axpy(factor, d, x);
    }
}

impl Placed<'_> {
    /// Are its sites the model's, and as wide as it is?
    fn check(&self, model: &Model) -> Result<(), SpliceError> {
        let spec = &model.spec;
        let known = |site: Site| site.layer < spec.n_layers && spec.has(site.kind);
        let fits = known(self.site)
            && known(self.output)
            && self.site.rank() <= self.output.rank()
            && spec.width(self.site) == self.dictionary.d_in
            && spec.width(self.output) == self.dictionary.d_out;
        if fits {
            return Ok(());
        }
        let widths = |site: Site| if known(site) { spec.width(site).to_string() } else { "no".to_string() };
        Err(SpliceError::Width {
            name: self.name.to_string(),
            expected: format!(
                "of {} inputs for {} and {} outputs for {}, in this order",
                widths(self.site),
                self.site,
                widths(self.output),
                self.output
            ),
            found: format!("{} inputs and {} outputs", self.dictionary.d_in, self.dictionary.d_out),
        })
    }
}

/// No two dictionaries reconstruct the same site.
fn one_reconstruction(interventions: &[Intervention<'_>]) -> Result<(), SpliceError> {
    let mut of: BTreeMap<Site, Placed<'_>> = BTreeMap::new();
    for one in interventions {
        let first = of.entry(one.of.output).or_insert(one.of);
        if !std::ptr::eq(first.dictionary, one.of.dictionary) {
            let (first, second) = (first.name.to_string(), one.of.name.to_string());
            return Err(SpliceError::TwoReconstructions { first, second, site: one.of.output.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_dictionary::Activation;
    use lapidary_lm::SiteKind;

    /// d = (3, 4), so that ‖d‖² = 25; x = (1, 2), so that ⟨x, d⟩ = 11 and p = 0.44; f = 0.5.
    #[test]
    fn every_method_is_its_formula() {
        let dictionary = Dictionary {
            w_enc: vec![0.0; 2],
            b_enc: vec![0.0],
            threshold: vec![0.0],
            w_dec: vec![3.0, 4.0],
            b_dec: vec![0.0; 2],
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: 2,
            d_out: 2,
        };
        let site = Site::new(0, SiteKind::Res);
        let of = Placed { name: "hand", site, output: site, dictionary: &dictionary };
        let cases = [
            (Method::Add, 2.0, [7.0, 10.0]),
            (Method::Clamp, 2.0, [5.5, 8.0]),
            (Method::Cap, 0.2, [0.28, 1.04]),
            (Method::Cap, 0.5, [1.0, 2.0]),
            (Method::Orthogonal, 0.0, [-0.32, 0.24]),
            (Method::Orthogonal, -1.0, [-1.64, -1.52]),
            (Method::Orthogonal, 1.0, [1.0, 2.0]),
            (Method::Ablate, 9.0, [-0.5, 0.0]),
        ];
        for (method, strength, expected) in cases {
            let mut x = [1.0f32, 2.0];
            Intervention { of, feature: 0, method, strength }.apply(Device::detect(), 0.5, &mut x);
            let error = x.iter().zip(expected).map(|(x, e): (&f32, f32)| (x - e).abs()).fold(0.0, f32::max);
            assert!(error < 1e-6, "{method:?} {strength}: expected {expected:?}, found {x:?}");
        }
    }
}
