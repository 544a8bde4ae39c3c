//! Tests of the form: cells are reused and survive, a page says what was found, and the same seed gives the same bytes.

use lapidary_catalog::Catalog;
use lapidary_kernels::Device;
use lapidary_lab::rung::{Need, Rung, RungName};
use lapidary_lab::{EXPERIMENTS, Effort, Event, Lab, LabError, QUESTIONS};
use std::path::Path;
use std::sync::Mutex;

fn catalog(folder: &Path) -> Catalog {
    Catalog {
        data: folder.join("data"),
        cache: folder.join("cache"),
        home: None,
        device: Device::detect(),
        ignore_config_keys: Vec::new(),
        precision: None,
        note: |_| (),
        hidden: Mutex::default(),
    }
}

/// Runs `work` with a lab in `folder`; `stop`: the user wants to.
fn with_lab<T>(folder: &Path, stop: bool, work: impl FnOnce(&mut Lab<'_>) -> T) -> T {
    let catalog = catalog(folder);
    let mut lab = Lab {
        effort: Effort::Quick,
        seed: 3,
        catalog: &catalog,
        folder,
        real: None,
        observe: &mut |_: Event<'_>| (),
        interrupted: &|| stop,
    };
    work(&mut lab)
}

#[test]
fn a_finished_cell_is_read_and_another_plan_is_another_cell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let make = |plan: u32, value: f64| {
        with_lab(path, false, |lab| lab.cell(RungName::Planted, "x", &plan, |_| Ok(vec![value]))).unwrap()
    };
    assert_eq!(make(1, 0.5), [0.5]);
    assert_eq!(make(1, 9.0), [0.5], "the plan is the same: nothing is made");
    assert_eq!(make(2, 9.0), [9.0]);
    let stopped =
        |plan: u32| with_lab(path, true, |lab| lab.cell(RungName::Planted, "x", &plan, |_| Ok(vec![1.0])));
    assert_eq!(stopped(1).unwrap(), [0.5], "what is finished needs no work");
    assert!(matches!(stopped(3), Err(LabError::Interrupted)));
}

#[test]
fn a_damaged_cell_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let make = |value: u32| {
        with_lab(folder.path(), false, |lab| lab.cell(RungName::Planted, "x", &1, |_| Ok(value))).unwrap()
    };
    assert_eq!(make(5), 5);
    let cell = folder.path().join("cells").read_dir().unwrap().next().unwrap().unwrap().path();
    std::fs::write(&cell, "{\"plan_ha").unwrap();
    assert_eq!((make(6), make(7)), (6, 6));
}

#[test]
fn planted_rows_are_fresh_and_their_truth_is_known() {
    let folder = tempfile::tempdir().unwrap();
    with_lab(folder.path(), false, |lab| {
        let need =
            Need { sites: Vec::new(), layer: None, random_lm: true, train_rows: 3_000, known_rows: 500 };
        let rung = Rung::open(lab, RungName::Planted, need).unwrap();
        let held = rung.held(lab).unwrap().rows("planted").to_vec();
        let known = rung.known().unwrap();
        let x = &known.x["planted"];
        assert_eq!((held.len(), x.len()), (3_000 * rung.d(), 500 * rung.d()));
        let (d, first) = (rung.d(), &x[..rung.d()]);
        assert!(!held.chunks_exact(d).any(|row| row == first), "a fresh row was trained on");
        assert_eq!(known.truth.as_ref().unwrap().rows(), 500);
        assert!(rung.model().unwrap().is_none());
    });
}

#[test]
fn a_model_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let need = Need { sites: Vec::new(), layer: None, random_lm: false, train_rows: 10, known_rows: 10 };
    let error = with_lab(folder.path(), false, |lab| Rung::open(lab, RungName::Model, need).err().unwrap());
    assert!(error.to_string().contains("--model"), "{error}");
}

#[test]
fn every_experiment_says_what_a_page_needs() {
    for e in EXPERIMENTS {
        let said = [e.plain, e.method, e.baselines, e.metric, e.pass, e.doubt];
        assert!(said.iter().all(|text| text.len() > 20) && !e.rungs.is_empty(), "{}", e.name);
        assert!(
            !said.iter().any(|text| text.contains("  ")),
            "{}: a text has a gap where a line was continued",
            e.name
        );
        assert!(QUESTIONS.iter().any(|q| q.name == e.name));
    }
}
