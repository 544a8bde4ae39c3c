//! The server's routes, by contract and by hostile clients: one test program, which is linked once.

mod common;
mod contract;
mod hostile;
mod neuronpedia;
mod socket;
