//! Lapidary: harvest (being written).
