//! Splices on a tiny random Llama (`fixtures/evaluation/model`): suffix reruns against full runs, bit by bit, at every site.

use lapidary_dictionary::{Activation, Dictionary};
use lapidary_kernels::Device;
use lapidary_lm::{Model, Site};
use lapidary_splice::{Base, Splice};
use lapidary_text::Window;
use std::path::Path;

const BOS: u32 = 1;
const EOS: u32 = 2;

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
    Model::load(&dir, Device::detect()).expect("the fixture model")
}

/// Three ragged windows; an EOS stands inside the second.
fn windows() -> Vec<Window> {
    let window = |doc, tokens: &[u32]| Window { doc, pos: 0, tokens: tokens.to_vec() };
    let long: Vec<u32> = [BOS].into_iter().chain((0..30).map(|i| 3 + i * 7 % 37)).collect();
    vec![window(0, &[BOS, 5, 9, 12]), window(1, &[BOS, 7, EOS, 8, 30, 11]), window(1, &long)]
}

fn all_sites(model: &Model) -> Vec<Site> {
    model.spec.parse_sites("all").expect("every model has sites")
}

/// Numbers in [-2, 2) that follow no pattern a bug could share.
fn noise(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 22) as f32 - 2.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_suffix_gives_the_bits_of_a_full_run() {
    let (model, windows) = (model(), windows());
    let sites = all_sites(&model);
    let base = Base::run(&model, &windows, &sites);
    assert_eq!(base.rows.len(), 3 + 4 + 30);
    for &site in &sites {
        let width = model.spec.width(site);
        let (rows, vector) = (noise(base.rows.len() * width), noise(width));
        for splice in [Splice::Rows(&rows), Splice::Constant(&vector)] {
            let suffix = base.splice(&model, site, splice);
            let full =
                model.forward(&base.batch, &[site], &mut |site, all| base.replace(&model, site, splice, all));
            assert_eq!(bits(&suffix), bits(&full), "{site}");
            assert_ne!(bits(&suffix), bits(&base.residual), "{site}: the splice changed nothing");
        }
    }
}

#[test]
fn splicing_the_rows_themselves_changes_no_bit() {
    let (model, windows) = (model(), windows());
    let sites = all_sites(&model);
    let base = Base::run(&model, &windows, &sites);
    for &site in &sites {
        let x = base.x(&model, site);
        assert_eq!(bits(&base.splice(&model, site, Splice::Rows(&x))), bits(&base.residual), "{site}");
        let perfect = perfect(model.spec.width(site));
        let spliced = base.splice(&model, site, Splice::Reconstruct(&perfect));
        assert_eq!(bits(&spliced), bits(&base.residual), "{site}, by a perfect dictionary");
    }
}

/// x̂ = x: features are the positive and the negative part of each coordinate.
fn perfect(d: usize) -> Dictionary {
    let mut w = vec![0.0; 2 * d * d];
    for i in 0..d {
        w[i * d + i] = 1.0;
        w[(d + i) * d + i] = -1.0;
    }
    let zeros = vec![0.0; 2 * d];
    Dictionary {
        w_enc: w.clone(),
        b_enc: zeros.clone(),
        threshold: zeros,
        w_dec: w,
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

#[test]
fn special_positions_keep_their_rows() {
    let (model, windows) = (model(), windows());
    let sites = all_sites(&model);
    let base = Base::run(&model, &windows, &sites);
    let special: Vec<usize> = (0..base.batch.len()).filter(|n| !base.rows.contains(n)).collect();
    assert_eq!(special, [0, 4, 6, 10], "three BOS and one EOS");
    for &site in &sites {
        let width = model.spec.width(site);
        let vector = noise(width);
        let (before, mut after) = (noise(base.batch.len() * width), noise(base.batch.len() * width));
        base.replace(&model, site, Splice::Constant(&vector), &mut after);
        for n in 0..base.batch.len() {
            let expect = if special.contains(&n) { &before[n * width..][..width] } else { &vector };
            assert_eq!(&after[n * width..][..width], expect, "{site}, position {n}");
        }
        // BOS sees only itself: whatever is spliced in after it, its own stream is untouched to the last layer.
        let (spliced, d) = (base.splice(&model, site, Splice::Constant(&vector)), model.spec.d_model);
        for n in [0, 4, 10] {
            assert_eq!(
                bits(&spliced[n * d..][..d]),
                bits(&base.residual[n * d..][..d]),
                "{site}, BOS at {n}"
            );
        }
    }
}

#[test]
fn a_window_does_not_feel_its_neighbours() {
    let (model, windows) = (model(), windows());
    let sites = all_sites(&model);
    let (together, alone) = (Base::run(&model, &windows, &sites), Base::run(&model, &windows[1..2], &sites));
    let d = model.spec.d_model;
    for &site in &sites {
        let vector = noise(model.spec.width(site));
        let [together, alone] =
            [&together, &alone].map(|base| base.splice(&model, site, Splice::Constant(&vector)));
        assert_eq!(bits(&together[4 * d..10 * d]), bits(&alone), "{site}");
    }
}
