//! Lapidary: stats (being written).
