//! RoPE as a config says it, in the old style (`rope_theta`, `rope_scaling`) or the new one (`rope_parameters`). A value inside
//! the object goes before one at the top, as in transformers, but for `original_max_position_embeddings`, where the top wins.

use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Rope, RopeScaling};

/// What RoPE is where its object says nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Around {
    /// The model's longest sequence.
    pub(crate) context: usize,
    /// A.
    pub(crate) d_head: usize,
    /// Base of the frequencies.
    pub(crate) theta: f64,
    /// Share of each head that turns.
    pub(crate) partial: f64,
    /// Context of the first training, where the top of the config has it.
    pub(crate) original: Option<f64>,
}

impl Config {
    /// RoPE of a family that turns whole heads and keeps base and scaling where Llama does.
    pub(crate) fn rope(&mut self, context: usize, d_head: usize) -> Result<Rope, LmError> {
        let theta = self.number_or("rope_theta", None)?.unwrap_or(10_000.0);
        let partial = self.number_or("partial_rotary_factor", None)?.unwrap_or(1.0);
        let original = self.number_or("original_max_position_embeddings", None)?;
        let rope = self.rope_around(Around { context, d_head, theta, partial, original })?;
        match rope.width == d_head {
            true => Ok(rope),
            false => Err(self.error("partial_rotary_factor", "expected 1", "this family turns whole heads")),
        }
    }

    /// RoPE by `rope_scaling` or `rope_parameters`, of which there is at most one.
    pub(crate) fn rope_around(&mut self, around: Around) -> Result<Rope, LmError> {
        self.merge("rope_scaling", "rope_parameters")?;
        let old = self.within("rope_scaling", |object| object.rope_object(around))?;
        let new = self.within("rope_parameters", |object| object.rope_object(around))?;
        let (theta, partial) = (around.theta, around.partial);
        match old.or(new) {
            Some(rope) => Ok(rope),
            None => Ok(Rope { theta, width: self.turning(around, partial)?, scaling: RopeScaling::None }),
        }
    }

    /// What one object says.
    pub(crate) fn rope_object(&mut self, around: Around) -> Result<Rope, LmError> {
        let theta = self.number_or("rope_theta", None)?.unwrap_or(around.theta);
        let partial = self.number_or("partial_rotary_factor", None)?.unwrap_or(around.partial);
        let width = self.turning(around, partial)?;
        Ok(Rope { theta, width, scaling: self.scaling(around, width)? })
    }

    /// Components of a head that turn.
    fn turning(&self, around: Around, partial: f64) -> Result<usize, LmError> {
        let width = (around.d_head as f64 * partial) as usize;
        if partial == 1.0 || partial < 1.0 && width > 0 && width.is_multiple_of(2) {
            return Ok(width);
        }
        let problem =
            format!("{partial} of a head of width {}: not an even number of components", around.d_head);
        Err(self.error("partial_rotary_factor", problem, "correct the file"))
    }

    fn scaling(&mut self, around: Around, width: usize) -> Result<RopeScaling, LmError> {
        let (old, new) = (self.text("type")?, self.text("rope_type")?);
        let kind = new.or(old).unwrap_or_else(|| "default".to_string());
        match kind.as_str() {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: self.number("factor")? }),
            "dynamic" => self.dynamic(),
            "llama3" => Ok(RopeScaling::Llama3 {
                original_context: self.original(around)?,
                factor: self.number("factor")?,
                low_freq_factor: self.number("low_freq_factor")?,
                high_freq_factor: self.number("high_freq_factor")?,
            }),
            // Early Phi-3 files have other names for LongRoPE.
            "longrope" | "su" => self.long(around, width),
            "yarn" if self.has("short_factor") => self.long(around, width),
            "yarn" => self.yarn(around),
            other => {
                let problem =
                    format!("expected default, linear, dynamic, llama3, longrope or yarn, found {other}");
                Err(self.error("rope_type", problem, "this scaling is not implemented"))
            }
        }
    }

    /// The factor acts on sequences that are longer than the context alone.
    fn dynamic(&mut self) -> Result<RopeScaling, LmError> {
        self.number("factor")?;
        self.number_or("original_max_position_embeddings", None)?;
        Ok(RopeScaling::Dynamic)
    }

    /// Context of the first training.
    fn original(&mut self, around: Around) -> Result<f64, LmError> {
        let inside = self.number_or("original_max_position_embeddings", None)?;
        let original = around.original.or(inside).unwrap_or(around.context as f64);
        match original >= 2.0 {
            true => Ok(original),
            false => {
                let problem = format!("expected at least 2 tokens, found {original}");
                Err(self.error("original_max_position_embeddings", problem, "correct the file"))
            }
        }
    }

    fn yarn(&mut self, around: Around) -> Result<RopeScaling, LmError> {
        let original_context = self.original(around)?;
        let factor = self.number_or("factor", None)?.unwrap_or(around.context as f64 / original_context);
        let (mscale, all) = (self.number_or("mscale", None)?, self.number_or("mscale_all_dim", None)?);
        let scale = |by: f64| if factor > 1.0 { 0.1 * by * factor.ln() + 1.0 } else { 1.0 };
        let usual = match (mscale, all) {
            (Some(mscale), Some(all)) => scale(mscale) / scale(all),
            _ => scale(1.0),
        };
        Ok(RopeScaling::Yarn {
            factor,
            beta_fast: self.number_or("beta_fast", None)?.unwrap_or(32.0),
            beta_slow: self.number_or("beta_slow", None)?.unwrap_or(1.0),
            original_context,
            truncate: self.switch("truncate", true)?,
            attention_factor: self.number_or("attention_factor", None)?.unwrap_or(usual),
        })
    }

    fn long(&mut self, around: Around, width: usize) -> Result<RopeScaling, LmError> {
        let original = self.original(around)?;
        let factor = self.number_or("factor", None)?.unwrap_or(around.context as f64 / original);
        let usual = if factor > 1.0 { (1.0 + factor.ln() / original.ln()).sqrt() } else { 1.0 };
        let attention_factor = self.number_or("attention_factor", None)?.unwrap_or(usual);
        self.numbers("long_factor")?; // acts on longer sequences alone
        let factors = self.numbers("short_factor")?.unwrap_or_default();
        if factors.len() != width / 2 {
            let problem = format!("expected {} numbers, found {}", width / 2, factors.len());
            return Err(self.error("short_factor", problem, "correct the file"));
        }
        Ok(RopeScaling::Long { factors, attention_factor, original_context: original as usize })
    }
}
