//! Dictionaries whose scores are known without computing, on a tiny random Llama; what must not change a bit; what must be
//! refused.

use lapidary_dictionary::{Activation, Dictionary};
use lapidary_evaluation::cross_entropy::Targets;
use lapidary_evaluation::disentangling::{Pair, Pairs, disentangling};
use lapidary_evaluation::{
    EvaluationError, Interval, Options, Resume, Scores, Slicing, Subject, evaluate, measure, measure_on,
};
use lapidary_kernels::Device;
use lapidary_lm::{Model, Site};
use lapidary_splice::Base;
use lapidary_text::Window;
use std::path::Path;

const BOS: u32 = 1;
const OPTIONS: Options = Options { seed: 1, resamples: 200, batch_tokens: 64, max_windows: None };

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
    Model::load(&dir, Device::detect()).expect("the fixture model")
}

/// Twelve windows of six documents, 3 to 29 tokens after BOS.
fn windows() -> Vec<Window> {
    let window = |w: u32| {
        let piece = (0..3 + w * 13 % 27).map(|i| 3 + (i * i * 5 + i * w + w * 11) % 37);
        Window { doc: w / 2, pos: 0, tokens: [BOS].into_iter().chain(piece).collect() }
    };
    (0..12).map(window).collect()
}

fn sites(model: &Model) -> Vec<Site> {
    model.spec.parse_sites("embed,0.att,1.*,2.res").expect("sites of three layers")
}

/// x̂ = x with D of 2·D features active: the positive and the negative part of each coordinate.
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

