//! The binary as its users run it: one test program of many files, which is linked once.

mod atlas;
mod bad_input;
mod baselines;
mod common;
mod crash;
mod demo;
mod encode_convert;
mod family;
mod given_up;
mod models;
mod names;
mod outputs;
mod planted;
mod probe;
mod same_bytes;
mod scored;
mod target;
mod truth;
mod verify;
mod world;
