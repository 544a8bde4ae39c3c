//! How the elements of a tensor are stored. A quantised type keeps blocks: some tens of small integers with a scale or two.

use crate::blocks;
use std::fmt;

/// The types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types)] // the names are those of llama.cpp
pub enum TensorType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

use TensorType::*;

/// Type, its number in files, elements and bytes of a block, what widens a block.
type Row = (TensorType, u32, usize, usize, fn(&[u8], &mut [f32]));

const TABLE: [Row; 13] = [
    (F32, 0, 1, 4, blocks::f32),
    (F16, 1, 1, 2, blocks::f16),
    (Q4_0, 2, 32, 18, blocks::q4_0),
    (Q4_1, 3, 32, 20, blocks::q4_1),
    (Q5_0, 6, 32, 22, blocks::q5_0),
    (Q5_1, 7, 32, 24, blocks::q5_1),
    (Q8_0, 8, 32, 34, blocks::q8_0),
    (Q2_K, 10, 256, 84, blocks::q2_k),
    (Q3_K, 11, 256, 110, blocks::q3_k),
    (Q4_K, 12, 256, 144, blocks::q4_k),
    (Q5_K, 13, 256, 176, blocks::q5_k),
    (Q6_K, 14, 256, 210, blocks::q6_k),
    (BF16, 30, 1, 2, blocks::bf16),
];

/// Types that exist and are not read, by their numbers, so that a message can name them.
const OTHERS: [(u32, &str); 22] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (4, "Q4_2"),
    (5, "Q4_3"),
];

impl TensorType {
    /// All of them.
    pub fn all() -> impl Iterator<Item = TensorType> {
        TABLE.iter().map(|row| row.0)
    }

    /// The type with this number in files.
    ///
    /// # Errors
    /// What to call it, if it is not read.
    pub(crate) fn of(number: u32) -> Result<TensorType, String> {
        let known = TABLE.iter().find(|row| row.1 == number).map(|row| row.0);
        let name = || OTHERS.iter().find(|(other, _)| *other == number).map(|(_, name)| name.to_string());
        known.ok_or_else(|| name().unwrap_or_else(|| format!("type {number}")))
    }

    /// Elements of a block: a row has a whole number of blocks.
    pub fn elements(self) -> usize {
        self.row().2
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.row().3
    }

    /// Whole blocks, widened to f32.
    pub(crate) fn widen(self, bytes: &[u8], out: &mut [f32]) {
        let (_, _, elements, size, block) = *self.row();
        assert_eq!(bytes.len() / size, out.len() / elements, "blocks of {self}");
        bytes.chunks_exact(size).zip(out.chunks_exact_mut(elements)).for_each(|(b, o)| block(b, o));
    }

    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.0 == self).expect("every type is in the table")
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
