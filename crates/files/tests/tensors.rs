//! Tests of the safetensors reader and writer: hostile files are refused before anything is allocated, and what is
//! written is what the `safetensors` crate's own reader sees.

use half::{bf16, f16};
use lapidary_files::tensors::{Dtype, Tensor, TensorFile, header, write};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::PathBuf;

/// A file with this header text and `data` bytes of zeros, in a folder that lives as long as the first value.
fn file(header: &str, data: usize) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    raw(&bytes)
}

fn raw(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Opening fails with a message that names the file, says `what`, and tells what to do.
fn refused(header: &str, data: usize, what: &str) {
    let (_dir, path) = file(header, data);
    let error = TensorFile::open(&path).expect_err(header).to_string();
    assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    assert!(error.contains(what), "`{what}` is not in: {error}");
    assert!(error.contains("fetch it again") && !error.ends_with('.'), "{error}");
}

#[test]
fn hostile_headers_are_refused() {
    let one = |shape: &str, span: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{span}}}}}"#)
    };
    TensorFile::open(&file(&one("[2]", "[0,8]"), 8).1).unwrap();
    refused("not json", 0, "bad header");
    refused("{", 0, "bad header");
    refused("[]", 0, "bad header");
    refused(r#"{"a":3}"#, 0, "bad header");
    refused(&one("[2]", "[0,8]").replace("F32", "F33"), 8, "bad header");
    refused(&one("[2]", "[0,8]"), 7, "7 bytes of data where the header describes 8");
    refused(&one("[2]", "[0,8]"), 9, "9 bytes of data where the header describes 8");
    refused(&one("[3]", "[0,8]"), 8, "bad header"); // shape and span disagree
    refused(&one("[2]", "[8,0]"), 8, "bad header"); // backwards
    refused(&one("[2]", "[4,12]"), 12, "bad header"); // a hole at the start
    refused(&one("[-1]", "[0,8]"), 8, "bad header");
    refused(&one("[18446744073709551615]", "[0,8]"), 8, "bad header");
    refused(&one("[4294967296,4294967296,4294967296]", "[0,0]"), 0, "bad header"); // the product wraps to 0
    refused(&one("[2]", "[0,18446744073709551615]"), 8, "bad header");
}

#[test]
fn tensors_that_overlap_or_leave_holes_are_refused() {
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{b}}}}}"#
        )
    };
    TensorFile::open(&file(&two("[0,8]", "[8,16]"), 16).1).unwrap();
    refused(&two("[0,8]", "[4,12]"), 12, "bad header");
    refused(&two("[0,8]", "[0,8]"), 8, "bad header");
    refused(&two("[0,8]", "[12,20]"), 20, "bad header");
}

/// Shape and span agree on 2⁶¹ − 1 bytes that are not there: refused before anything is allocated for them.
#[test]
fn a_tensor_far_beyond_the_file_is_refused() {
    let huge = (1u64 << 61) - 1;
    let text = format!(r#"{{"a":{{"dtype":"U8","shape":[{huge}],"data_offsets":[0,{huge}]}}}}"#);
    refused(&text, 0, &format!("0 bytes of data where the header describes {huge}"));
}

#[test]
fn cut_files_are_refused_wherever_they_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    write(&path, &[Tensor::f32("a", &[3], &[1.0, 2.0, 3.0])], &HashMap::new()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = TensorFile::open(&path).expect_err("cut").to_string();
        assert!(error.contains("fetch it again"), "{error}");
    }
}

#[test]
fn an_oversized_length_prefix_is_refused() {
    for prefix in [u64::MAX, u64::MAX - 7, 100_000_001, 1 << 20] {
        let mut bytes = prefix.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        let (_dir, path) = raw(&bytes);
        let error = TensorFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("a header of {prefix} bytes in a file of 10")), "{error}");
    }
    let error = TensorFile::open(std::env::temp_dir().as_path()).unwrap_err().to_string();
    assert!(error.contains("a folder"), "{error}");
    let error = TensorFile::open(std::path::Path::new("missing.safetensors")).unwrap_err().to_string();
    assert!(error.contains("missing.safetensors: cannot read"), "{error}");
}

