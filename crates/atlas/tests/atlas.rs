//! An atlas of a small suite, against dense arithmetic from the definitions; its bytes; what becomes of damage; the way to another
//! site's layout and back.

use crate::common::{Small, files};
use lapidary_atlas::edit::{Addition, add_explanations, replace_explanations, upgrade};
use lapidary_atlas::neuronpedia::{Named, export, read_explanations};
use lapidary_atlas::pages::{Explanation, FeaturePage, SearchPage};
use lapidary_atlas::{Atlas, AtlasError, SearchKind, Sort, Wanted};
use lapidary_lm::{Batch, Model, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

fn built() -> (Small, tempfile::TempDir, Atlas) {
    let (small, dir) = (Small::new(), tempfile::tempdir().unwrap());
    small.build(dir.path(), u64::MAX).unwrap();
    let atlas = Atlas::open(dir.path()).unwrap();
    (small, dir, atlas)
}

/// The feature's value at every row: window, position, value, from the definition of a JumpReLU.
fn dense(small: &Small, site: Site, f: usize) -> Vec<(u32, usize, f32)> {
    let (_, dictionary) = small.dictionaries.iter().find(|(s, _)| *s == site).unwrap();
    let (d, mut out) = (dictionary.d_in, Vec::new());
    for (w, window) in (0..).zip(&small.corpus.windows) {
        let batch = Batch::new([window.tokens.as_slice()]);
        small.model.tap(&batch, &[site], &mut |_, x| {
            for p in window.row_positions(&small.model.spec) {
                let z: f32 =
                    dictionary.w_enc[f * d..][..d].iter().zip(&x[p * d..][..d]).map(|(w, x)| w * x).sum();
                out.push((w, p, if z > dictionary.threshold[f] { z } else { 0.0 }));
            }
        });
    }
    out
}

fn check(small: &Small, page: &FeaturePage, site: Site, f: usize) {
    let all = dense(small, site, f);
    let fires = all.iter().filter(|r| r.2 > 0.0).count();
    assert_eq!(page.count, fires as u64);
    assert_eq!(page.density, fires as f64 / all.len() as f64);
    assert_eq!(page.max, all.iter().fold(0.0, |m, r| r.2.max(m)));
    let edges = &page.histogram.edges;
    for (edge, &count) in edges.windows(2).zip(&page.histogram.counts) {
        let inside = |r: &&(u32, usize, f32)| (edge[0]..edge[1]).contains(&f64::from(r.2));
        assert_eq!(all.iter().filter(inside).count() as u64, count);
    }
    assert_eq!(page.histogram.counts.iter().sum::<u64>(), fires as u64);
    let mut best: BTreeMap<u32, f32> = BTreeMap::new();
    all.iter().for_each(|r| {
        let of = best.entry(r.0 / 2).or_insert(0.0);
        *of = of.max(r.2);
    });
    let mut best: Vec<f32> = best.into_values().filter(|v| *v > 0.0).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    best.truncate(20);
    assert_eq!(page.contexts.top.iter().map(|c| c.max).collect::<Vec<_>>(), best);
    let shares: f64 = page.contexts.quantiles.iter().map(|q| q.share).sum();
    assert!(fires == 0 || (shares - 1.0).abs() < 1e-12);
    let bands =
        page.contexts.quantiles.iter().flat_map(|q| q.contexts.iter().map(move |c| (q.low, q.high, c)));
    for (low, high, c) in bands {
        assert!((low..high).contains(&f64::from(c.max)) && c.values[c.peak] == c.max);
    }
    let contexts = page.contexts.top.iter().chain(page.contexts.quantiles.iter().flat_map(|q| &q.contexts));
    for c in contexts {
        assert_eq!((c.tokens.len(), c.values[c.peak]), (c.values.len(), c.max));
        let of = |w: u32| all.iter().filter(move |r| r.0 == w).map(|r| r.2).collect::<Vec<_>>();
        assert!(
            [2 * c.document, 2 * c.document + 1].iter().any(|&w| of(w) == c.values),
            "another window's values"
        );
        let truth = c.truth.as_ref().unwrap();
        for ((token, said), &value) in c.tokens.iter().zip(truth).zip(&c.values) {
            if value == 0.0 {
                assert_eq!(said, "");
                continue;
            }
            let id: Option<u32> = token.trim().strip_prefix('w').and_then(|n| n.parse().ok());
            let Some(id) = id else { continue };
            let names = [(id < 20, "low"), (id % 3 == 0, "third")];
            let on: Vec<&str> = names.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
            assert_eq!(*said, on.join("; "), "{token}");
        }
    }
}

#[test]
fn pages_are_those_of_dense_arithmetic() {
    let (small, _dir, atlas) = built();
    for (info, (site, dictionary)) in atlas.suite().dictionaries.iter().zip(&small.dictionaries) {
        let mut alive = 0;
        for f in 0..dictionary.width() {
            let page = atlas.feature(&info.source, f as u32).unwrap();
            check(&small, &page, *site, f);
            alive += usize::from(!page.dead);
        }
        assert_eq!(info.alive, alive);
    }
    assert!(atlas.feature("1-res-32", 32).is_err() && atlas.feature("9-res-32", 0).is_err());
}

#[test]
fn correlations_and_truth_are_those_of_dense_arithmetic() {
    let (small, _dir, atlas) = built();
    let site: Site = "1.res".parse().unwrap();
    let columns: Vec<Vec<f64>> =
        (0..32).map(|f| dense(&small, site, f).iter().map(|r| f64::from(r.2)).collect()).collect();
    let n = columns[0].len() as f64;
    let centred = |c: &[f64]| c.iter().map(|x| x - c.iter().sum::<f64>() / n).collect::<Vec<_>>();
    let columns_centred: Vec<Vec<f64>> = columns.iter().map(|c| centred(c)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let tokens: Vec<u32> = small.corpus.windows.iter().flat_map(|w| w.tokens[1..].to_vec()).collect();
    for f in 0..32 {
        let page = atlas.feature("1-res-32", f as u32).unwrap();
        assert!(page.correlated.exact && page.correlated.features.iter().all(|c| c.index != f as u32));
        for c in &page.correlated.features {
            let (a, b) = (&columns_centred[f], &columns_centred[c.index as usize]);
            let r = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            assert!((f64::from(c.pearson) - r).abs() < 1e-5, "{f} {c:?} {r}");
        }
        let Some(truth) = page.truth else { continue };
        let is_on = |t: u32| if truth.variable == "low" { t < 20 } else { t.is_multiple_of(3) };
        let both = tokens.iter().zip(&columns[f]).filter(|(t, v)| is_on(**t) && **v > 0.0).count() as f64;
        let (on, fires) = (tokens.iter().filter(|t| is_on(**t)).count() as f64, page.count as f64);
        assert_eq!(
            (truth.f1, truth.precision, truth.recall),
            (2.0 * both / (on + fires), both / fires, both / on)
        );
    }
}

/// W_U (γ ⊙ d) in f64, for a residual dictionary; and for one of the heads, whose rows go through W_O first.
#[test]
fn logits_are_those_of_the_formula() {
    let (small, _dir, atlas) = built();
    let (model, v) = (&small.model, small.model.spec.vocab);
    let head = model.weights.head.as_ref().unwrap_or(&model.weights.embed).to_f32();
    let d = model.spec.d_model;
    let effect = |direction: &[f64], gain: bool| -> Vec<f64> {
        let scaled = |i: usize| direction[i] * if gain { f64::from(model.weights.norm.gain[i]) } else { 1.0 };
        (0..v).map(|t| (0..d).map(|i| f64::from(head[t * d + i]) * scaled(i)).sum()).collect()
    };
    for (source, site) in [("1-res-32", 1), ("0-att-48", 0)] {
        let (at, dictionary) = &small.dictionaries[usize::from(site == 1)];
        let f = 5;
        let row: Vec<f64> =
            dictionary.w_dec[f * dictionary.d_out..][..dictionary.d_out].iter().map(|&x| x.into()).collect();
        let direction = if site == 1 { row } else { through_heads(model, *at, &row) };
        let page = atlas.feature(source, f as u32).unwrap();
        let logits = page.logits.unwrap();
        for (list, gain) in [(&logits.top, true), (&logits.without_gain.top, false)] {
            let effects = effect(&direction, gain);
            let mut sorted = effects.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            for (t, by_hand) in list.iter().zip(sorted) {
                assert!((f64::from(t.value) - effects[t.id as usize]).abs() < 1e-5);
                assert!((f64::from(t.value) - by_hand).abs() < 1e-5, "{source}: {t:?} {by_hand}");
            }
        }
        assert_eq!(logits.histogram.counts.iter().sum::<u64>(), v as u64);
        assert_eq!(page.heads.is_some(), site == 0);
    }
    let zero = atlas.feature("1-res-32", 0).unwrap();
    assert!(zero.logits.is_none() && zero.neighbours.same.is_empty() && zero.neighbours.across.is_empty());
}

fn through_heads(model: &Model, site: Site, row: &[f64]) -> Vec<f64> {
    let o = model.weights.layers[site.layer].o.weight.to_f32();
    let wide = row.len();
    (0..model.spec.d_model).map(|i| (0..wide).map(|k| f64::from(o[i * wide + k]) * row[k]).sum()).collect()
}

#[test]
fn damage_is_refused_with_the_file_named() {
    let (_small, dir, atlas) = built();
    drop(atlas);
    for (name, bytes) in files(dir.path()) {
        let path = dir.path().join(&name);
        let refused = |what: &str| {
            let error = Atlas::open(dir.path()).err().map(|e| e.to_string());
            assert!(error.as_ref().is_some_and(|e| e.contains(&name)), "{name}, {what}: {error:?}");
        };
        let mut other = bytes.clone();
        let middle = other.len() / 2;
        other[middle] ^= 0x41;
        std::fs::write(&path, &other).unwrap();
        if name != "atlas.json" {
            refused("a byte changed");
        }
        std::fs::write(&path, &bytes[..middle]).unwrap();
        refused("cut");
        std::fs::remove_file(&path).unwrap();
        refused("missing");
        std::fs::write(&path, &bytes).unwrap();
    }
    Atlas::open(dir.path()).unwrap();
}

#[test]
fn lists_are_sorted_and_filtered() {
    let (_small, _dir, atlas) = built();
    let all = atlas.densities("1-res-32").unwrap();
    let wanted = Wanted { sort: Some(Sort::Density), limit: 10, offset: 3, ..Wanted::default() };
    let list = atlas.features("1-res-32", &wanted).unwrap();
    let mut sorted = all.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    assert_eq!((list.total, list.features.len()), (32, 10));
    assert_eq!(list.features.iter().map(|f| f.density).collect::<Vec<_>>(), sorted[3..13]);
    let middle = sorted[16];
    let wanted = Wanted { min_density: Some(middle), limit: 100, ..Wanted::default() };
    let list = atlas.features("1-res-32", &wanted).unwrap();
    assert_eq!(list.total, all.iter().filter(|d| **d >= middle).count() as u64);
    assert!(list.features.windows(2).all(|pair| pair[0].index < pair[1].index));
    let some = atlas.some("1-res-32", &[7, 3, 999]).unwrap();
    assert_eq!(some.iter().map(|f| f.index).collect::<Vec<_>>(), [7, 3]);
    for draw in [0, 1, 17, u64::MAX] {
        let name = atlas.random(Some("2-mlp-32"), draw).unwrap();
        assert!(!atlas.feature(&name.source, name.index).unwrap().dead);
    }
}

/// Of each feature of any dictionary that has an explanation with a word that begins so: the best score of these.
fn with_word(atlas: &Atlas, word: &str) -> BTreeMap<(String, u32), f64> {
    let mut out = BTreeMap::new();
    for d in &atlas.suite().dictionaries {
        for f in 0..d.features as u32 {
            for e in atlas.explanations(&d.source, f).unwrap() {
                if e.text.split(|c: char| !c.is_alphanumeric()).any(|w| w.starts_with(word)) {
                    let score = out.entry((d.source.clone(), f)).or_insert(f64::MIN);
                    *score = e.score.unwrap().max(*score);
                }
            }
        }
    }
    out
}

#[test]
fn searches_find_each_feature_once_by_filters_and_in_order() {
    let (_small, _dir, atlas) = built();
    let find = |query: &str, wanted: Wanted| {
        atlas.search(query, SearchKind::Explanation, None, &Wanted { limit: 1_000, ..wanted }).unwrap()
    };
    let truth = with_word(&atlas, "w");
    let all = find("w", Wanted::default());
    let names =
        |page: &SearchPage| page.results.iter().map(|r| (r.source.clone(), r.index)).collect::<BTreeSet<_>>();
    assert_eq!((all.total, all.results.len(), all.note.as_ref()), (truth.len() as u64, truth.len(), None));
    assert!(truth.len() > 20 && names(&all) == truth.keys().cloned().collect());
    assert!(all.results.iter().all(|r| r.explanation.as_ref().is_some_and(|e| e.contains('w'))));

    let row = |(source, f): &(String, u32)| atlas.some(source, &[*f]).unwrap().remove(0);
    let mut densities: Vec<f64> = truth.keys().map(|name| row(name).density).collect();
    densities.sort_by(f64::total_cmp);
    let (low, high) = (densities[truth.len() / 4], densities[truth.len() * 3 / 4]);
    let scores: Vec<f64> = truth.values().copied().collect();
    let least = scores.iter().sum::<f64>() / scores.len() as f64;
    let wanted = Wanted {
        min_density: Some(low),
        max_density: Some(high),
        min_score: Some(least),
        ..Wanted::default()
    };
    let passes = |(name, score): &(&(String, u32), &f64)| {
        (low..=high).contains(&row(name).density) && **score >= least
    };
    let expected: BTreeSet<_> = truth.iter().filter(passes).map(|(name, _)| name.clone()).collect();
    assert!(!expected.is_empty() && expected.len() < truth.len() / 2);
    assert_eq!(names(&find("w", wanted.clone())), expected);

    let by_max = find("w", Wanted { sort: Some(Sort::Max), ..Wanted::default() });
    let mut maxima: Vec<f32> = truth.keys().map(|name| row(name).max).collect();
    maxima.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(by_max.results.iter().map(|r| r.max).collect::<Vec<_>>(), maxima);
    let middle = maxima[truth.len() / 2];
    let strong = find("w", Wanted { min_max: Some(middle.into()), ..Wanted::default() });
    assert_eq!(strong.total, maxima.iter().filter(|max| **max >= middle).count() as u64);

    let none = find("w", Wanted { min_density: Some(1.5), ..Wanted::default() });
    let said = format!("the filters hide all of the {} features that were found", truth.len());
    assert_eq!((none.total, none.note), (0, Some(said)));
}

#[test]
fn searches_know_no_operators_and_say_why_nothing_was_found() {
    let (_small, _dir, atlas) = built();
    let wanted = Wanted { limit: 10, ..Wanted::default() };
    let ask = |query: &str, kind, source| atlas.search(query, kind, source, &wanted).unwrap();
    for query in
        ["NOT", "w7 OR", "a* AND (", "text:w7", "é", "w' --", "\u{903}", "½", "w7\0", "NEAR(w7 w8)", "^w7"]
    {
        ask(query, SearchKind::Explanation, None);
        ask(query, SearchKind::Token, None);
    }
    for query in ["", "  ", "\"", "?!", "…", "--", "* ( ) ^ :"] {
        let found = ask(query, SearchKind::Explanation, None);
        let said = "nothing to search for: type letters or digits";
        assert_eq!((found.total, found.results.len(), found.note.as_deref()), (0, 0, Some(said)), "{query}");
    }
    let nowhere = ask("zyzzyva", SearchKind::Explanation, None);
    assert_eq!(nowhere.note.as_deref(), Some("no explanation in this atlas has these words"));
    let nowhere = ask("zyzzyva", SearchKind::Token, Some("1-res-32"));
    let said = "no feature in the dictionary 1-res-32 fires most at this token, or promotes it";
    assert_eq!((nowhere.total, nowhere.note.as_deref()), (0, Some(said)));
    let peak = |f: u32| {
        let top = atlas.feature("1-res-32", f).unwrap().contexts.top;
        top.first().map(|c| c.tokens[c.peak].trim().to_string()).unwrap_or_default()
    };
    let (f, token) = (0..32).map(|f| (f, peak(f))).find(|(_, token)| token.starts_with('w')).unwrap();
    let all = Wanted { limit: 100, ..Wanted::default() };
    let found = atlas.search(&token, SearchKind::Token, Some("1-res-32"), &all).unwrap();
    assert!(found.results.iter().any(|r| r.index == f && r.why.starts_with("fires")), "{token}: {found:?}");
    let names: BTreeSet<u32> = found.results.iter().map(|r| r.index).collect();
    assert_eq!(names.len() as u64, found.total, "a feature that fires at it and promotes it is found once");
}

const TEN: Wanted = Wanted {
    sort: None,
    descending: None,
    min_density: None,
    max_density: None,
    min_max: None,
    min_score: None,
    alive: false,
    offset: 0,
    limit: 10,
};

fn gunzip(path: &Path) -> Vec<serde_json::Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn to_neuronpedia_and_back() {
    let (_small, dir, atlas) = built();
    let out = tempfile::tempdir().unwrap();
    let named = Named { creator: "c", release: "r", created: "2026-01-01T00:00:00.000Z" };
    export(&atlas, out.path(), &named, &mut |_, _| ()).unwrap();
    let rows = gunzip(&out.path().join("m/1-res-32/features/batch-0.jsonl.gz"));
    let page = atlas.feature("1-res-32", 4).unwrap();
    assert_eq!(
        (rows.len(), &rows[4]["index"], &rows[4]["sourceSetName"]),
        (32, &"4".into(), &"res-32".into())
    );
    assert_eq!(rows[4]["frac_nonzero"], page.density);
    assert_eq!(rows[4]["hookName"], "blocks.1.hook_resid_post");
    assert_eq!(rows[4]["pos_str"].as_array().unwrap().len(), 10);
    let activations = gunzip(&out.path().join("m/1-res-32/activations/batch-0.jsonl.gz"));
    let of_4: Vec<_> = activations.iter().filter(|a| a["index"] == "4" && a["binMin"] == -1.0).collect();
    assert_eq!(of_4.len(), page.contexts.top.len());
    assert_eq!(of_4[0]["tokens"].as_array().unwrap().len(), of_4[0]["values"].as_array().unwrap().len());

    // What was exported is known already; what somebody else says is added, once, and is found.
    let (found, foreign) = read_explanations(&atlas, out.path(), None).unwrap();
    assert!(!found.is_empty() && foreign == 0);
    let before = atlas.explanations("1-res-32", 4).unwrap();
    drop(atlas);
    assert_eq!(add_explanations(dir.path(), &found).unwrap(), 0);
    let theirs = tempfile::tempdir().unwrap();
    let folder = theirs.path().join("explanations");
    std::fs::create_dir_all(&folder).unwrap();
    let line = r#"{"id":"x","modelId":"other","layer":"9-x","index":"4","description":"aardvarks in autumn","authorId":"u","typeName":"oai_token-act-pair","explanationModelName":"gpt","notes":null}"#;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, line.as_bytes()).unwrap();
    std::fs::write(folder.join("batch-0.jsonl.gz"), gz.finish().unwrap()).unwrap();
    let atlas = Atlas::open(dir.path()).unwrap();
    assert_eq!(read_explanations(&atlas, theirs.path(), None).unwrap(), (vec![], 1));
    let (found, _) = read_explanations(&atlas, theirs.path(), Some("1-res-32")).unwrap();
    drop(atlas);
    assert_eq!(add_explanations(dir.path(), &found).unwrap(), 1);
    assert_eq!(add_explanations(dir.path(), &found).unwrap(), 0);
    let atlas = Atlas::open(dir.path()).unwrap();
    let after = atlas.explanations("1-res-32", 4).unwrap();
    assert_eq!(after.len(), before.len() + 1);
    let hit = atlas.search("autumn aard", SearchKind::Explanation, None, &TEN).unwrap();
    assert_eq!((hit.total, hit.results[0].index, hit.results[0].source.as_str()), (1, 4, "1-res-32"));
    assert_eq!(upgrade(dir.path()).unwrap(), lapidary_atlas::rows::VERSION, "nothing to upgrade");
    drop(atlas);
    replaced(dir.path(), &found[0]);
}

/// What an author wrote in one way gives place to what he writes now, in the dictionaries that he looked at; the rest stays.
fn replaced(folder: &Path, theirs: &Addition) {
    let by = (theirs.explanation.author.as_str(), theirs.explanation.method.as_str());
    let explanation = Explanation { text: "badgers in spring".into(), ..theirs.explanation.clone() };
    let new = [Addition { index: 7, explanation, ..theirs.clone() }];
    let here = [theirs.dictionary];
    assert!(
        !replace_explanations(folder, by, &[theirs.dictionary + 1], &[]).unwrap(),
        "of others there is nothing"
    );
    assert!(!replace_explanations(folder, ("somebody else", by.1), &here, &[]).unwrap());
    let count = |query: &str| {
        let found = Atlas::open(folder).unwrap().search(query, SearchKind::Explanation, None, &TEN).unwrap();
        (found.total, found.results.first().map(|r| r.index))
    };
    assert_eq!(count("autumn aard"), (1, Some(4)));
    assert!(replace_explanations(folder, by, &here, &new).unwrap());
    assert!(!replace_explanations(folder, by, &here, &new).unwrap(), "again: as they were");
    assert_eq!(
        (count("autumn aard").0, count("badgers spring")),
        (0, (1, Some(7))),
        "words are found as they are now"
    );
}

/// Sixteen edits while four threads ask: every question is answered, and whoever asks after an edit sees it.
#[test]
fn an_atlas_is_edited_while_it_is_open() {
    let (_small, dir, atlas) = built();
    let says = |n: usize| Explanation {
        text: format!("edit{n}"),
        author: "somebody".into(),
        method: "by hand".into(),
        score: None,
        score_name: String::new(),
        how_measured: String::new(),
    };
    let before = atlas.explanations("1-res-32", 4).unwrap().len();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        let ask = || {
            let mut asked = 0;
            while !is_done.load(order) || asked == 0 {
                let (page, list) = (atlas.feature("1-res-32", 4), atlas.features("2-mlp-32", &TEN));
                assert!(page.unwrap().explanations.len() >= before && list.unwrap().total == 32);
                asked += 1;
            }
        };
        (0..4).for_each(|_| drop(scope.spawn(ask)));
        for n in 0..16 {
            let addition = Addition { dictionary: 1, index: 4, explanation: says(n) };
            assert_eq!(add_explanations(dir.path(), &[addition]).unwrap(), 1);
            let found = atlas.search(&format!("edit{n}"), SearchKind::Explanation, None, &TEN).unwrap();
            assert_eq!((found.total, found.results[0].index), (1, 4));
        }
        is_done.store(true, order);
    });
    let all = atlas.explanations("1-res-32", 4).unwrap();
    assert_eq!(all.iter().filter(|e| e.author == "somebody").count(), 16);
    let rows = files(dir.path()).into_keys().filter(|name| name.ends_with(".sqlite")).count();
    assert_eq!(rows, 1, "the old files are gone");

    // Another atlas in its place is not mixed with the one that is open.
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("atlas.json")).unwrap()).unwrap();
    std::fs::remove_file(dir.path().join(manifest["rows"].as_str().unwrap())).unwrap();
    manifest["key"] = "another".into();
    std::fs::write(dir.path().join("atlas.json"), manifest.to_string()).unwrap();
    let error = atlas.explanations("1-res-32", 4).unwrap_err();
    assert!(matches!(&error, AtlasError::Damaged(said) if said.contains("built since")), "{error}");
}
