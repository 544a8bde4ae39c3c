//! Truths that are planted: an oracle must score 1, what is shuffled must score as chance, small tables come out as by hand.

use lapidary_evaluation::truth::{
    Baseline, Firings, Options, Probes, Represented, Truth, TruthScores, neurons, principal_components,
    probe, recovery, score, verdict,
};
use lapidary_evaluation::{EvaluationError, Interval};
use lapidary_kernels::Device;

/// A hash, for rows that look random and are the same everywhere.
fn hash(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// In 0..1.
fn uniform(seed: u64) -> f64 {
    (hash(seed) >> 11) as f64 / (1u64 << 53) as f64
}

/// About normal: twelve uniforms.
fn normal(seed: u64) -> f64 {
    (0..12).map(|k| uniform(seed * 12 + k)).sum::<f64>() - 6.0
}

/// Rows in which each of `columns` is on with a chance of its own, 2 % to 20 %.
fn patterns(rows: usize, columns: usize, seed: u64) -> Firings {
    let mut firings = Firings::with_columns(columns);
    for n in 0..rows {
        let chance = |v: usize| 0.02 + 0.18 * v as f64 / columns as f64;
        let on = (0..columns).filter(|&v| uniform(hash(seed) ^ (n * columns + v) as u64) < chance(v));
        firings.index.extend(on.map(|v| v as u32));
        firings.row_start.push(firings.index.len());
    }
    firings
}

/// From lists of the rows' entries.
fn listed(columns: usize, rows: &[&[u32]]) -> Firings {
    let mut firings = Firings::with_columns(columns);
    for row in rows {
        firings.index.extend_from_slice(row);
        firings.row_start.push(firings.index.len());
    }
    firings
}

/// The truth `on`, in documents of `length` rows.
fn truth(on: &Firings, length: usize) -> Truth {
    let documents = (0..on.rows()).map(|n| (n / length) as u32).collect();
    Truth { documents, tokens: (0..on.rows() as u32).collect(), ..Truth::planted(on) }
}

fn options() -> Options {
    Options::standard(3)
}

/// Only F1 by hand: everything counts that occurs.
fn lenient() -> Options {
    Options { min_count: 1, ..options() }
}

/// Ten rows. Indicator 0 in rows 0–3, 1 in rows 4 and 5, 2 in rows 6–9 and 0, 3 in rows 0–5 (too frequent), 4 nowhere.
/// Feature 0 fires in rows 0–2, 1 in rows 3–5, 2 in rows 6–9, 3 never, 4 in row 0.
#[test]
fn a_small_table_by_hand() {
    let on = listed(5, &[&[0, 2, 3], &[0, 3], &[0, 3], &[0, 3], &[1, 3], &[1, 3], &[2], &[2], &[2], &[2]]);
    let firings = listed(5, &[&[0, 4], &[0], &[0], &[1], &[1], &[1], &[2], &[2], &[2], &[2]]);
    let scores = score("by hand", &truth(&on, 2), &firings, None, &lenient());
    assert_eq!((scores.rows, scores.documents, scores.width), (10, 5, 5));
    assert_eq!((scores.too_rare, scores.too_frequent), (1, 1));
    let best: Vec<_> = scores.indicators.iter().map(|i| (i.indicator, i.best_feature, i.best_f1)).collect();
    // 2·3/(4 + 3), 2·2/(2 + 3), 2·4/(5 + 4).
    assert_eq!(best, [(0, Some(0), 6.0 / 7.0), (1, Some(1), 0.8), (2, Some(2), 8.0 / 9.0)]);
    assert_eq!(scores.indicators[0].name, "planted 0");
    let mean = (6.0 / 7.0 + 0.8 + 8.0 / 9.0) / 3.0;
    assert!((scores.best_f1.value - mean).abs() < 1e-15 && (scores.matched_f1.value - mean).abs() < 1e-15);
    let features: Vec<_> =
        scores.features.iter().map(|f| (f.count, f.indicator, f.precision, f.recall)).collect();
    assert_eq!(features[0], (3, Some(0), 1.0, 0.75));
    assert_eq!(features[1], (3, Some(1), 2.0 / 3.0, 1.0));
    assert_eq!(features[2], (4, Some(2), 1.0, 0.8));
    assert_eq!((features[3].0, features[3].1, features[3].2.is_nan()), (0, None, true));
    // Row 0 has indicators 0 and 2: 2·1/(4 + 1) beats 2·1/(5 + 1).
    assert_eq!(features[4], (1, Some(0), 1.0, 0.25));
    assert_eq!((scores.represented, scores.represented_unknown), (0, 3));
}

/// Both indicators like feature 0 best (0.8 and 1); one to one the first must take feature 1 (2·1/(3 + 1)), or the second
/// would have nothing.
#[test]
fn one_to_one_gives_way() {
    let on = listed(2, &[&[0, 1], &[0, 1], &[0], &[], &[], &[], &[], &[]]);
    let firings = listed(2, &[&[0], &[0], &[1], &[], &[], &[], &[], &[]]);
    let scores = score("one to one", &truth(&on, 1), &firings, None, &lenient());
    let of = |i: usize| (scores.indicators[i].best_feature, scores.indicators[i].matched_feature);
    assert_eq!((of(0), of(1)), ((Some(0), Some(1)), (Some(0), Some(0))));
    assert_eq!((scores.indicators[0].best_f1, scores.indicators[0].matched_f1), (0.8, 0.5));
    assert_eq!((scores.best_f1.value, scores.matched_f1.value), (0.9, 0.75));
}

/// Features that are the indicators, in another order: 1 everywhere, and far from the null.
#[test]
fn the_oracle_scores_one() {
    let on = patterns(4000, 30, 1);
    let mut firings = Firings::with_columns(30);
    for n in 0..on.rows() {
        let mut row: Vec<u32> = on.row(n).iter().map(|&v| (v * 7 + 3) % 30).collect();
        row.sort_unstable();
        firings.index.extend(row);
        firings.row_start.push(firings.index.len());
    }
    let scores = score("oracle", &truth(&on, 20), &firings, None, &options());
    assert_eq!((scores.best_f1.value, scores.matched_f1.value), (1.0, 1.0));
    let Interval::Known { low, high } = scores.matched_f1.interval else { panic!("no interval") };
    assert!((low - 1.0).abs() < 1e-12 && (high - 1.0).abs() < 1e-12, "{low} to {high}");
    assert_eq!((scores.found, scores.indicators.len()), (30, 30));
    assert!(scores.best_f1_null < 0.25, "null {}", scores.best_f1_null);
    for i in &scores.indicators {
        assert_eq!(i.matched_feature, Some((i.indicator * 7 + 3) % 30));
    }
}

/// Features that know nothing of the truth score as their own null says, and nothing is found.
#[test]
fn chance_scores_as_the_null() {
    let scores =
        score("chance", &truth(&patterns(4000, 30, 1), 20), &patterns(4000, 40, 2), None, &options());
    let (best, null) = (scores.best_f1.value, scores.best_f1_null);
    assert!((best - null).abs() < 0.01, "best {best}, null {null}");
    assert_eq!(scores.found, 0);
    let above = scores.indicators.iter().filter(|i| i.best_f1 > i.null_p95).count();
    // The 95th percentile of five is almost their maximum, which a sixth exceeds one time in six: 5 ± 2.
    assert!(above <= 12, "{above} of 30 above the null");
}

/// A feature that fires in 60 % of the rows has a high F1 with a frequent indicator by frequency alone; the null knows.
#[test]
fn the_null_keeps_frequencies() {
    let on =
        listed(1, &(0..2000).map(|n| if uniform(n) < 0.48 { &[0][..] } else { &[] }).collect::<Vec<_>>());
    let often = (0..2000).map(|n| if uniform(n + 9999) < 0.6 { &[0][..] } else { &[] }).collect::<Vec<_>>();
    let scores = score("often", &truth(&on, 10), &listed(1, &often), None, &options());
    let i = &scores.indicators[0];
    assert!(i.best_f1 > 0.5 && (i.best_f1 - i.null_mean).abs() < 0.03, "{} and {}", i.best_f1, i.null_mean);
    assert!(!i.found);
}

/// No shift is shorter than the longest document from either side; with one document there is none, and nothing is found.
#[test]
fn the_null_moves_by_whole_documents() {
    let on = patterns(400, 3, 1);
    let scores = score("", &truth(&on, 150), &on, None, &Options { shifts: 200, ..lenient() });
    assert_eq!(scores.shifts.len(), 200);
    assert!(scores.shifts.iter().all(|s| (150..=250).contains(s)));
    assert!(scores.shifts.iter().any(|&s| s < 160) && scores.shifts.iter().any(|&s| s > 240));
    let scores = score("", &truth(&on, 400), &on, None, &lenient());
    assert!(scores.shifts.is_empty() && scores.best_f1_null.is_nan());
    assert_eq!((scores.found, scores.best_f1.value), (0, 1.0));
}

/// Two documents, counts (n_vj, n_v + n_j) = (1, 3) and (1, 2), together F1 = 4/5. One more copy of the first moves it by
/// (2 − 3·4/5)/5 = −0.08, of the second by +0.08: drawn twice each, 0.64 to 0.96.
#[test]
fn intervals_are_over_documents() {
    let on = listed(1, &[&[0], &[0], &[], &[], &[0], &[]]);
    let firings = listed(1, &[&[0], &[], &[], &[], &[0], &[]]);
    let scores = score("", &truth(&on, 3), &firings, None, &lenient());
    assert_eq!(scores.best_f1.value, 0.8);
    let Interval::Known { low, high } = scores.best_f1.interval else { panic!("no interval") };
    assert!((low - 0.64).abs() < 1e-12 && (high - 0.96).abs() < 1e-12, "{low} to {high}");
}

const D: usize = 12;

/// Rows of noise, where indicator v adds 6 to dimension v for v < 4 and nothing for the others; far from 0.
fn rows(on: &Firings) -> Vec<f32> {
    let mut x = Vec::with_capacity(on.rows() * D);
    for n in 0..on.rows() {
        let value = |k: usize| {
            let planted = k < 4 && on.row(n).contains(&(k as u32));
            (100.0 + normal((n * D + k) as u64) + if planted { 6.0 } else { 0.0 }) as f32
        };
        x.extend((0..D).map(value));
    }
    x
}

#[test]
fn probes_find_what_is_in_the_rows() {
    let on = patterns(3000, 8, 5);
    let truth = truth(&on, 10);
    let probes = probe(&truth, &rows(&on), D, Device::detect(), &options());
    assert_eq!((probes.fitted_rows, probes.scored_rows), (1500, 1500));
    assert!(probes.auroc[..4].iter().all(|&a| a > 0.99), "{:?}", probes.auroc);
    assert!(probes.auroc[4..].iter().all(|&a| (0.3..0.7).contains(&a)), "{:?}", probes.auroc);
    let scores = score("oracle", &truth, &on, Some(&probes), &options());
    assert_eq!((scores.represented, scores.found_and_represented, scores.found), (4, 4, 8));
    assert_eq!((scores.matched_f1_represented.indicators, scores.matched_f1.indicators), (4, 8));
    assert_eq!(scores.indicators[4].represented, Represented::No);
}

/// Twenty-five rows in total are enough to be scored, but with fifteen wanted in each half nothing can be said; nor can it of
/// rows that are all the same.
#[test]
fn probes_say_when_they_cannot() {
    let rows_on: Vec<&[u32]> = (0..1000).map(|n| if n % 40 == 0 { &[0][..] } else { &[] }).collect();
    let truth = truth(&listed(1, &rows_on), 10);
    let x: Vec<f32> = (0..1000).map(|n| normal(n) as f32).collect();
    let strict = Options { min_positives: 15, ..options() };
    assert!(probe(&truth, &x, 1, Device::detect(), &strict).auroc[0].is_nan());
    let loose = Options { min_positives: 2, ..options() };
    assert!(probe(&truth, &x, 1, Device::detect(), &loose).auroc[0].is_finite());
    assert!(probe(&truth, &vec![1.0; 1000], 1, Device::detect(), &loose).auroc[0].is_nan());
    let broken: Vec<f32> = x.iter().map(|&x| if x > 2.0 { f32::NAN } else { x }).collect();
    assert!(probe(&truth, &broken, 1, Device::detect(), &loose).auroc[0].is_nan());
}

/// A neuron that is high where the indicator is on has a threshold that finds it; components find a rotated one.
#[test]
fn neurons_and_components_are_features() {
    let on = patterns(3000, 4, 5);
    let (truth, x) = (truth(&on, 10), rows(&on));
    let neurons = score("neurons", &truth, &neurons(&x, D), None, &options());
    assert_eq!((neurons.width, neurons.found), (D * 14, 4));
    for i in &neurons.indicators {
        // Column (2·d + sign)·7 + quantile: dimension v, sign +.
        assert_eq!(i.best_feature.map(|j| j / 7), Some(2 * i.indicator), "{i:?}");
    }
    let components = score("pca", &truth, &principal_components(&x, D, Device::detect()), None, &options());
    assert!(components.best_f1.value > components.best_f1_null + 0.2);
}

#[test]
fn the_truth_is_of_this_text() {
    let mut truth = truth(&patterns(5, 3, 1), 2);
    assert!(truth.check(&[0, 1, 2, 3, 4]).is_ok());
    assert!(matches!(truth.check(&[0, 1]), Err(EvaluationError::TruthRows { truth: 5, text: 2 })));
    truth.tokens[3] = 7;
    let error = truth.check(&[0, 1, 2, 3, 4]).expect_err("another token");
    assert!(
        error.to_string().starts_with("truth: expected token 7 at row 3, found 3 in the text"),
        "{error}"
    );
}

/// Directions in another order, length and sign are all recovered; firing by the true coefficients is the third perfect score.
#[test]
fn planted_directions_are_recovered() {
    let (m, d) = (40, 16);
    let directions: Vec<f32> = (0..m * d).map(|k| normal(k as u64) as f32).collect();
    let mut decoder = vec![0.0; m * d];
    for j in 0..m {
        let from = &directions[(j * 11 + 5) % m * d..][..d];
        decoder[j * d..(j + 1) * d].copy_from_slice(from);
        decoder[j * d..(j + 1) * d].iter_mut().for_each(|x| *x *= if j % 2 == 0 { -4.0 } else { 0.5 });
    }
    let perfect = recovery(&directions, &decoder, d, 0.9, Device::detect());
    assert_eq!((perfect.mean_correlation, perfect.recovered), (1.0, 1.0));
    assert!((0..m).all(|j| perfect.feature[(j * 11 + 5) % m] == Some(j)));

    // Half of the rows are missing: the mean is over pairs, the fraction over directions.
    let half = recovery(&directions, &decoder[..m / 2 * d], d, 0.9, Device::detect());
    assert_eq!((half.mean_correlation, half.recovered), (1.0, 0.5));
    for nothing in [0.0, f32::NAN, f32::INFINITY] {
        let none = recovery(&directions, &vec![nothing; 60 * d], d, 0.9, Device::detect());
        assert_eq!((none.mean_correlation, none.recovered), (0.0, 0.0));
    }
}

/// |cos| in the plane: directions at 0° and 90°, decoder rows at 30° and 45°. One to one: cos 30° + cos 45°.
#[test]
fn correlation_by_hand() {
    let (s, c) = (0.5f32, 0.75f32.sqrt());
    let found = recovery(&[1.0, 0.0, 0.0, 1.0], &[c, s, -1.0, -1.0], 2, 0.8, Device::detect());
    let expect = (0.75f64.sqrt() + 0.5f64.sqrt()) / 2.0;
    assert!((found.mean_correlation - expect).abs() < 1e-7, "{}", found.mean_correlation);
    assert_eq!((found.recovered, found.feature), (0.5, vec![Some(0), Some(1)]));
}

/// A truth whose indicators are all represented, and features that are right with a chance of `quality`.
fn scored(quality: f64, count: usize) -> TruthScores {
    let on = patterns(3000, count, 8);
    let mut firings = Firings::with_columns(count);
    for n in 0..on.rows() {
        let is_kept = |v: &u32| uniform(hash(77) ^ (n * count) as u64 ^ u64::from(*v)) < quality;
        firings.index.extend(on.row(n).iter().copied().filter(is_kept));
        firings.row_start.push(firings.index.len());
    }
    let probes = Probes { auroc: vec![1.0; count], fitted_rows: 1500, scored_rows: 1500 };
    score("", &truth(&on, 10), &firings, Some(&probes), &options())
}

#[test]
fn verdicts_need_every_baseline_beaten() {
    let lines = || verdict::Lines::standard(1);
    let (good, fair, poor) = (scored(0.9, 20), scored(0.8, 20), scored(0.3, 20));
    let clear = verdict::verdict(&good, &[(Baseline::FrozenDecoder, &poor)], lines());
    assert!(clear.valid && clear.publishable && clear.reasons.is_empty(), "{clear:?}");
    assert_eq!(clear.indicators, 20);
    let gap = good.matched_f1_represented.value - poor.matched_f1_represented.value;
    assert!((clear.comparisons[0].gap - gap).abs() < 1e-12);

    let both = [(Baseline::FrozenDecoder, &poor), (Baseline::Pca, &fair)];
    let narrow = verdict::verdict(&good, &both, lines());
    assert!(narrow.valid && !narrow.publishable, "{narrow:?}");

    let beaten =
        verdict::verdict(&fair, &[(Baseline::FrozenDecoder, &poor), (Baseline::RandomLm, &good)], lines());
    assert!(!beaten.valid && beaten.reasons.len() == 1);
    assert!(beaten.reasons[0].contains("random-lm: the gap -0.0"), "{:?}", beaten.reasons);
}

/// A mean gap of 0.1 that comes from two indicators of twenty is not told from 0.
#[test]
fn a_gap_of_few_indicators_is_not_valid() {
    let (mut trained, baseline) = (scored(0.8, 20), scored(0.8, 20));
    for (i, change) in [0.9, 0.9, -0.8].into_iter().enumerate() {
        trained.indicators[i].matched_f1 = baseline.indicators[i].matched_f1 + 2.0 * change;
    }
    let verdict = verdict::verdict(&trained, &[(Baseline::Neurons, &baseline)], verdict::Lines::standard(1));
    assert!((verdict.comparisons[0].gap - 0.1).abs() < 1e-12);
    assert!(!verdict.valid && verdict.reasons[0].contains("is not above 0"), "{:?}", verdict.reasons);
}

#[test]
fn verdicts_without_grounds_are_invalid() {
    let (scores, lines) = (scored(0.8, 20), verdict::Lines::standard(1));
    let alone = verdict::verdict(&scores, &[], lines.clone());
    assert_eq!((alone.valid, alone.reasons), (false, vec!["no baseline was measured".to_string()]));
    let on = patterns(500, 4, 8);
    let unknown = score("", &truth(&on, 10), &on, None, &options());
    let verdict = verdict::verdict(&unknown, &[(Baseline::Pca, &scores)], lines);
    assert!(!verdict.valid && verdict.comparisons[0].gap.is_nan(), "{verdict:?}");
    assert_eq!(verdict.reasons, ["no indicator is known to be represented at this site"]);
}

#[test]
fn scores_survive_json() {
    let on = patterns(300, 3, 1);
    let scores = score("a", &truth(&on, 300), &patterns(300, 2, 4), None, &lenient());
    let text = serde_json::to_string(&scores).expect("plain data");
    assert!(text.contains(r#""null_mean":"NaN""#) && text.contains(r#""represented":"unknown""#), "{text}");
    let back: TruthScores = serde_json::from_str(&text).expect("round trip");
    assert_eq!(serde_json::to_string(&back).expect("plain data"), text);
}