/// x̂ = `vector` whatever x is; two features that never fire.
fn constant(vector: Vec<f32>) -> Dictionary {
    let d = vector.len();
    Dictionary {
        w_enc: vec![1.0; 2 * d],
        b_enc: vec![0.0; 2],
        threshold: vec![f32::INFINITY; 2],
        w_dec: vec![1.0; 2 * d],
        b_dec: vector,
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

fn score(
    model: &Model,
    windows: &[Window],
    subjects: &[(Site, &Dictionary)],
    options: Options,
) -> Vec<Scores> {
    let subject = |&(site, dictionary): &(Site, _)| Subject::sae("subject", site, dictionary);
    let subjects: Vec<Subject> = subjects.iter().map(subject).collect();
    evaluate(model, windows, &subjects, options, &mut |_, _| ()).expect("valid subjects")
}

#[test]
fn a_perfect_dictionary() {
    let (model, windows) = (model(), windows());
    for site in sites(&model) {
        let d = model.spec.width(site);
        let scores = &score(&model, &windows, &[(site, &perfect(d))], OPTIONS)[0];
        assert_eq!(
            (scores.fvu.value, scores.delta_loss.value, scores.loss_recovered.value),
            (0.0, 0.0, 1.0),
            "{site}"
        );
        assert_eq!(scores.ce_spliced, scores.ce);
        assert_eq!(
            (scores.l0.value, scores.l0_percentiles.p1, scores.l0_percentiles.p99),
            (d as f64, d as u64, d as u64)
        );
        assert_eq!(scores.l0.interval, Interval::Known { low: d as f64, high: d as f64 });
        let firing = &scores.firing;
        assert_eq!(firing.counts.iter().sum::<u64>(), scores.rows * d as u64);
        assert_eq!(firing.alive + firing.never_fired, 2 * d as u64);
        assert_eq!(firing.histogram.features.iter().sum::<u64>(), firing.alive);
    }
}

/// The mean row is what FVU = 1 and loss recovered = 0 mean. The mean is taken here from the model's own rows.
#[test]
fn a_dictionary_that_says_the_mean() {
    let (model, windows) = (model(), windows());
    for site in sites(&model) {
        let mean = mean_row(&model, &windows, site);
        let scores = &score(&model, &windows, &[(site, &constant(mean))], OPTIONS)[0];
        assert!((scores.fvu.value - 1.0).abs() < 1e-6, "{site}: FVU {}", scores.fvu.value);
        assert!(scores.loss_recovered.value.abs() < 1e-6, "{site}: {}", scores.loss_recovered.value);
        assert_eq!((scores.l0.value, scores.firing.alive, scores.firing.never_fired), (0.0, 0, 2));
    }
}

fn mean_row(model: &Model, windows: &[Window], site: Site) -> Vec<f32> {
    let (width, mut rows, mut sum) = (model.spec.width(site), 0.0, vec![0.0f64; model.spec.width(site)]);
    for window in windows {
        let batch = lapidary_lm::Batch::new([window.tokens.as_slice()]);
        model.tap(&batch, &[site], &mut |_, x| {
            for row in x[width..].chunks_exact(width) {
                rows += 1.0;
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
        });
    }
    sum.iter().map(|sum| (sum / rows) as f32).collect()
}

/// Zero instead of x misses Σ‖x‖², which is more than the variance by exactly n‖μ‖².
#[test]
fn a_dictionary_that_says_zero_is_worse_than_the_mean() {
    let (model, windows) = (model(), windows());
    let site: Site = "1.mlp".parse().expect("a site");
    let mean = mean_row(&model, &windows, site);
    let scores = score(
        &model,
        &windows,
        &[(site, &constant(vec![0.0; 16])), (site, &constant(mean.clone()))],
        OPTIONS,
    );
    let offset: f64 = mean.iter().map(|m| f64::from(*m).powi(2)).sum();
    // FVU = 1 + n‖μ‖²/Σ‖x − μ‖²; the variance per row follows from two dictionaries that are off by known vectors.
    let shifted: Vec<f32> = mean.iter().map(|m| m + 1.0).collect();
    let by_one = score(&model, &windows, &[(site, &constant(shifted))], OPTIONS)[0].fvu.value - 1.0; // D / variance
    let expect = 1.0 + offset * by_one / 16.0;
    assert!((scores[0].fvu.value - expect).abs() < 1e-5, "{} and {expect}", scores[0].fvu.value);
}

/// Zeros are what zero-ablation means: a dictionary that says zero recovers nothing of it, a perfect one everything.
#[test]
fn a_dictionary_that_says_zero_is_zero_ablation() {
    let (model, windows) = (model(), windows());
    for site in sites(&model) {
        let d = model.spec.width(site);
        let (zero, perfect) = (constant(vec![0.0; d]), perfect(d));
        let scores = score(&model, &windows, &[(site, &zero), (site, &perfect)], OPTIONS);
        let recovered = |s: &Scores| s.loss_recovered_zero.as_ref().expect("measured").value;
        assert_eq!(scores[0].ce_zero_ablated.as_ref(), Some(&scores[0].ce_spliced), "{site}");
        assert_eq!((recovered(&scores[0]), recovered(&scores[1])), (0.0, 1.0), "{site}");
        assert_ne!(scores[0].ce_zero_ablated.as_ref(), Some(&scores[0].ce_ablated), "{site}");
    }
}

#[test]
fn batches_threads_and_company_change_no_bit() {
    let (model, windows) = (model(), windows());
    let sites = sites(&model);
    let dictionaries: Vec<Dictionary> = sites.iter().map(|&site| half(model.spec.width(site))).collect();
    let subjects: Vec<_> = sites.iter().copied().zip(&dictionaries).collect();
    let expect = score(&model, &windows, &subjects, OPTIONS);
    assert!(expect.iter().all(|scores| scores.fvu.value > 0.01 && scores.fvu.value.is_finite()));
    for batch_tokens in [0, 1, 33, 10_000] {
        assert_eq!(
            score(&model, &windows, &subjects, Options { batch_tokens, ..OPTIONS }),
            expect,
            "{batch_tokens}"
        );
    }
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        assert_eq!(pool.install(|| score(&model, &windows, &subjects, OPTIONS)), expect, "{threads} threads");
    }
    // Alone, in reverse, and twice at one site: nobody's scores depend on who else is evaluated.
    for (i, subject) in subjects.iter().enumerate() {
        assert_eq!(
            score(&model, &windows, &[*subject, *subject], OPTIONS),
            [expect[i].clone(), expect[i].clone()]
        );
    }
    let reversed: Vec<_> = subjects.iter().rev().copied().collect();
    let scores = score(&model, &windows, &reversed, OPTIONS);
    assert_eq!(scores, expect.into_iter().rev().collect::<Vec<_>>());
}

/// Only the positive parts: something is missed.
fn half(d: usize) -> Dictionary {
    let mut dictionary = perfect(d);
    dictionary.threshold[d..].fill(f32::INFINITY);
    dictionary
}

/// EOS (2) inside a window is neither a row nor a target, and still predicts; without BOS, position 0 is no row, and the
/// token there, which nothing predicts, no target.
#[test]
fn special_tokens_are_not_counted() {
    let mut model = model();
    let tokens = |doc, tokens: &[u32]| Window { doc, pos: 0, tokens: tokens.to_vec() };
    let windows = [tokens(0, &[BOS, 5, 6, 2, 7, 8]), tokens(1, &[BOS, 9, 2])];
    let batch = lapidary_lm::Batch::new(windows.iter().map(|w| w.tokens.as_slice()));
    let targets = Targets::of(&batch, &model.spec);
    assert_eq!((targets.positions, targets.tokens), (vec![0, 1, 3, 4, 6], vec![5, 6, 7, 8, 9]));
    let (site, dictionary): (Site, _) = ("1.res".parse().expect("a site"), perfect(16));
    let scores = &score(&model, &windows, &[(site, &dictionary)], OPTIONS)[0];
    assert_eq!((scores.rows, scores.targets), (5, 5));

    model.spec.bos = None;
    let windows = [tokens(0, &[5, 6, 2, 7, 8]), tokens(1, &[9, 10])];
    let batch = lapidary_lm::Batch::new(windows.iter().map(|w| w.tokens.as_slice()));
    let targets = Targets::of(&batch, &model.spec);
    assert_eq!((targets.positions, targets.tokens), (vec![0, 2, 3, 5], vec![6, 7, 8, 10]));
    let scores = &score(&model, &windows, &[(site, &dictionary)], OPTIONS)[0];
    assert_eq!((scores.rows, scores.targets), (4, 4));
}

/// From 24 numbers at 0.att to 16 at 1.res: constant, it is mean-ablation of what it writes; its L0 is that of what it reads;
/// with one number of the input passed on, its FVU by hand.
#[test]
fn a_transcoder_reads_one_site_and_is_scored_at_another() {
    let (model, windows) = (model(), windows());
    let [reads, writes]: [Site; 2] = ["0.att", "1.res"].map(|site| site.parse().expect("a site"));
    let base = Base::run(&model, &windows, &[reads, writes]);
    let (x, y) = (base.x(&model, reads), base.x(&model, writes));
    let rows = y.len() / 16;
    let mean = |d: usize| y.iter().skip(d).step_by(16).map(|&y| f64::from(y)).sum::<f64>() / rows as f64;
    let mut transcoder = perfect(24);
    transcoder.w_dec = vec![0.0; 48 * 16];
    transcoder.b_dec = (0..16).map(|d| mean(d) as f32).collect();
    transcoder.d_out = 16;
    let score = |transcoder: &Dictionary| {
        let subjects = [Subject { name: "t", site: reads, output: writes, dictionary: transcoder }];
        evaluate(&model, &windows, &subjects, OPTIONS, &mut |_, _| ()).expect("a valid subject").remove(0)
    };
    let constant = score(&transcoder);
    assert_eq!((constant.site.as_str(), constant.reads.as_deref()), ("1.res", Some("0.att")));
    assert_eq!((constant.l0.value, constant.d_in), (24.0, 24));
    assert!((constant.fvu.value - 1.0).abs() < 1e-6, "{}", constant.fvu.value);
    assert_eq!(constant.ce_spliced, constant.ce_ablated);
    // W_skip [16, 24] passes number 5 of the input on to number 2 of the output.
    let mut w_skip = vec![0.0; 16 * 24];
    w_skip[2 * 24 + 5] = 1.0;
    transcoder.w_skip = Some(w_skip);
    let (mut error, mut variance) = (0.0, 0.0);
    for (x, y) in x.chunks_exact(24).zip(y.chunks_exact(16)) {
        for (d, &y) in y.iter().enumerate() {
            let from_mean = f64::from(y) - mean(d);
            variance += from_mean.powi(2);
            error += (from_mean - if d == 2 { f64::from(x[5]) } else { 0.0 }).powi(2);
        }
    }
    let skipping = score(&transcoder);
    assert!((skipping.fvu.value / (error / variance) - 1.0).abs() < 1e-5, "{}", skipping.fvu.value);
    assert_ne!(skipping.fvu, constant.fvu);
    assert_ne!(skipping.ce_spliced, skipping.ce_ablated);
}

/// Stopped after any block and gone on with, through a file: the same bits as without a stop, slices included.
#[test]
fn a_killed_evaluation_ends_with_the_same_bits() {
    let (model, windows) = (model(), windows());
    let site: Site = "1.res".parse().expect("a site");
    let dictionary = half(16);
    let subjects = [Subject::sae("a", site, &dictionary)];
    let slicings = [Slicing::by_position(&windows, &model.spec)];
    let options = Options { batch_tokens: 1, ..OPTIONS };
    let mut kept = Vec::new();
    let run = |resume: Resume| {
        measure_on(&model, &windows, &subjects, &slicings, options, resume, &mut |_, _| ())
            .expect("valid")
            .remove(0)
    };
    let whole = run(Resume { saved: None, keep: &mut |saved| kept.push(saved) });
    assert!(kept.len() > 1 && kept[0].windows < windows.len(), "{} blocks", kept.len());
    for saved in kept {
        let text = serde_json::to_string(&saved).expect("finite sums");
        let saved = Some(serde_json::from_str(&text).expect("round trip"));
        let again = run(Resume { saved, keep: &mut |_| () });
        assert_eq!(
            (again.scores, again.documents, again.slices),
            (whole.scores.clone(), whole.documents.clone(), whole.slices.clone())
        );
    }
}

/// The slices of one slicing divide the rows: their L0, errors and losses add up to the whole's, and a slicing of one slice is the whole.
#[test]
fn slices_add_up_to_the_whole() {
    let (model, windows) = (model(), windows());
    let site: Site = "1.res".parse().expect("a site");
    let dictionary = half(16);
    let subjects = [Subject::sae("a", site, &dictionary)];
    let position = Slicing::by_position(&windows, &model.spec);
    let all = Slicing::by_window("all", vec!["all".into()], &windows, |_| 0);
    let measured = measure(&model, &windows, &subjects, &[position, all], OPTIONS, &mut |_, _| ());
    let measured = measured.expect("valid").remove(0);
    let [position, all] = &measured.slices[..] else { panic!("two slicings") };
    let scores = &measured.scores;
    assert_eq!(all.slices.len(), 1);
    let (one, close) = (&all.slices[0], |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0));
    assert_eq!(
        (one.l0.value, one.delta_loss.value, one.ce.value),
        (scores.l0.value, scores.delta_loss.value, scores.ce.value)
    );
    assert!(close(one.fvu.value, scores.fvu.value), "{} {}", one.fvu.value, scores.fvu.value);
    assert_eq!(position.slices.iter().map(|s| s.l0.n).sum::<u64>(), scores.rows);
    let active: f64 = position.slices.iter().map(|s| s.l0.value * s.l0.n as f64).sum();
    assert!(close(active, scores.l0.value * scores.rows as f64));
    // The target after BOS is in no slice of positions: one for each window.
    let targets: u64 = position.slices.iter().map(|s| s.ce.n).sum();
    assert_eq!(targets + windows.len() as u64, scores.targets);
    let names: Vec<&str> = position.slices.iter().map(|s| s.slice.as_str()).collect();
    assert_eq!(names[..4], ["1", "2", "3–4", "5–8"]);
}

/// What others report, beside ours: SAELens' explained variance is 1 − FVU, and its CE score is that of zero-ablation, not of the mean.
#[test]
fn the_numbers_of_others_stand_beside_ours() {
    let (model, windows) = (model(), windows());
    let site: Site = "1.res".parse().expect("a site");
    let scores = &score(&model, &windows, &[(site, &half(16))], OPTIONS)[0];
    let peers = scores.peers.as_ref().expect("measured");
    assert_eq!(peers.sae_lens.explained_variance.value, 1.0 - scores.fvu.value);
    let zero = scores.loss_recovered_zero.as_ref().expect("measured").value;
    assert_eq!(peers.sae_lens.ce_loss_score.value, zero);
    assert_ne!(peers.sae_lens.ce_loss_score.value, scores.loss_recovered.value);
    assert!((peers.sae_bench.explained_variance.value - (1.0 - scores.fvu.value)).abs() > 1e-3);
}

#[test]
fn progress_ends_at_its_total() {
    let (model, windows) = (model(), windows());
    let site: Site = "1.res".parse().expect("a site");
    let (dictionary, mut seen) = (perfect(16), Vec::new());
    let subjects = [Subject::sae("a", site, &dictionary)];
    let options = Options { max_windows: Some(5), ..OPTIONS };
    let scores = evaluate(&model, &windows, &subjects, options, &mut |done, total| seen.push((done, total)));
    let tokens: usize = windows[..5].iter().map(|w| w.tokens.len()).sum();
    assert_eq!(scores.expect("valid")[0].rows, tokens as u64 - 5);
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&(5 * tokens as u64, 5 * tokens as u64)));
}

