//! Scores on a real model and its text (`../shared/data`, never committed): `cargo test -- --ignored` where they are at hand.

use lapidary_dictionary::{Activation, Dictionary};
use lapidary_evaluation::{Options, Subject, evaluate};
use lapidary_kernels::Device;
use lapidary_lm::{Model, Site};
use lapidary_text::{Corpus, Split, Tokenizer};
use std::path::Path;

/// The peer's run on these stories measured a base CE of 1.425 nats per target (context 256, its own split). A dictionary
/// that says nothing loses as much as one that says the mean only if the mean is zero; it has L0 0 either way.
#[test]
#[ignore = "needs ../shared/data/stories260k, which is never committed"]
#[allow(clippy::print_stderr)]
fn base_cross_entropy_is_what_others_measured() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260k");
    let model = Model::load(&data, Device::detect()).expect("the model");
    let tokenizer = Tokenizer::load(&data).expect("its tokenizer");
    let text = [data.join("samples.txt")];
    let corpus = Corpus::read(&text, &tokenizer, &model.spec, 256, Split::HeldOut).expect("its text");
    let (site, d): (Site, usize) = ("2.res".parse().expect("a site"), 64);
    let silent = Dictionary {
        w_enc: vec![0.0; d],
        b_enc: vec![0.0],
        threshold: vec![1.0],
        w_dec: vec![0.0; d],
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    };
    let subjects = [Subject::sae("silent", site, &silent)];
    let options = Options { seed: 0, resamples: 1000, batch_tokens: 8192, max_windows: Some(100) };
    let scores = &evaluate(&model, &corpus.windows, &subjects, options, &mut |_, _| ()).expect("valid")[0];
    let (ce, ablated) = (scores.ce.value, scores.ce_ablated.value);
    eprintln!(
        "CE {ce:.3} ({:?}), ablated {ablated:.3}, silent {:.3}",
        scores.ce.interval, scores.ce_spliced.value
    );
    assert!((ce - 1.425).abs() < 0.06, "CE {ce}");
    assert!(ablated > ce + 1.0 && scores.l0.value == 0.0 && scores.fvu.value >= 1.0);
}
