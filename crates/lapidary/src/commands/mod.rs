//! One file per verb.

pub mod atlas;
pub mod bench;
pub mod convert;
pub mod demo;
pub mod doctor;
pub mod encode;
pub mod evaluate;
pub mod features;
pub mod harvest;
pub mod lab;
pub mod lm;
pub mod planted;
pub mod release;
pub mod serve;
pub mod steer;
pub mod train;
pub mod verify;
pub mod world;
pub mod world_score;
