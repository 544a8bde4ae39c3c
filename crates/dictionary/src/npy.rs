//! The `.npy` header (NumPy's format 1.0 to 3.0): magic, version, length, and a Python dict of `descr`, `fortran_order`
//! and `shape`, read as the small grammar that NumPy writes and nothing more. Floats of any width and byte order are read, f32
//! in little-endian is written.

use half::{bf16, f16};
use std::io::{self, Read};

/// Longest header that is read, bytes. NumPy's own are 128.
const MAX_HEADER: usize = 16 * 1024;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What a header says about the array behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes from the start of the file to the first element.
    pub(crate) length: u64,
    /// The elements' type as NumPy writes it, e.g. `<f4`.
    pub(crate) descr: String,
    /// Columns first (Fortran order).
    pub(crate) columns_first: bool,
    /// At most two sides.
    pub(crate) shape: Vec<usize>,
}

/// How an element becomes an f64, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
}

/// A type of elements that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    kind: Kind,
    big_endian: bool,
}

impl Number {
    /// What `descr` says, if that is a float. NumPy has no bf16: the packages that add it save it as two bytes of no type.
    pub(crate) fn of(descr: &str) -> Option<Number> {
        let (order, kind) = descr.split_at_checked(1)?;
        let kind = match (order, kind) {
            ("<" | "|", "V2") => Kind::Bf16,
            ("<" | ">", "f2") => Kind::F16,
            ("<" | ">", "f4") => Kind::F32,
            ("<" | ">", "f8") => Kind::F64,
            _ => return None,
        };
        Some(Number { kind, big_endian: order == ">" })
    }

