//! Fast = naive, bit for bit.
