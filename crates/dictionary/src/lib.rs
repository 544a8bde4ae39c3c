//! Lapidary: dictionary (being written).
