//! Where features fire most, against coordinates of the residual stream read window by window: feature i of the dictionary here
//! is the positive part of coordinate i.

use lapidary_atlas::{AtlasError, Subject, contexts};
use lapidary_dictionary::{Activation, Dictionary};
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Model, Site};
use lapidary_text::{Corpus, Window};
use std::path::Path;

const BOS: u32 = 1;
const MOST: usize = 3;

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
    Model::load(&dir, Device::detect()).expect("the fixture model")
}

/// Seventy windows of 35 documents, 3 to 29 tokens after BOS: more than run through the model at a time.
fn corpus() -> Corpus {
    let window = |w: u32| {
        let piece = (0..3 + w * 13 % 27).map(|i| 3 + (i * i * 5 + i * w + w * 11) % 37);
        Window { doc: w / 2, pos: 0, tokens: [BOS].into_iter().chain(piece).collect() }
    };
    Corpus { windows: (0..70).map(window).collect(), ..Corpus::default() }
}

fn positive_part(d: usize) -> Dictionary {
    let mut w = vec![0.0; d * d];
    (0..d).for_each(|i| w[i * d + i] = 1.0);
    let zeros = vec![0.0; d];
    let activation = Activation::JumpRelu;
    Dictionary {
        w_enc: w.clone(),
        b_enc: zeros.clone(),
        threshold: zeros.clone(),
        w_dec: w,
        b_dec: zeros,
        w_skip: None,
        activation,
        d_in: d,
        d_out: d,
    }
}

#[test]
fn features_that_are_coordinates_fire_where_coordinates_are_largest() {
    let (model, corpus) = (model(), corpus());
    let site: Site = "1.res".parse().unwrap();
    let d = model.spec.width(site);
    let dictionary = positive_part(d);
    let subject = Subject { name: "coordinates", site, dictionary: &dictionary };
    let seen = contexts(&model, &corpus, &[subject], MOST, &mut |_| ()).unwrap().remove(0);

    let mut rows = 0;
    let mut firings: Vec<Vec<(f32, u32, u32, u32)>> = vec![Vec::new(); d];
    for (w, window) in (0..).zip(&corpus.windows) {
        let batch = Batch::new([window.tokens.as_slice()]);
        let mut x = Vec::new();
        model.tap(&batch, &[site], &mut |_, values| x = values.to_vec());
        for position in window.row_positions(&model.spec) {
            rows += 1;
            for (i, &value) in x[position * d..][..d].iter().enumerate() {
                if value > 0.0 {
                    firings[i].push((value, window.doc, w, position as u32));
                }
            }
        }
    }
    assert_eq!(seen.rows, rows);
    for (feature, mut all) in seen.features.iter().zip(firings) {
        assert_eq!(feature.fires, all.len() as u64);
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut documents = Vec::new();
        all.retain(|&(_, document, ..)| {
            !documents.contains(&document) && {
                documents.push(document);
                true
            }
        });
        let found: Vec<_> =
            feature.contexts.iter().map(|c| (c.value, c.document, c.window, c.position)).collect();
        assert_eq!(found, all[..MOST.min(all.len())]);
    }
}

#[test]
fn a_dictionary_of_another_width_is_refused_by_name() {
    let (model, corpus) = (model(), corpus());
    let site: Site = "1.res".parse().unwrap();
    let dictionary = positive_part(model.spec.width(site) + 1);
    let subject = Subject { name: "wide", site, dictionary: &dictionary };
    let error = contexts(&model, &corpus, &[subject], MOST, &mut |_| ()).unwrap_err();
    assert!(matches!(error, AtlasError::Width { .. }) && error.to_string().contains("wide"), "{error}");
}
