//! Sums become scores, with their intervals.

use crate::cells::Table;
use crate::evaluate::{AtSite, Measured, OfSubject, Options, Subject};
use crate::slices::{SliceScores, Sliced, Slicing, score as slice_score};
use crate::sums::Metrics;
use crate::{Score, Scores, Sums, peers};
use lapidary_stats::{NoInterval, bootstrap};

/// What the bootstrap says of one metric.
type Resampled = Result<lapidary_stats::Interval, NoInterval>;

/// In the order of `subjects`.
pub(crate) fn collect(
    tables: Vec<AtSite>,
    shared: &Table,
    subjects: &[Subject],
    slicings: &[Slicing],
    options: Options,
) -> Vec<Measured> {
    let mut measured: Vec<(usize, Measured)> = Vec::new();
    for table in &tables {
        for subject in &table.subjects {
            let documents = joined(&shared.documents, &table.sums.documents, &subject.sums.documents);
            let scores = score(table, subject, &documents, subjects[subject.number].name, options);
            let slices = (0..slicings.len()).map(|s| {
                let parts = [&shared.slices[s], &table.sums.slices[s], &subject.sums.slices[s]];
                sliced(&slicings[s], parts, options)
            });
            let slices = slices.collect();
            measured.push((subject.number, Measured { scores, documents, slices }));
        }
    }
    measured.sort_by_key(|(number, _)| *number);
    measured.into_iter().map(|(_, measured)| measured).collect()
}

/// [documents]: what is shared by all, by those of the site, and one's own.
fn joined(shared: &[Sums], site: &[Sums], own: &[Sums]) -> Vec<Sums> {
    let parts = shared.iter().zip(site).zip(own);
    let sums = parts.map(|((shared, site), own)| Sums {
        variance: site.variance,
        ablated: site.ablated,
        zeroed: site.zeroed,
        active: own.active,
        error: own.error,
        spliced: own.spliced,
        ..*shared
    });
    sums.collect()
}

fn sliced(slicing: &Slicing, [shared, site, own]: [&Vec<Vec<Sums>>; 3], options: Options) -> Sliced {
    let of = |k: usize| -> Option<SliceScores> {
        let documents = joined(&shared[k], &site[k], &own[k]);
        slice_score(&slicing.slices[k], &documents, options.resamples, options.seed)
    };
    Sliced { by: slicing.name.clone(), slices: (0..slicing.slices.len()).filter_map(of).collect() }
}

fn score(table: &AtSite, subject: &OfSubject, documents: &[Sums], name: &str, options: Options) -> Scores {
    let flat: Vec<f64> = documents.iter().flat_map(|sums| sums.to_array()).collect();
    let mut total = [0.0; Sums::COUNT];
    flat.chunks_exact(Sums::COUNT)
        .for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum));
    // The estimate takes the variance by the formula of docs/numerics.md §4; resamples take Σ‖x − μ‖² over what they drew.
    let total = Sums { variance: table.variance(), ..Sums::from_slice(&total) };
    let value = total.metrics();
    let metrics = |sums: &[f64]| Sums::from_slice(sums).metrics().into_array();
    let drawn = bootstrap(&flat, Sums::COUNT, options.resamples, options.seed, metrics);
    let interval = Metrics::from_array(drawn);
    let (rows, targets) = (total.rows as u64, total.targets as u64);
    let per_row = |value, interval: Resampled| Score { value, n: rows, interval: interval.into() };
    let per_target = |value, interval: Resampled| Score { value, n: targets, interval: interval.into() };
    let fvu = per_row(value.fvu, interval.fvu);
    let recovered = per_target(value.loss_recovered_zero, interval.loss_recovered_zero);
    let drawn = (options.resamples, options.seed);
    let peers = peers::scores(&subject.peers, subject.dictionary.d_out, (&fvu, &recovered), drawn);
    Scores {
        name: name.to_owned(),
        site: table.site.to_string(),
        reads: (subject.site != table.site).then(|| subject.site.to_string()),
        width: subject.dictionary.width(),
        d_in: subject.dictionary.d_in,
        documents: documents.len() as u64,
        rows,
        targets,
        l0: per_row(value.l0, interval.l0),
        l0_percentiles: subject.counter.percentiles().expect("there are rows"),
        fvu,
        ce: per_target(value.ce, interval.ce),
        ce_spliced: per_target(value.ce_spliced, interval.ce_spliced),
        ce_ablated: per_target(value.ce_ablated, interval.ce_ablated),
        ce_zero_ablated: Some(per_target(value.ce_zero_ablated, interval.ce_zero_ablated)),
        delta_loss: per_target(value.delta_loss, interval.delta_loss),
        loss_recovered: per_target(value.loss_recovered, interval.loss_recovered),
        loss_recovered_zero: Some(recovered),
        firing: subject.counter.firing(),
        peers: Some(peers),
        resamples: options.resamples,
        seed: options.seed,
    }
}
