//! Lapidary: splice (being written).