    /// Bytes of one element.
    pub(crate) fn bytes(self) -> usize {
        match self.kind {
            Kind::F16 | Kind::Bf16 => 2,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    /// The element in `bytes`, of which there are [`Number::bytes`].
    pub(crate) fn value(self, bytes: &[u8]) -> f64 {
        let mut little = [0u8; 8];
        let little = &mut little[..self.bytes()];
        little.copy_from_slice(bytes);
        if self.big_endian {
            little.reverse();
        }
        match (self.kind, &*little) {
            (Kind::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
            (Kind::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f64(),
            (Kind::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Kind::F64, little) => f64::from_le_bytes(little.try_into().expect("eight bytes")),
            _ => unreachable!("as many bytes as the kind has"),
        }
    }
}

/// Reads a header; the message says what is wrong with it.
pub(crate) fn read_header(input: &mut dyn Read) -> Result<Header, String> {
    let mut fixed = [0u8; 8];
    fill(input, &mut fixed)?;
    if &fixed[..6] != MAGIC {
        return Err("no npy magic".into());
    }
    let (length, prefix) = match fixed[6] {
        1 => {
            let mut n = [0u8; 2];
            fill(input, &mut n)?;
            (usize::from(u16::from_le_bytes(n)), 10)
        }
        2 | 3 => {
            let mut n = [0u8; 4];
            fill(input, &mut n)?;
            (u32::from_le_bytes(n) as usize, 12)
        }
        other => return Err(format!("npy version {other}")),
    };
    if length > MAX_HEADER {
        return Err(format!("an npy header of {length} bytes"));
    }
    let mut text = vec![0u8; length];
    fill(input, &mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| "an npy header that is no text".to_string())?;
    let (descr, columns_first, shape) = parse(text)?;
    Ok(Header { length: prefix + length as u64, descr, columns_first, shape })
}

fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<(), String> {
    input.read_exact(buffer).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => "an npy header that is cut short".into(),
        _ => format!("an unreadable npy header ({e})"),
    })
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
fn parse(text: &str) -> Result<(String, bool, Vec<usize>), String> {
    let bad = || format!("the npy header {}", text.trim().chars().take(120).collect::<String>());
    let body = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(bad)?;
    let (mut columns_first, mut shape, mut descr) = (None, None, None);
    let mut rest = body.trim();
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':').ok_or_else(bad)?;
        let value = value.trim_start();
        let end = if value.starts_with('(') { value.find(')').map(|i| i + 1) } else { value.find(',') };
        let (value, tail) = value.split_at(end.unwrap_or(value.len()));
        match key.trim().trim_matches(['\'', '"']) {
            "descr" => descr = Some(value.trim().trim_matches(['\'', '"']).to_string()),
            "fortran_order" => columns_first = Some(flag(value).ok_or_else(bad)?),
            "shape" => shape = Some(tuple(value).ok_or_else(bad)?),
            _ => return Err(bad()),
        }
        rest = tail.trim_start().strip_prefix(',').unwrap_or(tail).trim();
    }
    match (descr, columns_first, shape) {
        (Some(descr), Some(columns_first), Some(shape)) => Ok((descr, columns_first, shape)),
        _ => Err(bad()),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.trim() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    let sides: Option<Vec<usize>> = inner.split(',').map(|n| n.trim().parse().ok()).collect();
    if inner.is_empty() { Some(Vec::new()) } else { sides.filter(|sides| sides.len() <= 2) }
}

/// A version 1.0 header for f32, rows first, padded so that the elements begin at a multiple of 64 bytes.
pub(crate) fn header(shape: &[usize]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let sides = sides.join(" ");
    let sides = if shape.len() == 1 { &sides } else { sides.trim_end_matches(',') };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    let total = (10 + text.len() + 1).next_multiple_of(64);
    text.push_str(&" ".repeat(total - 10 - text.len() - 1));
    text.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_text(version: u8, length: u32, text: &str) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([version, 0]);
        out.extend(&length.to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
        out.extend(text.as_bytes());
        out
    }

    fn read(bytes: &[u8]) -> Result<Header, String> {
        read_header(&mut &bytes[..])
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![7], vec![3, 4], vec![1_000_000, 16_384]] {
            let bytes = header(&shape);
            assert_eq!(bytes.len() % 64, 0);
            let found = read(&bytes).unwrap();
            let (length, descr) = (bytes.len() as u64, "<f4".into());
            assert_eq!(found, Header { length, descr, columns_first: false, shape });
        }
    }

    proptest! {
        /// Any shape of at most two sides comes back from its header.
        #[test]
        fn any_shape_comes_back(shape in prop::collection::vec(any::<usize>(), 0..3)) {
            let bytes = header(&shape);
            let (length, descr) = (bytes.len() as u64, "<f4".into());
            prop_assert_eq!(read(&bytes), Ok(Header { length, descr, columns_first: false, shape }));
        }
    }

    #[test]
    fn numpy_s_own_spellings() {
        let check = |text: &str| {
            let (a, b) = (with_text(1, text.len() as u32, text), with_text(3, text.len() as u32, text));
            let (a, b) = (read(&a), read(&b));
            assert_eq!(a.as_ref().map(|h| &h.shape).ok(), b.as_ref().map(|h| &h.shape).ok());
            a.map(|h| (h.columns_first, h.shape))
        };
        assert_eq!(
            check("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n"),
            Ok((true, vec![3, 4]))
        );
        assert_eq!(check("{\"shape\": (5,), 'fortran_order': False, 'descr': '<f4'}"), Ok((false, vec![5])));
        for bad in [
            "",
            "{",
            "}{",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (3, 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (3, 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'eval': 1}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn floats_of_any_width_and_byte_order_are_read() {
        for (descr, bytes, value) in [
            ("<f4", &[0, 0, 0x40, 0xc0][..], -3.0),
            (">f4", &[0xc0, 0x40, 0, 0], -3.0),
            ("<f2", &[0x00, 0xc2], -3.0),
            (">f2", &[0xc2, 0x00], -3.0),
            ("<V2", &[0x40, 0xc0], -3.0),
            ("|V2", &[0x40, 0xc0], -3.0),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0x08, 0xc0], -3.0),
            (">f8", &[0xc0, 0x08, 0, 0, 0, 0, 0, 0], -3.0),
        ] {
            assert_eq!(Number::of(descr).unwrap().value(bytes), value, "{descr}");
        }
        for other in ["", "<", "é", "<i4", "|u1", "<f16", ">V2", "<c8", "f4", "=f4", "[('a'", "|b1"] {
            assert_eq!(Number::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_header_length_that_lies_is_refused() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
        assert!(read(&with_text(1, 5, text)).is_err());
        assert!(read(&with_text(1, 60_000, text)).unwrap_err().contains("header of 60000 bytes"));
        assert!(read(&with_text(1, 9_000, text)).unwrap_err().contains("cut short"));
        assert!(read(&with_text(2, u32::MAX, text)).unwrap_err().contains("4294967295 bytes"));
        assert!(read(&with_text(9, 60, text)).unwrap_err().contains("npy version 9"));
        assert!(read(b"\x93NUMP").unwrap_err().contains("cut short"));
        assert!(read(b"PK\x03\x04 and more").unwrap_err().contains("magic"));
    }
}
