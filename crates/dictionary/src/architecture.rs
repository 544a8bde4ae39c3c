//! What SAELens (version 6) calls an architecture: which arrays its file holds, and what they are in a [`Dictionary`].
//!
//!   ReLU                           JumpReLU with θ = 0
//!   JumpReLU                       SAELens applies a ReLU before the jump: θ' = max(θ, 0)
//!   gated                          f = 1[W_enc x' + b_gate > 0]·relu(e^r W_enc x' + b_mag): θ' = −b_gate, b_enc' = 0
//!   b_dec taken off the input      folded away (`fold.rs`)
//!   topk, chosen by z·‖W_dec,f‖    W_enc' = ‖W_dec,f‖ W_enc, b_enc' likewise, W_dec' = W_dec / ‖W_dec,f‖
//!
//! In f64, rounded once. SAELens has no TopK and no gated transcoders: the names for them are ours, and it refuses them by name.

use crate::error::invalid;
use crate::layout::{self, Shape, check_finite};
use crate::{Activation, Dictionary, DictionaryError, Units, fold};
use lapidary_files::FileError;
use std::path::Path;

/// How a file's encoder makes features of pre-activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    Relu,
    JumpRelu,
    Gated,
    TopK,
}

/// An architecture, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub(crate) encoder: Encoder,
    /// Does it write another site than it reads?
    pub(crate) transcoder: bool,
    /// Is there a W_skip?
    pub(crate) skip: bool,
}

const fn architecture(encoder: Encoder, transcoder: bool, skip: bool) -> Architecture {
    Architecture { encoder, transcoder, skip }
}

/// Every one that is read, by its name in `cfg.json`.
const KNOWN: [(&str, Architecture); 12] = [
    ("standard", architecture(Encoder::Relu, false, false)),
    ("jumprelu", architecture(Encoder::JumpRelu, false, false)),
    ("gated", architecture(Encoder::Gated, false, false)),
    ("topk", architecture(Encoder::TopK, false, false)),
    ("transcoder", architecture(Encoder::Relu, true, false)),
    ("skip_transcoder", architecture(Encoder::Relu, true, true)),
    ("jumprelu_transcoder", architecture(Encoder::JumpRelu, true, false)),
    ("jumprelu_skip_transcoder", architecture(Encoder::JumpRelu, true, true)),
    ("gated_transcoder", architecture(Encoder::Gated, true, false)),
    ("gated_skip_transcoder", architecture(Encoder::Gated, true, true)),
    ("topk_transcoder", architecture(Encoder::TopK, true, false)),
    ("topk_skip_transcoder", architecture(Encoder::TopK, true, true)),
];

/// The names of [`KNOWN`] for a message.
pub(crate) const NAMES: &str = "`standard`, `jumprelu`, `gated`, `topk`, or `transcoder` (also with `skip_`, `jumprelu_`, `gated_`, `topk_` before it)";

impl Architecture {
    pub(crate) fn by_name(name: &str) -> Option<Architecture> {
        KNOWN.iter().find(|known| known.0 == name).map(|known| known.1)
    }

    /// As which `dictionary` is written.
    pub(crate) fn of(dictionary: &Dictionary, transcoder: bool) -> Architecture {
        let encoder = match dictionary.activation {
            Activation::JumpRelu => Encoder::JumpRelu,
            Activation::TopK { .. } => Encoder::TopK,
            Activation::Gated { .. } => Encoder::Gated,
        };
        let skip = dictionary.w_skip.is_some();
        Architecture { encoder, transcoder: transcoder || skip, skip }
    }

    /// Its name; every one that [`Architecture::of`] makes has one.
    pub(crate) fn name(self) -> &'static str {
        KNOWN.iter().find(|known| known.1 == self).expect("a known architecture").0
    }

    /// The arrays of its file with their shapes.
    pub(crate) fn arrays(self, shape: Shape) -> Vec<(&'static str, Vec<usize>)> {
        let Shape { d_in, features, d_out } = shape;
        let names: &[&'static str] = match self.encoder {
            Encoder::Relu | Encoder::TopK => &["W_enc", "W_dec", "b_enc", "b_dec"],
            Encoder::JumpRelu => &["W_enc", "W_dec", "b_enc", "b_dec", "threshold"],
            Encoder::Gated => &["W_enc", "W_dec", "b_gate", "b_mag", "r_mag", "b_dec"],
        };
        let names = names.iter().copied().chain(self.skip.then_some("W_skip"));
        let dims = |name| match name {
            "W_enc" => vec![d_in, features],
            "W_dec" => vec![features, d_out],
            "b_dec" => vec![d_out],
            "W_skip" => vec![d_out, d_in],
            _ => vec![features],
        };
        names.map(|name| (name, dims(name))).collect()
    }
}

