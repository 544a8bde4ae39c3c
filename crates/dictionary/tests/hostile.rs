//! Files that are cut short, lie about their sizes, overlap, or hold another kind of thing: always an error that says so, never
//! a panic, never memory for a claim that the file cannot back. (The sizes claimed here would not fit in any machine.)

use lapidary_dictionary::*;
use lapidary_files::tensors::{self, Dtype, Tensor};
use lapidary_kernels::Device;
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

fn dictionary() -> Dictionary {
    let ramp = |n: usize, scale: f32| (0..n).map(|i| (i as f32 * 0.37).sin() * scale).collect::<Vec<f32>>();
    Dictionary {
        w_enc: ramp(12, 1.0),
        b_enc: ramp(4, 0.5),
        threshold: ramp(4, 0.1),
        w_dec: ramp(12, 2.0),
        b_dec: ramp(3, 0.3),
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: 3,
        d_out: 3,
    }
}

/// The message of the error that loading must give; it must name the path.
fn error(path: &Path) -> String {
    let text = load(path).expect_err("an error").to_string();
    assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "names its path: {text}");
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

struct Entry {
    name: &'static str,
    dict: String,
    data: Vec<u8>,
}

/// The five entries of a good archive with D = 3, F = 4.
fn entries() -> Vec<Entry> {
    let entry = |name, shape: &str, n: usize| Entry {
        name,
        dict: format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"),
        data: vec![0; n * 4],
    };
    let wide = [entry("W_enc.npy", "(3, 4)", 12), entry("W_dec.npy", "(4, 3)", 12)];
    let thin =
        [entry("b_enc.npy", "(4,)", 4), entry("b_dec.npy", "(3,)", 3), entry("threshold.npy", "(4,)", 4)];
    wide.into_iter().chain(thin).collect()
}

fn archive(dir: &Path, entries: &[Entry], options: SimpleFileOptions) -> PathBuf {
    let path = dir.join("params.npz");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for entry in entries {
        zip.start_file(entry.name, options).unwrap();
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(entry.dict.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(entry.dict.as_bytes()).unwrap();
        zip.write_all(&entry.data).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated)
}

/// Overwrites a field of the central directory's record of `name`.
fn patch(path: &Path, name: &str, field: usize, bytes: &[u8]) {
    let mut file = std::fs::read(path).unwrap();
    let record = (0..file.len() - 46)
        .rfind(|&i| file[i..].starts_with(b"PK\x01\x02") && file[i + 46..].starts_with(name.as_bytes()))
        .unwrap();
    file[record + field..][..bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, file).unwrap();
}

const COMPRESSED: usize = 20;
const SIZE: usize = 24;
const OFFSET: usize = 42;

#[test]
fn good_archives_load() {
    let dir = tempfile::tempdir().unwrap();
    for options in [stored(), deflated()] {
        assert_eq!(load(&archive(dir.path(), &entries(), options)).unwrap().0.width(), 4);
    }
}

#[test]
fn shapes_that_lie_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (entry, shape, says) in [
        (0, "(1099511627776, 1024)", "shape [1099511627776, 1024]"),
        (0, "(4611686018427387904, 4)", "shape [4611686018427387904, 4]"), // 4·4·2⁶² wraps round to 0
        (0, "(18446744073709551615, 18446744073709551615)", "found shape"),
        (0, "(0, 4)", "found shape"),
        (0, "(4, 3)", "`W_dec` of shape [3, 3]"),
        (0, "(12,)", "D 12, F 0"),
        (2, "(2, 2)", "`b_enc` of shape [4]"),
        (4, "(3,)", "found shape [3]"),
        (1, "()", "found shape []"),
    ] {
        let mut entries = entries();
        entries[entry].dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let text = error(&archive(dir.path(), &entries, stored()));
        assert!(text.contains(says), "{shape}: {text}");
    }
    let mut empty = entries();
    for (entry, shape) in empty.iter_mut().zip(["(3, 0)", "(0, 3)", "(0,)", "(3,)", "(0,)"]) {
        entry.dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        entry.data.truncate(if shape == "(3,)" { 12 } else { 0 });
    }
    assert!(error(&archive(dir.path(), &empty, stored())).contains("at least one feature"));
}

