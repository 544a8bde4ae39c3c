//! Lapidary: store (being written).