/// What else `cfg.json` says about the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Most features per row, of a TopK encoder.
    pub(crate) k: usize,
    /// Does a TopK encoder choose by z·‖W_dec,f‖?
    pub(crate) by_decoder_norm: bool,
    /// Does the encoder take b_dec off its input?
    pub(crate) pre_bias: bool,
    /// Does a JumpReLU encoder apply a ReLU before the jump?
    pub(crate) relu: bool,
}

/// Builds the dictionary of a file at `path`, of which `read(name, shape)` gives the arrays.
pub(crate) fn into_dictionary(
    path: &Path,
    architecture: Architecture,
    shape: Shape,
    options: Options,
    read: impl Fn(&str, &[usize]) -> Result<Vec<f32>, FileError>,
) -> Result<Dictionary, DictionaryError> {
    let arrays = architecture.arrays(shape);
    let get = |name: &'static str| -> Result<Vec<f32>, DictionaryError> {
        let dims = &arrays.iter().find(|array| array.0 == name).expect("an array of this architecture").1;
        let values = read(name, dims)?;
        check_finite(path, name, &values, dims)?;
        Ok(values)
    };
    let (mut w_enc, mut w_dec, b_dec) = (get("W_enc")?, get("W_dec")?, get("b_dec")?);
    let zeros = || vec![0.0f32; shape.features];
    let (mut b_enc, mut threshold, activation) = match architecture.encoder {
        Encoder::Relu => (get("b_enc")?, zeros(), Activation::JumpRelu),
        Encoder::TopK => (get("b_enc")?, zeros(), Activation::TopK { k: options.k }),
        Encoder::JumpRelu => (get("b_enc")?, get("threshold")?, Activation::JumpRelu),
        Encoder::Gated => {
            let (b_gate, b_mag, r_mag) = (get("b_gate")?, get("b_mag")?, get("r_mag")?);
            check_scales(path, &r_mag)?;
            (zeros(), b_gate.iter().map(|b| -b).collect(), Activation::Gated { r_mag, b_mag })
        }
    };
    if options.by_decoder_norm {
        fold_decoder_norm(&mut w_enc, &mut b_enc, &mut w_dec);
    }
    if options.relu && activation == Activation::JumpRelu {
        layout::after_relu(&mut threshold);
    }
    let w_skip = architecture.skip.then(|| get("W_skip")).transpose()?;
    let arrays = [w_enc, w_dec, b_enc, b_dec, threshold];
    let dictionary = Dictionary { w_skip, activation, ..layout::into_dictionary(path, shape, arrays)? };
    if !options.pre_bias {
        return Ok(dictionary);
    }
    let folded = fold(dictionary, Units::sae(1.0));
    layout::check_parameters(path, &folded)?; // a sum may have become infinite
    Ok(folded)
}

/// An e^r that f32 cannot hold makes infinities.
fn check_scales(path: &Path, r_mag: &[f32]) -> Result<(), DictionaryError> {
    let infinite = |scale: &f64| (*scale as f32).is_infinite();
    let Some(f) = Activation::scales(r_mag).iter().position(infinite) else { return Ok(()) };
    let expected = "`r_mag` with an exponential that f32 can hold";
    Err(invalid(path, expected, format!("{} at [{f}]", r_mag[f]), "fetch it again"))
}

/// Moves ‖W_dec,f‖ into the encoder. A row of zeros, which nothing can choose, stays one.
fn fold_decoder_norm(w_enc: &mut [f32], b_enc: &mut [f32], w_dec: &mut [f32]) {
    let rows = w_dec.chunks_exact_mut(w_dec.len() / b_enc.len());
    let norm = |row: &[f32]| row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    let norms: Vec<f64> = rows
        .map(|row| {
            let norm = norm(row);
            row.iter_mut().filter(|_| norm > 0.0).for_each(|w| *w = (f64::from(*w) / norm) as f32);
            norm
        })
        .collect();
    multiply_columns(w_enc, &norms);
    multiply_columns(b_enc, &norms);
}

