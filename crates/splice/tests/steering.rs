//! Tests of steering on a tiny random Llama (`fixtures/evaluation/model`): the cached run against full runs, positions, special rows,
//! and what a dictionary that is perfect says of the rows afterwards.

use lapidary_dictionary::{Activation, Dictionary};
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Model, Sampling, Site, SiteKind};
use lapidary_splice::sweep::Probe;
use lapidary_splice::{Intervention, Method, Placed, Positions, Steering};
use std::ops::ControlFlow;
use std::path::Path;

const PROMPT: [u32; 5] = [1, 7, 12, 9, 30]; // 1 is BOS
const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
    Model::load(&dir, Device::detect()).expect("the fixture model")
}

/// f = x: the features are the coordinates, active at any value but for those that no f32 is below.
fn identity(d: usize) -> Dictionary {
    let mut w = vec![0.0; d * d];
    (0..d).for_each(|i| w[i * d + i] = 1.0);
    Dictionary {
        w_enc: w.clone(),
        b_enc: vec![0.0; d],
        threshold: vec![f32::MIN; d],
        w_dec: w,
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

fn placed(site: Site, dictionary: &Dictionary) -> Placed<'_> {
    Placed { name: "identity", site, output: site, dictionary }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Rows `[T, width]` of a site of a steered run.
fn rows(model: &Model, site: Site, edit: &dyn Fn(&mut [f32])) -> (Vec<f32>, Vec<f32>) {
    let mut at = Vec::new();
    let residual = model.forward(&Batch::new([PROMPT.as_slice()]), &[site], &mut |_, x| {
        edit(x);
        at = x.to_vec();
    });
    (at, residual)
}

#[test]
fn a_clamped_coordinate_has_that_value_and_bos_keeps_its_own() {
    let model = model();
    for site in model.spec.parse_sites("embed,0.att,0.mlp,1.res").unwrap() {
        let width = model.spec.width(site);
        let dictionary = identity(width);
        let one =
            Intervention { of: placed(site, &dictionary), feature: 3, method: Method::Clamp, strength: 2.5 };
        let steering = Steering::new(&model, vec![one], Positions::All, true).unwrap();
        // By hand: coordinate 3 becomes x + (2.5 − x) at every position but BOS, all else stays.
        let by_hand = |x: &mut [f32]| {
            for row in x.chunks_exact_mut(width).skip(1) {
                row[3] += 2.5 - row[3];
                assert!((row[3] - 2.5).abs() < 1e-5);
            }
        };
        let (_, expected) = rows(&model, site, &by_hand);
        assert_eq!(bits(&steering.forward(&PROMPT, 5).unwrap()), bits(&expected), "{site}");
        let (_, untouched) = rows(&model, site, &|_| {});
        assert_ne!(bits(&expected), bits(&untouched), "{site}: nothing changed");
    }
}

#[test]
fn positions_are_prompt_or_answer() {
    let model = model();
    let site = Site::new(0, SiteKind::Res);
    let width = model.spec.width(site);
    let dictionary = identity(width);
    for (positions, changed) in [(Positions::Prompt, 1..3), (Positions::Answer, 3..5), (Positions::All, 1..5)]
    {
        let one =
            Intervention { of: placed(site, &dictionary), feature: 0, method: Method::Add, strength: 4.0 };
        let steering = Steering::new(&model, vec![one], positions, true).unwrap();
        let by_hand = |x: &mut [f32]| changed.clone().for_each(|n| x[n * width] += 4.0);
        let (_, expected) = rows(&model, site, &by_hand);
        assert_eq!(bits(&steering.forward(&PROMPT, 3).unwrap()), bits(&expected), "{positions:?}");
    }
}

/// Every token that the cached run writes is the most probable one of a run of the whole sequence under the same interventions.
#[test]
fn the_cached_run_writes_what_full_runs_say() {
    let model = model();
    let (early, late) = (Site::new(0, SiteKind::Mlp), Site::new(1, SiteKind::Res));
    let (first, second) = (identity(model.spec.width(early)), identity(model.spec.width(late)));
    let of = |site, dictionary, feature, method, strength| Intervention {
        of: placed(site, dictionary),
        feature,
        method,
        strength,
    };
    let all = vec![
        of(late, &second, 1, Method::Orthogonal, -2.0),
        of(early, &first, 2, Method::Add, 3.0),
        of(late, &second, 0, Method::Cap, 0.1),
        of(early, &first, 2, Method::Ablate, 0.0),
    ];
    for positions in Positions::ALL {
        let steering = Steering::new(&model, all.clone(), positions, true).unwrap();
        let tokens = steering.generate(&PROMPT, 8, &GREEDY, &mut |_| ControlFlow::Continue(())).unwrap();
        for n in 0..tokens.len() {
            let whole = [&PROMPT, &tokens[..n]].concat();
            let residual = steering.forward(&whole, PROMPT.len()).unwrap();
            let logits = model.unembed(&residual[residual.len() - model.spec.d_model..]);
            let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            assert_eq!(tokens[n], best as u32, "{positions:?}, token {n}");
        }
    }
}

#[test]
fn without_its_error_a_row_is_its_reconstruction() {
    let model = model();
    let site = Site::new(0, SiteKind::Res);
    let width = model.spec.width(site);
    let mut dictionary = identity(width);
    dictionary.threshold[1] = f32::INFINITY; // coordinate 1 is the dictionary's error
    let one = Intervention { of: placed(site, &dictionary), feature: 0, method: Method::Add, strength: 1.0 };
    for (keep, lost) in [(true, false), (false, true)] {
        let steering = Steering::new(&model, vec![one], Positions::All, keep).unwrap();
        let by_hand = |x: &mut [f32]| {
            for row in x.chunks_exact_mut(width).skip(1) {
                row[0] += 1.0;
                row[1] = if lost { 0.0 } else { row[1] };
            }
        };
        let (_, expected) = rows(&model, site, &by_hand);
        assert_eq!(bits(&steering.forward(&PROMPT, 5).unwrap()), bits(&expected), "keep_error {keep}");
    }
}

#[test]
fn a_sweep_at_strength_zero_costs_nothing() {
    let model = model();
    let site = Site::new(0, SiteKind::Res);
    let dictionary = identity(model.spec.width(site));
    let of = placed(site, &dictionary);
    let probe = Probe { model: &model, of, feature: 2, prompt: &PROMPT, max_tokens: 6, sampling: GREEDY };
    let go_on = &mut |_| ControlFlow::Continue(());
    let default = probe.default(go_on).unwrap();
    let at = |strength| {
        let one = Intervention { of, feature: 2, method: Method::Add, strength };
        Steering::new(&model, vec![one], Positions::All, true).unwrap()
    };
    let zero = probe.point(&at(0.0), go_on).unwrap();
    assert_eq!(
        (zero.reading.clone(), zero.kl, zero.delta_loss(&default)),
        (default.clone(), Some(0.0), Some(0.0))
    );
    let strong = probe.point(&at(50.0), go_on).unwrap();
    assert!(strong.kl.unwrap() > 0.0, "{strong:?}");
    // The default answer's loss is that of the most probable tokens: no answer of as many tokens can begin with a likelier one.
    let greedy = model.forward(&Batch::new([PROMPT.as_slice()]), &[], &mut |_, _| {});
    let last = &greedy[greedy.len() - model.spec.d_model..];
    let first = |token: u32| model.cross_entropy(last, &[token])[0];
    assert!(first(strong.reading.tokens[0]) >= first(default.tokens[0]));
}

#[test]
fn what_cannot_be_done_is_named() {
    let model = model();
    let site = Site::new(0, SiteKind::Res);
    let mut dictionary = identity(model.spec.width(site));
    let width = dictionary.d_out;
    dictionary.w_dec[4 * width..5 * width].fill(0.0);
    let error = |site, feature, strength: f32| {
        let one = Intervention { of: placed(site, &dictionary), feature, method: Method::Add, strength };
        Steering::new(&model, vec![one], Positions::All, true).unwrap_err().to_string()
    };
    assert!(error(site, 4, 1.0).contains("identity/4: the feature's decoder row is the zero vector"));
    assert!(error(site, width, 1.0).contains(&format!("from 0 to {}, found {width}", width - 1)));
    assert!(error(site, 0, f32::NAN).contains("finite strength, found NaN"));
    assert!(error(Site::new(99, SiteKind::Res), 0, 1.0).contains("no inputs for 99.res"));
    let other = identity(width);
    let one = |dictionary| Intervention {
        of: placed(site, dictionary),
        feature: 0,
        method: Method::Add,
        strength: 1.0,
    };
    let two = Steering::new(&model, vec![one(&dictionary), one(&other)], Positions::All, false);
    assert!(two.unwrap_err().to_string().contains("both reconstruct 0.res"));
}