#[test]
fn what_is_written_is_what_the_format_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let floats = [1.5f32, -0.0, f32::NAN, f32::INFINITY, 1e-45, 3.0];
    let ids: Vec<u8> = [7i64, -1].iter().flat_map(|i| i.to_le_bytes()).collect();
    let odd = "quote \" backslash \\ newline \n é \u{1}";
    let tensors = [
        Tensor { name: "ids", dtype: Dtype::I64, shape: &[2], bytes: &ids },
        Tensor::f32("w \"x\"", &[2, 3], &floats),
        Tensor::f32("none", &[0, 3], &[]),
        Tensor::f32("scalar", &[], &[4.0]),
        Tensor { name: "bytes", dtype: Dtype::U8, shape: &[3], bytes: &[1, 2, 3] },
    ];
    let metadata = HashMap::from([("k".to_string(), odd.to_string()), (odd.to_string(), String::new())]);
    write(&path, &tensors, &metadata).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    let ours = TensorFile::open(&path).unwrap();
    let (start, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(start % 8, 0, "data is aligned");
    assert_eq!(header.metadata().as_ref().unwrap(), &metadata);
    assert_eq!(ours.metadata(), metadata);
    assert_eq!(ours.names(), ["bytes", "ids", "none", "scalar", "w \"x\""]);
    for t in &tensors {
        let view = theirs.tensor(t.name).unwrap();
        assert_eq!((view.dtype(), view.shape(), view.data()), (t.dtype, t.shape, t.bytes), "{}", t.name);
        assert_eq!((ours.dtype(t.name), ours.shape(t.name)), (Some(t.dtype), Some(t.shape)));
    }
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&ours.read_f32("w \"x\"", &[2, 3]).unwrap()), bits(&floats));
    assert_eq!(ours.read_f32("none", &[0, 3]).unwrap(), [0.0f32; 0]);
    assert_eq!(ours.read_f32("scalar", &[]).unwrap(), [4.0]);
    assert_eq!(ours.read_pod::<i64>("ids", Dtype::I64, &[2]).unwrap(), [7, -1]);
    assert_eq!(ours.read_pod::<u8>("bytes", Dtype::U8, &[3]).unwrap(), [1, 2, 3]);
}

#[test]
fn no_tensors_and_no_metadata_is_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    write(&path, &[], &HashMap::new()).unwrap();
    assert!(TensorFile::open(&path).unwrap().names().is_empty());
    assert!(TensorFile::open(&path).unwrap().metadata().is_empty());
}

#[test]
fn a_wrong_name_shape_or_dtype_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let halves: Vec<u8> = [1.0, -2.5].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let tensors = [
        Tensor { name: "i", dtype: Dtype::I64, shape: &[1], bytes: &[0; 8] },
        Tensor { name: "h", dtype: Dtype::F16, shape: &[1, 2], bytes: &halves },
    ];
    write(&path, &tensors, &HashMap::new()).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let says = |e: lapidary_files::FileError, what: &str| {
        let e = e.to_string();
        assert!(e.starts_with(path.to_str().unwrap()) && e.contains(what), "`{what}` is not in: {e}");
    };
    says(file.read_f32("j", &[1]).unwrap_err(), "expected a tensor `j`, found only h, i");
    says(file.read_f32("h", &[2]).unwrap_err(), "expected `h` of shape [2], found [1, 2]");
    says(file.read_f32("i", &[1]).unwrap_err(), "expected `i` as F32, BF16 or F16, found I64");
    says(file.read_pod::<f32>("i", Dtype::F32, &[1]).unwrap_err(), "expected `i` as F32, found I64");
    assert_eq!(file.read_f32("h", &[1, 2]).unwrap(), [1.0, -2.5]);
}