/// `a` `[N, F]` times `by` `[F]`.
fn multiply_columns(a: &mut [f32], by: &[f64]) {
    for row in a.chunks_exact_mut(by.len()) {
        row.iter_mut().zip(by).for_each(|(a, by)| *a = (f64::from(*a) * by) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Device;
    use std::collections::HashMap;

    const SHAPE: Shape = Shape { d_in: 1, features: 3, d_out: 1 };

    fn build(name: &str, options: Options, arrays: &[(&str, &[f32])]) -> Result<Dictionary, String> {
        let arrays: HashMap<&str, &[f32]> = arrays.iter().copied().collect();
        let architecture = Architecture::by_name(name).expect("known");
        let read = |name: &str, shape: &[usize]| {
            let values = arrays[name].to_vec();
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
            Ok(values)
        };
        into_dictionary(Path::new("d"), architecture, SHAPE, options, read).map_err(|e| e.to_string())
    }

    const PLAIN: Options = Options { k: 1, by_decoder_norm: false, pre_bias: false, relu: true };

    /// W_enc x' + b_enc with x' = x − b_dec, by hand: b_enc − W_enc b_dec = 1 − 2·10.
    #[test]
    fn an_input_bias_is_folded_away() {
        let arrays: [(&str, &[f32]); 5] = [
            ("W_enc", &[2.0, 3.0, 0.0]),
            ("W_dec", &[0.0; 3]),
            ("b_dec", &[10.0]),
            ("b_enc", &[1.0, 0.0, 5.0]),
            ("threshold", &[0.5; 3]),
        ];
        let folded = build("jumprelu", Options { pre_bias: true, ..PLAIN }, &arrays).unwrap();
        assert_eq!((&folded.b_enc[..], &folded.b_dec[..]), (&[-19.0, -30.0, 5.0][..], &[10.0][..]));
        let mut huge = arrays;
        huge[2].1 = &[3e38];
        let text = build("jumprelu", Options { pre_bias: true, ..PLAIN }, &huge).unwrap_err();
        assert!(text.contains("-inf at `b_enc`[0]"), "{text}");
    }

    /// The dense features of one row x by the paper's formula, beside ours; and as one JumpReLU where that is exact.
    #[test]
    fn a_gated_encoder_keeps_its_gate() {
        let (w, r) = ([2.0f32, -1.0, 0.5], [0.0f32, 0.7, -1.3]);
        let (b_gate, b_mag, b_dec) = ([-0.5f32, 0.2, 0.1], [0.25f32, -0.4, 0.3], 0.125f32);
        let arrays: [(&str, &[f32]); 6] = [
            ("W_enc", &w),
            ("W_dec", &[1.0; 3]),
            ("b_dec", &[b_dec]),
            ("b_gate", &b_gate),
            ("b_mag", &b_mag),
            ("r_mag", &r),
        ];
        let dictionary = build("gated", Options { pre_bias: true, ..PLAIN }, &arrays).unwrap();
        let jump = dictionary.clone().without_gate().unwrap();
        assert!(jump.threshold.iter().all(|&t| t >= 0.0) && jump.threshold[0] == 0.75);
        let mut seen = [[0; 2]; 3]; // how often each was off and on
        for step in -400..400 {
            let x = step as f32 * 0.01 + 0.003;
            let [active, folded] = [&dictionary, &jump].map(|d| d.encode(Device::detect(), &[x]));
            assert_eq!(active.index, folded.index, "x {x}");
            for f in 0..3 {
                let product = f64::from(w[f]) * f64::from(x - b_dec);
                let gate = product + f64::from(b_gate[f]) > 0.0;
                let magnitude = (product * f64::from(r[f]).exp() + f64::from(b_mag[f])).max(0.0);
                let expected = if gate { magnitude } else { 0.0 };
                let found = active.row(0).0.iter().position(|&i| i == f as u32);
                let found = found.map_or(0.0, |i| f64::from(active.row(0).1[i]));
                assert!((found - expected).abs() < 1e-5, "x {x} feature {f}: {found} and {expected}");
                seen[f][usize::from(expected > 0.0)] += 1;
            }
        }
        assert!(seen.iter().flatten().all(|&n| n > 100), "{seen:?}");
        let mut wild = arrays;
        wild[5].1 = &[0.0, 200.0, 0.0];
        let text = build("gated", PLAIN, &wild).unwrap_err();
        assert!(text.contains("`r_mag`") && text.contains("found 200 at [1]"), "{text}");
        wild[5].1 = &[0.0, -3.0, 0.0];
        assert_eq!(build("gated", PLAIN, &wild).unwrap().without_gate(), None);
    }

    /// Norms 2, 0.5 and 0: z = (3, 4, 9) counts as (6, 2, 0), so k = 1 takes feature 0, and x̂ is that of z = 3.
    #[test]
    fn a_choice_by_decoder_norm_is_folded() {
        let arrays: [(&str, &[f32]); 4] = [
            ("W_enc", &[2.0, 4.0, 8.0]),
            ("W_dec", &[-2.0, 0.5, 0.0]),
            ("b_dec", &[1.0]),
            ("b_enc", &[1.0, 0.0, 1.0]),
        ];
        let dictionary = build("topk", Options { by_decoder_norm: true, ..PLAIN }, &arrays).unwrap();
        let active = dictionary.encode(Device::detect(), &[1.0]);
        assert_eq!(active.row(0), (&[0][..], &[6.0][..]));
        assert_eq!(dictionary.decode(Device::detect(), &active), [1.0 - 2.0 * 3.0]);
        let plain = build("topk", PLAIN, &arrays).unwrap();
        assert_eq!(plain.encode(Device::detect(), &[1.0]).row(0), (&[2][..], &[9.0][..]));
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for (name, architecture) in KNOWN {
            assert_eq!((architecture.name(), Architecture::by_name(name)), (name, Some(architecture)));
        }
        assert_eq!(Architecture::by_name("batchtopk"), None);
    }
}