#[test]
fn bombs_and_false_sizes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    // 4 GiB − 1 claimed out of a few bytes.
    let mut huge = entries();
    huge[2].dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (1073741800,), }".into();
    let claimed = (10 + huge[2].dict.len() + 4 * 1_073_741_800) as u32;
    let path = archive(dir.path(), &huge, deflated());
    patch(&path, "b_enc.npy", SIZE, &claimed.to_le_bytes());
    assert!(error(&path).contains("a claim of 42949"), "{}", error(&path));
    // More data than the directory and the header say.
    let mut more = entries();
    let honest = (10 + more[2].dict.len() + 16) as u32;
    more[2].data = vec![0; 8 << 20];
    let path = archive(dir.path(), &more, deflated());
    patch(&path, "b_enc.npy", SIZE, &honest.to_le_bytes());
    assert!(error(&path).contains("to end after 4 numbers, found more"), "{}", error(&path));
    // Less data than they say.
    let mut less = entries();
    less[0].dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 400), }".into();
    less[1].dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (400, 3), }".into();
    less[1].data = vec![0; 4800];
    for i in [2, 4] {
        less[i].dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (400,), }".into();
        less[i].data = vec![0; 1600];
    }
    let claimed = (10 + less[0].dict.len() + 4800) as u32;
    let path = archive(dir.path(), &less, deflated());
    patch(&path, "W_enc.npy", SIZE, &claimed.to_le_bytes());
    assert!(error(&path).contains("the data of `W_enc.npy`"), "{}", error(&path));
    // Stored, but with a size of its own.
    let path = archive(dir.path(), &entries(), stored());
    patch(&path, "b_dec.npy", COMPRESSED, &1_000_000u32.to_le_bytes());
    assert!(error(&path).contains("in a file of"), "{}", error(&path));
}

#[test]
fn overlapping_missing_and_foreign_entries_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), &entries(), stored());
    patch(&path, "W_enc.npy", OFFSET, &0u32.to_le_bytes());
    patch(&path, "b_enc.npy", OFFSET, &0u32.to_le_bytes());
    load(&path).unwrap_err();
    // Two entries that agree in everything but their place.
    let path = archive(dir.path(), &entries(), stored());
    let file = std::fs::read(&path).unwrap();
    let place = |name: &str| {
        let at =
            |i: &usize| file[*i..].starts_with(b"PK\x03\x04") && file[i + 30..].starts_with(name.as_bytes());
        (0..file.len() - 46).find(at).unwrap() as u32
    };
    patch(&path, "b_enc.npy", OFFSET, &place("threshold.npy").to_le_bytes());
    assert!(error(&path).contains("arrays that lie apart"), "{}", error(&path));
    let mut few = entries();
    few.remove(3);
    assert!(error(&archive(dir.path(), &few, stored())).contains("an array `b_dec`, found none"));
    let mut more = entries();
    more.push(Entry { name: "scaling_factor.npy", ..entries().remove(2) });
    assert!(error(&archive(dir.path(), &more, stored())).contains("found `scaling_factor.npy`"));
    let mut half = entries();
    half[2].dict = "{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }".into();
    assert!(error(&archive(dir.path(), &half, stored())).contains("found shape [4] in"));
    half[2].dict = "{'descr': '<i4', 'fortran_order': False, 'shape': (4,), }".into();
    assert!(error(&archive(dir.path(), &half, stored())).contains("dtype <i4"));
    let mut nan = entries();
    nan[4].data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(error(&archive(dir.path(), &nan, stored())).contains("NaN at `threshold`[2]"));
}

/// Every prefix, and every single changed byte: an error or the same dictionary, never a panic.
#[test]
fn damaged_archives_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("params.npz");
    write_npz(&path, &dictionary()).unwrap();
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(load(&path).is_err(), "{length} bytes of {}", good.len());
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        std::fs::write(&path, &bad).unwrap();
        if let Ok((found, _)) = load(&path) {
            assert_eq!(found, dictionary(), "byte {at} changed a number unnoticed");
        }
    }
}

