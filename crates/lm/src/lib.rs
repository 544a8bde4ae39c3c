//! Lapidary: lm (being written).