#[test]
fn one_document_has_no_interval_and_says_so() {
    let (model, windows) = (model(), &windows()[..2]);
    let site: Site = "1.res".parse().expect("a site");
    let scores = &score(&model, windows, &[(site, &half(16))], OPTIONS)[0];
    assert_eq!(scores.documents, 1);
    let Interval::Missing { reason } = &scores.fvu.interval else { panic!("{:?}", scores.fvu) };
    assert!(reason.contains("fewer than two documents"));
}

#[test]
fn a_dictionary_with_nan_has_scores_that_show_it() {
    let model = model();
    let site: Site = "1.res".parse().expect("a site");
    let scores = &score(&model, &windows(), &[(site, &constant(vec![f32::NAN; 16]))], OPTIONS)[0];
    assert!(scores.fvu.value.is_nan() && scores.delta_loss.value.is_nan() && scores.ce.value.is_finite());
    let json = serde_json::to_value(scores).expect("plain data");
    assert_eq!(json["fvu"]["value"], "NaN");
    assert_eq!(json["fvu"]["interval"]["reason"], "not finite in at least one resample");
}

#[test]
fn bad_requests_are_refused() {
    let (model, good) = (model(), perfect(16));
    let refuse = |windows: &[Window], site: &str, dictionary: &Dictionary| {
        let subjects = [Subject::sae("x", site.parse().expect("a site"), dictionary)];
        evaluate(&model, windows, &subjects, OPTIONS, &mut |_, _| ())
            .expect_err("must be refused")
            .to_string()
    };
    let none = evaluate(&model, &windows(), &[], OPTIONS, &mut |_, _| ());
    assert!(matches!(none, Err(EvaluationError::NoSubjects)));
    let message = refuse(&windows(), "3.res", &good);
    assert!(message.starts_with("x: expected a site of a model with 3 layers, found 3.res"), "{message}");
    let message = refuse(&windows(), "1.att", &good);
    assert!(message.contains("reads 24 numbers, the width of 1.att, found one that reads 16"), "{message}");
    let special = Window { doc: 0, pos: 0, tokens: vec![BOS, 2, 2] };
    assert!(refuse(&[special], "1.res", &good).contains("found 1 windows without a single one"));
    assert!(refuse(&[], "1.res", &good).contains("found 0 windows"));
    let long = Window { doc: 4, pos: 9, tokens: vec![BOS; 33] };
    assert!(refuse(&[long], "1.res", &good).starts_with("document 4, token 9: "));
}

