//! Lapidary: evaluation (being written).
