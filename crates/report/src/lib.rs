//! Lapidary: report (being written).