/// Pairs whose last token is the thing, with the words that the model itself says of each as values of both attributes. At a residual
/// stream the row of the last token decides alone, so that swapping all of it has the twin's word: cause 1, isolation 0. A dictionary
/// that never fires swaps nothing: cause 0, isolation 1. One that reconstructs everything may choose as many features as neurons.
#[test]
fn interchange_of_nothing_and_of_everything() {
    let model = model();
    let said = |tokens: &[u32]| {
        let window = Window { doc: 0, pos: 0, tokens: tokens.to_vec() };
        let base = Base::run(&model, &[window], &[]);
        let d = model.spec.d_model;
        let logits = model.unembed(&base.residual[(tokens.len() - 1) * d..]);
        (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32
    };
    let mut pairs = Pairs { attributes: vec!["a".into(), "b".into()], pairs: Vec::new() };
    for (n, (u, v)) in (3..30u32).flat_map(|u| (u + 1..32).map(move |v| (u, v))).enumerate() {
        let [base, twin] = [u, v].map(|last| vec![BOS, 4 + u % 5, 7, last]);
        let values = [&base, &twin].map(|tokens| vec![said(tokens); 2]);
        let is_fitted = n % 2 == 0;
        if values[0] != values[1] && pairs.pairs.len() < 60 {
            pairs.pairs.push(Pair {
                base,
                twin,
                at: 3,
                asked: n / 2 % 2,
                other: 1 - n / 2 % 2,
                values,
                is_fitted,
            });
        }
    }
    let site: Site = "1.res".parse().expect("a site");
    let d = model.spec.width(site);
    let of = |dictionary: &Dictionary| {
        let found =
            disentangling(&model, Subject::sae("x", site, dictionary), &pairs, OPTIONS).expect("pairs");
        assert_eq!(found.n + found.fitted, 60);
        let sources: Vec<&str> = found.sources.iter().map(|s| s.source.as_str()).collect();
        assert_eq!(sources, ["features", "pca", "neurons", "random", "whole"]);
        found.sources
    };
    let silent = of(&constant(vec![0.0; d]));
    assert_eq!((silent[0].k, silent[0].cause, silent[0].isolation, silent[0].score), (0.0, 0.0, 1.0, 0.5));
    assert_eq!((silent[4].cause, silent[4].isolation, silent[4].score), (1.0, 0.0, 0.5));
    assert_eq!(silent[4].cause_interval, Interval::Known { low: 1.0, high: 1.0 });
    let perfect = of(&perfect(d));
    assert!(perfect[0].k >= 1.0 && perfect[0].cause > 0.0, "{:?}", perfect[0]);
    // What stands beside a dictionary does not depend on it.
    assert_eq!(perfect[1..], silent[1..]);
}
