//! Files that lie about themselves: each is an error that says what is wrong, and none makes the reader allocate what the
//! file's length does not support.

use lapidary_gguf::GgufFile;
use proptest::prelude::*;
use std::path::PathBuf;

/// A header under construction.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(mut self, n: u32) -> Bytes {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn u64(mut self, n: u64) -> Bytes {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Bytes {
        let mut bytes = self.u64(text.len() as u64);
        bytes.0.extend(text.as_bytes());
        bytes
    }

    fn start(tensors: u64, keys: u64) -> Bytes {
        Bytes(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }

    /// Name, dimensions from the fastest, type, offset.
    fn tensor(self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Bytes {
        let bytes = self.text(name).u32(shape.len() as u32);
        shape.iter().fold(bytes, |b, &n| b.u64(n)).u32(kind).u64(offset)
    }

    fn data(mut self, bytes: usize) -> Bytes {
        self.0.resize(self.0.len().next_multiple_of(32) + bytes, 0);
        self
    }

    fn open(&self) -> Result<GgufFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        std::fs::write(&path, &self.0).unwrap();
        GgufFile::open(&path).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn refused(&self, expected: &str) {
        let error = self.open().unwrap_err();
        assert!(error.contains("x.gguf") && error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_good_opens() {
    let good = Bytes::start(2, 1)
        .text("general.alignment")
        .u32(4)
        .u32(64)
        .tensor("a", &[32, 3], 2, 64)
        .tensor("b", &[5], 0, 0);
    let mut good = Bytes(good.0.clone()).data(0);
    good.0.resize(good.0.len().next_multiple_of(64) + 64 + 3 * 18, 0);
    let file = good.open().unwrap();
    assert_eq!(file.tensors()["a"].shape, [3, 32]);
    assert_eq!(file.read_f32("a", &[3, 32]).unwrap(), [0.0; 96]);
    good.0.pop();
    good.refused("117 bytes of data, where `a` ends at byte 118; the file is damaged or cut short");
}

#[test]
fn other_files_and_other_versions_are_named() {
    Bytes(b"GGML".to_vec()).u32(3).refused("other first bytes");
    Bytes(b"GGUF".to_vec()).u32(1).refused("version 1; convert the model again");
    Bytes(b"GGUF\0\0\0\x03".to_vec()).u64(0).u64(0).refused("a big-endian GGUF file");
    Bytes::default().refused("0 bytes are left");
    let split = Bytes::start(0, 1).text("split.count").u32(2);
    Bytes([&split.0[..], &[3, 0]].concat()).refused("one of 3 parts; join them");
    let error = GgufFile::open(&std::env::temp_dir()).unwrap_err().to_string();
    assert!(error.contains("a folder or a device"), "{error}");
}

#[test]
fn counts_beyond_the_file_are_refused_before_anything_is_allocated() {
    const HUGE: u64 = u64::MAX / 3;
    Bytes::start(HUGE, 0).refused("tensors: ");
    Bytes::start(0, HUGE).refused("keys: ");
    Bytes::start(0, 1).u64(HUGE).data(64).refused("bytes of a key");
    Bytes::start(0, 1).text("a").u32(8).u64(1 << 40).refused("bytes of `a`: 1099511627776 of them, where");
    for (kind, name) in [(0u32, "u8"), (6, "f32"), (8, "text"), (12, "f64")] {
        let list = Bytes::start(0, 1).text(name).u32(9).u32(kind).u64(HUGE);
        list.refused(&format!("entries of `{name}`"));
        Bytes::start(0, 1).text(name).u32(9).u32(kind).u64(1 << 30).refused("of them, where");
    }
    let of = |shape: &[u64], kind| Bytes::start(1, 0).tensor("a", shape, kind, 0).data(64);
    of(&[1 << 40, 1 << 40], 0).refused("`a` of shape");
    of(&[1 << 31, 1 << 31, 1 << 31], 2).refused("`a` of shape");
    of(&[1 << 40], 0).refused("64 bytes of data");
}

#[test]
fn tensors_that_cannot_be_are_refused() {
    let of = |shape: &[u64], kind| Bytes::start(1, 0).tensor("a", shape, kind, 0).data(64);
    of(&[33], 2).refused("`a` of shape [33] as Q4_0");
    of(&[0], 0).refused("`a` of shape [0] as F32");
    of(&[4, 0], 0).refused("`a` of shape [4, 0] as F32");
    of(&[], 0).refused("`a` of 0 dimensions");
    of(&[1; 5], 0).refused("`a` of 5 dimensions");
    of(&[32], 23).refused("found IQ4_XS; this type is not read");
    of(&[32], 99).refused("found type 99");
    let two = |at| Bytes::start(2, 0).tensor("a", &[16], 0, 0).tensor("b", &[1], 0, at).data(128);
    two(32).refused("`b` overlapping another tensor");
    two(8).refused("`b` at byte 8, not a multiple of 32");
    two(u64::MAX - 31).refused("bytes of data, where `b` ends");
    assert!(two(64).open().is_ok());
    Bytes::start(2, 0).tensor("a", &[1], 0, 0).tensor("a", &[1], 0, 32).data(64).refused("`a` twice");
}

#[test]
fn values_that_cannot_be_are_refused() {
    let with = |kind: u32, rest: &[u8]| Bytes([&Bytes::start(0, 1).text("a").u32(kind).0[..], rest].concat());
    with(13, &[0; 8]).refused("`a` of type 13");
    with(9, &[13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).refused("`a` of type 13");
    with(9, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).refused("a list of lists");
    with(7, &[2]).refused("a truth value of 2");
    with(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]).refused("`a` that is not UTF-8");
    with(10, &[0xff; 8]).refused("beyond any number here");
    for n in [0u32, 3, 48] {
        Bytes::start(0, 1).text("general.alignment").u32(4).u32(n).refused("not a power of two");
    }
    let twice = Bytes::start(0, 2).text("a").u32(4).u32(1).text("a").u32(4).u32(1);
    twice.refused("`a` twice");
}

fn model() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gguf/types.gguf");
    std::fs::read(path).unwrap()
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let whole = model();
    assert!(Bytes(whole.clone()).open().is_ok());
    let last = whole.len() - 32; // the last tensor may be followed by padding
    for end in (0..last).step_by(7) {
        Bytes(whole[..end].to_vec()).refused("");
    }
}

proptest! {
    /// Damage anywhere is an error or another file that can be read.
    #[test]
    fn damage_never_panics(at in 0usize..1200, byte: u8, more in 0usize..1200, other: u8) {
        let mut bytes = model();
        (bytes[at], bytes[more]) = (byte, other);
        if let Ok(file) = Bytes(bytes).open() {
            for (name, info) in file.tensors() {
                let _ = file.read_f32(name, &info.shape);
            }
        }
    }
}
