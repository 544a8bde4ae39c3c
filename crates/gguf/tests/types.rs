//! Every tensor type against the Python package `gguf`, bit for bit (see `fixtures/gguf/make.py`).

use lapidary_files::tensors::TensorFile;
use lapidary_gguf::{GgufFile, TensorType};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gguf").join(name)
}

#[test]
fn every_type_has_the_bits_of_the_reference() {
    let (file, golden) = (
        GgufFile::open(&fixture("types.gguf")).unwrap(),
        TensorFile::open(&fixture("types.safetensors")).unwrap(),
    );
    assert_eq!(TensorType::all().count(), 13);
    for kind in TensorType::all() {
        let name = kind.to_string().to_lowercase();
        assert_eq!(file.tensors()[&name].kind, kind);
        let (found, expected) =
            (file.read_f32(&name, &[3, 256]).unwrap(), golden.read_f32(&name, &[3, 256]).unwrap());
        let differs = (0..found.len()).find(|&i| found[i].to_bits() != expected[i].to_bits());
        assert_eq!(differs.map(|i| (i, found[i], expected[i])), None, "{kind}");
    }
}

/// More blocks than one task takes: the end of one task and the beginning of the next.
#[test]
fn tensors_of_many_tasks_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = (dir.path().join("many.gguf"), 9_001u64);
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    let number = |bytes: &mut Vec<u8>, n: u64| bytes.extend(n.to_le_bytes());
    number(&mut bytes, 1);
    number(&mut bytes, 0);
    number(&mut bytes, 1);
    bytes.extend(b"x\x02\0\0\0");
    number(&mut bytes, 32);
    number(&mut bytes, rows);
    bytes.extend(8u32.to_le_bytes());
    number(&mut bytes, 0);
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    for row in 0..rows {
        bytes.extend([0, 0x3c]); // 1 in f16
        bytes.extend((0..32).map(|i| (row * 7 + i) as u8));
    }
    std::fs::write(&path, bytes).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let found = file.read_f32("x", &[rows as usize, 32]).unwrap();
    let expected = |i: usize| f32::from(((i / 32) * 7 + i % 32) as u8 as i8);
    assert!((0..found.len()).all(|i| found[i] == expected(i)));
    let error = file.read_f32("x", &[32, rows as usize]).unwrap_err().to_string();
    assert!(error.contains("a tensor `x` of shape [32, 9001], found [9001, 32]"), "{error}");
}
