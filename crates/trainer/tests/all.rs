//! Training, file by file what must hold of it: one test program, which is linked once.

mod controller;
mod family;
mod gate;
mod golden;
mod release;
mod round_trip;
mod run;
mod target;
mod threshold;