fn meta() -> Meta {
    Meta {
        site: "3.res".into(),
        site_out: "3.res".into(),
        hf_hook_name: None,
        model: ModelRef { name: "toy".into(), hash: None, precision: None },
        context: None,
        prepend_bos: true,
        special_tokens: vec![],
        l0: None,
        training: None,
        probe: Probe::record(&dictionary(), Device::detect(), &[1.0, -2.0, 0.5]),
    }
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    save_sae_lens(dir.path(), &dictionary(), &meta(), "card").unwrap();
    dir
}

/// The error after `change` of cfg.json, without lapidary.json in the way.
fn with_cfg(change: impl FnOnce(&mut serde_json::Value)) -> Result<Dictionary, String> {
    let dir = folder();
    std::fs::remove_file(dir.path().join("lapidary.json")).unwrap();
    let path = dir.path().join("cfg.json");
    let mut cfg = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut cfg);
    std::fs::write(&path, cfg.to_string()).unwrap();
    load(dir.path()).map(|(d, _)| d).map_err(|e| e.to_string())
}

#[test]
fn a_cfg_that_means_other_arithmetic_is_refused_by_name() {
    let refused = |key: &str, value: serde_json::Value, says: &str| {
        let text = with_cfg(|cfg| cfg[key] = value.clone()).unwrap_err();
        let names_file = text.contains("cfg.json") || text.contains("sae_weights");
        assert!(text.contains(says) && names_file, "{key} {value}: {text}");
    };
    refused(
        "architecture",
        "matching_pursuit".into(),
        "expected `architecture` to be `standard`, `jumprelu`",
    );
    refused(
        "architecture",
        "gated".into(),
        "expected only W_enc, W_dec, b_gate, b_mag, r_mag, b_dec, found `b_enc`",
    );
    refused("architecture", "standard".into(), "found `threshold`");
    refused("architecture", "transcoder".into(), "expected `d_out` to be a size, found nothing");
    refused("architecture", "topk".into(), "expected `k` to be a size, found nothing");
    refused("architecture", 3.into(), "found 3");
    refused("normalize_activations", "layer_norm".into(), "found \"layer_norm\"");
    refused("finetuning_scaling_factor", true.into(), "finetuning_scaling_factor");
    refused("activation_fn", "tanh-relu".into(), "activation_fn");
    refused("activation_fn_str", "topk".into(), "activation_fn_str");
    refused("hook_head_index", 3.into(), "hook_head_index");
    refused("apply_b_dec_to_input", "yes".into(), "apply_b_dec_to_input");
    refused("d_sae", (-4).into(), "expected `d_sae` to be a size");
    refused("d_sae", 0.into(), "at least one feature");
    refused("d_sae", (1u64 << 60).into(), "widths that fit in memory");
    refused("d_sae", (1u64 << 31).into(), "shape");
    refused("d_in", 4.into(), "shape");
    assert!(with_cfg(|cfg| *cfg = serde_json::json!([1])).unwrap_err().contains("architecture"));
    assert_eq!(with_cfg(|_| ()), Ok(dictionary()));
    // SAELens' default is an input bias, which is folded: b_enc − W_enc b_dec.
    let folded = with_cfg(|cfg| drop(cfg.as_object_mut().unwrap().remove("apply_b_dec_to_input"))).unwrap();
    let d = dictionary();
    let by_hand: f32 = (0..3).map(|k| d.w_enc[3 + k] * d.b_dec[k]).sum();
    assert!((folded.b_enc[1] - (d.b_enc[1] - by_hand)).abs() < 1e-6 && by_hand.abs() > 0.01);
}

