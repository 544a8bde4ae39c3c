//! Lapidary: trainer (being written).
