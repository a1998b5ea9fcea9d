#![doc = "placeholder"]
pub mod config;
pub mod daemon;
pub mod io;
pub mod proto;
pub mod report;
pub mod types;
pub mod wire;