#[test]
fn weights_of_another_kind_are_refused() {
    let write = |name: &str, dtype, shape: &[usize], bytes: &[u8]| {
        let dir = folder();
        std::fs::remove_file(dir.path().join("lapidary.json")).unwrap();
        let names = ["W_enc", "W_dec", "b_enc", "b_dec", "threshold"];
        let shapes: [&[usize]; 5] = [&[3, 4], &[4, 3], &[4], &[3], &[4]];
        let zeros = [0u8; 48];
        let tensor = |(n, s): (&'static str, &'static [usize])| Tensor {
            name: n,
            dtype: Dtype::F32,
            shape: s,
            bytes: &zeros[..s.iter().product::<usize>() * 4],
        };
        let mut all: Vec<Tensor> =
            names.into_iter().zip(shapes).map(tensor).filter(|t| t.name != name).collect();
        all.insert(0, Tensor { name, dtype, shape, bytes });
        tensors::write(&dir.path().join("sae_weights.safetensors"), &all, &Default::default()).unwrap();
        load(dir.path()).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(write("b_enc", Dtype::F32, &[4], &[0; 16]), Ok(()));
    assert_eq!(write("b_enc", Dtype::BF16, &[4], &[0; 8]), Ok(()));
    assert!(write("b_enc", Dtype::F64, &[4], &[0; 32]).unwrap_err().contains("F64"));
    assert!(write("b_enc", Dtype::F32, &[2, 2], &[0; 16]).unwrap_err().contains("shape"));
    assert!(write("W_skip", Dtype::F32, &[3, 3], &[0; 36]).unwrap_err().contains("found `W_skip`"));
    let nan = [[0u8; 4], f32::NAN.to_le_bytes(), [0; 4]].concat();
    assert!(write("b_dec", Dtype::F32, &[3], &nan).unwrap_err().contains("NaN at `b_dec`[1]"));
}

/// Every file of a folder, cut at any length: an error (but for the card, which nothing reads).
#[test]
fn damaged_folders_never_panic() {
    let dir = folder();
    for name in ["cfg.json", "sae_weights.safetensors", "lapidary.json"] {
        let path = dir.path().join(name);
        let good = std::fs::read(&path).unwrap();
        for length in 0..good.len() - 1 {
            std::fs::write(&path, &good[..length]).unwrap();
            let text = load(dir.path()).expect_err(name).to_string();
            assert!(text.contains(name), "{length}: {text}");
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(load(dir.path()).is_ok());
}

#[test]
fn a_sheet_that_does_not_fit_is_refused() {
    let dir = folder();
    let path = dir.path().join("lapidary.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
        load(dir.path()).unwrap_err().to_string()
    };
    assert!(
        with("\"format_version\": 1", "\"format_version\": 2")
            .contains("expected format version 1, found version 2")
    );
    assert!(with("\"units\": \"raw\"", "\"units\": \"normalised\"").contains("raw units"));
    assert!(with("\"x\":[[", "\"x\":[[0.5,").contains("a probe of 1 rows of 3 in and 3 out"));
    assert!(with("\"site\"", "\"sight\"").contains("missing field `site`"));
    assert!(
        with("\"weights_hash\": \"", "\"weights_hash\": \"0")
            .contains("the folder was changed or only half written")
    );
    std::fs::write(&path, &good).unwrap();
    // Good numbers, but not those that were released.
    let mut other = dictionary();
    other.b_enc[0] += 0.5;
    save_sae_lens(dir.path(), &other, &meta(), "card").unwrap();
    let (loaded, found) = load(dir.path()).unwrap();
    let text = found.unwrap().probe.verify(&path, &loaded, Device::detect()).unwrap_err().to_string();
    assert!(text.contains("in row 0"), "{text}");
}

#[test]
fn paths_that_hold_no_dictionary() {
    let dir = tempfile::tempdir().unwrap();
    assert!(error(dir.path()).contains("expected a cfg.json or a params.npz in the folder"));
    assert!(error(&dir.path().join("none")).contains("check the path"));
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    assert!(error(&text).contains("name the folder it is in"));
    let npz = dir.path().join("x.npz");
    std::fs::write(&npz, "hello").unwrap();
    assert!(error(&npz).contains("no zip archive"));
    std::fs::write(dir.path().join("cfg.json"), vec![b' '; 2 << 20]).unwrap();
    assert!(load(dir.path()).unwrap_err().to_string().contains("at most 1048576 bytes"));
}

/// What could not be read back is not written, and a refused write leaves nothing behind.
#[test]
fn nan_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut bad = dictionary();
    bad.w_enc[7] = f32::NAN; // feature 2, input 1
    let text = write_npz(&dir.path().join("params.npz"), &bad).unwrap_err().to_string();
    assert!(text.contains("NaN at `W_enc`[2, 1]"), "{text}");
    assert!(save_sae_lens(dir.path(), &bad, &meta(), "").is_err());
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}