/// Every bf16 and every f16 there is, against the definition of the formats written out in f64.
#[test]
fn halves_are_widened_exactly() {
    let value = |bits: u16, mantissa: i32, exponent_max: i32| {
        let fraction = f64::from(bits & ((1 << mantissa) - 1)) / f64::from(1 << mantissa);
        let bias = exponent_max / 2;
        let magnitude = match i32::from(bits & 0x7fff) >> mantissa {
            0 => fraction * f64::from(1 - bias).exp2(),
            e if e == exponent_max => [f64::INFINITY, f64::NAN][usize::from(fraction > 0.0)],
            e => (1.0 + fraction) * f64::from(e - bias).exp2(),
        };
        if bits >> 15 == 1 { -magnitude } else { magnitude }
    };
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let bytes: Vec<u8> = all.iter().flat_map(|b| b.to_le_bytes()).collect();
    for (dtype, mantissa, exponent_max) in [(Dtype::BF16, 7, 255), (Dtype::F16, 10, 31)] {
        write(&path, &[Tensor { name: "a", dtype, shape: &[256, 256], bytes: &bytes }], &HashMap::new())
            .unwrap();
        let file = TensorFile::open(&path).unwrap();
        let got = file.read_f32("a", &[256, 256]).unwrap();
        for (&bits, &got) in all.iter().zip(&got) {
            let expected = value(bits, mantissa, exponent_max);
            let same = f64::from(got) == expected || (got.is_nan() && expected.is_nan());
            assert!(
                same && got.is_sign_negative() == expected.is_sign_negative(),
                "{dtype:?} {bits:#x}: {got}"
            );
        }
        let (some, row) = (file.read_rows("a", 256, 3, 2).unwrap(), 3 * 256);
        assert_eq!(some, got[row..row + 512]);
    }
    assert_eq!(bf16::from_bits(0x3f80).to_f32(), 1.0);
}

#[test]
fn rows_outside_the_tensor_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let tensors =
        [Tensor::f32("a", &[4, 3], &values), Tensor::f32("e", &[0, 3], &[]), Tensor::f32("s", &[], &[1.0])];
    write(&path, &tensors, &HashMap::new()).unwrap();
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.read_rows("a", 3, 0, 4).unwrap(), values);
    assert_eq!(file.read_rows("a", 3, 2, 1).unwrap(), [6.0, 7.0, 8.0]);
    assert_eq!(file.read_rows("a", 3, 4, 0).unwrap(), [0.0f32; 0]);
    assert_eq!(file.read_rows("e", 3, 0, 0).unwrap(), [0.0f32; 0]);
    for (name, width, first, count) in [
        ("a", 3, 4, 1),
        ("a", 3, 3, 2),
        ("a", 3, usize::MAX, 2),
        ("a", 4, 0, 1),
        ("e", 3, 0, 1),
        ("s", 1, 0, 1),
        ("b", 3, 0, 1),
    ] {
        file.read_rows(name, width, first, count).expect_err(name);
    }
}

#[test]
#[should_panic(expected = "`a` of shape [2]")]
fn bytes_that_do_not_fill_the_shape_are_a_bug_of_the_caller() {
    header(&[Tensor::f32("a", &[2], &[1.0])], &HashMap::new());
}

