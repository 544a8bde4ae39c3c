//! A trained gate with a small e^r is released as a gate: no f32 of its magnitude would tell the gate's two sides apart.

use lapidary_dictionary::{Activation, Units, fold, unfold};
use lapidary_kernels::Device;
use lapidary_trainer::{DictionaryPlan, Objective, Parameters, Recipe, Training, to_dictionary};

const D: usize = 3;
const C: f64 = 2.0;

fn plan() -> DictionaryPlan {
    DictionaryPlan {
        lambda: 0.01,
        c: C,
        theta_init: 0.1,
        objective: Objective::Gated,
        ..DictionaryPlan::new("a", "0.res", D, D)
    }
}

/// Feature j reads and writes dimension j: its gate opens where x_j/C − b_dec is above 0.5, its magnitude is e^r(…) + 1.
fn trained(r: f32) -> Training {
    let mut p = Parameters::zeros(&plan());
    for j in 0..D {
        (p.w_enc[j * D + j], p.w_dec[j * D + j]) = (1.0, 1.0);
        (p.b_enc[j], p.b_dec[j]) = (-0.5, 0.25);
    }
    (p.b_mag, p.r_mag) = (Some(vec![1.0; D]), Some(vec![r; D]));
    Training::new(p, &plan(), 0.0)
}

/// In training units 0.75 is the edge: in raw ones C·0.75 = 1.5. The magnitude is C·1.
#[test]
fn a_small_scale_keeps_its_gate() {
    let dictionary = to_dictionary(&trained(-20.0), &plan(), &Recipe::gemma_scope(1));
    let active = dictionary.encode(Device::detect(), &[1.501, 1.499, 100.0]);
    assert_eq!(active.row(0).0, [0, 2]);
    let error = |found: f32, r: f64, x: f64| f64::from(found) - C * (r.exp() * (x / C - 0.25) + 1.0);
    assert!(error(active.row(0).1[0], -20.0, 1.501).abs() < 1e-6);
    assert!(error(active.row(0).1[1], -20.0, 100.0).abs() < 1e-6);
    assert!(matches!(dictionary.activation, Activation::Gated { .. }));
    // There and back.
    let units = Units::sae(C);
    let again = fold(unfold(dictionary.clone(), units), units);
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(near(&again.threshold, &dictionary.threshold) && again.b_enc == dictionary.b_enc);
    let (Activation::Gated { b_mag: a, .. }, Activation::Gated { b_mag: b, .. }) =
        (again.activation, dictionary.activation)
    else {
        panic!("a gate stays one")
    };
    assert!(near(&a, &b));
}

/// Others are a JumpReLU, as ever.
#[test]
fn another_scale_is_folded() {
    let dictionary = to_dictionary(&trained(-0.5), &plan(), &Recipe::gemma_scope(1));
    assert_eq!(dictionary.activation, Activation::JumpRelu);
    let active = dictionary.encode(Device::detect(), &[1.501, 1.499, 100.0]);
    assert_eq!(active.row(0).0, [0, 2]);
}
