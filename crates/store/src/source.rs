//! What a source of rows is, and the dtype that its rows are rounded to.

use half::bf16;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whatever a source meets: a file error, a model error, …
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// A site and the width of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRows {
    /// Name as in docs/design.md §1: `3.res`, `embed`.
    pub site: String,
    /// `D`, elements of one row.
    pub width: usize,
}

/// A source of rows: `W` windows, each with the same rows at every site.
pub trait RowSource {
    /// The sites, in the order of `out` in [`RowSource::read`].
    fn sites(&self) -> &[SiteRows];

    /// Rows of each window `[W]`.
    fn window_rows(&self) -> &[u32];

    /// Replaces `out[s]` by the rows `[n, D_s]` of `windows`, in that order (n = Σ `window_rows`), already rounded to
    /// the source's [`RowDtype`]. The same window gives the same bits in whatever company it is asked for.
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError>;
}

/// Precision of rows (`rows.dtype` in a plan); computing is always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowDtype {
    /// As the model gives them.
    #[default]
    F32,
    /// Rounded to nearest, ties to even: half the disk.
    Bf16,
}

impl RowDtype {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            RowDtype::F32 => 4,
            RowDtype::Bf16 => 2,
        }
    }

    /// Rounds in place to the nearest value of the dtype.
    pub fn round(self, values: &mut [f32]) {
        if self == RowDtype::Bf16 {
            values.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
    }
}

impl fmt::Display for RowDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowDtype::F32 => "f32",
            RowDtype::Bf16 => "bf16",
        })
    }
}

impl FromStr for RowDtype {
    type Err = String;
    fn from_str(s: &str) -> Result<RowDtype, String> {
        let all = [RowDtype::F32, RowDtype::Bf16];
        all.into_iter().find(|d| d.to_string() == s).ok_or(format!("expected f32 or bf16, found `{s}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let u = 1.0 / 128.0; // the step of bf16 above 1
        let mut values = [1.0 + 0.5 * u, 1.0 + 1.5 * u, -3.0, 1.0 + 0.51 * u];
        RowDtype::Bf16.round(&mut values);
        assert_eq!(values, [1.0, 1.0 + 2.0 * u, -3.0, 1.0 + u]);
        let mut values = [0.1f32];
        RowDtype::F32.round(&mut values);
        assert_eq!(values, [0.1]);
        assert_eq!(serde_json::to_string(&RowDtype::Bf16).unwrap(), "\"bf16\"");
        assert_eq!("bf16".parse(), Ok(RowDtype::Bf16));
        assert!("f16".parse::<RowDtype>().unwrap_err().contains("found `f16`"));
    }
}