proptest! {
    /// Any bytes at all: an error or a file, never a panic.
    #[test]
    fn no_bytes_make_the_reader_panic(prefix in 0u64..80, body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = prefix.to_le_bytes().to_vec();
        bytes.extend(body);
        let (_dir, path) = raw(&bytes);
        let _ = TensorFile::open(&path);
    }

    /// One byte of a good file changed: an error, or a file whose tensors can all be read.
    #[test]
    fn one_changed_byte_never_panics(at in 0usize..200, to in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let tensors = [Tensor::f32("a", &[2, 2], &[1.0; 4]), Tensor::f32("b", &[3], &[2.0; 3])];
        write(&path, &tensors, &HashMap::new()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(file) = TensorFile::open(&path) {
            for name in file.names() {
                let shape = file.shape(&name).unwrap().to_vec();
                let _ = file.read_f32(&name, &shape);
            }
        }
    }

    /// Any tensors of f32, bf16 and i64 in one file, wider ones first as `write` wants them: every bit comes back, whole and by
    /// rows.
    #[test]
    fn any_tensors_come_back(
        floats in proptest::collection::vec((0usize..5, 0usize..5), 0..4),
        halves in proptest::collection::vec((0usize..5, 1usize..5), 0..4),
        ids in proptest::collection::vec(any::<i64>(), 0..9),
        seed in any::<u32>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let bits = |n: usize, salt: u32| (0..n as u32).map(move |i| seed.wrapping_add(salt).wrapping_mul(i * 2 + 1));
        let finite = |b: u32| f32::from_bits(b & 0xbf7f_ffff);
        let wide: Vec<Vec<f32>> = floats.iter().zip(7..).map(|(s, salt)| bits(s.0 * s.1, salt).map(finite).collect()).collect();
        let half: Vec<Vec<bf16>> =
            halves.iter().zip(99..).map(|(s, salt)| bits(s.0 * s.1, salt).map(|b| bf16::from_f32(finite(b))).collect()).collect();
        let id_bytes: Vec<u8> = ids.iter().flat_map(|i| i.to_le_bytes()).collect();
        let names: Vec<String> = (0..8).map(|i| format!("t{i} é\"\\")).collect();
        let shapes = |sides: &[(usize, usize)]| sides.iter().map(|s| [s.0, s.1]).collect::<Vec<_>>();
        let (wide_shapes, half_shapes, length) = (shapes(&floats), shapes(&halves), [ids.len()]);
        let mut all = vec![Tensor { name: "ids", dtype: Dtype::I64, shape: &length, bytes: &id_bytes }];
        for (i, shape) in wide_shapes.iter().enumerate() {
            all.push(Tensor::f32(&names[i], shape, &wide[i]));
        }
        for (i, shape) in half_shapes.iter().enumerate() {
            all.push(Tensor::bf16(&names[4 + i], shape, &half[i]));
        }
        write(&path, &all, &HashMap::new()).unwrap();
        let file = TensorFile::open(&path).unwrap();
        prop_assert_eq!(file.names().len(), all.len());
        prop_assert_eq!(file.read_pod::<i64>("ids", Dtype::I64, &length).unwrap(), ids);
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()) && a.len() == b.len();
        for (i, shape) in wide_shapes.iter().enumerate() {
            prop_assert!(same(&file.read_f32(&names[i], shape).unwrap(), &wide[i]));
        }
        for (i, shape) in half_shapes.iter().enumerate() {
            let widened: Vec<f32> = half[i].iter().map(|h| h.to_f32()).collect();
            prop_assert!(same(&file.read_f32(&names[4 + i], shape).unwrap(), &widened));
            for row in 0..shape[0] {
                let found = file.read_rows(&names[4 + i], shape[1], row, 1).unwrap();
                prop_assert!(same(&found, &widened[row * shape[1]..][..shape[1]]));
            }
        }
    }

    #[test]
    fn any_metadata_and_shape_come_back(
        metadata in proptest::collection::hash_map(any::<String>(), any::<String>(), 0..4),
        name in "[^_].{0,10}",
        rows in 0usize..4,
        width in 0usize..4,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let values: Vec<f32> = (0..rows * width).map(|i| i as f32 + 0.5).collect();
        write(&path, &[Tensor::f32(&name, &[rows, width], &values)], &metadata).unwrap();
        let file = TensorFile::open(&path).unwrap();
        prop_assert_eq!(file.metadata(), metadata);
        prop_assert_eq!(file.read_f32(&name, &[rows, width]).unwrap(), values);
        SafeTensors::deserialize(&std::fs::read(&path).unwrap()).unwrap();
    }
}
